"""passwd(5): the accounts of a domain, as a real server's file has them.

`login:password:uid:gid:gecos:home:shell`, one account a line. The password field is not used. The full name
is the first of the comma-separated fields of gecos, where `&` stands for the capitalised login. What else an
account has are words of a later one (of the fifth, "other", where we write them), next to those that pam_umask(8)
looks for there: `quota=SIZE`, `quota_messages=NUMBER`, and `folders=existing` or `folders=create`. Of
several lines with one login the first counts, as it does for getpwnam(3).

An edit keeps what an Account does not hold: the password field, the rooms and telephones in gecos, other words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from vmaild.address import fold
from vmaild.core.directory import Account, Source, SubFolders
from vmaild.core.findings import Finding
from vmaild.formats.edit import (
    is_blank_or_comment,
    numbered_lines,
    places_of,
    with_line_appended,
    with_place_replaced,
    without_places,
)
from vmaild.formats.parsed import FormatError, Parsed, is_utf8, quoted, shown
from vmaild.formats.size import parse_size, render_size

MAX_LOGIN = 64
"""Octets of a login; RFC 5321 4.5.3.1.1 has the same bound for a local part."""
MAX_ID = 2**32 - 2
"""The largest uid and gid; one more is (uid_t) -1, "no user" to chown(2)."""

_PLAIN_LOGIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
# A line in which nothing can be wrong, as nearly all are in a big file.
_SIMPLE_LINE = re.compile(
    r"([A-Za-z0-9_][A-Za-z0-9_.-]{0,63}):[x*]?:([0-9]{1,9}):([0-9]{1,9}):"
    r"([^:,&\ud800-\udfff]*)(?:,[^:=]*(?:(?<=[, ])quota=([0-9]{1,9}[kKmMgGtT]?))?"
    r"(?:(?: |(?<=[, ]))quota_messages=([0-9]{1,9}))?(?:(?: |(?<=[, ]))folders=(existing|create))?)?"
    r":([ -9;-~]*):([ -9;-~]*)"
)
_PLAIN_LINE = re.compile(rf"^(?:#.*|{_SIMPLE_LINE.pattern})?$", re.MULTILINE)
_LARGE_SIZE = re.compile(r"quota=[0-9]{7}")
"""One that may be too large for its unit."""
_WORDS = ("quota", "quota_messages", "folders")
_WORD = {name: re.compile(rf"(?<=[,\s]){name}=([^,\s]*)", re.IGNORECASE) for name in _WORDS}
_UNWRITABLE = re.compile(r"[,:&]")
_UNFIT = frozenset('|\\"()<>,;[]!')
"""Of a new login; the last one is a path of UUCP to Sendmail."""
_SHORTEST_HASH = 13
"""Characters of a password of the classic DES crypt(3)."""
_OTHER = 4
"""Place of the field "other" among the comma-separated fields of gecos (chfn(1))."""


def parse_passwd(text: str, path: str, first_line: int = 1) -> Parsed[Account]:
    """The accounts of a passwd file, whose text was decoded as UTF-8 with surrogateescape.

    `first_line`: its number, where the text is a part of the file.
    """
    accounts: list[Account] = []
    findings: list[Finding] = []
    lines: dict[str, int] = {}
    for number, line in numbered_lines(text, first_line):
        if is_blank_or_comment(line):
            continue
        try:
            account, faults = _account(line, Source(path, number))
            first = lines.setdefault(fold(account.login), number)
            if first != number:
                raise FormatError(
                    f"login {quoted(account.login)} stands on line {first} already, which is in force",
                    "remove one of the two lines",
                )
        except FormatError as error:
            findings.append(error.at(path, number))
            continue
        accounts.append(account)
        if faults:
            findings += [fault.at(path, number) for fault in faults]
    return Parsed(tuple(accounts), tuple(findings))


def plain_accounts(text: str) -> dict[str, int] | None:
    """The line of each folded login, from 0, where there is nothing in the file to be told of.

    None where it needs a closer look. Ten times as fast as parse_passwd.
    """
    if _LARGE_SIZE.search(text):
        return None
    logins = [line[1] or "" for line in _PLAIN_LINE.finditer(text)]
    numbers = {login.lower(): number for number, login in enumerate(logins) if login}
    is_plain = len(logins) > text.count("\n") and len(numbers) == len(logins) - logins.count("")
    return numbers if is_plain else None


def plain_account(line: str, source: Source) -> Account:
    """The account of one line of such a file; nothing is checked twice, since each recipient asks for one."""
    login, _, uid, gid, gecos, home, shell = line.split(":")
    if "," in gecos:
        return _account(line, source)[0]
    return Account(login, int(uid), int(gid), gecos, home, shell, None, False, source)


def plain_names(text: str) -> Iterator[tuple[str, str]]:
    """The folded login and the full name of each line of such a file."""
    for line in text.split("\n"):
        if line and line[0] != "#":
            login, _, _, _, gecos, _ = line.split(":", 5)
            yield login.lower(), gecos.partition(",")[0]


def render_account(account: Account) -> str:
    """One line, without its line end. Raises FormatError for what a passwd file cannot hold."""
    return _edited(":x:::::", account)


def with_account(text: str, account: Account) -> str:
    """Put the account on the line of its login, else at the end. Raises FormatError as render_account does."""
    places = places_of(text, fold(account.login), _key)
    if not places:
        return with_line_appended(text, render_account(account))
    return with_place_replaced(text, places[0], lambda line: _edited(line, account))


def without_account(text: str, login: str) -> str:
    """Take an account out, with any later line of the same login, which would come into force instead."""
    return without_places(text, places_of(text, fold(login), _key))


def valid_login(login: str) -> str | None:
    """What is wrong with a login, or None. A login names a folder and stands in mail addresses."""
    if _PLAIN_LOGIN.fullmatch(login):
        return None
    problem = None
    if not login:
        problem = "is empty"
    elif not is_utf8(login):
        problem = "is not UTF-8"
    elif any(map(str.isspace, login)):
        problem = "contains a blank"
    elif not login.isprintable():
        problem = "contains a control or invisible character"
    elif login in {".", ".."}:
        problem = "is a name that every folder has already"
    elif login.startswith(("-", "+", "#")):
        problem = f"starts with '{login[0]}'"
    elif len(login.encode()) > MAX_LOGIN:
        problem = f"is longer than {MAX_LOGIN} bytes"
    else:
        # At sign and percent sign stand between login and domain in bob@va.toto.fr and bob%va.toto.fr.
        bad = next((character for character in "/:@%" if character in login), None)
        if bad is not None:
            problem = f"contains '{bad}'"
    return f"login '{shown(login)}' {problem}" if problem else None


def unfit_login(login: str) -> str | None:
    r"""Why a valid login should not be given to a new account, or None. One that is there already works.

    Alias files take `|login` for a command and `\login`, quotes and commas for something else, too; mail programs
    accept no address with what RFC 5321 section 4.1.2 allows in quotes only; names with a dot in front are ours.
    """
    bad = next((character for character in login if character in _UNFIT), None)
    if bad is not None:
        return (
            f"login {quoted(login)} contains '{bad}', which alias files and mail programs take for something else"
        )
    if login.startswith(".") or login.endswith(".") or ".." in login:
        return f"login {quoted(login)} has a dot at an end, or two together, which mail addresses have not"
    return None


def _key(line: str) -> str | None:
    """The folded login of a good line."""
    try:
        return None if is_blank_or_comment(line) else fold(_fields(line)[0])
    except FormatError:
        return None


def _fields(line: str) -> list[str]:
    """The seven fields of a good line. Raises FormatError; never repeats the password field, which may be one."""
    fields = line.split(":")
    login = fields[0]
    if line[0] in "+-":
        raise FormatError(
            f"{quoted(login)} is an entry of NIS, which is not read here",
            "remove the line, and add each account that is to have mail",
        )
    if len(fields) != 7:
        raise FormatError(
            f"the line of {quoted(login)} has {_fields_of(len(fields))}, not 7",
            "write login:x:uid:gid:full name:home:shell",
        )
    problem = valid_login(login)
    if problem is not None:
        raise FormatError(problem, "write a login of letters, digits, '.', '-' and '_'")
    for name, value in (("uid", fields[2]), ("gid", fields[3])):
        if not (value.isascii() and value.isdecimal() and len(value) <= 10 and int(value) <= MAX_ID):
            raise FormatError(
                f"{name} {quoted(value)} of {quoted(login)} is not a number from 0 to {MAX_ID}",
                "write a number such as 60000",
            )
    if not line.isprintable():
        for name, value in (("home", fields[5]), ("shell", fields[6])):
            if not value.isprintable():
                what = "has a control character" if is_utf8(value) else "is not UTF-8"
                raise FormatError(
                    f"{name} {quoted(value)} of {quoted(login)} {what}", "write it in UTF-8, or rename it"
                )
    return fields


def _fields_of(count: int) -> str:
    return "1 field" if count == 1 else f"{count} fields"


def _account(line: str, source: Source) -> tuple[Account, Sequence[FormatError]]:
    """The account of a line, and what is wrong with its lesser parts. Raises FormatError for a line of no use."""
    simple = _SIMPLE_LINE.fullmatch(line)
    if simple is not None and not (simple[5] and _LARGE_SIZE.search(line)):
        login, uid, gid, full_name, size, messages, folders, home, shell = simple.groups()
        quota = parse_size(size) if size else None
        if messages or folders:
            many, into = int(messages) if messages else None, SubFolders(folders or "none")
            return Account(login, int(uid), int(gid), full_name, home, shell, quota, False, source, many, into), ()
        return Account(login, int(uid), int(gid), full_name, home, shell, quota, False, source), ()
    login, password, uid, gid, gecos, home, shell = _fields(line)
    faults = []
    if len(password) >= _SHORTEST_HASH and password[0] not in "*!":
        faults.append(
            FormatError(
                f"the password of {quoted(login)} stands in this file, where it is not read",
                "move it to the shadow file, as pwconv(8) does, and leave an x",
            )
        )
    full_name, comma, _ = gecos.partition(",")
    if "&" in full_name or not full_name.isascii():
        full_name = _full_name(full_name, login)
    words: dict[str, Any] = {}
    for name, read in _READ.items() if comma else ():
        try:
            words[name] = read(gecos)
        except FormatError as error:
            word, instead = _SPELT[name]
            faults.append(FormatError(f"{word} of {quoted(login)}: {error.problem}, so {instead}", error.remedy))
    return Account(login, int(uid), int(gid), full_name, home, shell, source=source, **words), faults


def _full_name(field: str, login: str) -> str:
    """The full name in the first field of gecos. Old files are in Latin-1: such bytes are read so."""
    name = field.replace("&", login[:1].upper() + login[1:])
    if is_utf8(name):
        return name
    return (
        "".join(
            chr(ord(character) - 0xDC00) if "\udc80" <= character <= "\udcff" else character for character in name
        )
        .encode("utf-8", "replace")
        .decode()
    )


def _word(gecos: str, name: str) -> re.Match[str] | None:
    """A word of a later field."""
    place = gecos.find(",")
    return _WORD[name].search(gecos, place) if place >= 0 else None


def _quota(gecos: str) -> int | None:
    found = _word(gecos, "quota")
    if found is None:
        return None
    if not found[1]:
        raise FormatError("'quota=' has no size", "write a size after it, such as quota=100M")
    return parse_size(found[1])


def _quota_messages(gecos: str) -> int | None:
    found = _word(gecos, "quota_messages")
    return None if found is None else parse_count(found[1])


def _sub_folders(gecos: str) -> SubFolders:
    found = _word(gecos, "folders")
    return SubFolders.NONE if found is None else parse_sub_folders(found[1])


def parse_count(text: str) -> int:
    """A number of messages; 0: no limit. Raises FormatError."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise FormatError(f"{quoted(text)} is no number of messages", "write one such as 10000, or 0 for no limit")
    return int(text)


