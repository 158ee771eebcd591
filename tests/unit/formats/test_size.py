"""Sizes as people write them."""

from __future__ import annotations

import pytest

from vmaild.formats.size import parse_size, render_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("100M", 104857600),
        ("100m", 104857600),
        ("1k", 1024),
        ("2G", 2 << 30),
        ("1T", 1 << 40),
        ("1500", 1500),
        (" 5M ", 5 << 20),
        ("0", 0),
        ("0G", 0),
        ("", 0),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["100MB", "M", "-1", "1.5G", "1 M", "1e3", "٣", "none", "9999999T", "9" * 5000])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size; write a whole number of bytes, or one with k, M, G or T"):
        parse_size(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0"), (1500, "1500"), (1024, "1k"), (104857600, "100M"), (1 << 40, "1T"), (3 << 29, "1536M")],
)
def test_the_shortest_exact_spelling(size: int, text: str) -> None:
    assert render_size(size) == text


@pytest.mark.parametrize("size", [-1, 1 << 63])
def test_what_cannot_be_written(size: int) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        render_size(size)
