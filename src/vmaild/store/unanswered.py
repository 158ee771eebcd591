"""Messages that are in a mailbox while their sender has not been answered yet.

Between the rename into a mailbox and the 250 a process may be killed, or the sender may have gone: it will bring
the message again. So a note is made before the rename and removed once the answer was given; the next delivery
with the same key that finds one, whose process is no more, looks whether the message got there.

A note names the boot, the process, when that began, and the file as it was before the rename: as long as that is
there, the message is not in the mailbox. Nothing is synced: what it guards against is a process that ends, and not
a machine that does. To make a file for each message would take longer than all the rest of its delivery, so each
process has a few files of its own, `.PROCESS.BEGAN.NUMBER`, and a note is a link(2) to one of them.
"""

from __future__ import annotations

import atexit
import hashlib
import logging
import os
import threading
import time
from collections.abc import Iterable
from contextlib import suppress

from vmaild.store.atomic import make_folders
from vmaild.store.layout import Layout
from vmaild.store.messages import Once

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
        note = self._path(once)
        try:
            fd = os.open(note, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return False  # nearly always so
        try:
            boot, pid, began, path = os.fsdecode(os.read(fd, _MOST)).partition("\n")[0].split(":", 3)
            age = time.time() - os.fstat(fd).st_mtime
        except (OSError, ValueError):
            return False
        finally:
            os.close(fd)
        if boot == _boot() and pid != _NOBODY and began == _began(pid):
            return False  # the same words at the same time, twice
        try:
            os.unlink(note)  # of several that find it, one takes it
        except OSError:
            return False
        if boot != _boot() or not 0 <= age < KEPT:
            return False
        if os.path.lexists(path):
            with suppress(OSError):
                os.unlink(path)
            return False
        log.info("%s was delivered before, and not answered", path)
        self.note(once, path)
        return True

    def note(self, once: Once, path: str) -> None:
        """Note that the file `path` is about to be renamed. Never fails."""
        try:
            name = self._take()
            try:
                self._write(name, str(self._pid), path)
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
                    self._write(once.note, _NOBODY, path.partition("\n")[0])
                    os.unlink(f"{self._folder}/{once.note}")  # what is left is the note
                with suppress(OSError):
                    os.close(self._files.pop(once.note))
                once.note = ""

    def _write(self, name: str, pid: str, path: str) -> None:
        text = f"{_boot()}:{pid}:{_began(pid)}:{path}\n"
        os.pwrite(self._files[name], os.fsencode(text), 0)

    def _take(self) -> str:
        """A file of ours that is free. Raises OSError."""
        if self._pid != os.getpid():
            with self._lock:
                if self._pid != os.getpid():
                    self._begin()
        try:
            return self._free.pop()
        except IndexError:
            name = f".{self._pid}.{_began(str(self._pid))}.{os.urandom(4).hex()}"
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
                    _, pid, began, *_ = entry.name.split(".") if entry.name[0] == "." else ("", "", "")
                    if (pid and began != _began(pid)) or time.time() - entry.stat().st_mtime > KEPT:
                        os.unlink(entry.path)
        atexit.register(self._end, os.getpid())
        self._pid = os.getpid()  # last: from now on the other threads go on

    def _end(self, pid: int) -> None:
        if pid == os.getpid():
            for name in self._files:
                with suppress(OSError):
                    os.unlink(f"{self._folder}/{name}")

    def _path(self, once: Once) -> str:
        if not once.place:
            digest = hashlib.sha256(once.key.encode("utf-8", "surrogateescape")).hexdigest()
            once.place = f"{self._folder}/{digest}"
        return once.place


_known: dict[str, str] = {}
"""What does not change: the boot, and when this process began, by its number (it may fork)."""


def _boot() -> str:
    if "boot" not in _known:
        try:
            # As bytes: for a codec that was not loaded yet the mail user may lack the right to read the library.
            with open("/proc/sys/kernel/random/boot_id", "rb") as file:
                _known["boot"] = file.read().strip().decode()
        except OSError:
            _known["boot"] = ""
    return _known["boot"]


def _began(pid: str) -> str:
    """When a process began, in ticks since the boot (proc(5)); empty: there is none."""
    own = pid == str(os.getpid())
    if own and pid in _known:
        return _known[pid]
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return ""
    # State Z or X: it has ended, and nobody has looked yet.
    began = "" if fields[0] in {b"Z", b"X"} else fields[19].decode()
    if own:
        _known[pid] = began
    return began
