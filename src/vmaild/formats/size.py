"""Sizes as people write them: `100M`, `2G`, `0` for no limit."""

from __future__ import annotations

import re

from vmaild.formats.parsed import FormatError, quoted

_SIZE = re.compile(r"([0-9]{1,19})([kmgt]?)", re.IGNORECASE)
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_MAX = (1 << 63) - 1
"""What a file size can be (off_t)."""


def parse_size(text: str) -> int:
    """Bytes of `100M` (k, M, G, T by 1024, in either case; none: bytes); `0` and nothing at all: no limit, 0.

    Raises FormatError.
    """
    stripped = text.strip()
    found = _SIZE.fullmatch(stripped or "0")
    size = int(found[1]) * _UNITS[found[2].lower()] if found else _MAX + 1
    if size > _MAX:
        raise FormatError(
            f"{quoted(text)} is not a size",
            "write a whole number of bytes, or one with k, M, G or T, such as 100M",
        )
    return size


def render_size(size: int) -> str:
    """The shortest exact spelling of a number of bytes. Raises FormatError for what is not one."""
    if not 0 <= size <= _MAX:
        raise FormatError(f"{size} is not a size", f"give a number of bytes from 0 to {_MAX}")
    for unit, factor in (("T", 1 << 40), ("G", 1 << 30), ("M", 1 << 20), ("k", 1 << 10)):
        if size and size % factor == 0:
            return f"{size // factor}{unit}"
    return str(size)
