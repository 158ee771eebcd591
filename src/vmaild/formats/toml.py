"""What all our TOML files share: read the text, check each key, and say on which line a fault stands.

A file with a syntax error, or with a known key whose value is wrong, must not be trusted: those are errors. A
key that is not known, and a value that a list names twice, are passed over with a warning.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from vmaild.core.findings import Finding, Severity
from vmaild.formats.edit import numbered_lines
from vmaild.formats.parsed import FormatError, is_utf8, quoted
from vmaild.formats.size import parse_size

T = TypeVar("T")

_HEADER = re.compile(r"\s*\[\s*([^\[\]]+?)\s*\]")
_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")

_IN_QUOTES = 'put text in double quotes, as in fallback = "bob"'
# What the messages of tomllib mean to somebody who has never read the grammar of TOML.
_SYNTAX = (
    (r"Illegal character '\n'", "a text is not closed", "end it with a double quote on the same line"),
    ("Unterminated string", "a text is not closed", "end it with a double quote on the same line"),
    ('Expected "', "a text is not closed", "end it with a single quote on the same line"),
    ("Illegal character", "there is a control character", "remove it"),
    ("Invalid value", "the value is not one of TOML", _IN_QUOTES),
    ("Cannot overwrite", "the key stands in this file twice", "remove one of the two"),
    ("Cannot declare", "the table stands in this file twice", "make one of the two"),
    ("Expected '='", "there is no '=' after the key", "write KEY = VALUE"),
    ("Expected newline", "something stands behind the value", f"remove it; {_IN_QUOTES}"),
    ("Unclosed array", "a list is not closed, or has no comma between two values", 'write it like ["one", "two"]'),
    ("Unescaped '\\'", "a backslash stands in double quotes", "write it twice, or use single quotes"),
    (
        "Invalid statement",
        "the line does not start with a key",
        "write KEY = VALUE, or start the line with # for a comment",
    ),
)


@dataclass(frozen=True, slots=True)
class Key:
    """How the value of a key is read."""

    read: Callable[[str, object], object]
    """From the key's name and its value. Raises FormatError."""
    unique: bool = False
    """Whether it is a list in which nothing should stand twice."""


def text(parse: Callable[[str], object]) -> Key:
    """A text, which `parse` turns into the value, or raises FormatError."""

    def read(key: str, value: object) -> object:
        if not isinstance(value, str):
            shown = value if isinstance(value, int | float) and not isinstance(value, bool) else "..."
            raise _wrong_kind(key, value, "a text", f'{key} = "{shown}"')
        return _parsed(key, parse, value)

    return Key(read)


def texts(parse: Callable[[str], object], example: str, *, unique: bool = True) -> Key:
    """A list of texts, each of which `parse` turns into a value; becomes a tuple."""

    def read(key: str, value: object) -> object:
        if not isinstance(value, list):
            shown = quoted(value)[1:-1].replace("\\", "").replace('"', "") if isinstance(value, str) else example
            raise _wrong_kind(key, value, "a list of texts", f'{key} = ["{shown}"]' if shown else f"{key} = []")
        for item in value:
            if not isinstance(item, str):
                raise FormatError(
                    f"{key} holds {_kind(item)}, but all its values must be texts",
                    f'put each in double quotes: {key} = ["{example}"]',
                )
        return tuple(_parsed(key, parse, item) for item in value)

    return Key(read, unique)


def flag() -> Key:
    """`true` or `false`."""

    def read(key: str, value: object) -> object:
        if not isinstance(value, bool):
            raise _wrong_kind(key, value, "true or false", f"{key} = true or {key} = false, without quotes")
        return value

    return Key(read)


def number(least: int) -> Key:
    """A whole number from `least` on."""

    def read(key: str, value: object) -> object:
        if isinstance(value, bool) or not isinstance(value, int):
            raise _wrong_kind(key, value, "a whole number", f"it like {key} = {max(least, 2)}, without quotes")
        if not least <= value < 1 << 31:
            raise FormatError(f"{key} is {value}", f"write a number from {least} on")
        return value

    return Key(read)


def size() -> Key:
    """A number of bytes: a text that parse_size takes, or a whole number."""

    def read(key: str, value: object) -> object:
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise _wrong_kind(key, value, "a size", f'it like {key} = "100M"')
        return _parsed(key, parse_size, str(value))

    return Key(read)


def _parsed(key: str, parse: Callable[[str], T], value: str) -> T:
    try:
        return parse(value)
    except FormatError as error:
        raise FormatError(f"{key}: {error.problem}", error.remedy) from error


def _wrong_kind(key: str, value: object, wanted: str, remedy: str) -> FormatError:
    return FormatError(f"{key} is {_kind(value)}, not {wanted}", f"write {remedy}")


