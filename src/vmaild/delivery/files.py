"""Appends a message to the file behind an alias: `/path` an mbox (mbox(5)), `/path/` a maildir, /dev/null.

Who writes is the mail user, also where root delivers, as in local(8): so the file, or the folder that it is to be
made in, must be the mail user's to write. An mbox is locked with PATH.lock, where that can be made, and with
fcntl(2); what cannot be written whole is taken back. It must be a plain file with one name: no device, no symbolic
link, and none of somebody else on the way. Everything here blocks.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from vmaild.outcome import Condition, Deferred, Delivered, Outcome
from vmaild.store.atomic import NEW_FILE, write_fully
from vmaild.store.content import Content
from vmaild.store.maildir import append_to_maildir
from vmaild.store.messages import StoreError, StoreFull
from vmaild.store.rights import acting_as, mail_user
from vmaild.store.ways import Place, way_to

log = logging.getLogger("vmaild.delivery")

LOCK_TIME = 30.0
"""Seconds to wait for whoever has the mbox."""
_STALE = 600.0
"""Seconds after which PATH.lock was left behind by somebody who is no more."""
_WHOLE_FILE = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
"""A struct flock (fcntl(2)) of a 64-bit system."""


def append(path: str, sender: str, header: bytes, content: Content, folder: str) -> Outcome:
    """Append a message to the file `path`, `header` above its content; durable when delivered. Never raises.

    `folder` belongs to the mail user.
    """
    try:
        if path != os.devnull:
            with acting_as(mail_user(folder)):
                _append(path, sender, header, content)
    except (OSError, StoreError) as error:
        log.error("file %s: %s; see that the mail user can write it, or make it", path, error)
        full = isinstance(error, StoreFull) or getattr(error, "errno", 0) in {errno.ENOSPC, errno.EDQUOT}
        return Deferred(Condition.SYSTEM_FULL if full else Condition.INTERNAL)
    log.info("appended to %s, %d bytes, from <%s>", path, content.size, sender)
    return Delivered()


def _append(path: str, sender: str, header: bytes, content: Content) -> None:
    """Raises OSError, StoreError."""
    if not path.endswith("/"):
        with way_to(path, follow=False) as place, _dot_lock(place):
            _append_to_mbox(place, sender, header, content)
        return
    there = path = path.rstrip("/")
    while there and not os.path.lexists(there):
        there = os.path.dirname(there)  # what is missing will be made
    with way_to(there) as place:
        found = os.stat(place.name or ".", dir_fd=place.folder, follow_symlinks=False)
        place.check_links(found.st_uid)
    append_to_maildir(path, header, content)


def _append_to_mbox(place: Place, sender: str, header: bytes, content: Content) -> None:
    """Raises OSError, and then the file is as it was."""
    fd = place.open(os.O_RDWR | os.O_CREAT)
    try:
        if os.fstat(fd).st_nlink != 1:
            raise OSError(errno.EMLINK, "it has other names, too", place.path)
        _lock(fd)
        end = os.lseek(fd, 0, os.SEEK_END)
        try:
            write_fully(fd, [_gap(os.pread(fd, 2, max(0, end - 2)))])
            for piece in mbox_entry(sender, time.gmtime(), header, content):
                write_fully(fd, [piece])
            os.fsync(fd)
        except BaseException:
            os.ftruncate(fd, end)
            raise
    finally:
        os.close(fd)
    if not end:
        _sync_folder(place)


def _gap(last: bytes) -> bytes:
    """What makes an empty line below the last bytes of an mbox, which somebody may not have written to its end."""
    if not last or last == b"\n\n":
        return b""
    return b"\n" if last.endswith(b"\n") else b"\n\n"


def _sync_folder(place: Place) -> None:
    """Make durable that there is a new file. Raises OSError."""
    fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=place.folder)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


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
def _dot_lock(place: Place) -> Iterator[None]:
    """Hold PATH.lock, as every program does that knows mbox files. Raises OSError.

    Where the mail user may write the file but not its folder there is no such lock, as in local(8).
    """
    name, folder = f"{place.name}.lock", place.folder
    deadline = time.monotonic() + LOCK_TIME
    held = False
    while not held:
        try:
            os.close(os.open(name, NEW_FILE, 0o600, dir_fd=folder))
            held = True
        except PermissionError:
            break
        except FileExistsError:
            with suppress(FileNotFoundError):
                if time.time() - os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime > _STALE:
                    log.warning("%s.lock was left behind, and is removed", place.path)
                    os.unlink(name, dir_fd=folder)
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
    try:
        yield
    finally:
        if held:
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=folder)


def _lock(fd: int) -> None:
    """Wait for whoever has the file locked, another thread included. Raises OSError."""
    deadline = time.monotonic() + LOCK_TIME
    while True:
        try:
            # Locks of the open file, not of the process, which has other threads (fcntl(2)).
            fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _WHOLE_FILE)
        except OSError as error:
            if time.monotonic() > deadline or error.errno not in {errno.EAGAIN, errno.EACCES}:
                raise
            time.sleep(0.05)
        else:
            return
