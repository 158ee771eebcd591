r"""The right-hand side of an alias, as aliases(5) of Sendmail and Postfix writes it.

A list with commas of names, addresses, `"|command"`, `"/file"`, `:include:/list` and `\account`. Double quotes
and backslashes take the meaning from a comma, a blank or a parenthesis; text in parentheses is a comment; of
`"Joe Who" <joe@example.org>` the address counts. A command may stand without quotes, and then goes on to the
next comma outside of quotes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from vmaild.address import Address, AddressError, parse_address
from vmaild.formats.parsed import FormatError, is_utf8, quoted, shown

INCLUDE = ":include:"

QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
"""A text in double quotes from its first character to its last; group 1 still has its escapes."""
ATOM = re.compile(r'[^\s"\\(),:;<>@\[\]]+')
"""What needs neither quotes nor escapes in a name (RFC 5322 3.2.3, and every character outside ASCII)."""

# The forms in which nothing can be wrong, as nearly all are in a big file: no part can be too long, either.
WORD = r"(?![^\s,:]{250})[\w.+-]+"
_LABEL = r"(?![a-zA-Z0-9-]{64})[a-zA-Z0-9]+(?:-+[a-zA-Z0-9]+)*"
_SIMPLE_TARGET = rf"{WORD}(?:@(?![^\s,]{{250}}){_LABEL}(?:\.{_LABEL})*)?"
SIMPLE_TARGETS = rf"{_SIMPLE_TARGET}(?:[ \t]*,[ \t]*{_SIMPLE_TARGET})*"
_SIMPLE_LIST = re.compile(SIMPLE_TARGETS, re.ASCII)

_PIECE = re.compile(r'[^"\\(),]+|"(?:[^"\\]|\\.)*"|\\.|[(),]')
_PARENTHESIS = re.compile(r"\\.|[()]")
_ESCAPE = re.compile(r"\\(.)")
_ACCOUNT = re.compile(r'\\[^\s"\\(),:;<>@\[\]]')
_COMMENT = re.compile(r"\s#")
_ADDRESS_OR_PATH = re.compile(r'[^\s"\\(),;<>]+')
_INCLUDE = re.compile(rf"{INCLUDE}\s*", re.IGNORECASE)
# What is written without quotes; a number sign or a stroke could mean something else at its place.
_BARE = re.compile(rf'(?:\\|{INCLUDE})?[^\s"\\(),:;<>@\[\]|#]+')


def parse_targets(text: str) -> tuple[str, ...]:
    """The targets in a list, as AliasEntry has them; there may be none. Raises FormatError."""
    if _SIMPLE_LIST.fullmatch(text):
        return split_simple(text)
    return tuple(_target(item.strip()) for item in items(text) if item.strip())


def render_target(target: str) -> str:
    """A target as it stands in a file. Raises FormatError for what is no target."""
    _check(target)
    if _BARE.fullmatch(target):
        return target
    # Quotes around a whole address would hide its domain from other readers of the file.
    if "@" in target and target[0] not in "|/:#" and _reads_as_itself(target):
        return target
    return in_quotes(target)


def split_simple(text: str) -> tuple[str, ...]:
    """The targets of a list of the form SIMPLE_TARGETS."""
    return tuple(target.strip() for target in text.split(",")) if "," in text else (text,)


def items(text: str) -> Iterator[str]:
    """Cut a list at its commas; comments (RFC 5322 3.2.2) become blanks, quotes and escapes stay as they are."""
    item = ""
    position = 0
    while position < len(text):
        found = _PIECE.match(text, position)
        if found is None:
            raise unbalanced(text[position:])
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


def resolved(text: str) -> str:
    """A text without the backslashes before its characters."""
    return _ESCAPE.sub(r"\1", text)


def in_quotes(text: str) -> str:
    """A text in double quotes: what QUOTED and `resolved` undo."""
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


def unbalanced(text: str) -> FormatError:
    """The fault of a quote that has no partner."""
    return FormatError(f"the double quote in {quoted(text.strip())} is not closed", "close it, or remove it")


def unprintable(text: str) -> str:
    """What is wrong with a text that cannot be printed, for a message."""
    return "contains a control or invisible character" if is_utf8(text) else "is not UTF-8"


def _after_comment(text: str, start: int) -> int:
    depth = 0
    end = start
    for found in _PARENTHESIS.finditer(text, start):
        depth += {"(": 1, ")": -1}.get(found[0], 0)
        end = found.end()
        if depth <= 0:
            break
    if depth:
        raise FormatError(
            f"the parenthesis in {quoted(text[start:])} has no partner",
            "close the comment, or put the target in double quotes",
        )
    return end


def _target(raw: str) -> str:
    """One target, from the quotes and escapes that it is written with."""
    whole = QUOTED.fullmatch(raw)
    if whole is not None:
        target = _resolved_name(whole[1])
    elif raw.startswith("|"):
        command = raw[1:].strip()
        whole = QUOTED.fullmatch(command)
        target = "|" + (resolved(whole[1]) if whole else command)
    elif raw.endswith(">") and "<" in raw:
        inner = raw.rpartition("<")[2][:-1].strip()
        return _target(inner)
    else:
        target = _unquoted(raw)
    if target.startswith(":"):
        target = _INCLUDE.sub(INCLUDE, target, count=1)
    _check(target)
    return target


def _unquoted(raw: str) -> str:
    """A target that is not in quotes as a whole."""
    if '"' not in raw and _COMMENT.search(raw):
        raise FormatError(f"a comment stands behind a target: {quoted(raw)}", "put it on a line of its own")
    include = _INCLUDE.match(raw)
    if include is not None:
        path = raw[include.end() :]
        whole = QUOTED.fullmatch(path)
        return INCLUDE + (resolved(whole[1]) if whole else _plain(path, _ADDRESS_OR_PATH))
    if raw.startswith(":"):
        return raw
    if raw.startswith("/"):
        return _plain(raw, _ADDRESS_OR_PATH)
    if "@" not in raw:
        return _plain(raw, ATOM)
    if '"' in raw:
        return raw
    plain = _plain(raw, _ADDRESS_OR_PATH)
    if "\\" in raw[1:]:  # RFC 822 had escapes outside of quotes
        local_part, _, domain = plain.rpartition("@")
        return f"{Address(local_part)}@{domain}"
    return plain


def _plain(raw: str, allowed: re.Pattern[str]) -> str:
    """A text without quotes, its escapes resolved. Raises FormatError where it needs quotes."""
    escaped = _ESCAPE.sub("x", raw)
    found = allowed.match(escaped)
    end = found.end() if found else 0
    if end == len(escaped):
        return _resolved_name(raw)
    blank = escaped[end].isspace()
    if raw.startswith("/"):
        remedy = "put the whole target in double quotes"
    elif blank:
        remedy = "put commas between targets, and double quotes around a name with a blank in it"
    else:
        remedy = "put the name in double quotes, or remove that character"
    raise FormatError(f"the target {quoted(raw)} contains {'a blank' if blank else repr(escaped[end])}", remedy)


def _resolved_name(text: str) -> str:
    r"""Resolve escapes, but for the backslash of `\joe`: it is part of the target, even in quotes (Sendmail)."""
    return ("\\" if _ACCOUNT.match(text) else "") + resolved(text)


def _check(target: str) -> None:
    """Raises FormatError for what can be no target."""
    name = target.removeprefix("\\")
    if not name.strip():
        raise FormatError("there is an empty target", "remove it, or write one between the quotes")
    if target.startswith(("|", "/", ":")):
        _check_path(target)
    elif target.startswith(("./", "../", "~")):
        raise FormatError(f"the target {quoted(target)} is a relative path", "write the whole path, from '/' on")
    elif not target.isprintable():
        raise FormatError(
            f"the target '{shown(target)}' {unprintable(target)}", "write it in UTF-8, without such characters"
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


def _reads_as_itself(target: str) -> bool:
    try:
        return parse_targets(target) == (target,)
    except FormatError:
        return False
