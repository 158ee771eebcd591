"""What `make bench` runs: measures, prints tables, and keeps the numbers in bench/results/.

    python bench/run.py [--only BENCH] [--quick] [--folder DIR]

Each bench is a module with a function `measure(*, quick, folder, say) -> Report`; it is listed in BENCHES.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[0] = str(HERE.parent)  # this folder is the package `bench`

from bench import scale  # noqa: E402
from rich.console import Console  # noqa: E402

BENCHES = {"scale": scale.measure}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Measure speed, memory and scale.")
    parser.add_argument("--only", choices=BENCHES, action="append", help="this bench alone; may be repeated")
    parser.add_argument("--quick", action="store_true", help="smaller sizes, in a minute")
    parser.add_argument("--folder", type=Path, help="where temporary files go; as $TMPDIR")
    options = parser.parse_args()
    console = Console(soft_wrap=True) if not sys.stdout.isatty() else Console()
    for name in options.only or BENCHES:
        report = BENCHES[name](
            quick=options.quick, folder=options.folder, say=lambda text: console.print(text, style="dim")
        )
        report.print(console)
        for path in report.write(HERE / "results"):
            console.print(f"kept in {path.relative_to(HERE.parent)}", style="dim")


if __name__ == "__main__":
    main()
