"""The command `vmail`: as little as is needed to start it."""

from __future__ import annotations

import sys

from vmaild import __version__


def main() -> None:
    """The entry point; ends the process."""
    if sys.argv[1:] == ["--version"]:
        print(f"vmail {__version__}")
        return
    from vmaild.cli.verbs import app  # noqa: PLC0415  a version should not take as long as a change

    app()
