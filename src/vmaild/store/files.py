"""Configuration files as text, and whether they have changed since.

A fingerprint is compared before anything is read again, so that a hand edit is in force at the next look-up and
an unchanged file costs one stat(2).
"""

from __future__ import annotations

import logging
import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Generic, NamedTuple, TypeVar

from vmaild.core.findings import Finding, Severity
from vmaild.store.ways import way_to

log = logging.getLogger("vmaild.store")

_LARGE = 1 << 16
"""Octets of content of which a hash would take its time."""
_RACY_NS = 20_000_000
"""A file written this recently may be written again within the same tick of its clock (as git's index knows), of
which Linux has a hundred in a second or more: what was read of it is used once, and read again the next time."""


class Fingerprint(NamedTuple):
    """What tells one state of a file from another. A tuple: one is made and compared at every look-up."""

    inode: int
    size: int
    modified: int
    changed: int
    """ctime: also moves with owner and mode, which decide whether an alias file is trusted."""
    owner: int
    group: int
    mode: int
    """With the type of the file."""

    def if_settled(self) -> Fingerprint:
        """For what is remembered; of a file that may change unseen, one that equals none there will be."""
        recent = 0 <= time.time_ns() - self.changed < _RACY_NS
        return self._replace(inode=-1) if recent else self


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Part(Generic[T]):
    """One file as it was last understood."""

    state: Fingerprint | None
    """None: there is no such file."""
    value: T
    findings: tuple[Finding, ...] = ()


class ReadFailed(Exception):
    """A file is there but cannot be read; the text names it and says why."""


@dataclass(frozen=True, slots=True)
class Files:
    """The files of this machine, some of them overlaid by what a change would write."""

    overlay: Mapping[str, bytes | None] = field(default_factory=dict)
    """Content by path, None for a file that would be removed: for dry runs."""

    def fingerprint(self, path: str) -> Fingerprint | None:
        """The state of a file now; None: there is none. Raises ReadFailed."""
        if path in self.overlay:
            content = self.overlay[path]
            if content is None:
                return None
            below = self._stat(os.path.dirname(path))
            owner, group = (below.st_uid, below.st_gid) if below else (os.geteuid(), os.getegid())
            # Of a large one it is enough which it is: it lives as long as the overlay.
            told = hash(content) if len(content) < _LARGE else id(content)
            return Fingerprint(0, len(content), 0, told, owner, group, stat.S_IFREG | 0o640)
        found = self._stat(path)
        return None if found is None else _fingerprint(found)

    def missing_for(self, path: str) -> float:
        """Seconds that a file which is not there has been missing at most: since its folder changed."""
        folder = self.fingerprint(os.path.dirname(path))
        return max(0.0, time.time() - folder.changed / 1e9) if folder else 0.0

    def state(self, paths: Iterable[str]) -> int:
        """What `state_of` says of the fingerprints of files now. Raises ReadFailed.

        Asked for each recipient, and so made of little: `os.stat`, and one number to be compared instead of some
        for each file, which are in no cache of the processor where there are many domains.
        """
        if self.overlay:
            return state_of([self.fingerprint(path) for path in paths])
        found: list[object] = []
        for path in paths:
            try:
                found.append(_marks(os.stat(path)))
            except (FileNotFoundError, NotADirectoryError):
                found.append(None)
            except OSError as error:
                raise ReadFailed(f"{path}: {error.strerror}") from error
        return hash(tuple(found))

    def read(self, path: str) -> tuple[str, Fingerprint] | None:
        """Text and state (see if_settled) of a file; None: there is none. Raises ReadFailed.

        Bytes that are no UTF-8 come as lone surrogates, so that an edit can write them back unharmed.
        """
        found = self.content(path)
        return None if found is None else (text_of(found[0]), found[1])

    def content(self, path: str) -> tuple[bytes, Fingerprint] | None:
        """As `read`, what is in a file as it is."""
        if path in self.overlay:
            content = self.overlay[path]
            state = self.fingerprint(path)
            return None if content is None or state is None else (content, state)
        try:
            # What is no file has no end, or somebody has to be waited for.
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
            try:
                return _read(fd, path)
            finally:
                os.close(fd)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise ReadFailed(f"{path}: {error.strerror}") from error

    def read_of_others(self, path: str, limit: int) -> tuple[str, Fingerprint] | None:
        """As `read`, for what others than the administrator may write: at most `limit` bytes of a regular file.

        A symbolic link on the way counts only where root made it, or the file's owner; see `ways`.
        """
        if path in self.overlay:
            return self.read(path)
        try:
            with way_to(path) as place:
                fd = place.open(os.O_RDONLY)
                try:
                    content, state = _read(fd, path, limit)
                    return text_of(content), state
                finally:
                    os.close(fd)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise ReadFailed(f"{path}: {error.strerror}") from error

    def stems(self, folder: str, suffix: str) -> Iterator[str]:
        """Names of the files in a folder without their suffix, in no order, one at a time. Raises ReadFailed."""
        overlaid = {name: content for name, content in self._overlaid(folder) if name.endswith(suffix)}
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    name = entry.name
                    if name.endswith(suffix) and name[0] != "." and name not in overlaid:
                        yield name.removesuffix(suffix)
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError as error:
            raise ReadFailed(f"{folder}: {error.strerror}") from error
        for name, content in overlaid.items():
            if content is not None:
                yield name.removesuffix(suffix)

    def names(self, folder: str, suffix: str) -> dict[str, str]:
        """Names of the files in a folder, sorted, by their name without the suffix. Raises ReadFailed."""
        return {stem: stem + suffix for stem in sorted(self.stems(folder, suffix))}

    def _overlaid(self, folder: str) -> Iterator[tuple[str, bytes | None]]:
        """Names in a folder that the overlay decides on, with their content."""
        for path, content in self.overlay.items():
            if os.path.dirname(path) == folder:
                yield os.path.basename(path), content

    @staticmethod
    def _stat(path: str) -> os.stat_result | None:
        try:
            return os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise ReadFailed(f"{path}: {error.strerror}") from error


