"""The content of a message as it follows DATA (RFC 5321 4.5.2): dots taken away, the end found.

Only <CRLF>.<CRLF> ends the content. Bare LF and bare CR are content like any other octet and are kept as they
are, whatever stands around them: a server that let `<LF>.<LF>` end a message would let one message smuggle
another past whoever sent it on.
"""

from __future__ import annotations

TERMINATOR = b"\r\n.\r\n"
_DOT = b"\r\n."
"""What a line that begins with a dot begins with."""


class DataDecoder:
    """Bytes of the connection in, bytes of the content out, in whatever pieces they come.

    It holds four octets at most, and searches whole pieces at a time: its cost does not depend on the lines.
    """

    __slots__ = ("_held", "_skip", "finished", "rest")

    def __init__(self) -> None:
        # The line end of the DATA command counts as the one before the first line (RFC 5321 4.1.1.4): what is
        # held at the start is that line end, and `_skip` keeps it out of the content.
        self._held = b"\r\n"
        self._skip = 2
        self.finished = False
        """Whether the terminator has been seen."""
        self.rest = b""
        """What came after the terminator, once finished: the next commands."""

    def feed(self, data: bytes) -> bytes:
        """The content that `data` adds, possibly nothing. Not to be called once `finished`."""
        data = self._held + data
        # Most pieces have no line that begins with a dot, and need no second look.
        dot = data.find(_DOT)
        end = data.find(TERMINATOR, dot) if dot >= 0 else -1
        if end >= 0:
            self.finished = True
            self.rest = data[end + len(TERMINATOR) :]
            # The CRLF before the dot is the end of the content's last line.
            content = data[: end + 2]
        else:
            held = _held_back(data)
            content, self._held = data[: len(data) - held], data[len(data) - held :]
        if not content:
            return b""
        if dot >= 0:
            content = content.replace(_DOT, b"\r\n")
        if self._skip:
            content, self._skip = content[self._skip :], 0
        return content


def _held_back(data: bytes) -> int:
    """How many octets at the end of `data` may be the beginning of a terminator."""
    for length in range(len(TERMINATOR) - 1, 0, -1):
        if data.endswith(TERMINATOR[:length]):
            return length
    return 0
