"""The command `vmail`: as little as is needed to start it."""

from __future__ import annotations

import sys

from vmaild import __version__


def main() -> None:
    """The entry point; ends the process."""
    if sys.argv[1:] == ["--version"]:
        print(f"vmail {__version__}")
        return
    import logging  # noqa: PLC0415  a version should not take as long as a change

    from vmaild.cli.application import application, verb_of  # noqa: PLC0415  likewise

    # Verbs show findings themselves; what the rooms below log is for servers.
    logging.getLogger("vmaild").addHandler(logging.NullHandler())
    application(verb_of(sys.argv[1:]))()
