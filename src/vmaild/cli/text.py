"""Text for a terminal: configuration files are written by many hands, and must not move the cursor."""

from __future__ import annotations

_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def safe(text: str) -> str:
    r"""A text of one line with what is not printable as escapes; bytes that are no UTF-8 as `\xe9`."""
    return text if text.isprintable() else "".join(map(_safe, text))


def safe_lines(text: str) -> str:
    """A text of several lines, each made safe."""
    return "\n".join(safe(line.expandtabs()) for line in text.split("\n"))


def _safe(character: str) -> str:
    if character.isprintable():
        return character
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def size_in_words(size: int) -> str:
    """A number of bytes for people, in powers of 1024: `12.3 MB`."""
    value = float(size)
    for unit in _UNITS:
        if value < 1024 or unit == _UNITS[-1]:
            return f"{value:.1f}".removesuffix(".0") + f" {unit}"
        value /= 1024
    raise AssertionError(size)


def quota_in_words(size: int, messages: int = 0) -> str:
    """A quota for people; 0 is none."""
    parts = [size_in_words(size)] if size else []
    return ", ".join(parts + ([f"{messages} messages"] if messages else [])) or "none"
