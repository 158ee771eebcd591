"""Fail when too little of the code is exercised: all of it together, or any one module.

Usage: coverage json -o - | python tools/coverage_floor.py [TOTAL [MODULE]]

TOTAL and MODULE are percentages. A module that no test imports counts as not exercised at all: that is what
`source_pkgs` of coverage is for.
"""

from __future__ import annotations

import json
import sys
from typing import Any


def shortfalls(report: dict[str, Any], total: float, module: float) -> list[str]:
    """A line for each thing that is below its floor; `report` is what `coverage json` writes."""
    measured = [(name, data["summary"]["percent_covered"], module) for name, data in report["files"].items()]
    measured.append(("all modules together", report["totals"]["percent_covered"], total))
    return [f"{name}: {percent:.1f} %, wanted {floor:g} %" for name, percent, floor in measured if percent < floor]


def main() -> int:
    """Read the report from standard input; 1: something is below its floor."""
    total, module = [float(argument) for argument in sys.argv[1:]] or (85.0, 60.0)
    found = shortfalls(json.load(sys.stdin), total, module)
    for line in found:
        print(f"coverage: {line}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
