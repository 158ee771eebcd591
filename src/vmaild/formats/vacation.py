"""`vacation` in the home of an account: the text of its automatic replies, with a few header lines before it.

    Subject: Absent jusqu'au 4 janvier
    From: Bob Martin
    Start: 2026-12-20
    End: 2027-01-04
    Days: 7
    Addresses: bob@example.org, martin@example.org
    Any-Recipient: no

    Bonjour, je suis absent...

Every header line may be missing, and so may all of them: then the file is the text. It is UTF-8.
"""

from __future__ import annotations

import re
from typing import Any

from vmaild.address import Address, AddressError, parse_address
from vmaild.core.autoreply import Vacation
from vmaild.core.findings import Finding
from vmaild.formats.parsed import FormatError, is_utf8, quoted

FILE_NAME = "vacation"
MEMORY_NAME = "vacation.answered"
"""Beside it: who was answered when."""
MAX_TEXT = 64 << 10
"""Bytes of a text; an automatic reply is a note."""
MAX_FILE = MAX_TEXT + 8192
"""Of the file, header lines and all."""
MAX_DAYS = 366

_FIELD = re.compile(r"([A-Za-z][A-Za-z-]*):[ \t]*(.*)")
_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_KNOWN = {"subject", "from", "start", "end", "days", "addresses", "any-recipient"}
_BYTE_ORDER_MARK = "\ufeff"
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_SPELT_FLAGS = {"yes": True, "true": True, "no": False, "false": False}


def parse_vacation(text: str, path: str) -> tuple[Vacation | None, tuple[Finding, ...]]:
    """What the file says, whose text was decoded as UTF-8 with surrogateescape; None: it must not be sent."""
    fields, body = _parts(_utf8(text.removeprefix(_BYTE_ORDER_MARK).replace("\r\n", "\n")))
    findings: list[Finding] = []
    values: dict[str, Any] = {}
    for name, (value, line) in fields.items():
        try:
            values |= _value(name, value)
        except FormatError as error:
            findings.append(error.at(path, line))
    if not body.strip():
        findings.append(
            Finding(path, 0, "there is no text, so nobody is answered", "write one below an empty line")
        )
    start, end = values.get("first_day", ""), values.get("last_day", "")
    if start and end and end < start:
        findings.append(
            Finding(path, fields["end"][1], f"it ends on {end}, before {start}", "write a later day after End:")
        )
    # Better no reply than one on the wrong days, or to those who were not meant.
    return None if findings else Vacation(body, **values), tuple(findings)


def render_vacation(vacation: Vacation) -> str:
    """The file that parse_vacation reads as the same. Raises FormatError for what it cannot hold."""
    text = vacation.text.replace("\r\n", "\n").strip("\n")
    if not text.strip():
        raise FormatError("the text is empty", "write what senders are to read")
    if len(text.encode("utf-8", "surrogateescape")) > MAX_TEXT:
        raise FormatError("the text is too long", f"keep it below {MAX_TEXT >> 10} kB")
    if _CONTROL.search(text) or not is_utf8(text):
        raise FormatError("the text contains a control character, or is not UTF-8", "write it in UTF-8")
    lines = {
        "Subject": vacation.subject,
        "From": vacation.name,
        "Start": vacation.first_day,
        "End": vacation.last_day,
        "Days": "" if vacation.days is None else str(vacation.days),
        "Addresses": ", ".join(map(str, vacation.addresses)),
        "Any-Recipient": "yes" if vacation.any_recipient else "",
    }
    for name, value in lines.items():
        if value:
            _value(name.lower(), value)
    if vacation.first_day and vacation.last_day and vacation.last_day < vacation.first_day:
        raise FormatError(f"it would end on {vacation.last_day}, before {vacation.first_day}", "give a later day")
    head = "".join(f"{name}: {value}\n" for name, value in lines.items() if value)
    return f"{head}\n{text}\n"


def parse_day(text: str) -> str:
    """A date as `2026-12-20`. Raises FormatError."""
    found = _DATE.fullmatch(text.strip())
    if (
        found is None
        or not 1 <= int(found[2]) <= 12
        or not 1 <= int(found[3]) <= _days_in(int(found[1]), int(found[2]))
    ):
        raise FormatError(f"{quoted(text)} is not a date", "write it like 2026-12-20")
    return found[0]


def parse_days(text: str) -> int:
    """A number of days in which a sender is answered once. Raises FormatError."""
    if not text.strip().isdecimal() or not 0 < int(text.strip()[:9]) <= MAX_DAYS:
        raise FormatError(f"{quoted(text)} is no number of days", f"write one from 1 to {MAX_DAYS}")
    return int(text)


def _parts(text: str) -> tuple[dict[str, tuple[str, int]], str]:
    """The header fields by name in lower case, each with its line; and the text."""
    fields: dict[str, tuple[str, int]] = {}
    rest = text
    for number, line in enumerate(text.split("\n"), 1):
        found = _FIELD.fullmatch(line)
        if found is None or found[1].lower() not in _KNOWN:
            break
        fields.setdefault(found[1].lower(), (found[2].strip(), number))
        rest = rest.partition("\n")[2]
    return fields, rest.removeprefix("\n") if fields or rest.startswith("\n") else text


def _value(name: str, value: str) -> dict[str, Any]:
    """What a field says, by the name that Vacation has for it. Raises FormatError."""
    match name:
        case "subject" | "from":
            if not value.isprintable() or not is_utf8(value):
                raise FormatError(f"{name} {quoted(value)} contains a control character", "remove it")
            return {"subject" if name == "subject" else "name": value}
        case "start":
            return {"first_day": parse_day(value)} if value else {}
        case "end":
            return {"last_day": parse_day(value)} if value else {}
        case "days":
            return {"days": parse_days(value)}
        case "addresses":
            return {"addresses": tuple(parse_own_address(each) for each in value.split(",") if each.strip())}
        case _:
            if value.lower() not in _SPELT_FLAGS:
                raise FormatError(f"{quoted(value)} is neither yes nor no", "write Any-Recipient: yes, or no")
            return {"any_recipient": _SPELT_FLAGS[value.lower()]}


def parse_own_address(text: str) -> Address:
    """Another address of the owner. Raises FormatError."""
    try:
        address = parse_address(text.strip())
    except AddressError:
        address = Address("")
    if not address.domain:
        raise FormatError(f"{quoted(text)} is not a mail address", "write it like bob@example.org")
    return address


def _days_in(year: int, month: int) -> int:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 or year % 400 == 0) else 28
    return 30 if month in {4, 6, 9, 11} else 31


def _utf8(text: str) -> str:
    """Old files are in Latin-1: bytes that are no UTF-8 are read so."""
    return text if is_utf8(text) else re.sub("[\udc80-\udcff]", lambda found: chr(ord(found[0]) - 0xDC00), text)
