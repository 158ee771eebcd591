"""Edit a text by its lines: what is not named stays as it is, byte for byte.

Lines are numbered from 1 and end with LF; a CR before it belongs to the line end and is kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator

_PLAIN_KEY = re.compile(r"[a-z0-9_.-]+")
"""One that stands in its line as it is, but for upper case; others may be composed of several characters."""


def numbered_lines(text: str, first: int = 1) -> Iterator[tuple[int, str]]:
    """Each line with its number, from `first` on, without its line end.

    Not `str.splitlines`, which also cuts at form feeds and at the separators of Unicode.
    """
    for number, line in enumerate(text.split("\n"), first):
        yield number, line.removesuffix("\r")


def is_blank_or_comment(line: str) -> bool:
    """Whether a line says nothing: it is empty, or its first character that is no blank is `#`."""
    return not line or line.isspace() or line.lstrip().startswith("#")


def places_of(text: str, key: str, key_of: Callable[[str], str | None]) -> list[slice]:
    """Where the lines are whose key is `key`, a folded login with which they begin; with their line ends."""
    return [line for line in _holding(text, key) if key_of(_without_end(text[line])) == key]


def _holding(text: str, key: str) -> Iterator[slice]:
    """The lines in which a key stands, whatever its case; or all, where that is not easily said."""
    lowered = text.lower()
    if not _PLAIN_KEY.fullmatch(key) or len(lowered) != len(text):
        key, lowered = "", text
    begin = 0
    # Of 100,000 lines few hold it, and only they need a closer look.
    while begin < len(text) and (at := lowered.find(key, begin)) >= 0:
        end = lowered.find("\n", at) + 1 or len(text)
        yield slice(lowered.rfind("\n", 0, at) + 1, end)
        begin = end


def with_place_replaced(text: str, place: slice, edited: Callable[[str], str]) -> str:
    """Put what `edited` makes of a line in its place."""
    line = text[place]
    content = _without_end(line)
    return text[: place.start] + edited(content) + line[len(content) :] + text[place.stop :]


def without_places(text: str, places: Iterable[slice]) -> str:
    """Take lines out, which are given in their order."""
    for place in reversed([*places]):
        text = text[: place.start] + text[place.stop :]
    return text


def _without_end(line: str) -> str:
    return line.removesuffix("\n").removesuffix("\r")


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
    return _without(lines, {*numbers} - {first})


def without_lines(text: str, numbers: Collection[int]) -> str:
    """Take lines out."""
    return _without(_lines(text), {*numbers})


def with_line_appended(text: str, addition: str) -> str:
    """Add `addition`, one line or several without a final line end, after the last line."""
    end = "\r\n" if text.endswith("\r\n") else "\n"
    if text and not text.endswith("\n"):
        text += "\n"
    return text + addition.replace("\n", end) + end


def _lines(text: str) -> list[str]:
    """The lines with their ends: joined, they are the text again."""
    *whole, last = text.split("\n")
    lines = [line + "\n" for line in whole]
    return [*lines, last] if last else lines


def _without(lines: list[str], numbers: Collection[int]) -> str:
    for number in numbers:
        lines[number - 1] = ""
    return "".join(lines)
