"""The configuration of BIND, as far as it says which zones there are: named.conf, and named.boot of version 4.

Includes are followed by asking `read` for each file; what cannot be read costs that file only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

Read = Callable[[str], str | None]
"""The text of a file by its absolute path; None: there is none."""

MAX_DEPTH = 16
"""Includes in includes."""

_TOKEN = re.compile(r'\s+|//[^\n]*|#[^\n]*|/\*.*?(?:\*/|\Z)|"((?:[^"\\]|\\.)*)"|([{};])|([^\s{};"]+)', re.DOTALL)
_PRIMARY = ("master", "primary")


@dataclass(frozen=True, slots=True)
class NamedZone:
    """One zone statement."""

    name: str
    """Lower case, without the final dot; empty: the root."""
    kind: str
    """`primary`, `secondary`, `hint` and so on: the words of BIND 9.16."""
    file: str = ""
    """Absolute; empty: it has none."""
    view: str = ""

    @property
    def primary(self) -> bool:
        """Whether its records are decided here."""
        return self.kind == "primary"

    @property
    def reverse(self) -> bool:
        """Whether it is a zone of addresses."""
        return self.name.endswith((".in-addr.arpa", ".ip6.arpa"))


@dataclass(frozen=True, slots=True)
class NamedConfiguration:
    """What was found."""

    zones: tuple[NamedZone, ...] = ()
    unread: tuple[str, ...] = ()
    """Files that an include names and that could not be read."""

    def domains(self) -> tuple[str, ...]:
        """The names of all primary and secondary zones that may have mail, each once."""
        kinds = ("primary", "secondary")
        found = [zone.name for zone in self.zones if zone.kind in kinds and zone.name and not zone.reverse]
        return tuple(dict.fromkeys(name for name in found if name not in _LOCAL))

    def zones_for(self, name: str) -> tuple[NamedZone, ...]:
        """The primary zones, one in each view, that hold a name: the longest match."""
        fitting = [
            zone for zone in self.zones if zone.primary and (name == zone.name or name.endswith(f".{zone.name}"))
        ]
        longest = max((len(zone.name) for zone in fitting), default=0)
        return tuple(zone for zone in fitting if len(zone.name) == longest)


@dataclass(frozen=True, slots=True)
class NamedKey:
    """One key statement: a secret that two sides share (TSIG, RFC 8945)."""

    name: str
    """Lower case, without the final dot."""
    algorithm: str
    """As `hmac-sha256`."""
    secret: str = field(repr=False)
    """Base64."""


def parse_keys(text: str) -> tuple[NamedKey, ...]:
    """The keys of a file as tsig-keygen(8) writes it; what is damaged is left away."""
    found = []
    for statement in _parse(text):
        values = {each.words[0]: each.words[1] for each in statement.block if len(each.words) > 1}
        match statement.words:
            case ["key", name] if {"algorithm", "secret"} <= values.keys():
                found.append(NamedKey(_name(name), _name(values["algorithm"]), values["secret"]))
    return tuple(found)


_LOCAL = ("localhost", "local", "localdomain")


@dataclass(slots=True)
class _Statement:
    words: list[str]
    block: list[_Statement] = field(default_factory=list)


def parse_named(path: str, read: Read) -> NamedConfiguration:
    """The zones of a named.conf or named.boot; which of them it is, its text tells."""
    text = read(path)
    if text is None:
        return NamedConfiguration(unread=(path,))
    unread: list[str] = []
    if "{" in text or re.search(r"^\s*include\s+\"", text, re.MULTILINE):
        statements = list(_included(_parse(text), _folder(path), read, unread, 0))
        folder = _directory(statements) or _folder(path)
        zones = tuple(_zones(statements, folder))
    else:
        zones = tuple(_boot(text, [_folder(path)], read, unread, 0))
    return NamedConfiguration(zones, tuple(unread))


def _folder(path: str) -> str:
    return path.rpartition("/")[0] or "/"


def _absolute(path: str, folder: str) -> str:
    return path if not path or path.startswith("/") else f"{folder.rstrip('/')}/{path}"


def _parse(text: str) -> list[_Statement]:
    """The statements of a text; what is not closed ends with the text."""
    top: list[_Statement] = []
    stack = [top]
    current = _Statement([])
    for match in _TOKEN.finditer(text):
        quoted, sign, word = match.groups()
        if sign == "{":
            stack[-1].append(current)
            stack.append(current.block)
            current = _Statement([])
        elif sign in ("}", ";"):
            if current.words:
                stack[-1].append(current)
            current = _Statement([])
            if sign == "}" and len(stack) > 1:
                stack.pop()
        elif quoted is not None or word is not None:
            current.words.append(word if quoted is None else re.sub(r"\\(.)", r"\1", quoted))
    return top


def _included(
    statements: Sequence[_Statement], folder: str, read: Read, unread: list[str], depth: int
) -> Iterator[_Statement]:
    """The statements with those of included files in their place, within views, too."""
    for statement in statements:
        if statement.words[:1] == ["include"] and len(statement.words) > 1:
            path = _absolute(statement.words[1], folder)
            text = read(path) if depth < MAX_DEPTH else None
            if text is None:
                unread.append(path)
            else:
                yield from _included(_parse(text), folder, read, unread, depth + 1)
            continue
        block = list(_included(statement.block, folder, read, unread, depth))
        if statement.words[:1] == ["options"]:
            folder = _directory([_Statement(statement.words, block)]) or folder
        yield _Statement(statement.words, block)


def _directory(statements: Sequence[_Statement]) -> str:
    for statement in statements:
        if statement.words[:1] == ["options"]:
            for option in statement.block:
                if option.words[:1] == ["directory"] and len(option.words) > 1:
                    return option.words[1]
    return ""


def _zones(statements: Sequence[_Statement], folder: str, view: str = "") -> Iterator[NamedZone]:
    for statement in statements:
        match statement.words:
            case ["view", name, *_]:
                yield from _zones(statement.block, folder, name)
            case ["zone", name, *_]:
                values = {each.words[0]: each.words[1] for each in statement.block if len(each.words) > 1}
                file = _absolute(values.get("file", ""), folder)
                yield NamedZone(_name(name), _kind(values.get("type", "")), file, view)


def _name(name: str) -> str:
    return name.removesuffix(".").lower()


def _kind(word: str) -> str:
    return "primary" if word in _PRIMARY else "secondary" if word == "slave" else word


def _boot(text: str, folder: list[str], read: Read, unread: list[str], depth: int) -> Iterator[NamedZone]:
    """named.boot: a directive a line, `;` before a comment. `directory` holds for what follows, also outside."""
    for line in text.split("\n"):
        match line.partition(";")[0].split():
            case ["directory", path, *_]:
                folder[0] = path
            case ["include", path, *_]:
                path = _absolute(path, folder[0])
                included = read(path) if depth < MAX_DEPTH else None
                if included is None:
                    unread.append(path)
                else:
                    yield from _boot(included, folder, read, unread, depth + 1)
            case [("primary" | "primary/IN"), name, file, *_]:
                yield NamedZone(_name(name), "primary", _absolute(file, folder[0]))
            case [("secondary" | "secondary/IN" | "stub"), name, *_]:
                yield NamedZone(_name(name), "secondary")