_marks = attrgetter("st_ino", "st_size", "st_mtime_ns", "st_ctime_ns")
"""With which a Fingerprint begins. None of the others can change and leave these as they are."""


def state_of(fingerprints: Iterable[Fingerprint | None]) -> int:
    """A number that tells the states of some files from all their others, as far as 60 bits can."""
    return hash(tuple(None if each is None else each[:4] for each in fingerprints))


def _fingerprint(found: os.stat_result) -> Fingerprint:
    return Fingerprint(*_marks(found), found.st_uid, found.st_gid, found.st_mode)


def _read(fd: int, path: str, limit: int = 0) -> tuple[bytes, Fingerprint]:
    """Content and state of an open file. Raises OSError, ReadFailed."""
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        raise ReadFailed(f"{path}: {'Is a directory' if stat.S_ISDIR(status.st_mode) else 'not a regular file'}")
    if 0 < limit < status.st_size:
        raise ReadFailed(f"{path}: {status.st_size} bytes, more than the {limit} that are read")
    # One that grows meanwhile is not followed for ever.
    content = _content(fd, status.st_size) if not limit else os.read(fd, limit)
    return content, _fingerprint(status).if_settled()


def _content(fd: int, size: int) -> bytes:
    """All of an open file of about that size. Without the layers of `io`, which cost more than the rest."""
    parts, room = [], size + 1
    while part := os.read(fd, room):
        parts.append(part)
        room = _LARGE  # nothing, or what was added meanwhile: so much memory at once takes its time to get
    return parts[0] if len(parts) == 1 else b"".join(parts)


def text_of(content: bytes) -> str:
    """The text of a file; what is no UTF-8 comes as lone surrogates."""
    return content.decode("utf-8", "surrogateescape")


def tell(findings: Sequence[Finding], before: Sequence[Finding]) -> None:
    """Log what is newly wrong, once."""
    for finding in findings:
        if finding not in before:
            log.log(logging.ERROR if finding.severity is Severity.ERROR else logging.WARNING, "%s", finding)
