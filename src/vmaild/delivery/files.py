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
import stat
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from vmaild.delivery.mbox import Entry, append_entry
from vmaild.outcome import Condition, Deferred, Delivered, Outcome
from vmaild.store.atomic import NEW_FILE
from vmaild.store.maildir import append_to_maildir
from vmaild.store.messages import StoreError, StoreFull
from vmaild.store.processes import has_ended, this_process
from vmaild.store.rights import acting_as, mail_user
from vmaild.store.ways import Place, way_to

log = logging.getLogger("vmaild.delivery")

LOCK_TIME = 30.0
"""Seconds to wait for whoever has the mbox."""
_STALE = 600.0
"""Seconds after which PATH.lock was left behind by somebody who is no more."""
_TURNS: dict[tuple[int, int, str], threading.Lock] = {}
"""For the threads of this process: the folder of an mbox, and its name."""
_WHOLE_FILE, _NOTHING = (
    struct.pack("hhqqi4x", kind, os.SEEK_SET, 0, 0, 0) for kind in (fcntl.F_WRLCK, fcntl.F_UNLCK)
)
"""A struct flock (fcntl(2)) of a 64-bit system, to take a lock and to give it up."""


def append(path: str, entry: Entry, folder: str) -> Outcome:
    """Append a message to the file `path`; durable when delivered. Never raises.

    `folder` belongs to the mail user.
    """
    try:
        if path != os.devnull:
            with acting_as(mail_user(folder)):
                _append(path, entry)
    except (OSError, StoreError) as error:
        log.error("file %s: %s; see that the mail user can write it, or make it", path, error)
        full = isinstance(error, StoreFull) or getattr(error, "errno", 0) in {errno.ENOSPC, errno.EDQUOT}
        return Deferred(Condition.SYSTEM_FULL if full else Condition.INTERNAL)
    log.info("appended to %s, %d bytes, from <%s>", path, entry.content.size, entry.sender)
    return Delivered()


def _append(path: str, entry: Entry) -> None:
    """Raises OSError, StoreError."""
    if not path.endswith("/"):
        with way_to(path, follow=False) as place, _dot_lock(place):
            _append_to_mbox(place, entry)
        return
    there = path = path.rstrip("/")
    while there and not os.path.lexists(there):
        there = os.path.dirname(there)  # what is missing will be made
    with way_to(there) as place:
        found = os.stat(place.name or ".", dir_fd=place.folder, follow_symlinks=False)
        place.check_links(found.st_uid)
    append_to_maildir(path, entry.header, entry.content, entry.notes, entry.once)


def _append_to_mbox(place: Place, entry: Entry) -> None:
    """Raises OSError, and then the file is as it was."""
    fd = place.open(os.O_RDWR | os.O_CREAT)
    try:
        found = os.fstat(fd)
        if found.st_nlink != 1:
            raise OSError(errno.EMLINK, "it has other names, too", place.path)
        _lock(fd)
        if not found.st_size:
            _sync_folder(place)  # it may be new
        append_entry(fd, entry)
    finally:
        with suppress(OSError):  # what is synced is there
            fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _NOTHING)  # a child that is about to begin may have it open, too
        with suppress(OSError):
            os.close(fd)


def _sync_folder(place: Place) -> None:
    """Make durable that there is a new file. Raises OSError."""
    fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=place.folder)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def _dot_lock(place: Place) -> Iterator[None]:
    """Hold PATH.lock, as every program does that knows mbox files. Raises OSError.

    Where the mail user may write the file but not its folder there is no such lock, as in local(8).
    """
    deadline = time.monotonic() + LOCK_TIME
    found = os.fstat(place.folder)
    turn = _TURNS.setdefault((found.st_dev, found.st_ino, place.name), threading.Lock())
    if not turn.acquire(timeout=LOCK_TIME):
        raise FileExistsError(errno.EEXIST, "another thread of ours has the lock", f"{place.path}.lock")
    try:
        yield from _dot_locked(place, deadline)
    finally:
        turn.release()


def _dot_locked(place: Place, deadline: float) -> Iterator[None]:
    """What _dot_lock does, for one thread of this process."""
    name, folder = f"{place.name}.lock", place.folder
    held = False
    while not held:
        try:
            _make_lock(name, folder)
            held = True
        except PermissionError:
            break
        except FileExistsError:
            with suppress(FileNotFoundError):
                if _is_left_behind(name, folder):
                    log.warning("%s.lock was left behind, and is removed", place.path)
                    os.unlink(name, dir_fd=folder)
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
    try:
        yield
    finally:
        if held:
            try:
                os.unlink(name, dir_fd=folder)
            except OSError as error:  # the message is there, or is not: this changes nothing of it
                log.warning("%s.lock cannot be removed: %s", place.path, error)


def _make_lock(name: str, folder: int) -> None:
    """Make a lock that says from its first moment on whose it is. Raises OSError."""
    try:
        fd = os.open(".", os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600, dir_fd=folder)
    except OSError as error:
        if error.errno not in {errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL}:
            raise
        os.close(os.open(name, NEW_FILE, 0o600, dir_fd=folder))  # a file system without O_TMPFILE: an empty one
        return
    try:
        with suppress(OSError):  # a lock without a word is one, too
            os.write(fd, this_process().encode())
        os.link(f"/proc/self/fd/{fd}", name, dst_dir_fd=folder, follow_symlinks=True)
    finally:
        with suppress(OSError):  # it is there, and has to be known for ours
            os.close(fd)


def _is_left_behind(name: str, folder: int) -> bool:
    """Whether whoever made a lock is no more: by its age, and by its word if it is one of ours. Raises OSError.

    One of this process is, too: it could not be removed, or its thread would still have its turn.
    """
    found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if time.time() - found.st_mtime > _STALE:
        return True
    if not stat.S_ISREG(found.st_mode):
        return False
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    try:
        word = os.read(fd, 200).decode("ascii", "replace")
        return word == this_process() or has_ended(word)
    finally:
        os.close(fd)


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
