"""Lists of accounts as spreadsheets write them: CSV (RFC 4180) with a first line that names the columns.

Comma, semicolon and tab separate; columns may come in any order and in English or French. Only who it is must be
there: `login`, or a whole `address`.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from vmaild.formats.parsed import FormatError, quoted

MAX_ROWS = 20_000
COLUMNS = {
    "login": "login",
    "identifiant": "login",
    "address": "login",
    "adresse": "login",
    "email": "login",
    "full_name": "full_name",
    "full name": "full_name",
    "name": "full_name",
    "nom": "full_name",
    "nom complet": "full_name",
    "quota": "quota",
    "password": "password",
    "mot de passe": "password",
}
"""What a column may be called, and what it holds."""


@dataclass(frozen=True, slots=True)
class AccountRow:
    """One line of the list."""

    line: int
    login: str
    """A login, or a whole address."""
    full_name: str = ""
    quota: str = ""
    password: str = field(default="", repr=False)
    """Empty: nobody can log in yet."""


def parse_accounts(content: bytes) -> list[AccountRow]:
    """The rows of a list; empty lines are passed over. Raises FormatError."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise FormatError(f"line {line} is not UTF-8", "save the list as 'CSV UTF-8'") from None
    if "\0" in text:
        raise FormatError("this is no text", "save the list as 'CSV UTF-8'")
    lines = [f"{line}\n" for line in text.replace("\r\n", "\n").split("\n")]
    head = lines[0] if lines else ""
    separator = max(";,\t", key=head.count)
    reader = csv.reader(lines, delimiter=separator, strict=True)
    try:
        rows = list(islice(_rows(reader), MAX_ROWS + 1))
    except csv.Error as error:
        raise FormatError(
            f"line {reader.line_num}: {error}", "close every quotation mark that is opened"
        ) from None
    if len(rows) > MAX_ROWS:
        raise FormatError("the list is too long", f"import {MAX_ROWS} rows at once at most")
    return rows


def _rows(reader: Iterator[list[str]]) -> Iterator[AccountRow]:
    columns = _columns(next(reader, []))
    for cells in reader:
        line = int(reader.line_num)  # type: ignore[attr-defined]
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) > len(columns):
            raise FormatError(
                f"line {line} has {len(cells)} cells for {len(columns)} columns",
                "put quotation marks around commas",
            )
        values = dict(zip(columns, cells, strict=False))
        # A password is taken as it stands, blanks included.
        yield AccountRow(
            line, **{key: value if key == "password" else value.strip() for key, value in values.items()}
        )


def _columns(head: list[str]) -> list[str]:
    names = [cell.strip().lower() for cell in head]
    unknown = [name for name in names if name not in COLUMNS]
    columns = [COLUMNS[name] for name in names if name in COLUMNS]
    if "login" not in columns:
        raise FormatError("the first line names no column 'login'", "write 'login,full_name,quota,password' there")
    if unknown:
        raise FormatError(
            f"there is no column {quoted(unknown[0])}", "there are login, full_name, quota and password"
        )
    if len(set(columns)) < len(columns):
        raise FormatError("two columns hold the same", "keep one of them")
    return columns
