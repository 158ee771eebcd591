"""The vacation text of an account and whom it has answered: `HOME/vacation` and `HOME/vacation.answered`."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Mapping

from vmaild.core.autoreply import Vacation, is_recent, remembered
from vmaild.core.findings import Finding
from vmaild.formats.vacation import FILE_NAME, MAX_FILE, MEMORY_NAME, parse_vacation
from vmaild.store.atomic import write_atomically
from vmaild.store.locks import exclusive

_LOCK_NAME = "vacation.lock"
_LOCK_TIME = 10.0


def read_vacation(home: str) -> tuple[Vacation | None, tuple[Finding, ...]]:
    """The text in a home; None: there is none, or it is damaged. Raises OSError.

    It is read by the mail user and sent to anybody, so a link in its place, to a file that only the mail user
    may read, is not followed.
    """
    path = f"{home}/{FILE_NAME}"
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None, ()
    with open(fd, encoding="utf-8", errors="surrogateescape") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(f"{path} is no regular file")
        return parse_vacation(file.read(MAX_FILE), path)


def is_answered(home: str, sender: str, days: int) -> bool:
    """Whether a sender was answered within so many days. Raises OSError."""
    at = _memory(home).get(sender)
    return at is not None and is_recent(at, int(time.time()), days)


def take_turn(home: str, sender: str, days: int) -> bool:
    """Whether a sender may be answered now, and then note that; durable. Raises OSError, LockTimeout.

    Noted before the reply is sent: a machine that stops in between answers once too few, not once too often.
    """
    now = int(time.time())
    with exclusive(f"{home}/{_LOCK_NAME}", _LOCK_TIME):
        memory = _memory(home)
        if sender in memory and is_recent(memory[sender], now, days):
            return False
        _keep(home, remembered(memory, sender, now, days))
    return True


def give_turn_back(home: str, sender: str) -> None:
    """Forget that a sender was answered: the reply could not be sent. Raises OSError, LockTimeout."""
    with exclusive(f"{home}/{_LOCK_NAME}", _LOCK_TIME):
        memory = _memory(home)
        memory.pop(sender, None)
        _keep(home, memory)


def _keep(home: str, memory: Mapping[str, int]) -> None:
    text = "".join(f"{when} {who}\n" for who, when in memory.items())
    write_atomically(f"{home}/{MEMORY_NAME}", text.encode("utf-8", "surrogateescape"), mode=0o600)


def _memory(home: str) -> dict[str, int]:
    """Senders, and when they were answered; what is damaged is as if it were not there."""
    answered: dict[str, int] = {}
    try:
        fd = os.open(f"{home}/{MEMORY_NAME}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                when, _, who = line.rstrip("\n").partition(" ")
                if when.isdecimal() and len(when) < 15 and who:
                    answered[who] = int(when)
    except FileNotFoundError:
        pass
    return answered