def _kind(value: object) -> str:
    match value:
        case bool():
            return f"the value {str(value).lower()}"
        case int() | float():
            return f"the number {quoted(str(value))[1:-1]}"
        case str():
            return f"the text {quoted(value)}"
        case list():
            return "a list"
        case dict():
            return "a table"
        case _:
            return "a date or time"


class Reading:
    """One file while it is read: its text, and what has been found wrong so far."""

    def __init__(self, text: str, path: str) -> None:
        self._text = text
        self._path = path
        self.findings: list[Finding] = []

    @property
    def trusted(self) -> bool:
        """Whether nothing has been found that forbids the use of the file."""
        return all(finding.severity < Severity.ERROR for finding in self.findings)

    def warn(self, line: int, problem: str, remedy: str) -> None:
        """Note what is passed over."""
        self.findings.append(Finding(self._path, line, problem, remedy, Severity.WARNING))

    def refuse(self, line: int, problem: str, remedy: str) -> None:
        """Note what makes the whole file useless."""
        self.findings.append(Finding(self._path, line, problem, remedy, Severity.ERROR))

    def load(self) -> dict[str, object]:
        """The file's tables and values; empty where its syntax is wrong."""
        import tomllib  # noqa: PLC0415  most deliveries find a definition in memory

        if self._text.startswith("\ufeff"):
            self.refuse(1, "the file starts with a byte order mark", "save it as UTF-8 without one")
            return {}
        for line, content in numbered_lines(self._text) if not is_utf8(self._text) else ():
            if not is_utf8(content):
                tell = self.warn if content.lstrip().startswith("#") else self.refuse
                tell(line, f"the line is not UTF-8: {quoted(content.strip())}", "save the file as UTF-8")
        if not self.trusted:
            return {}
        try:
            return tomllib.loads(self._text)
        except tomllib.TOMLDecodeError as error:
            self._refuse_syntax(str(error))
        except (ValueError, RecursionError):  # numbers of thousands of digits; lists in lists in lists
            self.refuse(0, "a number is too long, or lists nest too deeply", "write plain values")
        return {}

    def table(self, values: Mapping[str, object], keys: Mapping[str, Key], table: str = "") -> dict[str, Any]:
        """What the known keys of a table say; the values of others are noted as findings."""
        found: dict[str, Any] = {}
        for name, value in values.items():
            key = keys.get(name)
            line = self.line_of(name, table)
            if key is None:
                self.unknown(name, keys, table)
                continue
            try:
                found[name] = key.read(name, value)
            except FormatError as error:
                self.refuse(line, error.problem, error.remedy)
                continue
            if key.unique:
                found[name] = self._once(line, name, found[name])
        return found

    def unknown(self, name: str, known: Mapping[str, object], table: str = "") -> None:
        """Note a key that is none."""
        import difflib  # noqa: PLC0415  only for faults

        close = difflib.get_close_matches(name.lower().replace("-", "_"), known, 1)
        remedy = (
            f"write {close[0]}, or remove the line"
            if close
            else f"remove it; known are {', '.join(sorted(known))}"
        )
        where = f" in [{table}]" if table else ""
        self.warn(self.line_of(name, table), f"there is no setting {quoted(name)}{where}", remedy)

    def line_of(self, key: str, table: str = "") -> int:
        """The line on which a key or, without a table, a table's header stands; 0 where it cannot be told."""
        current = ""
        inline = 0
        for line, content in numbered_lines(self._text):
            header = _HEADER.match(content)
            if header is not None:
                current = header[1].strip("\"'")
                name = ""
            else:
                name = content.partition("=")[0].strip().strip("\"'")
            if (current, name) in ((table, key), ("", f"{table}.{key}")) or (
                not table and (current, name) == (key, "") and header is not None
            ):
                return line
            if table and (current, name) == ("", table):
                inline = line
        return inline

    def _once(self, line: int, name: str, values: tuple[object, ...]) -> tuple[object, ...]:
        once = tuple(dict.fromkeys(values))
        for value in once:
            if values.count(value) > 1:
                self.warn(line, f"{name} names {quoted(str(value))} more than once", "remove all but one")
        return once

    def _refuse_syntax(self, message: str) -> None:
        lines = [(line, content) for line, content in numbered_lines(self._text) if content.strip()] or [(0, "")]
        place = _PLACE.search(message)
        message = message[: place.start()] if place else message
        line, content = lines[-1]
        if place and place[1]:
            line, content = int(place[1]), self._text.split("\n")[int(place[1]) - 1]
        problem, remedy = next(
            (
                (problem, remedy)
                for start, problem, remedy in _SYNTAX
                if message.replace("\n", "\\n").startswith(start)
            ),
            (message, "write KEY = VALUE, with text in double quotes"),
        )
        self.refuse(line, f"{problem}: {quoted(content.strip())}", remedy)