def parse_sub_folders(text: str) -> SubFolders:
    """Where mail for sub-addresses goes. Raises FormatError."""
    try:
        return SubFolders(text.lower())
    except ValueError:
        remedy = f"write one of {', '.join(SubFolders)}"
        raise FormatError(f"{quoted(text)} says nothing about folders", remedy) from None


_READ: dict[str, Callable[[str], object]] = {
    "quota": _quota,
    "quota_messages": _quota_messages,
    "sub_folders": _sub_folders,
}
_SPELT = {
    "quota": ("quota", "the quota of the domain is in force"),
    "quota_messages": ("quota_messages", "the quota of the domain is in force"),
    "sub_folders": ("folders", "all mail goes to the inbox"),
}
"""The word of each field of an Account, and what is in force where it is damaged."""


def _edited(line: str, account: Account) -> str:
    """The line with the values of the account. What it says already stays spelt as it is."""
    fields = line.split(":")
    problem = valid_login(account.login)
    if problem is not None:
        raise FormatError(problem, "choose a login of letters, digits, '.', '-' and '_'")
    fields[0] = account.login
    for place, name, number in ((2, "uid", account.uid), (3, "gid", account.gid)):
        if not fields[place] or int(fields[place]) != number:
            if not 0 <= number <= MAX_ID:
                raise FormatError(f"{name} {number} is out of range", f"give a number from 0 to {MAX_ID}")
            fields[place] = str(number)
    fields[4] = _edited_gecos(fields[4], account)
    for place, name, value in ((5, "home", account.home), (6, "shell", account.shell)):
        if ":" in value or not value.isprintable():
            raise FormatError(
                f"{name} {quoted(value)} cannot stand in a passwd file",
                "give a path without ':' and control characters",
            )
        fields[place] = value
    return ":".join(fields)


