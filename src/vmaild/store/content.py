"""The content of one message on its way to mailboxes, in constant memory.

Content comes in pieces as the network or a pipe cuts them, with CRLF or LF line ends, and is kept with LF
ends. Every CRLF becomes LF, but one whose CR follows another CR stays as it is. POP3 goes the other way by
one rule, "an LF without a CR before it becomes CRLF", and so gives back exactly what came, bare CRs included:
RFC 5321 2.3.8 forbids them, and real mail has them.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from types import TracebackType

from vmaild.store.atomic import write_fully
from vmaild.store.messages import store_failure

SPILL_AT = 262144
"""Bytes of content beyond which it goes to a file."""
_BLOCK = 262144
"""Bytes read at once from that file."""
# What copy_file_range(2) says where it cannot do this pair of files at all.
_CANNOT_COPY = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM}
# What open(2) says of O_TMPFILE where the file system, or the kernel, does not know it.
_NO_TMPFILE = {errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL}
_CRLF = re.compile(rb"(?<!\r)\r\n")


class Content:
    """Filled by `append`, closed off by `finish`, then read once for each recipient, by any thread."""

    __slots__ = (
        "_file",
        "_finished",
        "_folder",
        "_held",
        "_parts",
        "_spill_at",
        "_whole_line",
        "size",
        "virtual_size",
    )

    def __init__(self, folder: str, spill_at: int = SPILL_AT) -> None:
        """Keep up to `spill_at` bytes in memory, more in an unnamed file in `folder`."""
        self.size = 0
        """Bytes as stored, with LF ends."""
        self.virtual_size = 0
        """Octets as POP3 transmits them, with CRLF ends."""
        self._folder = folder
        self._spill_at = spill_at
        self._parts: list[bytes] = []
        self._file: FileIO | None = None
        self._held = b""
        self._whole_line = True
        self._finished = False

    def __enter__(self) -> Content:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def append(self, chunk: bytes) -> None:
        """Add a piece, cut anywhere. Raises StoreFull, StoreFailed."""
        data = self._held + chunk if self._held else chunk
        # What a CR at the end means is known with the next piece; a second CR before it decides, a third not.
        held = data.endswith(b"\r") + data.endswith(b"\r\r")
        self._held = data[len(data) - held :]
        if held:
            data = data[:-held]
        lines = data.replace(b"\r", b"")
        ends = len(data) - len(lines)
        # Most pieces have CRLF ends alone, and to add single bytes is far quicker than to count pairs.
        if lines.replace(b"\n", b"\r\n") == data:
            self._store(lines, ends)
        elif data.count(b"\r\n") == ends:  # every CR has its LF, if there is any
            self._store(lines, lines.count(b"\n"))
        else:
            data = _CRLF.sub(b"\n", data)
            self._store(data, bare_line_feeds(data))

    def finish(self) -> None:
        """Say that all of it has come; a last line without a line end gets one."""
        if self._held or not self._whole_line:
            # A CR at the very end is content, as it is on the wire, and not half of a line end.
            end = self._held + (b"\r\n" if self._held else b"\n")
            self._store(end, bare_line_feeds(end))
            self._held = b""
        self._parts = [b"".join(self._parts)]
        self._finished = True

    def chunks(self) -> Iterator[bytes]:
        """The content in pieces, from its beginning, as often as it is asked for. Raises OSError."""
        self._check_finished()
        if self._file is None:
            return filter(None, self._parts)
        return _blocks(self._file.fileno(), 0)

    def write_to(self, fd: int, header: bytes) -> None:
        """Write a header and then the content to an empty file, in few system calls. Raises OSError."""
        self._check_finished()
        write_fully(fd, [header, *self._parts])
        copied = 0
        while self._file is not None and copied < self.size:
            step = _copy(self._file.fileno(), fd, self.size - copied, copied)
            copied += step
            if not step:
                for block in _blocks(self._file.fileno(), copied):
                    write_fully(fd, [block])
                return

    def close(self) -> None:
        """Give memory and file back. May be called again; never fails."""
        self._parts = []
        self._finished = False
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):  # nothing in it is needed any more
                file.close()

    def _store(self, data: bytes, bare: int) -> None:
        """Keep a piece as it is stored; `bare`: how many LFs in it have no CR before them."""
        if not data:
            return
        self.size += len(data)
        self.virtual_size += len(data) + bare
        self._whole_line = data.endswith(b"\n")
        self._parts.append(data)
        if self._file is not None or self.size > self._spill_at:
            self._spill()

    def _spill(self) -> None:
        """Move what is in memory to the end of the file."""
        try:
            if self._file is None:
                self._file = _unnamed_file(self._folder)
            write_fully(self._file.fileno(), [b"".join(self._parts)])
        except OSError as error:
            raise store_failure(f"cannot keep a message in {self._folder}", error) from error
        self._parts.clear()

    def _check_finished(self) -> None:
        if not self._finished:
            raise ValueError("the content is not finished, or closed")


@contextmanager
def scratch_file(folder: str) -> Iterator[int]:
    """The descriptor of an unnamed file in `folder`, for as long as the block runs. Raises OSError.

    That it cannot be closed is no fault of what was done with it, and not told.
    """
    file = _unnamed_file(folder)
    try:
        yield file.fileno()
    finally:
        with suppress(OSError):
            file.close()


def bare_line_feeds(data: bytes) -> int:
    """How many LFs have no CR before them, in data that follows a whole line or nothing."""
    return data.count(b"\n") - (data.count(b"\r\n") if b"\r" in data else 0)


def transmitted_size(chunks: Iterable[bytes]) -> int:
    """The octets of a stored message as POP3 transmits it; a last line without a line end gets one."""
    total = 0
    last = b""
    for chunk in chunks:
        total += len(chunk) + bare_line_feeds(chunk) - (last == b"\r" and chunk[:1] == b"\n")
        last = chunk[-1:]
    return total if last in {b"\n", b""} else total + 2


def _blocks(fd: int, position: int) -> Iterator[bytes]:
    """The content of a file from a position on; several readers do not disturb each other."""
    while block := os.pread(fd, _BLOCK, position):
        position += len(block)
        yield block


def _copy(source: int, target: int, size: int, position: int) -> int:
    """Have the system copy between two files; 0: it does not do that for these two."""
    try:
        return os.copy_file_range(source, target, size, position)
    except OSError as error:
        if error.errno in _CANNOT_COPY:
            return 0
        raise


def _unnamed_file(folder: str) -> FileIO:
    """A file that is gone when it is closed: O_TMPFILE, or unlinked at once where that is not to be had.

    Not `tempfile`: the first large message would load it, and the mail user may lack the right to read it.
    """
    flags = os.O_RDWR | os.O_EXCL | os.O_CLOEXEC
    try:
        fd = os.open(folder, flags | os.O_TMPFILE, 0o600)
    except OSError as error:
        if error.errno not in _NO_TMPFILE:
            raise
        name = f"{folder}/.{os.urandom(8).hex()}"
        fd = os.open(name, flags | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        os.unlink(name)
    return FileIO(fd, "r+b")
