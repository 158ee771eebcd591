"""What all our TOML files share: read the text, check each key, and say on which line a fault stands.

A file with a syntax error, or with a known key whose value is wrong, must not be trusted: those are errors. A
key that is not known, and a value that a list names twice, are passed over with a warning.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from vmaild.core.findings import Finding, Severity
from vmaild.formats.edit import line_at, numbered_lines
from vmaild.formats.parsed import FormatError, is_utf8, quoted, shown
from vmaild.formats.size import parse_size

T = TypeVar("T")

_HEADER = re.compile(r"\s*\[\s*([^\[\]]+?)\s*\]")
_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")

_FORM = "write KEY = VALUE, with text in double quotes"
# What the messages of tomllib mean to somebody who has never read the grammar of TOML.
_SYNTAX = (
    ("Illegal character '\\n'", "a text is not closed", "end it with a double quote on the same line"),
    ("Unterminated string", "a text is not closed", "end it with a double quote on the same line"),
    ('Expected "', "a text is not closed", "end it with a single quote on the same line"),
    ("Illegal character", "there is a control character", "remove it"),
    ("Unfinished value", "the file ends in the middle of a value", "complete the last line"),
    ("Invalid value", "the value is not one of TOML", _FORM),
    ("Expected newline", "something stands behind the value", _FORM),
    ("Cannot overwrite", "the key stands in this file twice", "remove one of the two"),
    ("Cannot declare", "the table stands in this file twice", "make one of the two"),
    ("Expected '='", "there is no '=' after the key", _FORM),
    ("Unclosed array", "a list is not closed, or not all its texts are in quotes", 'write it like ["one", "two"]'),
    ("Unescaped '\\'", "a backslash stands in double quotes", "write it twice, or use single quotes"),
    ("Invalid statement", "the line does not start with a key", f"{_FORM}, or # before a comment"),
)
_ASSIGNMENT = re.compile(r"\s*([A-Za-z0-9_-]+)\s*=\s*([^\s\"'\[\]{}#\\][^\"'\[\]{}#\\]*?)\s*(?:#.*)?")
_SPELT_FLAGS = {"yes": "true", "on": "true", "true": "true", "no": "false", "off": "false", "false": "false"}


@dataclass(frozen=True, slots=True)
class Key:
    """How the value of a key is read."""

    read: Callable[[str, object], object]
    """From the key's name and its value. Raises FormatError, or a group of them for several values of a list."""
    unique: bool = False
    """Whether it is a list in which nothing should stand twice."""


def text(parse: Callable[[str], object]) -> Key:
    """A text, which `parse` turns into the value, or raises FormatError."""

    def read(key: str, value: object) -> object:
        if not isinstance(value, str):
            example = "..." if isinstance(value, bool | list | dict) else shown(str(value))
            raise _wrong_kind(key, value, "a text", f'write {key} = "{example}"')
        return _parsed(key, parse, value)

    return Key(read)


def texts(parse: Callable[[str], object], example: str, *, unique: bool = True) -> Key:
    """A list of texts, each of which `parse` turns into a value; becomes a tuple."""

    def read(key: str, value: object) -> object:
        if not isinstance(value, list):
            item = re.sub(r'["\\]', "", shown(value)) if isinstance(value, str) else example
            remedy = f'write {key} = ["{item}"]' if item else f"write {key} = []"
            raise _wrong_kind(key, value, "a list of texts", remedy)
        for item in value:
            if not isinstance(item, str):
                raise FormatError(
                    f"{key} holds {_kind(item)}, but all its values must be texts",
                    f'put each in double quotes: {key} = ["{example}"]',
                )
        values: list[object] = []
        errors: list[FormatError] = []
        for item in value:
            try:
                values.append(_parsed(key, parse, item))
            except FormatError as error:
                errors.append(error)
        if errors:
            raise ExceptionGroup(key, errors)
        return tuple(values)

    return Key(read, unique)


def flag() -> Key:
    """`true` or `false`."""

    def read(key: str, value: object) -> object:
        if not isinstance(value, bool):
            raise _wrong_kind(key, value, "true or false", f"write {key} = true or {key} = false, without quotes")
        return value

    return Key(read)


