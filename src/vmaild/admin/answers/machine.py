"""Verbs of the desk about this machine and its DNS; what changes it is for site administrators alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vmaild.admin import addresses
from vmaild.admin.answers.values import Values, Verb, dry, shown_plan
from vmaild.admin.dns_update import update_dns
from vmaild.admin.door import Door
from vmaild.admin.names import parse_domain
from vmaild.admin.overview import see_site


def _addresses(door: Door, values: Values) -> Any:  # noqa: ANN401  plain values
    domain = str(values.get("domain") or "")
    if not domain:
        see_site(door)
    found = addresses.show_addresses(door, parse_domain(domain) if domain else "")
    return {
        "interface": found.interface,
        "file": found.file if found.stored else "",
        "right": found.right,
        "pool": [{"entry": each.entry, "free": each.free, "next": each.next} for each in found.pool],
        "addresses": [
            {
                "address": each.address,
                "domains": list(each.domains),
                "state": each.state.name.lower(),
                "interface": each.interface,
                "lasts": found.lasts(each).value,
                "pointer": found.learnt.get(each.address, ""),
            }
            for each in found.standings
        ],
    }


def _address_apply(door: Door, values: Values) -> Any:  # noqa: ANN401  likewise
    domain = str(values.get("domain") or "")
    if domain:
        domain = door.see(parse_domain(domain))[1].name  # of one that is not theirs nobody learns anything
    done = addresses.apply_addresses(door, domain, dry_run=dry(values))
    shown = shown_plan(done.plan)
    return shown | {"warnings": [*shown["warnings"], *done.refused]}


def _dns_update(door: Door, values: Values) -> Any:  # noqa: ANN401  likewise
    return shown_plan(update_dns(door, parse_domain(values["domain"]), dry_run=dry(values)))


VERBS: Mapping[str, Verb] = {
    "addresses": _addresses,
    "address.apply": _address_apply,
    "dns.update": _dns_update,
}
