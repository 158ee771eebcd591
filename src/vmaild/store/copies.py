"""Messages of a maildir taken out for a backup, and those that are missing put back.

A message is known by the part of its file name before the flags, which stays when it is read, marked or moved to
another folder (maildir(5)); so nothing comes twice, and UIDs for POP3 are what they were.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import BinaryIO

from vmaild.store.atomic import NEW_FILE, fsync_folder
from vmaild.store.folders import create_folder
from vmaild.store.messages import StoreFailed
from vmaild.store.quota import record, stored_size
from vmaild.store.rights import acting_as

_PLACE = re.compile(r"(?:(\.[^/\0]+)/)?(new|cur)/([^/\0.][^/\0]*)")
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Stored:
    """One message as it is kept."""

    place: str
    """Where in its mailbox; for the store that wrote it to understand."""
    size: int
    """Bytes."""
    changed: float
    """Seconds since 1970."""
    open: Callable[[], BinaryIO] = field(repr=False, compare=False)
    """Its content, as stored; the caller closes it. Raises OSError."""


class Copies:
    """Mailboxes below one folder (`spool`). Everything raises OSError.

    Root has the rights of the owner of that folder here: they may put links there to what only root may read.
    """

    def __init__(self, spool: str) -> None:
        owner = os.stat(spool)
        self._user = (owner.st_uid, owner.st_gid) if os.geteuid() == 0 and owner.st_uid else None

    def logins(self, path: str) -> list[str]:
        """The mailboxes in the folder of a domain."""
        with acting_as(self._user):
            return [name for name in _names(path) if os.path.isdir(f"{path}/{name}")]

    def messages(self, path: str) -> Iterator[Stored]:
        """Every message of the maildir at `path` and of its folders.

        What goes away meanwhile is left out; `new` is read before `cur`, so what is read meanwhile is not.
        """
        for folder in ("", *self._folders(path)):
            for part in ("new", "cur"):
                where = f"{folder}/{part}" if folder else part
                with acting_as(self._user):
                    names = _names(f"{path}/{where}")
                for name in names:
                    with suppress(FileNotFoundError):
                        yield self._stored(path, where, name)

    def missing(self, path: str, messages: Iterable[Stored]) -> int:
        """How many of these are not in the maildir. Raises StoreFailed for a place that can be none."""
        there = self._unique_names(path)
        return sum(_unique(_split(message.place)[2]) not in there for message in messages)

    def put_back(self, path: str, messages: Iterable[Stored]) -> int:
        """Put messages that are missing into a maildir, durably; returns how many. Raises StoreFailed likewise.

        Nothing that is there is changed or removed.
        """
        there, touched, count, size = self._unique_names(path), set(), 0, 0
        try:
            for message in messages:
                folder, part, name = _split(message.place)
                if _unique(name) in there:
                    continue
                there.add(_unique(name))
                home = f"{path}/{folder}" if folder else path
                with message.open() as source, acting_as(self._user):
                    if not os.path.isdir(f"{home}/{part}"):
                        create_folder(home)
                    _write(home, part, name, source, message.changed)
                    size += stored_size(f"{home}/{part}", name)
                touched.add(f"{home}/{part}")
                count += 1
        finally:
            for each in touched:
                fsync_folder(each)
            if count:
                record(path, size, count)
        return count

    def _unique_names(self, path: str) -> set[str]:
        """What the messages of a maildir and its folders are known by; none where there is no maildir."""
        folders = ("", *self._folders(path))
        with acting_as(self._user):
            parts = [f"{path}/{folder}/{part}" for folder in folders for part in ("new", "cur")]
            return {_unique(name) for part in parts for name in _names(part)}

    def _folders(self, path: str) -> list[str]:
        with acting_as(self._user):
            return [name for name in _listed(path) if name[:1] == "." and os.path.isdir(f"{path}/{name}/cur")]

    def _stored(self, path: str, where: str, listed: str) -> Stored:
        folder = f"{path}/{where}"
        with acting_as(self._user):
            name = _now_called(folder, listed)
            found = os.lstat(f"{folder}/{name}")

        def content() -> BinaryIO:
            with acting_as(self._user):
                return _opened(f"{folder}/{name}")

        return Stored(f"{where}/{name}", found.st_size, found.st_mtime, content)


def _opened(path: str) -> BinaryIO:
    fd = os.open(path, _READ)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise FileNotFoundError(f"{path} is no message")
    return os.fdopen(fd, "rb")


def _now_called(folder: str, name: str) -> str:
    """The name of a message that may have been given other flags since it was listed."""
    if os.path.lexists(f"{folder}/{name}"):
        return name
    return next((each for each in _names(folder) if _unique(each) == _unique(name)), name)


def _write(home: str, part: str, name: str, source: BinaryIO, changed: float) -> None:
    temporary = f"{home}/tmp/{_unique(name)}"  # noqa: S108  the maildir's own
    fd = os.open(temporary, NEW_FILE, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            shutil.copyfileobj(source, file, 1 << 20)
            file.flush()
            os.utime(fd, (changed, changed))
            os.fsync(fd)
        os.rename(temporary, f"{home}/{part}/{name}")
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def _split(place: str) -> tuple[str, str, str]:
    found = _PLACE.fullmatch(place)
    if found is None or found[1] in {"..", "."}:
        raise StoreFailed(f"{place!r} is no place in a mailbox")
    return found[1] or "", found[2], found[3]


def _unique(name: str) -> str:
    return name.partition(":")[0]


def _names(folder: str) -> list[str]:
    return [name for name in _listed(folder) if name[:1] != "."]


def _listed(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except FileNotFoundError:
        return []
