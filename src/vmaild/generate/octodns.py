"""Zones as octoDNS reads them: YAML, a file for each zone, from which it serves many hosted providers.

Source: octoDNS, "YamlProvider" and the records' own pages. Its reader wants keys in natural order. Semicolons in
texts are escaped, which is what it expects where `escaped_semicolons` is not set to false.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import dns.rdata
import dns.rdataclass
import dns.rdatatype
import yaml

from vmaild.core.dns_plan import Record

HEAD = "# Written by vmaild, and overwritten: what is kept by hand belongs into another source of this zone.\n"


def zone_of(name: str, zones: Iterable[str]) -> str:
    """The zone that a name stands in: the longest; empty: none of them holds it."""
    fitting = [zone for zone in zones if name == zone or name.endswith(f".{zone}")]
    return max(fitting, key=len, default="")


def octodns_file(zone: str) -> str:
    """How the file of a zone is called."""
    return f"{zone}.yaml"


def octodns_zone(zone: str, records: Sequence[Record]) -> str:
    """The file of a zone, with exactly these records."""
    names: dict[str, dict[str, list[Record]]] = {}
    for record in dict.fromkeys(records):
        kinds = names.setdefault(record.name.removesuffix(zone).removesuffix("."), {})
        kinds.setdefault(record.type, []).append(record)
    document = {
        name: [_entry(kind, found) for kind, found in sorted(names[name].items())]
        for name in sorted(names, key=_natural)
    }
    return f"{HEAD}---\n{yaml.safe_dump(document, sort_keys=False, width=1000)}"


def _natural(name: str) -> list[str | int]:
    return [int(part) if part.isdecimal() else part for part in re.split(r"([0-9]+)", name)]


def _entry(kind: str, records: Sequence[Record]) -> dict[str, object]:
    values = [_value(record) for record in records]
    entry: dict[str, object] = {"ttl": min(record.ttl for record in records), "type": kind}
    return entry | ({"value": values[0]} if len(values) == 1 else {"values": values})


def _value(record: Record) -> object:
    """What stands for one record's data."""
    data: Any = dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.from_text(record.type), record.rdata)
    match record.type:
        case "MX":
            return {"exchange": str(data.exchange), "preference": data.preference}
        case "SRV":
            return {
                "port": data.port,
                "priority": data.priority,
                "target": str(data.target),
                "weight": data.weight,
            }
        case "CAA":
            return {"flags": data.flags, "tag": data.tag.decode(), "value": data.value.decode()}
        case "TLSA":
            return {
                "certificate_association_data": data.cert.hex(),
                "certificate_usage": data.usage,
                "matching_type": data.mtype,
                "selector": data.selector,
            }
        case "TXT":
            return b"".join(data.strings).decode("ascii").replace(";", "\\;")
    return record.rdata
