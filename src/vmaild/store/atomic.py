"""Files that are either as before or as wanted, whatever happens in between.

A reader never sees half a file, and what was reported as done outlives a power cut: the new content goes to a
temporary file in the same folder, is synced (fsync(2)), takes the old file's place (rename(2)), and then the
folder that now names it is synced. Every function raises OSError as the system reports it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from vmaild.store.ways import way_to

NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
"""Flags of a file that must not be there yet."""


def write_atomically(path: str, data: bytes, *, mode: int | None = None, durable: bool = True) -> None:
    """Replace the content of a file, or create it, as one step.

    A file that exists keeps its owner, group and mode. A new one gets `mode` (0o640 unless given) and, where
    root writes it, the owner and group of its folder. A symbolic link stays, and is followed where root, we, or
    the owner of what it leads to has made it: homes may be their users' to write in. With `durable=False` nothing
    is synced: for what can be made again.

    Raises OSError; the file is then as it was (but where only the last sync failed: as wanted, perhaps not
    durable), and no temporary file is left.
    """
    try:
        with way_to(os.path.abspath(path)) as place:
            old = place.status()
            place.check_links(old.st_uid if old else os.fstat(place.folder).st_uid, os.geteuid())
            folder = f"/proc/self/fd/{place.folder}"  # from here on nobody can lead us elsewhere
            with replacing(f"{folder}/{place.name}", durable=durable) as fd:
                _take_permissions(fd, old, folder, 0o640 if mode is None else mode)
                write_fully(fd, [data])
    except OSError as error:
        error.filename, error.filename2 = path, None
        raise


@contextmanager
def replacing(path: str, *, durable: bool = True) -> Iterator[int]:
    """A new file to be written within, which then takes the place of `path`; where that fails, nothing is left.

    Its owner is whoever writes it, who alone may read it. Raises OSError, as write_atomically.
    """
    folder = os.path.dirname(path)
    temporary = os.path.join(folder, f".{os.urandom(8).hex()}.tmp")
    # Nobody else may read it before it has its owner, so it starts with the narrowest mode.
    fd = os.open(temporary, NEW_FILE, 0o600)
    try:
        try:
            yield fd
            if durable:
                os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    if durable:
        fsync_folder(folder)


def remove_durably(path: str) -> None:
    """Remove a file (of a symbolic link: the link) so that a power cut does not bring it back."""
    os.unlink(path)
    fsync_folder(os.path.dirname(path) or ".")


def make_folders(path: str, mode: int, *, durable: bool = True) -> None:
    """Create a folder and what is missing above it, each with exactly `mode`, durably.

    Where root creates them, each has the owner and group of the folder that it is in. Folders that exist are
    left as they are. With `durable=False` nothing is synced: for who does so once all are there.
    """
    path = os.path.abspath(path)
    missing = []
    while not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    for folder in reversed(missing):
        above = os.path.dirname(folder)
        try:
            os.mkdir(folder, mode)
        except FileExistsError:
            if not os.path.isdir(folder):
                raise
            # Somebody else was faster, and may not have come to the sync yet.
        else:
            os.chmod(folder, mode)  # mkdir(2) takes away the bits of the umask
            inherit_owner(folder, above)
        if durable:
            fsync_folder(above)


def fsync_folder(path: str) -> None:
    """Make durable which names a folder holds."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def inherit_owner(target: str | int, folder: str | int) -> None:
    """Give something new (path or descriptor) the owner and group of a folder, where root has made it."""
    if os.geteuid() == 0 and os.stat(target).st_uid == 0:  # else it was made with the rights of a user
        wanted = os.stat(folder)
        if (wanted.st_uid, wanted.st_gid) != (0, os.getegid()):
            os.chown(target, wanted.st_uid, wanted.st_gid)


def write_fully(fd: int, parts: Sequence[bytes]) -> None:
    """Write all parts, with one system call where the system takes them whole."""
    written = os.writev(fd, parts)
    if written < sum(map(len, parts)):
        rest = memoryview(b"".join(parts))[written:]
        while rest:
            rest = rest[os.write(fd, rest) :]


def _take_permissions(fd: int, old: os.stat_result | None, folder: str, mode: int) -> None:
    """Give the temporary file the owner, group and mode of the file whose place it will take."""
    if old is None:
        inherit_owner(fd, folder)
        os.fchmod(fd, mode)
        return
    new = os.fstat(fd)
    if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
        os.fchown(fd, old.st_uid, old.st_gid)
    os.fchmod(fd, stat.S_IMODE(old.st_mode))
