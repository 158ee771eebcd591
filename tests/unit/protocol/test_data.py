"""Decoding of content after DATA: where it ends, and which octets it has."""

from __future__ import annotations

import pytest

from vmaild.protocol.data import DataDecoder

WIRE_AND_CONTENT = [
    pytest.param(b".\r\n", b"", id="empty"),
    pytest.param(b"\r\n.\r\n", b"\r\n", id="an empty line"),
    pytest.param(b"a\r\n.\r\n", b"a\r\n", id="one line"),
    pytest.param(b"..\r\n.\r\n", b".\r\n", id="a dot alone"),
    pytest.param(b"..a\r\n..\r\n...\r\n.\r\n", b".a\r\n.\r\n..\r\n", id="stuffed dots"),
    pytest.param(b".a\r\n.b\r\n.\r\n", b"a\r\nb\r\n", id="dots that nobody stuffed"),
    pytest.param(b"a.\r\nb.c\r\n.\r\n", b"a.\r\nb.c\r\n", id="dots elsewhere"),
    pytest.param(b"a\n.b\r.c\n..d\r\n.\r\n", b"a\n.b\r.c\n..d\r\n", id="no line starts after bare LF or CR"),
    pytest.param(b"a\n.\nb\n.\r\nc\r.\rd\r.\r\n\r\n.\r\n", b"a\n.\nb\n.\r\nc\r.\rd\r.\r\n\r\n", id="not the end"),
    pytest.param(b"a\r\n.\nb\r\n.\rc\r\n.\r\n", b"a\r\n\nb\r\n\rc\r\n", id="half the end"),
    pytest.param(b".\r.\n.\r\r\n.\r\n", b"\r.\n.\r\r\n", id="half the end at the start"),
    pytest.param(b"\r\r\n\r\r\n.\r\n", b"\r\r\n\r\r\n", id="CR before line ends"),
    pytest.param(b"\0\xff\x80\r\n.\0\r\n.\r\n", b"\0\xff\x80\r\n\0\r\n", id="any octet"),
]


@pytest.mark.parametrize(("wire", "content"), WIRE_AND_CONTENT)
@pytest.mark.parametrize("piece", [1, 2, 3, 5, 1000])
def test_content(wire: bytes, content: bytes, piece: int) -> None:
    decoder = DataDecoder()
    decoded = b""
    for start in range(0, len(wire), piece):
        assert not decoder.finished
        decoded += decoder.feed(wire[start : start + piece])
    assert decoder.finished
    assert decoded == content
    assert decoder.rest == b""


def test_what_follows_the_terminator_is_left() -> None:
    decoder = DataDecoder()
    assert decoder.feed(b"a\r\n.\r\nQUIT\r\n.\r\n") == b"a\r\n"
    assert decoder.finished
    assert decoder.rest == b"QUIT\r\n.\r\n"


def test_nothing_is_held_longer_than_needed() -> None:
    decoder = DataDecoder()
    assert decoder.feed(b"abc") == b"abc"
    assert decoder.feed(b"def\r\n.\r") == b"def"
    assert decoder.feed(b"ghi") == b"\r\n\rghi"
    assert decoder.feed(b"") == b""


def test_a_line_longer_than_any_limit() -> None:
    decoder = DataDecoder()
    line = b"x" * 300_000 + b"\r\n"
    pieces = [line[start : start + 65_536] for start in range(0, len(line), 65_536)]
    assert b"".join(map(decoder.feed, [*pieces, b".\r\n"])) == line
    assert decoder.finished
