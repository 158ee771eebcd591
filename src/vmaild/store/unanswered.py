"""Messages that are where they are to be while their sender has not been answered yet.

Between the rename into a mailbox and the 250 a process may be killed, or the sender may have gone: it will bring
the message again. So a note is made before the rename and removed once the answer was given; the next delivery
with the same key that finds one, whose process is no more, looks whether the message got there.

A note names the boot, the process, when that began, and a place: the file as it was before the rename, and as long
as that is there, the message is not in the mailbox; nothing, where a program or a relay has taken the message
already; or what else tells whoever made the note (`left`). Nothing is synced: what it guards against is a process
that ends, and not a machine that does. To make a file for each message would take longer than all the rest of its
delivery, so each process has a few of its own, `.PROCESS.BEGAN.NUMBER`, and a note is a link(2) to one of them.
"""

from __future__ import annotations

import atexit
import hashlib
import logging
import os
import threading
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext, suppress

from vmaild.store.atomic import make_folders
from vmaild.store.layout import Layout
from vmaild.store.messages import Once
from vmaild.store.processes import began, boot
from vmaild.store.rights import acting_as

log = logging.getLogger("vmaild.store")

KEPT = 86400.0
"""Seconds that a note counts. What was left in `tmp` may be cleared away after 36 hours (maildir(5)), and would
then pass for a message that has arrived."""
_NOBODY = "0"
"""The process of a note whose sender went without its answer."""
_MOST = 8192
"""Bytes of a note."""


def notes_folder(where: Layout) -> str:
    """The folder of the notes of a process that no server started; made, where it is missing. Never fails."""
    for folder in (where.unanswered, where.unanswered_on_disk):
        with suppress(OSError):
            make_folders(os.path.dirname(folder), 0o755)
            make_folders(folder, 0o700)
            if os.access(folder, os.W_OK | os.X_OK):
                return folder
    return where.unanswered


class Unanswered:
    """The notes in one folder, which lasts until the machine ends. For all threads of one process."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._pid = 0
        self._head = ""
        """With which the notes of this process begin."""
        self._lock = threading.Lock()
        """For the first of the threads."""
        self._files: dict[str, int] = {}
        """Descriptors of this process' files, by name."""
        self._free: list[str] = []
        """Those that no note is linked to; threads take from its end and give back there."""

    def is_there(self, once: Once) -> bool:
        """Whether a delivery that was never answered has put this message there. The note is ours then.

        What such a delivery left behind unfinished is removed. Never fails.
        """
        path = self.left(once)
        if path is None:
            return False
        if path and os.path.lexists(path):
            with suppress(OSError):
                os.unlink(path)
            return False
        log.info("%s was delivered before, and not answered", path or once.key)
        self.note(once, path)
        return True

    def left(self, once: Once) -> str | None:
        """The place that a delivery which was never answered has noted; None: there was none. Never fails.

        Its note is removed: whoever asks goes on where it ended.
        """
        with _as_ourselves():
            return self._left(once)

    def _left(self, once: Once) -> str | None:
        note = self._path(once)
        if not os.access(note, os.F_OK):
            return None  # nearly always so, and an exception takes longer
        try:
            fd = os.open(note, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            born, pid, start, path = os.fsdecode(os.read(fd, _MOST)).partition("\n")[0].split(":", 3)
            age = time.time() - os.fstat(fd).st_mtime
        except (OSError, ValueError):
            return None
        finally:
            with suppress(OSError):
                os.close(fd)
        if born == boot() and pid != _NOBODY and start == began(pid):
            return None  # the same words at the same time, twice
        try:
            os.unlink(note)  # of several that find it, one takes it
        except OSError:
            return None
        return path if born == boot() and 0 <= age < KEPT else None

    def note(self, once: Once, path: str = "") -> None:
        """Note that the file `path` is about to be renamed; or without one, that it is done. Never fails."""
        with _as_ourselves():
            self._note(once, path)

    def _note(self, once: Once, path: str) -> None:
        try:
            name = self._take()
            try:
                os.pwrite(self._files[name], os.fsencode(f"{self._head}{path}\n"), 0)
                os.link(f"{self._folder}/{name}", self._path(once))
            except BaseException:
                self._free.append(name)
                raise
        except FileExistsError:
            return  # that of the same words at the same time
        except OSError as error:
            log.warning("cannot note a delivery in %s, it may come twice: %s", self._folder, error)
            return
        once.note = name

    def answered(self, deliveries: Iterable[Once]) -> None:
        """Their sender has the answer: the same words from now on are another message. Never fails."""
        with _as_ourselves():
            for once in deliveries:
                if once.note:
                    with suppress(OSError):
                        os.unlink(self._path(once))
                    self._free.append(once.note)
                    once.note = ""

    def abandoned(self, deliveries: Iterable[Once]) -> None:
        """Their sender went without the answer, and will bring them again. Never fails."""
        for once in deliveries:
            if once.note:
                with suppress(OSError):
                    path = os.fsdecode(os.pread(self._files[once.note], _MOST, 0)).split(":", 3)[3]
                    path = path.partition("\n")[0]
                    os.pwrite(self._files[once.note], os.fsencode(f"{_head(_NOBODY)}{path}\n"), 0)
                    os.unlink(f"{self._folder}/{once.note}")  # what is left is the note
                with suppress(OSError):
                    os.close(self._files.pop(once.note))
                once.note = ""

    def _take(self) -> str:
        """A file of ours that is free. Raises OSError."""
        if self._pid != os.getpid():
            with self._lock:
                if self._pid != os.getpid():
                    self._begin()
        try:
            return self._free.pop()
        except IndexError:
            name = f".{self._pid}.{began(str(self._pid))}.{os.urandom(4).hex()}"
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            self._files[name] = os.open(f"{self._folder}/{name}", flags, 0o600)
            return name

    def _begin(self) -> None:
        """Take the folder over in this process, and clear away what others left behind. Raises OSError."""
        make_folders(os.path.dirname(self._folder), 0o755)
        make_folders(self._folder, 0o700)
        self._files, self._free = {}, []
        with os.scandir(self._folder) as entries:
            for entry in entries:
                with suppress(OSError):
                    _, pid, start, *_ = entry.name.split(".") if entry.name[0] == "." else ("", "", "")
                    if (pid and start != began(pid)) or time.time() - entry.stat().st_mtime > KEPT:
                        os.unlink(entry.path)
        atexit.register(self.end)
        self._head = _head(str(os.getpid()))
        self._pid = os.getpid()  # last: from now on the other threads go on

    def end(self) -> None:
        """Leave only the notes, for nothing more is noted by this process. Never fails."""
        for name in self._files if self._pid == os.getpid() else ():
            with suppress(OSError):
                os.unlink(f"{self._folder}/{name}")

    def _path(self, once: Once) -> str:
        if not once.place:
            digest = hashlib.sha256(once.key.encode("utf-8", "surrogateescape")).hexdigest()
            once.place = f"{self._folder}/{digest}"
        return once.place


def _head(pid: str) -> str:
    """With which the note of a process begins; the place follows."""
    return f"{boot()}:{pid}:{began(pid)}:"


def _as_ourselves() -> AbstractContextManager[None]:
    """The folder is ours; a thread that writes into files of users has the rights of the mail user meanwhile."""
    return nullcontext() if os.geteuid() else acting_as((0, os.getegid()))
