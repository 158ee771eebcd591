"""Whose rights a delivery has outside of the mailboxes: those of the mail user, also where root carries it out.

As in local(8) of Postfix, where an alias file is root's: what it names is written with the rights of somebody who
is nobody special. The rights for files are a thread's own (setfsuid(2)); those of other threads stay.
"""

from __future__ import annotations

import errno
import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ctypes


def mail_user(folder: str) -> tuple[int, int] | None:
    """User and group who own the mailboxes (`folder`), and never root; None: whoever we are. Raises OSError."""
    if os.geteuid() != 0:
        return None
    owner = os.stat(folder)
    if owner.st_uid:
        return owner.st_uid, owner.st_gid
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid


@contextmanager
def acting_as(user: tuple[int, int] | None) -> Iterator[None]:
    """Open and make files with the rights of a user; None: with our own. Raises OSError."""
    if user is None:
        yield
        return
    if os.getgroups():
        os.setgroups([])  # they would still count; root has no need of them
    try:
        _set("setfsgid", user[1])
        _set("setfsuid", user[0])
        yield
    finally:
        _set("setfsuid", os.geteuid())
        _set("setfsgid", os.getegid())


def _set(name: str, number: int) -> None:
    call = getattr(_libc(), name)
    call(number)
    if call(-1) != number:  # the only way to learn whether it was done
        raise PermissionError(errno.EPERM, f"{name} is not allowed")


@lru_cache(1)
def _libc() -> ctypes.CDLL:
    import ctypes  # noqa: PLC0415  few deliveries have need of it, and vdeliver has to start fast

    return ctypes.CDLL(None)