def number(least: int, most: int = (1 << 31) - 1) -> Key:
    """A whole number from `least` on, up to `most`."""

    def read(key: str, value: object) -> object:
        if isinstance(value, bool) or not isinstance(value, int):
            raise _wrong_kind(
                key, value, "a whole number", f"write it like {key} = {max(least, 2)}, without quotes"
            )
        if not least <= value <= most:
            open_end = most > 1 << 16
            remedy = f"write a number from {least} on" if open_end else f"write a number from {least} to {most}"
            raise FormatError(f"{key} {value} is out of range", remedy)
        return value

    return Key(read)


def size() -> Key:
    """A number of bytes: a text that parse_size takes, or a whole number."""

    def read(key: str, value: object) -> object:
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise _wrong_kind(key, value, "a size", f'write it like {key} = "100M"')
        return _parsed(key, parse_size, str(value))

    return Key(read)


def _parsed(key: str, parse: Callable[[str], T], value: str) -> T:
    try:
        return parse(value)
    except FormatError as error:
        raise FormatError(f"{key}: {error.problem}", error.remedy) from error


def _wrong_kind(key: str, value: object, wanted: str, remedy: str) -> FormatError:
    return FormatError(f"{key} is {_kind(value)}, not {wanted}", remedy)


def _kind(value: object) -> str:
    match value:
        case bool():
            return f"the value {str(value).lower()}"
        case int() | float():
            return f"the number {shown(str(value))}"
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
            read = self._read(line, name, key, value)
            if read is not None:
                found[name] = self._once(line, name, read) if key.unique and isinstance(read, tuple) else read
        return found

    def _read(self, line: int, name: str, key: Key, value: object) -> object | None:
        """The value of a key, or None where it is wrong."""
        try:
            return key.read(name, value)
        except FormatError as error:
            self.refuse(line, error.problem, error.remedy)
        except ExceptionGroup as group:
            for each in group.exceptions:
                if isinstance(each, FormatError):
                    self.refuse(line, each.problem, each.remedy)
        except ValueError:  # Python does not print numbers of thousands of digits
            self.refuse(line, f"{name} is too long a number", "write a shorter one")
        return None

    def unknown(self, name: str, known: Iterable[str], table: str = "") -> None:
        """Note a key that is none of the known ones."""
        import difflib  # noqa: PLC0415  only for faults

        close = difflib.get_close_matches(name.lower().replace("-", "_"), list(known), 1, 0.7)
        remedy = (
            f"write {close[0]}, or remove the line"
            if close
            else f"remove it; known are {', '.join(sorted(known))}"
        )
        where = f" in [{table}]" if table else ""
        self.warn(self.line_of(name, table), f"there is no setting {quoted(name)}{where}", remedy)

    def line_of(self, key: str, table: str = "") -> int:
        """The line on which a key stands, or the header of a table of that name; 0 where it cannot be told."""
        current = ""
        inline = 0
        for line, content in numbered_lines(self._text):
            header = _HEADER.match(content)
            if header is not None:
                current = header[1].strip("\"'")
                if current == key and not table:
                    return line
                continue
            name = content.partition("=")[0].strip().strip("\"'")
            if (current, name) in ((table, key), ("", f"{table}.{key}")):
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
        place = _PLACE.search(message)
        if place is not None and place[1]:
            line = int(place[1])
        else:
            line = max((line for line, content in numbered_lines(self._text) if content.strip()), default=1)
            message = message.replace("Invalid value", "Unfinished value")
        content = line_at(self._text, line)
        problem, remedy = next(
            (row[1:] for row in _SYNTAX if message.startswith(row[0])), (_PLACE.sub("", message), _FORM)
        )
        bare = _ASSIGNMENT.fullmatch(content)
        if bare is not None and remedy == _FORM:
            value = _SPELT_FLAGS.get(bare[2].lower(), f'"{shown(bare[2])}"')
            remedy = f"write {bare[1]} = {value}"
        self.refuse(line, f"{problem}: {quoted(content.strip())}", remedy)
