"""The vacation text of an account and whom it has answered: `HOME/vacation` and `HOME/vacation.answered`."""

from __future__ import annotations

import os
import time

from vmaild.core.autoreply import Vacation
from vmaild.core.findings import Finding
from vmaild.formats.vacation import MAX_TEXT, parse_vacation, render_vacation
from vmaild.store.atomic import make_folders, remove_durably, write_atomically
from vmaild.store.locks import exclusive

MAX_REMEMBERED = 10_000
"""Senders of one account; those longest ago are forgotten first."""
_LOCK_TIME = 10.0


def read_vacation(home: str) -> tuple[Vacation | None, tuple[Finding, ...]]:
    """The text in a home; None: there is none. Raises OSError."""
    path = f"{home}/vacation"
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read(MAX_TEXT)
    except FileNotFoundError:
        return None, ()
    return parse_vacation(text, path)


def write_vacation(home: str, vacation: Vacation | None) -> None:
    """Set the text, or remove it; whoever was answered is answered anew. Raises OSError."""
    make_folders(home, 0o700)
    for name in ("vacation.answered", *(() if vacation else ("vacation",))):
        if os.path.exists(f"{home}/{name}"):
            remove_durably(f"{home}/{name}")
    if vacation is not None:
        write_atomically(f"{home}/vacation", render_vacation(vacation).encode(), mode=0o600)


def take_turn(home: str, sender: str, days: int) -> bool:
    """Whether a sender may be answered now, and then note that; durable. Raises OSError, LockTimeout."""
    now = int(time.time())
    with exclusive(f"{home}/vacation.lock", _LOCK_TIME):
        answered = _answered(f"{home}/vacation.answered")
        if now - answered.get(sender, 0) < days * 86400:
            return False
        answered.pop(sender, None)
        answered[sender] = now
        kept = list(answered.items())[-MAX_REMEMBERED:]
        text = "".join(f"{when} {who}\n" for who, when in kept if now - when < days * 86400)
        write_atomically(f"{home}/vacation.answered", text.encode("utf-8", "surrogateescape"), mode=0o600)
    return True


def _answered(path: str) -> dict[str, int]:
    """Senders, and when they were answered; what is damaged is as if it were not there."""
    answered: dict[str, int] = {}
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                when, _, who = line.rstrip("\n").partition(" ")
                if when.isdecimal() and who:
                    answered[who] = int(when)
    except FileNotFoundError:
        pass
    return answered
