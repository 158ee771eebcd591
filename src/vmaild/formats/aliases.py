r"""aliases(5) of Sendmail and Postfix: names and their targets.

    # the office
    office: alice, bob,
        "Joe Who" <joe@example.org>     (quotes, comments in parentheses)
    reports: "|/usr/bin/file-report --into a,b"
    joe: \joe, "/var/log/joe"
    "joe who": joe
    list: :include:/etc/vmail/list

An entry starts at the beginning of a line, and lines that start with white space continue it. So does a line
below one that ends with a comma or with a backslash, unless it starts an entry itself. Blank lines and lines
whose first character that is no blank is `#` say nothing, wherever they stand. Of several entries with one
name the first counts. An entry with a fault in it is passed over whole: half of a list would lose mail unseen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vmaild.address import Address, AddressError, fold, parse_address
from vmaild.core.directory import AliasEntry, IncludeList, Source
from vmaild.core.findings import Finding
from vmaild.formats.edit import (
    is_blank_or_comment,
    numbered_lines,
    with_line_appended,
    with_lines_replaced,
    without_lines,
)
from vmaild.formats.parsed import FormatError, Parsed, is_utf8, quoted

MAX_LINE = 100
"""Characters to which an entry is written on one line; a longer one has a line for each target."""

INCLUDE = ":include:"

_WORD = r"[\w.+-]+"
_SIMPLE_TARGET = rf"{_WORD}(?:@[A-Za-z0-9]+(?:[.-][A-Za-z0-9]+)*)?"
_SIMPLE_TARGETS = rf"{_SIMPLE_TARGET}(?:[ \t]*,[ \t]*{_SIMPLE_TARGET})*"
_SIMPLE_LIST = re.compile(_SIMPLE_TARGETS, re.ASCII)
_SIMPLE_ENTRY = re.compile(rf"({_WORD})[ \t]*:[ \t]*({_SIMPLE_TARGETS})[ \t]*", re.ASCII)
_SIMPLE_LENGTH = 63
"""To this length the simple forms need no check: no part of a name or a domain can be too long."""

_NAME = re.compile(r'((?:[^"\\:,(]|\\.|"(?:[^"\\]|\\.)*"|\([^()]*\))*):')
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_PIECE = re.compile(r'[^"\\(),]+|"(?:[^"\\]|\\.)*"|\\.|[(),]')
_PARENTHESIS = re.compile(r"\\.|[()]")
_ESCAPE = re.compile(r"\\(.)")
_ATOM = re.compile(r'[^\s"\\(),:;<>@\[\]]+')
_ADDRESS = re.compile(r'[^\s"\\(),;<>]+')
_PATH = re.compile(r'[^\s"\\(),;<>]+')
_INCLUDE = re.compile(rf"{INCLUDE}\s*", re.IGNORECASE)
# What needs no quotes when written; number sign and stroke may stand in a name, but mean something at its start.
_BARE_NAME = re.compile(r'[^\s"\\(),:;<>@\[\]|/#]+')
_BARE_TARGET = re.compile(rf'(?:\\|{INCLUDE})?[^\s"\\(),:;<>@\[\]|#]+')


@dataclass(slots=True)
class _Statement:
    """What stands on one line and those that continue it."""

    line: int
    text: str
    more: list[int]
    """The numbers of the lines that continue it."""


def parse_aliases(text: str, path: str) -> Parsed[AliasEntry]:
    """The entries of an alias file, whose text was decoded as UTF-8 with surrogateescape."""
    entries: list[AliasEntry] = []
    findings: list[Finding] = []
    lines: dict[str, int] = {}
    for statement in _statements(text):
        try:
            name, targets = _entry(statement.text)
            first = lines.setdefault(fold(name), statement.line)
            if first != statement.line:
                raise FormatError(
                    f"alias {quoted(name)} stands on line {first} already, which is in force",
                    "write all its targets there and remove this one",
                )
        except FormatError as error:
            findings.append(error.at(path, statement.line))
        else:
            entries.append(AliasEntry(name, targets, Source(path, statement.line)))
    return Parsed(tuple(entries), tuple(findings))


def parse_include(text: str, path: str) -> tuple[IncludeList, tuple[Finding, ...]]:
    """The targets of a file that `:include:` names: on each line one, or several with commas."""
    targets: list[tuple[str, Source]] = []
    findings: list[Finding] = []
    for number, line in numbered_lines(text):
        if is_blank_or_comment(line):
            continue
        try:
            targets += ((target, Source(path, number)) for target in _targets(line.strip()))
        except FormatError as error:
            findings.append(error.at(path, number))
    return IncludeList(tuple(targets)), tuple(findings)


def render_alias(name: str, targets: Sequence[str]) -> str:
    """An entry, without its last line end. Raises FormatError for what is no name or no target."""
    _check_name(name)
    if not targets:
        raise _no_targets(name)
    written_name = name if _BARE_NAME.fullmatch(name) else _in_quotes(name)
    written = [_written(target) for target in targets]
    line = f"{written_name}: {', '.join(written)}"
    return line if len(line) <= MAX_LINE else f"{written_name}:\n    " + ",\n    ".join(written)


def with_alias(text: str, name: str, targets: Sequence[str]) -> str:
    """Put the entry where its name stands, else at the end. Raises FormatError as render_alias does."""
    rendered = render_alias(name, targets)
    statement = next(_entries_of(text, name), None)
    if statement is None:
        return with_line_appended(text, rendered)
    if _entry(statement.text) == (name, tuple(targets)):
        return text
    return with_lines_replaced(text, (statement.line, *statement.more), rendered)


def without_alias(text: str, name: str) -> str:
    """Take an entry out, with any later one of the same name, which would come into force instead."""
    for statement in reversed(list(_entries_of(text, name))):
        lines = (statement.line, *statement.more)
        above = text.split("\n")[: statement.line - 1][-1:]
        # The line below must not become the continuation of the line above.
        joins = any(line.rstrip().endswith((",", "\\")) for line in above)
        text = with_lines_replaced(text, lines, "") if joins else without_lines(text, lines)
    return text


def _statements(text: str) -> Iterator[_Statement]:
    """Join the lines that belong together. A first line that is indented makes a statement, of no use, too."""
    statement: _Statement | None = None
    joins = False
    for number, line in numbered_lines(text):
        if is_blank_or_comment(line):
            joins = False
            continue
        if statement is not None and (line[0] in " \t" or (joins and not _starts_entry(line))):
            statement.text += line
            statement.more.append(number)
        else:
            if statement is not None:
                yield statement
            statement = _Statement(number, line, [])
        backslash = line.endswith("\\") and not line.endswith("\\\\")
        if backslash:
            statement.text = statement.text[:-1]
        joins = backslash or line.rstrip().endswith(",")
    if statement is not None:
        yield statement


def _starts_entry(line: str) -> bool:
    found = _NAME.match(line)
    return found is not None and found[1].strip() != "" and line[0] not in "|/"


def _entries_of(text: str, name: str) -> Iterator[_Statement]:
    """The good entries of a name."""
    key = fold(name)
    for statement in _statements(text):
        try:
            if fold(_entry(statement.text)[0]) == key:
                yield statement
        except FormatError:
            continue


def _entry(text: str) -> tuple[str, tuple[str, ...]]:
    """The name and the targets of a statement."""
    if len(text) <= _SIMPLE_LENGTH:
        simple = _SIMPLE_ENTRY.fullmatch(text)
        if simple is not None:
            return simple[1], _split(simple[2])
    if text[0] in " \t":
        raise FormatError(
            f"{quoted(text.strip())} is indented, but there is no entry above that it continues",
            "write 'name: target' from the beginning of the line",
        )
    found = _NAME.match(text)
    if found is None:
        if text.count('"') % 2:
            raise _unbalanced(text)
        raise FormatError(
            f"{quoted(text.strip())} has no ':' after a name",
            "write 'name: target', or indent the line if it continues the one above",
        )
    name = _name(found[1])
    targets = _targets(text[found.end() :].strip())
    if not targets:
        raise _no_targets(name)
    return name, targets


def _name(raw: str) -> str:
    raw = "".join(_items(raw)).strip()
    in_quotes = _QUOTED.fullmatch(raw)
    if in_quotes is not None:
        name = _ESCAPE.sub(r"\1", in_quotes[1])
    elif "@" in raw:
        raise FormatError(f"the name {quoted(raw)} has a domain", "write the name without a domain")
    elif raw and _ATOM.fullmatch(raw) is None:
        raise FormatError(f"the name {quoted(raw)} needs double quotes", f"write {_in_quotes(raw)}")
    else:
        name = raw
    _check_name(name)
    return name


def _check_name(name: str) -> None:
    if not name:
        raise FormatError("there is no name before the ':'", "write 'name: target'")
    if not name.isprintable():
        raise FormatError(
            f"the name {quoted(name)} {_unprintable(name)}", "write it in UTF-8, without such characters"
        )


def _targets(text: str) -> tuple[str, ...]:
    """The targets in a list with commas; there may be none."""
    if len(text) <= _SIMPLE_LENGTH and _SIMPLE_LIST.fullmatch(text):
        return _split(text)
    return tuple(_target(item.strip()) for item in _items(text) if item.strip())


def _split(text: str) -> tuple[str, ...]:
    """The targets of a simple list."""
    return tuple(target.strip() for target in text.split(",")) if "," in text else (text,)


def _items(text: str) -> Iterator[str]:
    """Cut a list at its commas; comments (RFC 5322 3.2.2) become blanks, quotes and escapes stay."""
    item = ""
    position = 0
    while position < len(text):
        found = _PIECE.match(text, position)
        if found is None:
            raise _unbalanced(text[position:])
        piece, position = found[0], found.end()
        if piece == ",":
            yield item
            item = ""
        elif piece in {"(", ")"} and not item.lstrip().startswith("|"):
            position = _after_comment(text, position - 1)
            item += " "
        else:
            item += piece
    yield item


def _after_comment(text: str, start: int) -> int:
    depth = 0
    for found in _PARENTHESIS.finditer(text, start):
        depth += {"(": 1, ")": -1}.get(found[0], 0)
        if depth <= 0:
            break
    if depth:
        raise FormatError(
            f"the parenthesis in {quoted(text[start:])} has no partner",
            "close the comment, or put the target in double quotes",
        )
    return found.end()


def _target(raw: str) -> str:
    r"""One target, from the quotes and escapes that it is written with."""
    in_quotes = _QUOTED.fullmatch(raw)
    if in_quotes is not None:
        target = _unescaped(in_quotes[1])
    elif raw.startswith("|"):
        command = raw[1:].strip()
        in_quotes = _QUOTED.fullmatch(command)
        target = "|" + (_ESCAPE.sub(r"\1", in_quotes[1]) if in_quotes else command)
    elif raw.endswith(">") and "<" in raw:
        return _target(raw.rpartition("<")[2][:-1].strip())
    else:
        target = _unquoted(raw)
    target = _INCLUDE.sub(INCLUDE, target, count=1) if target.startswith(":") else target
    _check_target(target)
    return target


def _unquoted(raw: str) -> str:
    """A target that is not in quotes as a whole."""
    if '"' not in raw and re.search(r"\s#", raw):
        raise FormatError(f"a comment stands behind a target: {quoted(raw)}", "put it on a line of its own")
    include = _INCLUDE.match(raw)
    if include is not None:
        path = raw[include.end() :]
        in_quotes = _QUOTED.fullmatch(path)
        return INCLUDE + (_ESCAPE.sub(r"\1", in_quotes[1]) if in_quotes else _plain(path, _PATH))
    if raw[0] == ":":
        return raw
    if raw[0] == "/":
        return _plain(raw, _PATH)
    if "@" not in raw:
        return _plain(raw, _ATOM)
    if '"' in raw:
        return raw
    plain = _plain(raw, _ADDRESS)
    if "\\" in raw[1:]:  # RFC 822 had escapes outside of quotes
        local_part, _, domain = plain.rpartition("@")
        return f"{Address(local_part)}@{domain}"
    return plain


def _plain(raw: str, allowed: re.Pattern[str]) -> str:
    """A text without quotes, its escapes resolved. Raises FormatError where it needs quotes."""
    escaped = _ESCAPE.sub("x", raw)
    if not raw or allowed.fullmatch(escaped):
        return _unescaped(raw)
    character = escaped[len(found[0]) if (found := allowed.match(escaped)) else 0]
    if allowed is _PATH:
        remedy = "put the whole target in double quotes"
    elif character.isspace():
        remedy = "put commas between targets, and double quotes around a name with a blank in it"
    else:
        remedy = "put the name in double quotes, or remove that character"
    raise FormatError(f"the target {quoted(raw)} contains {_named(character)}", remedy)


def _unescaped(text: str) -> str:
    r"""Resolve escapes, but for the backslash of `\joe`, which is part of the target, in quotes too."""
    means_account = re.match(r"\\\w", text) is not None
    return ("\\" if means_account else "") + _ESCAPE.sub(r"\1", text)


def _check_target(target: str) -> None:
    """Raises FormatError for what can be no target."""
    name = target.removeprefix("\\")
    if not name.strip():
        raise FormatError("there is an empty target", "remove it, or write one between the quotes")
    if target[0] in "|/:":
        _check_path(target)
    elif target.startswith(("./", "../", "~")):
        raise FormatError(f"the target {quoted(target)} is a relative path", "write the whole path, from '/' on")
    elif not target.isprintable():
        raise FormatError(
            f"the target {quoted(target)} {_unprintable(target)}", "write it in UTF-8, without such characters"
        )
    elif "@" in name:
        try:
            parse_address(name)
        except AddressError:
            raise FormatError(
                f"the target {quoted(target)} is not a mail address", "write it like joe@example.org"
            ) from None


def _check_path(target: str) -> None:
    """A command, a file or a list: their names are bytes, not always UTF-8."""
    if any(character in target for character in "\0\r\n"):
        raise FormatError(f"the target {quoted(target)} contains a control character", "remove it")
    if target[0] == "|" and not target[1:].strip():
        raise FormatError("there is no command after '|'", "write the path of a program after it")
    if target[0] == ":":
        if not target.startswith(INCLUDE):
            raise FormatError(
                f"the target {quoted(target)} is of no known kind", "write ':include:/path' for a list"
            )
        if not target.startswith(INCLUDE + "/"):
            raise FormatError(
                f"the list {quoted(target.removeprefix(INCLUDE))} of ':include:' is not an absolute path",
                "write the whole path, from '/' on",
            )


def _written(target: str) -> str:
    """A target as it stands in a file."""
    _check_target(target)
    if _BARE_TARGET.fullmatch(target):
        return target
    # Quotes around a whole address would hide its domain from other readers of the file.
    if "@" in target and target[0] not in "|/:#" and _target_or_none(target) == target:
        return target
    return _in_quotes(target)


def _target_or_none(raw: str) -> str | None:
    try:
        return _target(raw)
    except FormatError:
        return None


def _in_quotes(text: str) -> str:
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


def _no_targets(name: str) -> FormatError:
    return FormatError(
        f"alias {quoted(name)} has no targets", "write at least one after the ':', or remove the line"
    )


def _unbalanced(text: str) -> FormatError:
    return FormatError(f"the double quote in {quoted(text.strip())} is not closed", "close it, on the same line")


def _named(character: str) -> str:
    return "a blank" if character.isspace() else f"'{character}'"


def _unprintable(text: str) -> str:
    return "contains a control or invisible character" if is_utf8(text) else "is not UTF-8"
