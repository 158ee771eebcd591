"""Which process has left something behind, and whether it is still there to finish it.

Numbers of processes are given again: one is known by the boot, its number, and when it began (proc(5)).
"""

from __future__ import annotations

import os

_known: dict[str, str] = {}
"""What does not change: the boot, and when this process began, by its number (it may fork)."""


def this_process() -> str:
    """How the process that calls is known: `BOOT:NUMBER:BEGAN`."""
    pid = str(os.getpid())
    return f"{boot()}:{pid}:{began(pid)}"


def has_ended(process: str) -> bool:
    """Whether a process of this boot, as `this_process` spells it, is no more; False for any other text."""
    known, _, rest = process.partition(":")
    pid, _, start = rest.partition(":")
    return bool(boot()) and known == boot() and pid.isdecimal() and began(pid) != start


def boot() -> str:
    """What tells this boot of the machine from others; empty: it cannot be known."""
    if "boot" not in _known:
        try:
            # As bytes: for a codec that was not loaded yet the mail user may lack the right to read the library.
            with open("/proc/sys/kernel/random/boot_id", "rb") as file:
                _known["boot"] = file.read().strip().decode()
        except OSError:
            _known["boot"] = ""
    return _known["boot"]


def began(pid: str) -> str:
    """When a process began, in ticks since the boot (proc(5)); empty: there is none."""
    own = pid == str(os.getpid())
    if own and pid in _known:
        return _known[pid]
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return ""
    # State Z or X: it has ended, and nobody has looked yet.
    start = "" if fields[0] in {b"Z", b"X"} else fields[19].decode()
    if own:
        _known[pid] = start
    return start
