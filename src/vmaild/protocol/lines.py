"""Lines of a command protocol, cut from a stream of bytes."""

from __future__ import annotations


class LineTooLong(Exception):
    """The peer sent a line over the limit; the rest of it has still to be passed over."""


class LineBuffer:
    """Bytes in, lines out, in whatever pieces the bytes come.

    A line ends with LF; a CR before it is part of the line end. Old clients send bare LF, and both RFC 1939
    and RFC 5321 servers bear it in commands; the *content* of a message has rules of its own.
    """

    __slots__ = ("_buffer", "_skipping", "_start", "limit")

    def __init__(self, limit: int) -> None:
        self._buffer = b""
        self._start = 0  # where the next line begins; 0 whenever the buffer is empty
        self._skipping = False
        self.limit = limit
        """Octets of a line with its CR; it may be changed between two lines."""

    def __len__(self) -> int:
        return len(self._buffer) - self._start

    def feed(self, data: bytes) -> None:
        """Add what was read."""
        if self._buffer:
            self._buffer = self._buffer[self._start :] + data
            self._start = 0
        else:
            self._buffer = data

    def next_line(self) -> bytes | None:
        """The next whole line without its end, or None when there is none yet.

        Raises LineTooLong once for each line over the limit; that line is passed over, and never held.
        """
        buffer = self._buffer
        if not buffer:
            return None
        start = self._start
        end = buffer.find(b"\n", start)
        if end < 0:
            self._hold(buffer[start:])
            return None
        if end + 1 == len(buffer):
            self._buffer, self._start = b"", 0
        else:
            self._start = end + 1
        if self._skipping:
            self._skipping = False
            return self.next_line()
        if end - start > self.limit:
            raise LineTooLong
        if end > start and buffer[end - 1] == 13:
            end -= 1
        return buffer[start:end]

    def take_all(self) -> bytes:
        """Hand over everything that is held, for a part of the dialogue that is not made of commands."""
        data = self._buffer[self._start :]
        self._buffer, self._start = b"", 0
        return data

    def _hold(self, beginning: bytes) -> None:
        """Keep the beginning of a line, without the memory of those handed over; raises LineTooLong."""
        too_long = len(beginning) > self.limit
        self._buffer = b"" if too_long or self._skipping else beginning
        self._start = 0
        if too_long and not self._skipping:
            self._skipping = True
            raise LineTooLong
