"""What a dynamic update has to change in a zone, decided from what its primary says stands there now."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import dns.rdataset
import dns.zone

from vmaild.core.dns_plan import Record
from vmaild.generate.zone import conflict_of, stands

Place = tuple[str, str]
"""Name and type of an RRset."""
Found = Mapping[Place, dns.rdataset.Rdataset | None]
"""What stands at each place; None: nothing."""

_BESIDE_AN_ALIAS = ("A", "AAAA", "CNAME", "MX", "TXT")


@dataclass(frozen=True, slots=True)
class ZoneChange:
    """What is to be done in one zone."""

    add: tuple[Record, ...] = ()
    remove: tuple[Record, ...] = ()
    ours: tuple[Record, ...] = ()
    """What will be ours there afterwards, in this zone."""
    guarded: tuple[Place, ...] = ()
    """What must still be as it was found, or nothing is to be changed (RFC 2136 section 2.4)."""
    conflicts: tuple[str, ...] = ()
    """Why records of ours are left away."""

    @property
    def lines(self) -> tuple[str, ...]:
        """As a diff has it."""
        return (*(f"-{record}" for record in self.remove), *(f"+{record}" for record in self.add))


def places(records: Collection[Record]) -> Iterator[Place]:
    """What to look at before records may be put in or taken out."""
    for record in records:
        yield record.name, record.type
        for kind in _BESIDE_AN_ALIAS if record.type == "CNAME" else ("CNAME",):
            yield record.name, kind


def zone_change(
    zone: str, found: Found, wanted: Sequence[Record], ours: Collection[Record], others: Collection[Record] = ()
) -> ZoneChange:
    """Bring the records of one domain in a zone to `wanted`; only what is in `ours` may be taken out.

    `others` are those of our other domains: what several of them need goes with the last one.
    """
    mine, shared = {_key(record) for record in ours}, {_key(record) for record in others}
    by_hand, there = _zone(zone, found, leave_out=mine), _zone(zone, found)
    keep: list[Record] = []
    add: list[Record] = []
    conflicts = []
    for record in wanted:
        conflict = conflict_of(by_hand, record)
        if conflict:
            conflicts.append(conflict)
        elif stands(by_hand, record):
            # Else somebody put it there before us, and it stays theirs.
            keep += [record] if _key(record) in shared else []
        elif stands(there, record) and _ttl_is_right(found, by_hand, record):
            keep.append(record)
        else:
            add.append(_with_ttl_of_others(found, by_hand, record))
    stay = {_key(record) for record in (*keep, *add)} | shared
    remove = tuple(record for record in ours if _key(record) not in stay and stands(there, record))
    guarded = tuple(dict.fromkeys(places([*add, *remove])))
    return ZoneChange(tuple(add), remove, (*keep, *add), guarded, tuple(conflicts))


def rdataset_of(record: Record) -> dns.rdataset.Rdataset:
    """A record as dnspython has it."""
    return dns.rdataset.from_text("IN", record.type, record.ttl, record.rdata)


def _key(record: Record) -> tuple[str, str, str]:
    """What makes it the same record: not its TTL."""
    return record.name, record.type, rdataset_of(record)[0].to_text()


def _zone(origin: str, found: Found, *, leave_out: Collection[tuple[str, str, str]] = ()) -> dns.zone.Zone:
    zone = dns.zone.Zone(origin, relativize=False)
    for (name, kind), rdataset in found.items():
        for rdata in rdataset or ():
            if (name, kind, rdata.to_text()) not in leave_out and rdataset is not None:
                zone.find_rdataset(f"{name}.", kind, create=True).add(rdata, rdataset.ttl)
    return zone


def _others(by_hand: dns.zone.Zone, record: Record) -> dns.rdataset.Rdataset | None:
    return by_hand.get_rdataset(f"{record.name}.", record.type)


def _ttl_is_right(found: Found, by_hand: dns.zone.Zone, record: Record) -> bool:
    now = found[record.name, record.type]
    return _others(by_hand, record) is not None or (now is not None and now.ttl == record.ttl)


def _with_ttl_of_others(found: Found, by_hand: dns.zone.Zone, record: Record) -> Record:
    """All records of an RRset have one TTL (RFC 2181 section 5.2): theirs, where there are any by hand."""
    now = found[record.name, record.type]
    if now is None or _others(by_hand, record) is None:
        return record
    return Record(record.name, record.type, record.rdata, now.ttl)
