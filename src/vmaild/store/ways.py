"""Ways to files that others than the administrator may move about: lists, mbox files, homes.

Whoever may write in a folder on the way can put a symbolic link there, to what only the mail user, or root, may
touch. So each step is taken by itself (openat(2)), and a link counts only where root made it, or whoever owns
what it leads to.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

_MAX_LINKS = 40
"""Symbolic links on one way, as in path_resolution(7)."""
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Place:
    """A name in an open folder, and who made the links that led there."""

    folder: int
    """Its descriptor."""
    name: str
    """The last step; empty: the way ends at a folder."""
    path: str
    """As it was asked for."""
    owners: frozenset[int]

    def open(self, flags: int, mode: int = 0o600) -> int:
        """Open the regular file here, or create it where `flags` say so, and never wait for it. Raises OSError."""
        found = self.status()
        if found is not None:
            _check_regular(found, self.path)  # before it is opened: to open a device may do something
            flags &= ~os.O_CREAT
        elif flags & os.O_CREAT:
            self.check_links(os.fstat(self.folder).st_uid)
            flags |= os.O_EXCL
        safe = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
        fd = os.open(self.name, flags | safe, mode, dir_fd=self.folder)
        try:
            found = os.fstat(fd)
            _check_regular(found, self.path)
            self.check_links(found.st_uid)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def status(self) -> os.stat_result | None:
        """Of what is here, of a symbolic link itself; None: nothing. Raises OSError."""
        return _status(self.name, self.folder) if self.name else os.fstat(self.folder)

    def check_links(self, *owners: int) -> None:
        """Raise PermissionError where a link that led here was made neither by root nor by one of these users."""
        if not self.owners <= {0, *owners}:
            raise PermissionError(errno.EPERM, "a symbolic link of somebody else leads there", self.path)


@contextmanager
def way_to(path: str, *, follow: bool = True) -> Iterator[Place]:
    """Walk to where an absolute path leads, its last step not yet taken. Raises OSError.

    Without `follow` the last step, if it is a symbolic link, is not followed, and cannot be opened.
    """
    steps = [step for step in reversed(path.split("/")) if step not in {"", "."}]
    owners: set[int] = set()
    links = 0
    folder = os.open("/", _FOLDER)
    try:
        while steps:
            step = steps.pop()
            found = _status(step, folder)
            if found is not None and stat.S_ISLNK(found.st_mode) and (steps or follow):
                links += 1
                if links > _MAX_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
                owners.add(found.st_uid)
                target = os.readlink(step, dir_fd=folder)
                steps += [step for step in reversed(target.split("/")) if step not in {"", "."}]
                if target.startswith("/"):
                    folder = _entered("/", folder)
            elif steps or step == "..":
                folder = _entered(step, folder)
            else:
                yield Place(folder, step, path, frozenset(owners))
                return
        yield Place(folder, "", path, frozenset(owners))
    finally:
        with suppress(OSError):  # what was done there is done
            os.close(folder)


def _entered(step: str, folder: int) -> int:
    """The descriptor of the next folder, in the place of this one. Raises OSError."""
    inner = os.open(step, _FOLDER, dir_fd=folder)
    with suppress(OSError):
        os.close(folder)
    return inner


def _status(step: str, folder: int) -> os.stat_result | None:
    try:
        return os.stat(step, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _check_regular(found: os.stat_result, path: str) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", path)
