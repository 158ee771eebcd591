"""Exclusive locks between processes and threads: flock(2).

The lock belongs to the open file, so it goes with the process that holds it, however that ends, and two
threads of one process, each with a file of its own, exclude each other too. The file itself stays for good:
removing it would let two holders in, one on the old file and one on the new.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from vmaild.store.atomic import NEW_FILE, inherit_owner

_FIRST_WAIT, _LONGEST_WAIT = 0.001, 0.05
"""Seconds between two attempts: doubled from the first to the longest."""


class LockTimeout(Exception):
    """Another process or thread held the lock all the while, and always the same one."""

    def __init__(self, path: str, pid: int | None) -> None:
        holder = f"process {pid}" if pid else "another process"
        super().__init__(f"{path} is locked by {holder}")
        self.path = path
        self.pid = pid
        """Of the holder; None: not known."""


@contextmanager
def exclusive(path: str, timeout: float | None) -> Iterator[int]:
    """Hold the lock file `path` for the duration of a `with` block.

    The file is created (0o660, owner and group of its folder where root creates it) and names its holder's
    process. `timeout` is how many seconds one and the same holder is waited for, since a long queue that moves on
    is no reason to give up; None waits without end. Not re-entrant: a thread that asks for a lock that it holds
    waits for itself. Yields the descriptor that holds the lock: a child of a fork has it too, and the lock goes
    only when all of them have closed it.

    Raises LockTimeout; OSError where the file cannot be opened.
    """
    fd = _open_lock_file(path)
    try:
        if timeout is None:
            fcntl.flock(fd, fcntl.LOCK_EX)
        elif not _locked_within(fd, timeout):
            raise LockTimeout(path, _holder(fd))
        _name_holder(fd, b"%d\n" % os.getpid())
        try:
            yield fd
        finally:
            _name_holder(fd, b"")
    finally:
        os.close(fd)


def try_exclusive(fd: int) -> bool:
    """Lock an open file or folder at once or not at all; the lock goes when `fd` is closed."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _locked_within(fd: int, timeout: float) -> bool:
    """Try until the lock is ours, or nobody has taken it or given it up for `timeout` seconds."""
    # flock(2) knows no timeout, and a signal to interrupt it would be the whole process's business.
    end = time.monotonic() + timeout
    wait, changed = _FIRST_WAIT, _last_change(fd)
    while not try_exclusive(fd):
        if changed != (changed := _last_change(fd)):
            end = time.monotonic() + timeout
        left = end - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(wait, left))
        wait = min(2 * wait, _LONGEST_WAIT)
    return True


def _last_change(fd: int) -> int:
    """When the lock last changed hands: who takes it or gives it up writes to its file. Nanoseconds."""
    return os.fstat(fd).st_mtime_ns


def _open_lock_file(path: str) -> int:
    try:
        fd = os.open(path, NEW_FILE & ~os.O_WRONLY | os.O_RDWR, 0o660)
    except FileExistsError:
        return os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        inherit_owner(fd, os.path.dirname(path) or ".")
        os.fchmod(fd, 0o660)  # open(2) takes away the bits of the umask
    except BaseException:
        os.close(fd)
        raise
    return fd


def _name_holder(fd: int, text: bytes) -> None:
    with suppress(OSError):  # a courtesy to whoever waits: a full disk must not keep anybody from the lock
        os.ftruncate(fd, 0)
        os.pwrite(fd, text, 0)


def _holder(fd: int) -> int | None:
    text = os.pread(fd, 20, 0).strip()
    return int(text) if text.isdigit() else None
