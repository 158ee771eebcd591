"""Why something was not done: the problem and the remedy, each fit for one line before the administrator."""

from __future__ import annotations

import errno
import os
from enum import StrEnum


class Code(StrEnum):
    """What kind of refusal it is, for programs: these words stay, however the texts for people change."""

    REFUSED = "refused"
    """As things are now it cannot be done."""
    INVALID = "invalid"
    """It makes no sense as written: a bad address, size, name."""
    EXISTS = "exists"
    """Something of that name is there already."""
    CHANGED = "changed"
    """What whoever asks had before them is not so any more."""
    BUSY = "busy"
    """Somebody else is at it, or too much is going on."""
    NOT_FOUND = "not-found"
    """There is no such thing, or none that whoever asks may see: no difference."""
    NOT_PERMITTED = "not-permitted"
    """It is there to be seen, but the right for that is missing."""
    SIGNED_OUT = "signed-out"
    WRONG_LOGIN = "wrong-login"
    TOO_MANY_TRIES = "too-many-tries"
    SECOND_FACTOR_FIRST = "second-factor-first"
    CONFIRM_FIRST = "confirm-first"
    UNAVAILABLE = "unavailable"
    """Something does not work here; it may later."""


class Refused(Exception):
    """It was understood, and was not done."""

    def __init__(self, problem: str, remedy: str, code: Code = Code.REFUSED) -> None:
        super().__init__(f"{problem}; {remedy}")
        self.problem = problem
        self.remedy = remedy
        self.code = code


class Misused(Refused):
    """What was asked makes no sense as written: a bad address, size, name."""

    def __init__(self, problem: str, remedy: str, code: Code = Code.INVALID) -> None:
        super().__init__(problem, remedy, code)


def not_now() -> Refused:
    """What people are told where something unexpected happened, which stands in the log."""
    return Refused("this cannot be done now", "try again later", Code.UNAVAILABLE)


def system_refusal(error: OSError, doing: str = "") -> Refused:
    """An error of the system as a refusal that names the file and what to do about it."""
    path = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else ""
    reason = error.strerror or str(error)
    problem = ": ".join(filter(None, (doing, path, reason)))
    match error.errno:
        case errno.EACCES | errno.EPERM:
            remedy = "run it as root, or as a user who has access"
        case errno.ENOSPC | errno.EDQUOT:
            remedy = "free some space, then run it again"
        case errno.ENAMETOOLONG:
            remedy = "choose a shorter name"
        case errno.EROFS:
            remedy = "mount the file system for writing, then run it again"
        case _:
            remedy = "see to that, then run it again"
    return Refused(problem, remedy)
