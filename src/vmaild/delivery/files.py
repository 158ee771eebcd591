"""Appends a message to the file behind an alias: `/path` an mbox (mbox(5)), `/path/` a maildir, /dev/null.

An mbox is locked with PATH.lock and with fcntl(2), as local(8) does; what cannot be written whole is taken back.
The file must be a plain one with one name: no symbolic link, no device. Everything here blocks.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from vmaild.outcome import Condition, Deferred, Delivered, Outcome
from vmaild.store.atomic import NEW_FILE, fsync_folder, inherit_owner, write_fully
from vmaild.store.content import Content
from vmaild.store.maildir import append_to_maildir
from vmaild.store.messages import StoreError, StoreFull

log = logging.getLogger("vmaild.delivery")

LOCK_TIME = 30.0
"""Seconds to wait for whoever has the mbox."""
_STALE = 600.0
"""Seconds after which PATH.lock was left behind by somebody who is no more."""


def append(path: str, sender: str, header: bytes, content: Content) -> Outcome:
    """Append a message to the file `path`, `header` above its content; durable when delivered. Never raises."""
    try:
        if path.endswith("/"):
            append_to_maildir(path.rstrip("/"), header, content)
        elif path != os.devnull:
            _append_to_mbox(path, sender, header, content)
    except (OSError, StoreError) as error:
        log.error("file %s: %s", path, error)
        full = isinstance(error, StoreFull) or getattr(error, "errno", 0) in {errno.ENOSPC, errno.EDQUOT}
        return Deferred(Condition.SYSTEM_FULL if full else Condition.INTERNAL)
    log.info("appended to %s, %d bytes, from <%s>", path, content.size, sender)
    return Delivered()


def _append_to_mbox(path: str, sender: str, header: bytes, content: Content) -> None:
    """Raises OSError, and then the file is as it was."""
    with _dot_lock(f"{path}.lock"):
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
        try:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
                raise OSError(errno.EINVAL, "not a plain file with one name", path)
            _lock(fd)
            if found.st_size == 0:
                inherit_owner(fd, os.path.dirname(path))
            end = os.lseek(fd, 0, os.SEEK_END)
            try:
                for piece in mbox_entry(sender, time.gmtime(), header, content):
                    write_fully(fd, [piece])
                os.fsync(fd)
            except BaseException:
                os.ftruncate(fd, end)
                raise
        finally:
            os.close(fd)
        if not found.st_size:
            fsync_folder(os.path.dirname(path))


def mbox_entry(sender: str, now: time.struct_time, header: bytes, content: Content) -> Iterator[bytes]:
    """One message as an mbox holds it (mbox(5), the mboxo way): the From_ line, quoted lines, an empty line."""
    name = "".join(c for c in sender if c.isprintable() and not c.isspace()) or "MAILER-DAEMON"
    head = f"From {name}  {time.asctime(now)}\n".encode("utf-8", "surrogateescape") + header
    yield head[:-1]
    mark = b"From "
    held = head[-1:]  # a line end, or what may become a mark with the next piece
    for chunk in content.chunks():
        data = held + chunk
        keep = next(
            (n for n in range(min(len(mark), len(data)), 0, -1) if (b"\n" + mark).startswith(data[-n:])), 0
        )
        held = data[len(data) - keep :]
        yield data[: len(data) - keep].replace(b"\n" + mark, b"\n>" + mark)
    yield held + b"\n"


@contextmanager
def _dot_lock(path: str) -> Iterator[None]:
    """Hold PATH.lock, as every program does that knows mbox files. Raises OSError."""
    deadline = time.monotonic() + LOCK_TIME
    while True:
        try:
            os.close(os.open(path, NEW_FILE, 0o600))
            break
        except FileExistsError:
            with suppress(FileNotFoundError):
                if time.time() - os.lstat(path).st_mtime > _STALE:
                    log.warning("%s was left behind, and is removed", path)
                    os.unlink(path)
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
    try:
        yield
    finally:
        with suppress(FileNotFoundError):
            os.unlink(path)


def _lock(fd: int) -> None:
    deadline = time.monotonic() + LOCK_TIME
    while True:
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
