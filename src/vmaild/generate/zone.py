"""Zone files: new ones, and edits of hand-kept ones that leave every other byte alone.

Our records stand in one block for each domain, between two marks. They are written with absolute names and a TTL
each, so they mean the same under any $ORIGIN and $TTL. Outside of the blocks only the serial is changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import dns.exception
import dns.rdataset
import dns.zone

from vmaild.core.dns_plan import Record, Wanted

_TOKEN = re.compile(r'\n|[ \t\r]+|;[^\n]*|[()]|"(?:[^"\\]|\\.)*"|(?:\\.|[^\s;()"\\])+|.', re.DOTALL)
_SERIAL_HALF = 1 << 31


class ZoneUnusable(Exception):
    """The text cannot be edited: it is no zone file, or has no SOA record. Says why."""


@dataclass(frozen=True, slots=True)
class EditedZone:
    """What becomes of a zone file."""

    text: str
    conflicts: tuple[str, ...] = ()
    """Why records of ours were left away: what stands there by hand."""


def begin_mark(domain: str) -> str:
    """The line before the records of a domain."""
    return f"; BEGIN vmaild {domain}: vmaild writes what stands up to END"


def end_mark(domain: str) -> str:
    """The line after them."""
    return f"; END vmaild {domain}"


def zone_text(origin: str, records: Sequence[Record], servers: Sequence[str], serial: int, ttl: int) -> str:
    """A whole zone file, that of a name server which has none yet. `servers`: the primary first."""
    lines = [
        f"$TTL {ttl}",
        f"{origin}. IN SOA {servers[0]}. hostmaster.{_mail_domain(origin, servers[0])}. (",
        f"\t{serial}\t; serial",
        "\t7200 1800 1209600 3600 )",
        *(f"{origin}. IN NS {server}." for server in servers),
    ]
    return "\n".join(lines) + "\n" + "".join(f"{record}\n" for record in records)


def _mail_domain(origin: str, server: str) -> str:
    return server.partition(".")[2] or server if origin.endswith(".arpa") else origin


def records_for(zone: str, plan: Sequence[Wanted], others: Sequence[str] = ()) -> tuple[Record, ...]:
    """The records of a plan that lie in a zone and in none of the `others` below it."""

    def inside(name: str, of: str) -> bool:
        return name == of or name.endswith(f".{of}")

    below = [other for other in others if other != zone and inside(other, zone)]
    names = [wanted.record for wanted in plan if inside(wanted.record.name, zone)]
    return tuple(record for record in names if not any(inside(record.name, other) for other in below))


def edited_zone(
    text: str, origin: str, domain: str, records: Sequence[Record], today: int, *, included: str | None = None
) -> EditedZone:
    """Give a zone file exactly these records of a domain. `today`: as 20261231, for serials that are dates.

    `included` is the text with its $INCLUDEs in their place, where it has any. Raises ZoneUnusable.
    """
    rest = _without_block(text, domain)
    by_hand = _parsed(_without_block(text if included is None else included, domain), origin)
    wanted, conflicts = [], []
    for record in records:
        conflict = conflict_of(by_hand, record)
        if conflict:
            conflicts.append(conflict)
        elif not stands(by_hand, record):
            wanted.append(record)
    after = _with_block(rest, text, domain, wanted)
    if after == text:
        return EditedZone(text, tuple(conflicts))
    edited = with_next_serial(after, today)
    _parsed(edited if included is None else _without_includes(edited), origin)
    return EditedZone(edited, tuple(conflicts))


def _without_includes(text: str) -> str:
    return re.sub(r"^\$INCLUDE\b", ";", text, flags=re.MULTILINE | re.IGNORECASE)


# -- serial


def with_next_serial(text: str, today: int) -> str:
    """The same text with a later serial, wherever it stands. Raises ZoneUnusable."""
    start, end = _serial_place(text)
    return text[:start] + str(next_serial(int(text[start:end]), today)) + text[end:]


def next_serial(serial: int, today: int) -> int:
    """The serial after this one: that of the day where serials are dates, else one more (RFC 1982 section 3.1)."""
    first_of_day = today * 100
    if _is_dated(serial) and serial < first_of_day < serial + _SERIAL_HALF:
        return first_of_day
    return (serial + 1) % (1 << 32) or 1  # 0 means "not known" to some secondaries


def _is_dated(serial: int) -> bool:
    year, month, day = serial // 1_000_000, serial // 10_000 % 100, serial // 100 % 100
    return 1980 <= year < 2100 and 1 <= month <= 12 and 1 <= day <= 31


def _serial_place(text: str) -> tuple[int, int]:
    """Where the digits of the serial are: the third word after the type SOA, across lines and comments."""
    after = -1
    for match in _TOKEN.finditer(text):
        token = match[0]
        if token[0] in " \t\r\n;()":
            continue
        if after >= 0:
            after += 1
            if after == 3:
                if not token.isdecimal():
                    raise ZoneUnusable(f"the serial is no number: {token}")
                return match.span()
        elif token.upper() == "SOA" and match.start() and text[match.start() - 1] != "\n":
            after = 0
    raise ZoneUnusable("there is no SOA record in this file")


# -- the block


def _block(domain: str) -> re.Pattern[str]:
    begin, end = re.escape(f"; BEGIN vmaild {domain}:"), re.escape(end_mark(domain))
    return re.compile(rf"^{begin}[^\n]*\n.*?^{end}[ \t]*\r?(?:\n|\Z)", re.MULTILINE | re.DOTALL)


def _without_block(text: str, domain: str) -> str:
    return _block(domain).sub("", text)


def _with_block(rest: str, text: str, domain: str, records: Sequence[Record]) -> str:
    if not records:
        return rest
    end = "\r\n" if "\r\n" in text else "\n"
    lines = [begin_mark(domain), *map(str, records), end_mark(domain)]
    block = "".join(line + end for line in lines)
    found = list(_block(domain).finditer(text))
    # In its old place, unless a line follows that takes its owner from the line before: that is by hand.
    if len(found) == 1 and not re.match(r"(?:\s*(?:;[^\n]*)?\n)*[ \t]+[^\s;]", text[found[0].end() :]):
        return text[: found[0].start()] + block + text[found[0].end() :]
    return rest + (end if rest and not rest.endswith("\n") else "") + block


# -- what stands there by hand


def _parsed(text: str, origin: str) -> dns.zone.Zone:
    try:
        return dns.zone.from_text(text, origin, relativize=False, check_origin=False, allow_include=False)
    except (dns.exception.DNSException, ValueError, KeyError) as error:
        raise ZoneUnusable(f"it is no zone file: {error}") from error


def _rdatasets(zone: dns.zone.Zone, name: str) -> Iterator[dns.rdataset.Rdataset]:
    node = zone.get_node(f"{name}.")
    yield from node if node is not None else ()


def stands(zone: dns.zone.Zone, record: Record) -> bool:
    """Whether a record is in a zone, whatever its TTL."""
    wanted = dns.rdataset.from_text("IN", record.type, record.ttl, record.rdata)
    return any(found.rdtype == wanted.rdtype and wanted[0] in found for found in _rdatasets(zone, record.name))


def conflict_of(zone: dns.zone.Zone, record: Record) -> str:
    """What forbids a record of ours; empty: nothing does."""
    if stands(zone, record):
        return ""
    wanted = dns.rdataset.from_text("IN", record.type, record.ttl, record.rdata)
    for found in _rdatasets(zone, record.name):
        kind = found.rdtype.name
        alias = "CNAME" in (kind, record.type) and kind not in ("RRSIG", "NSEC")
        same = found.rdtype == wanted.rdtype
        if same and record.type == "TXT":
            # Many texts may stand at a name, but only one of SPF (RFC 7208 section 3.2), DMARC and so on.
            tag = record.rdata.partition("=")[2][:4]
            same = any(str(each).partition("=")[2][:4] == tag for each in found)
        if alias or (same and record.type not in ("A", "AAAA", "CAA")):
            return f"{record.name}. has by hand: {kind} {found[0]}; remove that, and run it again for: {record}"
    return ""
