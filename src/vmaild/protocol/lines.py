"""Lines of a command protocol, cut from a stream of bytes."""

from __future__ import annotations


class LineTooLong(Exception):
    """The peer sent a line over the limit; the rest of it has still to be passed over."""


class LineBuffer:
    """Bytes in, lines out, in whatever pieces the bytes come.

    A line ends with LF; a CR before it is part of the line end. Old clients send bare LF, and both RFC 1939
    and RFC 5321 servers bear it in commands; the *content* of a message has rules of its own.
    """

    __slots__ = ("_buffer", "_limit", "_skipping")

    def __init__(self, limit: int) -> None:
        self._buffer = b""
        self._limit = limit
        self._skipping = False

    def __len__(self) -> int:
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Add what was read."""
        self._buffer = self._buffer + data if self._buffer else data

    def next_line(self) -> bytes | None:
        """The next whole line without its end, or None when there is none yet.

        Raises LineTooLong once for each line over the limit; that line is passed over, and never held.
        """
        end = self._buffer.find(b"\n")
        if self._skipping:
            if end < 0:
                self._buffer = b""
                return None
            self._skipping = False
            self._buffer = self._buffer[end + 1 :]
            return self.next_line()
        if end < 0:
            if len(self._buffer) <= self._limit:
                return None
            self._buffer = b""
            self._skipping = True
            raise LineTooLong
        line, self._buffer = self._buffer[:end], self._buffer[end + 1 :]
        if end > self._limit:
            raise LineTooLong
        return line.removesuffix(b"\r")

    def take_all(self) -> bytes:
        """Hand over everything that is held, for a part of the dialogue that is not made of commands."""
        data, self._buffer = self._buffer, b""
        return data
