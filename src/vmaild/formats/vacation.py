"""The vacation text of an account, `HOME/vacation`: header lines if there are any, an empty line, the text.

    Subject: Back on Monday
    From: 2026-12-21
    Until: 2027-01-03
    Days: 7

    I am away ...

Without such lines all of it is the text, as vacation(1) of old takes it.
"""

from __future__ import annotations

import re

from vmaild.core.autoreply import DEFAULT_DAYS, Vacation
from vmaild.core.findings import Finding
from vmaild.formats.parsed import FormatError, quoted

MAX_TEXT = 100_000
"""Characters."""
_FIELD = re.compile(r"(subject|from|until|days)[ \t]*:[ \t]*(.*)", re.IGNORECASE)
_DATE = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])")


def parse_vacation(text: str, path: str) -> tuple[Vacation, tuple[Finding, ...]]:
    """The text with its settings; a wrong setting is a finding, and as if it were absent."""
    lines = text.replace("\r\n", "\n").split("\n")
    found: dict[str, str | int] = {}
    findings: list[Finding] = []
    number = 0
    for number, line in enumerate(lines):
        field = _FIELD.fullmatch(line)
        if field is None:
            break
        name, value = field[1].lower(), field[2].strip()
        try:
            match name:
                case "subject":
                    found["subject"] = value
                case "from":
                    found["first"] = parse_day(value)
                case "until":
                    found["last"] = parse_day(value)
                case _:
                    found["days"] = _days(value)
        except FormatError as error:
            findings.append(Finding(path, number + 1, error.problem, error.remedy))
    if number and lines[number].strip():
        # A letter that begins with one of our words and goes on as a letter is no header.
        return Vacation(text), ()
    body = "\n".join(lines[number + 1 :] if number else lines)
    return Vacation(body.strip("\n"), **found), tuple(findings)  # type: ignore[arg-type]


def render_vacation(vacation: Vacation) -> str:
    """The text that parse_vacation turns into the same."""
    head = [
        f"{name}: {value}\n"
        for name, value in (("Subject", vacation.subject), ("From", vacation.first), ("Until", vacation.last))
        if value
    ]
    head += [f"Days: {vacation.days}\n"] if vacation.days != DEFAULT_DAYS or not head else []
    return "".join(head) + "\n" + vacation.text.strip("\n") + "\n"


def parse_day(text: str) -> str:
    """A day as YYYY-MM-DD; empty stays empty. Raises FormatError."""
    if text and not _DATE.fullmatch(text):
        raise FormatError(f"{quoted(text)} is not a day", "write it like 2026-12-31")
    return text


def _days(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,2}", text):
        raise FormatError(f"{quoted(text)} is not a number of days", "write one from 1 to 999")
    return int(text)
