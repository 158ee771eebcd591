"""Which records vmaild has put into a name server by dynamic update: a line for each, as in a zone file.

A name server does not tell who put a record there; this note does, so that only our own are ever taken out.
"""

from __future__ import annotations

from collections.abc import Iterable

from vmaild.core.dns_plan import Record

_HEAD = "; The records of this domain that vmaild put into DNS, and will take out again. Not to be edited.\n"


def parse_published(text: str) -> tuple[Record, ...]:
    """The records; a line that is none is passed over: then that record is nobody's."""
    found = []
    for line in text.split("\n"):
        match line.split(None, 4):
            case [name, ttl, "IN", kind, rdata] if ttl.isdecimal():
                found.append(Record(name.removesuffix("."), kind, rdata, int(ttl)))
    return tuple(found)


def render_published(records: Iterable[Record]) -> str:
    """The note."""
    return _HEAD + "".join(f"{record}\n" for record in sorted(set(records), key=str))