def _edited_gecos(gecos: str, account: Account) -> str:
    fields = gecos.split(",")
    if _full_name(fields[0], account.login) != account.full_name:
        if _UNWRITABLE.search(account.full_name) or not account.full_name.isprintable():
            raise FormatError(
                f"the full name {quoted(account.full_name)} cannot stand in a passwd file",
                "give it without ',', ':', '&' and control characters",
            )
        fields[0] = account.full_name
    gecos = ",".join(fields)
    written = {
        "quota": None if account.quota is None else render_size(account.quota),
        "quota_messages": None if account.quota_messages is None else str(account.quota_messages),
        "sub_folders": None if account.sub_folders is SubFolders.NONE else account.sub_folders.value,
    }
    for name, word in written.items():
        if not _says(gecos, name, getattr(account, name)):
            gecos = _with_word(gecos, _SPELT[name][0], word)
    return gecos


def _says(gecos: str, name: str, value: object) -> bool:
    """Whether gecos has that value already; a damaged word is as good as none."""
    try:
        return _READ[name](gecos) == value
    except FormatError:
        return value in {None, SubFolders.NONE}


def _with_word(gecos: str, name: str, value: str | None) -> str:
    """Set a word, or take it out (None)."""
    found = _word(gecos, name)
    if value is None:
        place = gecos.find(",")
        return gecos[:place] + _WORD[name].sub("", gecos[place:]) if found else gecos
    word = f"{name}={value}"
    if found is not None:
        return gecos[: found.start()] + word + gecos[found.end() :]
    fields = gecos.split(",")
    fields += [""] * (_OTHER + 1 - len(fields))
    fields[_OTHER] = f"{fields[_OTHER]} {word}".strip()
    return ",".join(fields)
