"""Tell how much of the code is exercised, and fail when it is too little: of all together, or of any one module.

Usage: coverage json -o - | python tools/coverage_floor.py REPORT [TOTAL [MODULE]]

REPORT is the file that the report by module is written to; standard output gets one line. TOTAL and MODULE are
percentages. A module that no test imports counts as not exercised at all: that is what `source_pkgs` is for.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any


def shortfalls(report: dict[str, Any], total: float, module: float) -> list[str]:
    """A line for each thing that is below its floor; `report` is what `coverage json` writes."""
    measured = [(name, data["summary"]["percent_covered"], module) for name, data in report["files"].items()]
    measured.append(("all modules together", report["totals"]["percent_covered"], total))
    return [f"{name}: {percent:.1f} %, wanted {floor:g} %" for name, percent, floor in measured if percent < floor]


def by_module(report: dict[str, Any]) -> Iterator[str]:
    """A line for each module: its statements, how many per cent of them are exercised, and which lines are not."""
    for name, data in sorted(report["files"].items()):
        summary = data["summary"]
        missing = ", ".join(ranges(data["missing_lines"]))
        yield f"{name:50} {summary['num_statements']:5} {summary['percent_covered']:4.0f} %  {missing}".rstrip()


def ranges(lines: list[int]) -> Iterator[str]:
    """Sorted numbers of lines, with those that follow one another as `first-last`."""
    for _, group in groupby(enumerate(lines), key=lambda pair: pair[1] - pair[0]):
        run = [line for _, line in group]
        yield f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0])


def main() -> int:
    """Read the report from standard input; 1: something is below its floor."""
    path, *floors = sys.argv[1:]
    total, module = [float(floor) for floor in floors] or (85.0, 60.0)
    report = json.load(sys.stdin)
    Path(path).write_text("".join(f"{line}\n" for line in by_module(report)), encoding="utf-8")
    found = shortfalls(report, total, module)
    for line in found:
        print(f"coverage: {line}", file=sys.stderr)
    print(f"coverage {report['totals']['percent_covered']:.0f} %, by module in {path}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
