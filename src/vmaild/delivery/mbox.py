"""One message in an mbox (mbox(5), the mboxo way), appended once.

Before it is written two notes say where it will begin and end (store.unanswered): one for whoever appends next to
the same file, and takes away what a process that was killed has left of its entry; one for the same message, which
is there already where its sender was not answered.
"""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass

from vmaild.store.atomic import write_fully
from vmaild.store.content import Content
from vmaild.store.messages import Once
from vmaild.store.unanswered import Unanswered

_LARGEST_HEAD = 4096
"""Octets above the content that fit in a note; entries with more are not noted, and none are met."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is to be appended, once."""

    sender: str
    header: bytes
    """Above the content; lines with LF ends."""
    content: Content
    notes: Unanswered | None = None
    """Of what was appended, and not answered yet; None: what comes again is appended again."""
    once: Once | None = None


@dataclass(frozen=True, slots=True)
class _Begun:
    """Where an entry was begun, as a note has it."""

    start: int
    length: int
    """With the empty lines above and below it."""
    head: bytes
    """All above its content: no later try has the same times in it."""

    def __str__(self) -> str:
        return f"{self.start}.{self.length}.{base64.b64encode(self.head).decode()}"


def append_entry(fd: int, entry: Entry) -> None:
    """Append to a file that is locked; durable. Raises OSError, and then the file is as it was."""
    found = os.fstat(fd)
    writing = Once(f"mbox {found.st_dev}.{found.st_ino}")
    _take_back(fd, _left(entry.notes, writing))
    begun = _left(entry.notes, entry.once)
    if begun is not None and _is_whole(fd, begun, entry.content):
        _note(entry.notes, entry.once, begun)
        os.fsync(fd)
        return
    start, head = os.lseek(fd, 0, os.SEEK_END), mbox_head(entry.sender, time.gmtime(), entry.header)
    begun = _Begun(start, sum(map(len, _pieces(fd, start, head, entry.content))), head)
    for once in (writing, entry.once):
        _note(entry.notes, once, begun)
    try:
        for piece in _pieces(fd, start, head, entry.content):
            write_fully(fd, [piece])
        os.fsync(fd)
    except BaseException:
        os.ftruncate(fd, start)
        _forget(entry.notes, entry.once)
        raise
    finally:
        _forget(entry.notes, writing)


def _take_back(fd: int, begun: _Begun | None) -> None:
    """Remove the part of an entry at the end of a file, whose writer is no more. Raises OSError."""
    if begun is None or not begun.start < os.fstat(fd).st_size < begun.start + begun.length:
        return
    gap = _gap_at(fd, begun.start)
    there = os.pread(fd, len(gap) + len(begun.head), begun.start)
    if (gap + begun.head).startswith(there):
        os.ftruncate(fd, begun.start)


def _is_whole(fd: int, begun: _Begun, content: Content) -> bool:
    """Whether an entry that was begun is there. Raises OSError."""
    position = begun.start
    for piece in _pieces(fd, begun.start, begun.head, content):
        if os.pread(fd, len(piece), position) != piece:
            return False
        position += len(piece)
    return True


def _left(notes: Unanswered | None, once: Once | None) -> _Begun | None:
    """What a process that was killed has noted."""
    text = notes.left(once) if notes and once else None
    try:
        start, length, head = (text or "").split(".")
        return _Begun(int(start), int(length), base64.b64decode(head))
    except ValueError:
        return None


def _note(notes: Unanswered | None, once: Once | None, begun: _Begun) -> None:
    if notes and once and len(begun.head) <= _LARGEST_HEAD:
        notes.note(once, str(begun))


def _forget(notes: Unanswered | None, once: Once | None) -> None:
    if notes and once:
        notes.answered([once])


def _pieces(fd: int, start: int, head: bytes, content: Content) -> Iterator[bytes]:
    """What stands in an mbox, from `start` on, where an entry is appended there."""
    yield _gap_at(fd, start)
    yield from mbox_entry(head, content)


def _gap_at(fd: int, start: int) -> bytes:
    """What makes an empty line below what ends at `start`, which somebody may not have written to its end."""
    last = os.pread(fd, min(2, start), max(0, start - 2))
    if not last or last == b"\n\n":
        return b""
    return b"\n" if last.endswith(b"\n") else b"\n\n"


def mbox_head(sender: str, now: time.struct_time, header: bytes) -> bytes:
    """What stands above a message in an mbox: the From_ line, and a header with LF line ends."""
    name = "".join(c for c in sender if c.isprintable() and not c.isspace()) or "MAILER-DAEMON"
    return f"From {name}  {time.asctime(now)}\n".encode("utf-8", "surrogateescape") + header


def mbox_entry(head: bytes, content: Content) -> Iterator[bytes]:
    """One message as an mbox holds it: its head, quoted lines, an empty line."""
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
