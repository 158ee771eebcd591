"""shadow(5): the passwords of a domain's accounts.

`login:hash:last change:min:max:warn:inactive:expires:reserved`, one account a line; days are counted from
1970-01-01. The ages in fields 4 to 7 are not used, and an edit keeps them. Of several lines with one login
the first counts. No message repeats what stands in the place of a password.
"""

from __future__ import annotations

import re

from vmaild.address import fold
from vmaild.core.directory import ShadowEntry, Source
from vmaild.core.findings import Finding
from vmaild.formats.edit import (
    is_blank_or_comment,
    numbered_lines,
    places_of,
    with_line_appended,
    with_place_replaced,
    without_places,
)
from vmaild.formats.parsed import FormatError, Parsed, quoted
from vmaild.formats.passwd import valid_login

_FIELDS = 9
_SHAPE = "write login:hash:last change:min:max:warn:inactive:expires: with days or nothing for the numbers"
_NEW_LINE = ":::0:99999:7:::"
"""What useradd(8) writes where nothing else is asked for."""
# crypt(5): a method with its prefix, extended DES, classic DES; shadow(5): a password field which starts with an
# exclamation mark is locked, and any other that crypt(3) cannot have made lets nobody in.
_PASSWORD = re.compile(r"[!*].*|\$[!-9;-~]+|_[./0-9A-Za-z]{19}|[./0-9A-Za-z]{13}")
# A line in which nothing can be wrong, as nearly all are.
_PLAIN_LINE = re.compile(
    r"^(?:#.*|([A-Za-z0-9_][A-Za-z0-9_.-]{0,63}):(?:[!*][ -9;-~]*|\$[!-9;-~]+|[./0-9A-Za-z]{13}):[0-9]{0,9}"
    r"(?::[0-9]*){4}:[0-9]{0,9}:[0-9]*)?$",
    re.MULTILINE,
)
_DAYS = re.compile(r"[0-9]{1,9}")


def parse_shadow(text: str, path: str, first_line: int = 1) -> Parsed[ShadowEntry]:
    """The entries of a shadow file, whose text was decoded as UTF-8 with surrogateescape.

    `first_line`: its number, where the text is a part of the file.
    """
    entries: list[ShadowEntry] = []
    findings: list[Finding] = []
    lines: dict[str, int] = {}
    for number, line in numbered_lines(text, first_line):
        if is_blank_or_comment(line):
            continue
        try:
            entry = _entry(line, Source(path, number))
            first = lines.setdefault(fold(entry.login), number)
            if first != number:
                raise FormatError(
                    f"login {quoted(entry.login)} stands on line {first} already, which is in force",
                    "remove one of the two lines",
                )
        except FormatError as error:
            findings.append(error.at(path, number))
            continue
        entries.append(entry)
        count = line.count(":") + 1
        if count < _FIELDS:
            findings.append(
                Finding(
                    path, number, f"the line of {quoted(entry.login)} has {count} fields, not {_FIELDS}", _SHAPE
                )
            )
        problem = _password_problem(entry)
        if problem is not None:
            findings.append(Finding(path, number, problem, "set a new one with 'vmail user passwd'"))
    return Parsed(tuple(entries), tuple(findings))


def plain_passwords(text: str) -> dict[str, int] | None:
    """The line of each folded login, from 0, where there is nothing in the file to be told of.

    None where it needs a closer look. Ten times as fast as parse_shadow.
    """
    logins = _PLAIN_LINE.findall(text)
    numbers = {login.lower(): number for number, login in enumerate(logins) if login}
    is_plain = len(logins) > text.count("\n") and len(numbers) == len(logins) - logins.count("")
    return numbers if is_plain else None


def plain_password(line: str, source: Source) -> ShadowEntry:
    """The entry of one line of such a file."""
    return _entry(line, source)


def with_entry(text: str, entry: ShadowEntry) -> str:
    """Put the entry on the line of its login, else at the end; an entry has fields 1 to 3 and 8.

    Raises FormatError for what a shadow file cannot hold.
    """
    places = places_of(text, fold(entry.login), _key)
    if not places:
        return with_line_appended(text, _edited(_NEW_LINE, entry))
    return with_place_replaced(text, places[0], lambda line: _edited(line, entry))


def without_entry(text: str, login: str) -> str:
    """Take an entry out, with any later line of the same login, which would come into force instead."""
    return without_places(text, places_of(text, fold(login), _key))


def _key(line: str) -> str | None:
    """The folded login of a good line."""
    try:
        return None if is_blank_or_comment(line) else fold(_entry(line, Source("")).login)
    except FormatError:
        return None


def _entry(line: str, source: Source) -> ShadowEntry:
    fields = _fields(line)
    login = fields[0]
    if line[0] in "+-":
        raise FormatError(f"{quoted(login)} is an entry of NIS, which is not read here", "remove the line")
    if len(fields) != _FIELDS:
        count = "1 field" if len(fields) == 1 else f"{len(fields)} fields"
        raise FormatError(f"the line of {quoted(login)} has {count}, not {_FIELDS}", _SHAPE)
    problem = valid_login(login)
    if problem is not None:
        raise FormatError(problem, "write the login as it stands in the passwd file")
    return ShadowEntry(
        login, fields[1], _days("last change", fields[2], login), _days("expiry", fields[7], login), source
    )


def _fields(line: str) -> list[str]:
    """The fields of a line; those that a short one leaves out are empty, as fgetspent(3) bears `login:hash`."""
    fields = line.split(":")
    return fields + [""] * (_FIELDS - len(fields)) if len(fields) > 1 else fields


def _days(name: str, value: str, login: str) -> int | None:
    if value in {"", "-1"}:  # -1: "not set" to the C library and to chage(1)
        return None
    if _DAYS.fullmatch(value) is None:
        raise FormatError(
            f"{name} {quoted(value)} of {quoted(login)} is not a number of days",
            "write the days since 1970-01-01, or nothing",
        )
    return int(value)


def _password_problem(entry: ShadowEntry) -> str | None:
    if not entry.password:
        return f"{quoted(entry.login)} has no password, so nobody can log in"
    if _PASSWORD.fullmatch(entry.password) is None:
        return f"the password of {quoted(entry.login)} is not a hash of crypt(5), so nobody can log in"
    return None


def _edited(line: str, entry: ShadowEntry) -> str:
    problem = valid_login(entry.login)
    if problem is not None:
        raise FormatError(problem, "give the login of an account")
    fields = _fields(line)
    if fields[1] != entry.password and (":" in entry.password or not entry.password.isprintable()):
        raise FormatError(
            f"the hash for {quoted(entry.login)} cannot stand in a shadow file", "give one of crypt(5)"
        )
    fields[0], fields[1] = entry.login, entry.password
    for place, days in ((2, entry.last_change), (7, entry.expires)):
        if _days("", fields[place], entry.login) != days:
            if days is not None and not 0 <= days < 10**9:
                raise FormatError(f"{days} is not a number of days", "give the days since 1970-01-01")
            fields[place] = "" if days is None else str(days)
    return ":".join(fields)
