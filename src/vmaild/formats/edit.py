"""Edit a text by its lines: what is not named stays as it is, byte for byte.

Lines are numbered from 1 and end with LF; a CR before it belongs to the line end and is kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator

_AFTER_LINE_END = re.compile(r"(?<=\n)")


def numbered_lines(text: str, first: int = 1) -> Iterator[tuple[int, str]]:
    """Each line with its number, from `first` on, without its line end.

    Not `str.splitlines`, which also cuts at form feeds and at the separators of Unicode.
    """
    for number, line in enumerate(text.split("\n"), first):
        yield number, line.removesuffix("\r")


def is_blank_or_comment(line: str) -> bool:
    """Whether a line says nothing: it is empty, or its first character that is no blank is `#`."""
    return not line or line.isspace() or line.lstrip().startswith("#")


def numbers_of(text: str, key: str, key_of: Callable[[str], str | None]) -> list[int]:
    """The numbers of the lines whose key is `key`."""
    return [number for number, line in numbered_lines(text) if key_of(line) == key]


def line_at(text: str, number: int) -> str:
    """One line, without its line end."""
    return text.split("\n")[number - 1].removesuffix("\r")


def with_lines_replaced(text: str, numbers: Collection[int], replacement: str) -> str:
    """Put `replacement`, one line or several without a final line end, where the first of the lines stood."""
    lines = _lines(text)
    first = min(numbers)
    line = lines[first - 1]
    end = line[len(line.removesuffix("\n").removesuffix("\r")) :]
    lines[first - 1] = (replacement.replace("\n", end) if end.endswith("\n") else replacement) + end
    return "".join(line for number, line in enumerate(lines, 1) if number == first or number not in numbers)


def without_lines(text: str, numbers: Collection[int]) -> str:
    """Take lines out."""
    return "".join(line for number, line in enumerate(_lines(text), 1) if number not in numbers)


def with_line_appended(text: str, addition: str) -> str:
    """Add `addition`, one line or several without a final line end, after the last line."""
    end = "\r\n" if text.endswith("\r\n") else "\n"
    if text and not text.endswith("\n"):
        text += "\n"
    return text + addition.replace("\n", end) + end


def _lines(text: str) -> list[str]:
    """The lines with their ends: joined, they are the text again."""
    return [line for line in _AFTER_LINE_END.split(text) if line]
