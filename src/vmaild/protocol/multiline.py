"""Content as a multi-line response of POP3 (RFC 1939 section 3).

On disk a message has LF line ends (CRLF where it came so); on the wire each line ends with CRLF, a line that
begins with a dot gets a second one, and a lone dot ends the whole. `MultilineEncoder` turns the one into the
other a chunk at a time, `WireSize` counts what a client will count. Both give the same result wherever the
content is cut, and neither looks at a line by itself: messages of any size cost a few passes in C.

A line ends with LF; a CR before it belongs to the line end, a CR elsewhere is content like any other octet.
"""

from __future__ import annotations

import re

_BLANK_LINE = re.compile(rb"\n\r?\n")


class MultilineEncoder:
    """One message on its way to the client, whole or as far as TOP wants it."""

    __slots__ = ("_body_lines", "_in_header", "_last", "wanted")

    def __init__(self, body_lines: int | None = None) -> None:
        """Encode all of it, or with `body_lines` the header, the blank line and so many lines more."""
        self.wanted = True
        """False once TOP has all its lines: what follows is passed over."""
        self._body_lines = body_lines
        self._in_header = True
        self._last = b"\n"  # the last two octets taken; the first line begins as if another had ended

    def encode(self, chunk: bytes) -> bytes:
        """The next piece of content (any cut) as octets for the wire."""
        if self._body_lines is not None:
            chunk = self._leading_lines(chunk, self._body_lines)
        if not chunk:
            return b""
        before = self._last
        self._last = chunk[-2:] if len(chunk) > 1 else before[-1:] + chunk
        return _encoded(chunk, before)

    def end(self) -> bytes:
        """The terminating line; before it the line end that the content lacks."""
        return b".\r\n" if self._last.endswith(b"\n") else b"\r\n.\r\n"

    def _leading_lines(self, chunk: bytes, body_lines: int) -> bytes:
        """As much of a chunk as TOP wants (RFC 1939 section 7)."""
        if not self.wanted:
            return b""
        body = 0
        if self._in_header:
            blank = _BLANK_LINE.search(self._last + chunk)
            if blank is None:
                return chunk
            self._in_header = False
            body = blank.end() - len(self._last)
        present = chunk.count(b"\n", body)
        if present < body_lines:
            self._body_lines = body_lines - present
            return chunk
        self.wanted = False
        for _ in range(body_lines):
            body = chunk.index(b"\n", body) + 1
        return chunk[:body]


class WireSize:
    """Octets of a message as it is transmitted: what STAT, LIST and RETR tell (RFC 1939 section 11).

    The line end that the encoder adds counts; stuffed dots and the terminating line do not.
    """

    __slots__ = ("_last", "_octets")

    def __init__(self) -> None:
        self._octets = 0
        self._last = b"\n"

    def add(self, chunk: bytes) -> None:
        """Count the next piece of content (any cut)."""
        if not chunk:
            return
        self._octets += len(chunk) + chunk.count(b"\n") - chunk.count(b"\r\n")
        if self._last == b"\r" and chunk.startswith(b"\n"):
            self._octets -= 1  # a line end cut in two: its CR is counted already
        self._last = chunk[-1:]

    @property
    def octets(self) -> int:
        """The size, were the content to end here."""
        return self._octets if self._last == b"\n" else self._octets + 2


def wire_size(content: bytes) -> int:
    """The size of a whole message in octets; see WireSize."""
    size = WireSize()
    size.add(content)
    return size.octets


def _encoded(content: bytes, before: bytes) -> bytes:
    """Content with CRLF line ends and stuffed dots; `before` are the octets that precede it."""
    if content.startswith(b"\n") and before.endswith(b"\r"):
        return b"\n" + _encoded(content[1:], b"\n")  # a line end cut in two: its CR is sent already
    if content.startswith(b".") and before.endswith(b"\n"):
        content = b"." + content
    if b"\r" in content:
        content = content.replace(b"\r\n", b"\n")
    return content.replace(b"\n.", b"\n..").replace(b"\n", b"\r\n")
