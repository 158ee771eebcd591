"""Lines cut from a stream."""

from __future__ import annotations

import gc
import sys

import pytest

from vmaild.protocol.lines import LineBuffer, LineTooLong


def lines_of(buffer: LineBuffer) -> list[bytes | None]:
    """What there is now; None stands for a line that was too long."""
    lines: list[bytes | None] = []
    while True:
        try:
            line = buffer.next_line()
        except LineTooLong:
            lines.append(None)
        else:
            if line is None:
                return lines
            lines.append(line)


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"NOOP", []),
        (b"NOOP\r", []),
        (b"NOOP\r\n", [b"NOOP"]),
        (b"NOOP\n", [b"NOOP"]),
        (b"\r\n\n", [b"", b""]),
        (b"\nNOOP\r", [b""]),
        (b"a\r\r\n", [b"a\r"]),
        (b"a\rb\r\n", [b"a\rb"]),
        (b"STAT\r\nLIST\r\nQU", [b"STAT", b"LIST"]),
        (b"1234567\r\n", [b"1234567"]),
        (b"12345678\n", [b"12345678"]),
        (b"12345678\r\nNOOP\r\n", [None, b"NOOP"]),
        (b"123456789", [None]),
        (b"x" * 1000 + b"\r\nNOOP\r\n", [None, b"NOOP"]),
        (b"x" * 1000 + b"\n" + b"y" * 1000 + b"\nNOOP\n", [None, None, b"NOOP"]),
    ],
)
def test_lines_whole_and_octet_by_octet(data: bytes, lines: list[bytes | None]) -> None:
    whole = LineBuffer(limit=8)
    whole.feed(data)
    assert lines_of(whole) == lines

    trickled: list[bytes | None] = []
    buffer = LineBuffer(limit=8)
    for index in range(len(data)):
        buffer.feed(data[index : index + 1])
        trickled += lines_of(buffer)
    assert trickled == lines


def test_a_line_too_long_is_not_held() -> None:
    buffer = LineBuffer(limit=8)
    buffer.feed(b"x" * 100_000)
    assert lines_of(buffer) == [None]
    buffer.feed(b"x" * 100_000)
    assert lines_of(buffer) == []
    assert len(buffer) == 0


def test_length_counts_what_is_held() -> None:
    buffer = LineBuffer(limit=80)
    buffer.feed(b"NOOP\r\nQU")
    assert len(buffer) == 8
    assert buffer.next_line() == b"NOOP"
    assert len(buffer) == 2


def test_take_all_hands_over_the_rest() -> None:
    buffer = LineBuffer(limit=80)
    buffer.feed(b"DATA\r\ncontent\r\nmore")
    assert buffer.next_line() == b"DATA"
    assert buffer.take_all() == b"content\r\nmore"
    assert len(buffer) == 0
    assert buffer.next_line() is None


def test_what_comes_while_lines_are_waiting() -> None:
    buffer = LineBuffer(limit=80)
    buffer.feed(b"STAT\r\nLIST\r\nQU")
    assert buffer.next_line() == b"STAT"
    buffer.feed(b"IT\r\nNO")
    assert len(buffer) == len(b"LIST\r\nQUIT\r\nNO")
    assert buffer.next_line() == b"LIST"
    assert buffer.take_all() == b"QUIT\r\nNO"
    buffer.feed(b"OP\r\n")
    assert buffer.next_line() == b"OP"


def test_the_limit_may_change_between_lines() -> None:
    buffer = LineBuffer(limit=8)
    buffer.feed(b"AUTH\r\n" + b"x" * 20)
    assert buffer.next_line() == b"AUTH"
    buffer.limit = 30
    assert buffer.next_line() is None
    buffer.feed(b"\r\n" + b"y" * 20)
    assert buffer.next_line() == b"x" * 20
    buffer.limit = 8
    assert lines_of(buffer) == [None]
    buffer.feed(b"\r\nNOOP\r\n")
    assert lines_of(buffer) == [b"NOOP"]


def test_lines_handed_over_are_not_held() -> None:
    buffer = LineBuffer(limit=80)
    buffer.feed(b"NOOP\r\n" * 100_000 + b"QU")
    assert lines_of(buffer) == [b"NOOP"] * 100_000
    assert sys.getsizeof(gc.get_referents(buffer)[0]) < 100


def test_cutting_deep_pipelines_is_linear() -> None:
    """Copying the rest for each line would take minutes."""
    buffer = LineBuffer(limit=80)
    buffer.feed(b"\n" * 1_000_000)
    assert lines_of(buffer) == [b""] * 1_000_000
