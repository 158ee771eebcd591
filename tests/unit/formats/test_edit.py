"""Edits by lines: every byte that is not named stays."""

from __future__ import annotations

import pytest

from vmaild.formats.edit import (
    is_blank_or_comment,
    line_at,
    numbered_lines,
    with_line_appended,
    with_lines_replaced,
    without_lines,
)


def test_lines_end_at_line_feeds_only() -> None:
    assert list(numbered_lines("a\x0bb\u2028c\r\nd\x85")) == [(1, "a\x0bb\u2028c"), (2, "d\x85")]


@pytest.mark.parametrize(
    ("text", "numbers", "replacement", "expected"),
    [
        ("a\nb\nc\n", [2], "x", "a\nx\nc\n"),
        ("a\nb\nc", [3], "x", "a\nb\nx"),
        ("a\r\nb\r\nc\r\n", [2], "x\ny", "a\r\nx\r\ny\r\nc\r\n"),
        ("a\nb\nc\nd\n", [2, 4], "x\ny", "a\nx\ny\nc\n"),
        ("a\nb", [1, 2], "x", "x\n"),
        ("a\r", [1], "x", "x\r"),
    ],
)
def test_replacing_lines(text: str, numbers: list[int], replacement: str, expected: str) -> None:
    assert with_lines_replaced(text, numbers, replacement) == expected


@pytest.mark.parametrize(
    ("text", "numbers", "expected"),
    [("a\nb\nc\n", [2], "a\nc\n"), ("a\nb\nc", [1, 3], "b\n"), ("a\n\n\nb\n", [], "a\n\n\nb\n"), ("a", [1], "")],
)
def test_taking_lines_out(text: str, numbers: list[int], expected: str) -> None:
    assert without_lines(text, numbers) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", "x\ny\n"), ("a\n", "a\nx\ny\n"), ("a", "a\nx\ny\n"), ("a\r\n", "a\r\nx\r\ny\r\n")],
)
def test_adding_lines_at_the_end(text: str, expected: str) -> None:
    assert with_line_appended(text, "x\ny") == expected


def test_a_line_by_its_number() -> None:
    assert line_at("a\r\nb", 1) == "a"
    assert line_at("a\r\nb", 2) == "b"


@pytest.mark.parametrize(("line", "expected"), [("", True), (" \t", True), ("  # x", True), ("x # y", False)])
def test_what_says_nothing(line: str, expected: bool) -> None:
    assert is_blank_or_comment(line) is expected
