"""What has been done of messages of which another part has to wait.

A recipient gets one answer. Where one of its targets waits, the sending server keeps the message and brings it
again; what was done the first time is noted here before the answer, so that it is not done twice. One small file
for each message and recipient, named after their digest, a line for each target; appended and synced, so that a
process that is killed loses at most the note of what it was doing. Notes that nobody came back for expire.
"""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import suppress

from vmaild.store.atomic import fsync_folder, make_folders, write_fully

KEPT = 7 * 86400
"""Seconds; senders give up after five days (RFC 5321 4.5.4.1)."""


class Partial:
    """The notes of one spool. For all threads and processes."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def is_empty(self) -> bool:
        """Whether there is no note at all, which is nearly always so."""
        try:
            with os.scandir(self._folder) as notes:
                return next(notes, None) is None
        except FileNotFoundError:
            return True

    def done(self, key: str) -> set[str]:
        """The targets that are noted under a key. Raises OSError."""
        try:
            with open(self._path(key), encoding="utf-8", errors="surrogateescape") as note:
                # A last line without an end was being written when its process was killed.
                return {line[:-1] for line in note if line.endswith("\n")}
        except FileNotFoundError:
            return set()

    def add(self, key: str, targets: set[str]) -> None:
        """Note that targets have got their copy. Durable. Raises OSError."""
        with suppress(OSError):
            targets = targets - self.done(key)
        if not targets:
            return
        path = self._path(key)
        if not os.path.isdir(self._folder):
            make_folders(self._folder, 0o700)
        fresh = not os.path.exists(path)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        before: int | None = None
        try:
            before = os.fstat(fd).st_size
            lines = "".join(f"{target}\n" for target in sorted(targets))
            write_fully(fd, [lines.encode("utf-8", "surrogateescape")])
            os.fsync(fd)
        except BaseException:
            with suppress(OSError):
                if before is not None:
                    os.ftruncate(fd, before)  # half a line would spoil the next one
            raise
        finally:
            os.close(fd)
        if fresh:
            fsync_folder(self._folder)
            self._expire()

    def forget(self, key: str) -> None:
        """The message has got its last word."""
        with suppress(OSError):
            os.unlink(self._path(key))

    def _path(self, key: str) -> str:
        return f"{self._folder}/{hashlib.sha256(key.encode('utf-8', 'surrogateescape')).hexdigest()}"

    def _expire(self) -> None:
        limit = time.time() - KEPT
        with os.scandir(self._folder) as notes:
            for note in notes:
                with suppress(OSError):
                    if note.stat().st_mtime < limit:
                        os.unlink(note.path)
