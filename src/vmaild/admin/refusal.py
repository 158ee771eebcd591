"""Why something was not done: the problem and the remedy, each fit for one line before the administrator."""

from __future__ import annotations

import errno
import os


class Refused(Exception):
    """It was understood, and was not done."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}; {remedy}")
        self.problem = problem
        self.remedy = remedy


class Misused(Refused):
    """What was asked makes no sense as written: a bad address, size, name."""


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
