"""The process that `vmail serve` becomes: the supervisor and what it forks, without the command line.

    python -P -m vmaild.servers ROOT [DESCRIPTOR]

ROOT prefixes every path (`/`: none). DESCRIPTOR is open on a text that is shown once everything is served. The
process keeps its pid, its signals and the sockets that systemd passed; what the command line had loaded is gone,
which is more than half of the memory that supervisor and workers would have in common.

Exit status: 0 ended as it was told, 1 the servers cannot be started: one line on standard error, the problem and
the remedy.
"""

from __future__ import annotations

import ctypes
import logging
import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache

from vmaild.admin.refusal import system_refusal
from vmaild.servers import supervisor
from vmaild.servers.worker import ServeError
from vmaild.store.layout import layout
from vmaild.store.site import SiteUnusable

_M_ARENA_MAX = -8
"""mallopt(3)"""


def main(arguments: Sequence[str]) -> int:
    """Serve until told to end; the exit status."""
    root, *descriptors = arguments
    welcome = b""
    for descriptor in descriptors:
        with os.fdopen(int(descriptor), "rb") as source:  # closed before anything is forked
            welcome += source.read()
    _share_one_arena()
    _log_to_stderr()
    try:
        return supervisor.serve(layout(root), on_ready=lambda: _show(welcome))
    except (ServeError, SiteUnusable) as error:
        problem, _, remedy = str(error).partition("; ")
        return _refuse(f"{problem}; {remedy or 'see vmail.toml'}")
    except OSError as error:
        return _refuse(str(system_refusal(error)))
    except KeyboardInterrupt:
        return _refuse("interrupted; nothing was served yet")


def _share_one_arena() -> None:
    """The interpreter lets one thread work at a time: arenas for several would only lie there (mallopt(3))."""
    with suppress(AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


class _Line(logging.Formatter):
    """A line of the log, whose time of day is put together once in a second."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802  its name there
        """See logging.Formatter."""
        return _time_of_day(int(record.created), datefmt or "%X")


@lru_cache(maxsize=2)
def _time_of_day(seconds: int, form: str) -> str:
    return time.strftime(form, time.localtime(seconds))


def _log_to_stderr() -> None:
    # No line tells where in the source it was written, nor by which thread or process: to find that out for each
    # delivery takes as long as all the rest of its line (Python's "Logging HOWTO", Optimization).
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = logging.StreamHandler(sys.stderr)
    # systemd's journal has date and host already, and so has a person in front of a terminal.
    handler.setFormatter(_Line("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S"))
    log = logging.getLogger("vmaild")
    log.addHandler(handler)
    log.setLevel(logging.INFO)


def _show(text: bytes) -> None:
    with suppress(OSError):  # nobody has to be there to read it
        while text:
            text = text[os.write(1, text) :]


def _refuse(text: str) -> int:
    """Tell why nothing is served, in one line that moves no cursor."""
    shown = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
    print(f"vmail: {shown}", file=sys.stderr)  # noqa: T201  before there is anybody else to tell it to
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
