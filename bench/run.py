"""What `make bench` runs: measures, prints tables, and keeps the numbers in bench/results/.

    python bench/run.py [--only BENCH] [--quick] [--folder DIR]

Each bench is a module with a function `measure(*, quick, folder, say) -> Findings`; it is listed in BENCHES.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
sys.path[0] = str(HERE.parent)  # this folder is the package `bench`

from bench import delivery, pop3, scale, web  # noqa: E402
from bench.report import Findings  # noqa: E402
from rich.console import Console  # noqa: E402

BENCHES: dict[str, Callable[..., Findings]] = {
    "scale": scale.measure,
    "pop3": pop3.measure,
    "delivery": delivery.measure,
    "web": web.measure,
}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Measure speed, memory and scale.")
    parser.add_argument("--only", choices=BENCHES, action="append", help="this bench alone; may be repeated")
    parser.add_argument("--quick", action="store_true", help="smaller sizes, in a minute")
    parser.add_argument("--folder", type=Path, help="where temporary files go; as $TMPDIR")
    options = parser.parse_args()
    console = Console() if sys.stdout.isatty() else Console(width=120)
    started = time.monotonic()

    def say(text: str) -> None:
        console.print(f"{time.monotonic() - started:5.0f} s  {text}", style="dim", highlight=False)

    for name in options.only or BENCHES:
        report = BENCHES[name](quick=options.quick, folder=options.folder, say=say)
        report.print(console)
        for path in report.write(HERE / "results"):
            say(f"kept in {path.relative_to(HERE.parent)}")


if __name__ == "__main__":
    main()
