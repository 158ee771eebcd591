"""Content for the wire: line ends, stuffed dots, the lines that TOP wants, the octets told."""

from __future__ import annotations

import pytest

from vmaild.protocol.multiline import MultilineEncoder, WireSize, wire_size


def encoded(*chunks: bytes, body_lines: int | None = None) -> bytes:
    encoder = MultilineEncoder(body_lines)
    return b"".join(map(encoder.encode, chunks)) + encoder.end()


@pytest.mark.parametrize(
    ("content", "wire"),
    [
        (b"", b".\r\n"),
        (b"\n", b"\r\n.\r\n"),
        (b"one\ntwo\n", b"one\r\ntwo\r\n.\r\n"),
        (b"one\r\ntwo\r\n", b"one\r\ntwo\r\n.\r\n"),
        (b"mixed\r\nends\n", b"mixed\r\nends\r\n.\r\n"),
        (b"no final newline", b"no final newline\r\n.\r\n"),
        (b"bare\rCR\n", b"bare\rCR\r\n.\r\n"),
        (b"CR at the end\r", b"CR at the end\r\r\n.\r\n"),
        (b"two CR\r\r\n", b"two CR\r\r\n.\r\n"),
        (b"\x00\xff\n", b"\x00\xff\r\n.\r\n"),
        (b".", b"..\r\n.\r\n"),
        (b".\n", b"..\r\n.\r\n"),
        (b".\r\n.\r\n", b"..\r\n..\r\n.\r\n"),
        (b"..\n", b"...\r\n.\r\n"),
        (b"a.\n.b\na\r.b\n", b"a.\r\n..b\r\na\r.b\r\n.\r\n"),
    ],
)
def test_whole_and_octet_by_octet(content: bytes, wire: bytes) -> None:
    assert encoded(content) == wire
    assert encoded(*(content[index : index + 1] for index in range(len(content)))) == wire
    assert wire_size(content) == len(wire) - len(b".\r\n") - stuffed_dots(wire)


def stuffed_dots(wire: bytes) -> int:
    return sum(line.startswith(b".") for line in wire.split(b"\r\n")[:-2])


def test_empty_chunks_change_nothing() -> None:
    assert encoded(b"", b"a\r", b"", b"\n", b"", b".b", b"") == b"a\r\n..b\r\n.\r\n"


MESSAGE = b"Subject: x\nTo: y\n\n1\n.2\n3"


@pytest.mark.parametrize(
    ("content", "body_lines", "wire"),
    [
        (MESSAGE, 0, b"Subject: x\r\nTo: y\r\n\r\n.\r\n"),
        (MESSAGE, 1, b"Subject: x\r\nTo: y\r\n\r\n1\r\n.\r\n"),
        (MESSAGE, 2, b"Subject: x\r\nTo: y\r\n\r\n1\r\n..2\r\n.\r\n"),
        (MESSAGE, 3, b"Subject: x\r\nTo: y\r\n\r\n1\r\n..2\r\n3\r\n.\r\n"),
        (MESSAGE, 10**30, b"Subject: x\r\nTo: y\r\n\r\n1\r\n..2\r\n3\r\n.\r\n"),
        (MESSAGE.replace(b"\n", b"\r\n"), 1, b"Subject: x\r\nTo: y\r\n\r\n1\r\n.\r\n"),
        (b"\nno header\nmore\n", 1, b"\r\nno header\r\n.\r\n"),
        (b"\r\nno header\nmore\n", 0, b"\r\n.\r\n"),
        (b"Subject: no body\n", 5, b"Subject: no body\r\n.\r\n"),
        (b"Subject: CR is no blank line\n\r\r\n\nbody", 0, b"Subject: CR is no blank line\r\n\r\r\n\r\n.\r\n"),
        (b"\n\n\n\n", 2, b"\r\n\r\n\r\n.\r\n"),
        (b"", 0, b".\r\n"),
    ],
)
def test_top(content: bytes, body_lines: int, wire: bytes) -> None:
    assert encoded(content, body_lines=body_lines) == wire
    octets = (content[index : index + 1] for index in range(len(content)))
    assert encoded(*octets, body_lines=body_lines) == wire


def wanted_after(encoder: MultilineEncoder, chunk: bytes) -> bool:
    encoder.encode(chunk)
    return encoder.wanted


def test_top_wants_no_more_than_its_lines() -> None:
    encoder = MultilineEncoder(1)
    assert wanted_after(encoder, b"Subject: x\n\n")
    assert not wanted_after(encoder, b"one\ntwo\n")
    assert encoder.encode(b"three\n") == b""
    assert encoder.end() == b".\r\n"


def test_top_without_body_lines_ends_at_the_blank_line() -> None:
    encoder = MultilineEncoder(0)
    assert wanted_after(encoder, b"Subject: x\n")
    assert wanted_after(encoder, b"\r")
    assert not wanted_after(encoder, b"\n")


def test_retr_wants_everything() -> None:
    assert wanted_after(MultilineEncoder(), b"Subject: x\n\n" + b"line\n" * 1000)


def test_wire_size_over_cut_line_ends() -> None:
    size = WireSize()
    for chunk in (b"a\r", b"\nb", b"", b"\n", b"\r", b"\r", b"\n"):
        size.add(chunk)
    assert size.octets == len(b"a\r\nb\r\n\r\r\n")
    size.add(b"c")
    assert size.octets == len(b"a\r\nb\r\n\r\r\nc\r\n")
