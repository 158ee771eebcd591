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

from vmaild.address import fold
from vmaild.core.directory import AliasEntry, IncludeList, Source
from vmaild.core.findings import Finding, Severity
from vmaild.core.routing import MAX_TARGETS
from vmaild.formats.edit import (
    is_blank_or_comment,
    numbered_lines,
    with_line_appended,
    with_lines_replaced,
    without_lines,
)
from vmaild.formats.parsed import FormatError, Parsed, quoted, shown
from vmaild.formats.targets import (
    ATOM,
    QUOTED,
    SIMPLE_TARGETS,
    WORD,
    in_quotes,
    items,
    parse_targets,
    render_target,
    resolved,
    split_simple,
    unbalanced,
    unprintable,
)

MAX_INCLUDE = 4 << 20
"""Bytes of a list that `:include:` names."""
MAX_INCLUDE_LINES = 100_000
_MAX_FINDINGS = 100
"""Faults of one list that are told each by itself."""

MAX_LINE = 100
"""Characters to which an entry is written on one line; a longer one has a line for each target."""

_SIMPLE_ENTRY = re.compile(rf"({WORD})[ \t]*:[ \t]*({SIMPLE_TARGETS})[ \t]*", re.ASCII)
_NAME = re.compile(r'((?:[^"\\:,(]|\\.|"(?:[^"\\]|\\.)*"|\([^()]*\))*):')
_BARE_NAME = re.compile(r'[^\s"\\(),:;<>@\[\]|/#]+')
"""What is written without quotes; a number sign, a stroke or a slash could mean something else at its place."""


@dataclass(slots=True)
class _Statement:
    """What stands on one line and those that continue it."""

    line: int
    parts: list[str]
    more: list[int]
    """The numbers of the lines that continue it."""

    @property
    def text(self) -> str:
        """What the lines say together."""
        return "".join(self.parts) if self.more else self.parts[0]


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


def parse_include(text: str, path: str) -> tuple[IncludeList | None, tuple[Finding, ...]]:
    """The targets of a file that `:include:` names: on each line one, or several with commas.

    None where there are more than any recipient may have: half of a list would lose mail unseen.
    """
    targets: list[tuple[str, Source]] = []
    findings: list[Finding] = []
    for number, line in numbered_lines(text):
        if number > MAX_INCLUDE_LINES or len(targets) > MAX_TARGETS:
            return None, (*findings, _too_long(path))
        if is_blank_or_comment(line) or len(findings) > _MAX_FINDINGS:
            continue
        try:
            targets += ((target, Source(path, number)) for target in parse_targets(line.strip()))
        except FormatError as error:
            findings.append(error.at(path, number))
    if len(targets) > MAX_TARGETS:
        return None, (*findings, _too_long(path))
    if len(findings) > _MAX_FINDINGS:
        return None, (*findings[:-1], _no_list(findings[-1]))
    return IncludeList(tuple(targets)), tuple(findings)


def render_alias(name: str, targets: Sequence[str]) -> str:
    """An entry, without its last line end. Raises FormatError for what is no name or no target."""
    _check_name(name)
    if not targets:
        raise _no_targets(name)
    written_name = name if _BARE_NAME.fullmatch(name) else in_quotes(name)
    written = [render_target(target) for target in targets]
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


def _too_long(path: str) -> Finding:
    return Finding(
        path,
        0,
        f"the list has more than {MAX_TARGETS} targets or {MAX_INCLUDE_LINES} lines, and none of it is in force",
        "cut it into lists of their own",
        Severity.ERROR,
    )


def _no_list(fault: Finding) -> Finding:
    return Finding(
        fault.path,
        fault.line,
        f"more than {_MAX_FINDINGS} lines are no targets, and nothing of the list is in force",
        "see that it is the right file",
        Severity.ERROR,
    )


def _statements(text: str) -> Iterator[_Statement]:
    """Join the lines that belong together. A first line that is indented makes a statement, of no use, too."""
    statement: _Statement | None = None
    joins = False
    for number, line in numbered_lines(text):
        if is_blank_or_comment(line):
            joins = False
            continue
        if statement is not None and (line[0] in " \t" or (joins and not _starts_entry(line))):
            statement.parts.append(line)
            statement.more.append(number)
        else:
            if statement is not None:
                yield statement
            statement = _Statement(number, [line], [])
        backslash = line.endswith("\\") and not line.endswith("\\\\")
        if backslash:
            statement.parts[-1] = line[:-1]
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
    simple = _SIMPLE_ENTRY.fullmatch(text)
    if simple is not None:
        return simple[1], split_simple(simple[2])
    if text.startswith((" ", "\t")):
        raise FormatError(
            f"{quoted(text.strip())} is indented, but there is no entry above that it continues",
            "write 'name: target' from the beginning of the line",
        )
    found = _NAME.match(text)
    if found is None:
        if text.count('"') % 2:
            raise unbalanced(text)
        raise FormatError(
            f"{quoted(text.strip())} has no ':' after a name",
            "write 'name: target', or indent the line if it continues the one above",
        )
    name = _name(found[1])
    targets = parse_targets(text[found.end() :].strip())
    if not targets:
        raise _no_targets(name)
    return name, targets


def _name(raw: str) -> str:
    raw = "".join(items(raw)).strip()
    whole = QUOTED.fullmatch(raw)
    if whole is not None:
        name = resolved(whole[1])
    elif "@" in raw:
        raise FormatError(f"the name {quoted(raw)} has a domain", "write the name without a domain")
    elif raw and ATOM.fullmatch(raw) is None:
        raise FormatError(f"the name {quoted(raw)} needs double quotes", f"write {shown(in_quotes(raw))}")
    else:
        name = raw
    _check_name(name)
    return name


def _check_name(name: str) -> None:
    if not name:
        raise FormatError("there is no name before the ':'", "write 'name: target'")
    if not name.isprintable():
        raise FormatError(
            f"the name '{shown(name)}' {unprintable(name)}", "write it in UTF-8, without such characters"
        )


def _no_targets(name: str) -> FormatError:
    return FormatError(
        f"alias {quoted(name)} has no targets", "write at least one after the ':', or remove the line"
    )
