"""Configuration files as text, and whether they have changed since.

A fingerprint is compared before anything is read again, so that a hand edit is in force at the next look-up and
an unchanged file costs one stat(2).
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

_RACY_NS = 50_000_000
"""A file written this recently may be written again within the same tick of its clock (as git's index knows):
what was read of it is used once, and read again the next time."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What tells one state of a file from another."""

    inode: int
    size: int
    modified: int
    changed: int
    """ctime: also moves with owner and mode, which decide whether an alias file is trusted."""
    owner: int
    group: int
    mode: int
    settled: bool = field(default=True, compare=False)


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
            return Fingerprint(0, len(content), 0, hash(content), owner, group, 0o640)
        found = self._stat(path)
        return None if found is None else _fingerprint(found)

    def read(self, path: str) -> tuple[str, Fingerprint] | None:
        """Text and state of a file; None: there is none. Raises ReadFailed.

        Bytes that are no UTF-8 come as lone surrogates, so that an edit can write them back unharmed.
        """
        if path in self.overlay:
            content = self.overlay[path]
            state = self.fingerprint(path)
            return None if content is None or state is None else (_text(content), state)
        try:
            with open(path, "rb") as file:
                state = _fingerprint(os.fstat(file.fileno()))
                return _text(file.read()), state
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise ReadFailed(f"{path}: {error.strerror}") from error

    def names(self, folder: str, suffix: str) -> dict[str, str]:
        """Names of the files in a folder, by their name without the suffix. Raises ReadFailed."""
        try:
            found = os.listdir(folder)
        except (FileNotFoundError, NotADirectoryError):
            found = []
        except OSError as error:
            raise ReadFailed(f"{folder}: {error.strerror}") from error
        names = {name for name in found if name.endswith(suffix) and not name.startswith(".")}
        for path, content in self.overlay.items():
            if os.path.dirname(path) == folder and path.endswith(suffix):
                (names.discard if content is None else names.add)(os.path.basename(path))
        return {name.removesuffix(suffix): name for name in sorted(names)}

    @staticmethod
    def _stat(path: str) -> os.stat_result | None:
        try:
            return os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise ReadFailed(f"{path}: {error.strerror}") from error


def _fingerprint(found: os.stat_result) -> Fingerprint:
    return Fingerprint(
        found.st_ino,
        found.st_size,
        found.st_mtime_ns,
        found.st_ctime_ns,
        found.st_uid,
        found.st_gid,
        stat.S_IMODE(found.st_mode),
        not 0 <= time.time_ns() - found.st_ctime_ns < _RACY_NS,
    )


def _text(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")
