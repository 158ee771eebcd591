"""Whose rights a delivery has outside of the mailboxes: those of the mail user, also where root carries it out.

As in local(8) of Postfix, where an alias file is root's: what it names is written with the rights of somebody who
is nobody special. The rights for files are a thread's own (setfsuid(2)); those of other threads stay.
"""

from __future__ import annotations

import errno
import grp
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


def give_up_root(user: str, folder: str = "") -> None:
    """Become the mail user, for good; when not root, stay who we are. Raises KeyError, OSError.

    Where the site names no `user` it is the owner of the mailboxes (`folder`); root stays only where that is root.
    """
    if os.geteuid() != 0:
        return
    uid, gid = _owner(user, folder)
    if uid:
        os.setgroups([group.gr_gid for group in grp.getgrall() if user and user in group.gr_mem])
        os.setgid(gid)
        os.setuid(uid)


def hand_over(new: str, user: str, folder: str) -> None:
    """Give a folder that is root's to the mail user, as `give_up_root` knows it. Raises KeyError, OSError."""
    if os.geteuid() != 0:
        return
    fd = os.open(new, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if os.fstat(fd).st_uid == 0:
            os.fchown(fd, *_owner(user, folder))
    finally:
        os.close(fd)


def _owner(user: str, folder: str) -> tuple[int, int]:
    if user:
        entry = pwd.getpwnam(user)
        return entry.pw_uid, entry.pw_gid
    if not folder:
        return 0, 0
    owner = os.stat(folder)
    return owner.st_uid, owner.st_gid


@contextmanager
def acting_as(user: tuple[int, int] | None) -> Iterator[None]:
    """Open and make files with the rights of a user; None: with our own. Raises OSError."""
    if user is None:
        yield
        return
    if os.getgroups():
        os.setgroups([])  # they would still count; root has no need of them
    group = _set("setfsgid", user[1])
    try:
        before = _set("setfsuid", user[0])
        try:
            yield
        finally:
            _set("setfsuid", before)
    finally:
        _set("setfsgid", group)


def _set(name: str, number: int) -> int:
    """Set one of this thread's numbers; what it was. Raises PermissionError."""
    call = getattr(_libc(), name)
    before: int = call(number)
    if call(-1) != number:  # the only way to learn whether it was done
        raise PermissionError(errno.EPERM, f"{name} is not allowed")
    return before


@lru_cache(1)
def _libc() -> ctypes.CDLL:
    import ctypes  # noqa: PLC0415  few deliveries have need of it, and vdeliver has to start fast

    return ctypes.CDLL(None)
