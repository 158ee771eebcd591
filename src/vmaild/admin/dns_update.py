"""DNS of a domain by dynamic update (RFC 2136): its records at the primary, and nobody else's.

What was put there is noted in the state folder, since a name server does not say whose a record is. The note is
written before the update and made shorter after it: whenever a machine stops, no record of ours is forgotten.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import closing

from vmaild.admin.dns import plan_for
from vmaild.admin.dns_server import NameServer
from vmaild.admin.door import Change, Door, Draft
from vmaild.admin.plan import FileEdit, Plan, Step, UpdateZone
from vmaild.admin.refusal import Refused
from vmaild.admin.view import View
from vmaild.core.dns_plan import Record
from vmaild.core.permissions import Action
from vmaild.formats.named import NamedKey, parse_keys
from vmaild.formats.published import parse_published, render_published
from vmaild.generate.update import Found, ZoneChange, places, zone_change


def update_dns(door: Door, name: str, *, dry_run: bool = False) -> Plan:
    """Bring the records of a domain to the primary that takes updates. Raises Refused.

    A domain that is no longer defined loses its records. The server is asked in a dry run, too.
    """

    def draft(view: View) -> Draft:
        found = view.find(name)
        domain = found.name if found else name
        plan = plan_for(view, found.definition) if found else None
        server, key = _server(view)
        path = view.layout.published(domain)
        ours = parse_published(view.text(path) or "")
        warnings = list(plan.warnings) if plan else []
        wanted = [each.record for each in plan.wanted] if plan else []
        with closing(NameServer(server, key)) as asked:
            updates, after = _updates(asked, wanted, ours, _of_others(view, path), warnings)
        steps = [*_notes(view, path, {*ours, *after}, after, updates)]
        return Draft(f"update the DNS records of {domain} at {server}", steps, warnings)

    return door.change(Change("dns update", name, name, Action.MACHINE, draft), dry_run=dry_run)


def _updates(
    server: NameServer,
    wanted: list[Record],
    ours: tuple[Record, ...],
    others: set[Record],
    warnings: list[str],
) -> tuple[list[UpdateZone], set[Record]]:
    """The change of each zone, and what will be ours afterwards."""
    updates: list[UpdateZone] = []
    after: set[Record] = set()
    zones = {name: server.zone_of(name) for name in dict.fromkeys(each.name for each in (*wanted, *ours))}
    for zone in sorted({*zones.values()} - {""}):
        here = [record for record in wanted if zones[record.name] == zone]
        before = [record for record in ours if zones[record.name] == zone]
        found = server.found(zone, dict.fromkeys(places([*here, *before])))
        change = zone_change(zone, found, here, before, others)
        warnings += change.conflicts
        after |= {*change.ours}
        if change.lines:
            updates.append(_update(server, zone, change, found))
    for record in wanted:
        if not zones[record.name]:
            warnings.append(f"{server.where} has no zone that holds it: {record}")
    # What another server was given stays noted, for when that one is asked again.
    return updates, after | {record for record in ours if not zones[record.name]}


def _update(server: NameServer, zone: str, change: ZoneChange, found: Found) -> UpdateZone:
    def send() -> None:
        with closing(server.again()) as anew:
            anew.change(zone, change, found)

    return UpdateZone(zone, server.where, change.lines, send)


def _of_others(view: View, path: str) -> set[Record]:
    """What the notes of our other domains say."""
    folder = os.path.dirname(path)
    paths = {f"{folder}/{name}" for name in view.files.stems(folder, "")} - {path}
    return {record for other in paths for record in parse_published(view.text(other) or "")}


def _notes(
    view: View, path: str, during: set[Record], after: set[Record], updates: list[UpdateZone]
) -> Iterator[Step]:
    """The updates between two notes of whose the records are."""
    before, then, at_last = view.text(path), render_published(during), render_published(after) if after else None
    if before == at_last and not updates:
        return
    if updates and before != then:
        yield from view.edit(path, then, instead="note of which records are ours")
        before = then
    yield from updates
    if before != at_last:
        content = None if at_last is None else at_last.encode()
        now = None if before is None else before.encode()
        yield FileEdit(path, now, content, instead="note of which records are ours")


def _server(view: View) -> tuple[str, NamedKey]:
    """Who takes updates, and the key. Raises Refused."""
    dns = view.site.dns
    if not dns.update_server or not dns.update_key:
        raise Refused(
            "no name server takes updates",
            "set update_server and update_key in [dns] of vmail.toml; tsig-keygen makes a key",
        )
    path = view.layout.path(dns.update_key)
    text = view.text(path)
    if text is None:
        raise Refused(f"{path} is not there", f"make it: tsig-keygen vmaild >{path}; chmod 600 {path}")
    if stat.S_IMODE(os.stat(path).st_mode) & 0o027:
        raise Refused(f"others may read or change {path}, and with it all zones", f"chmod 600 {path}")
    keys = [key for key in parse_keys(text) if dns.update_key_name in ("", key.name)]
    if len(keys) != 1:
        which = f" of the name {dns.update_key_name}" if dns.update_key_name else ""
        raise Refused(
            f"{path} has {len(keys)} keys{which}" if keys else f"{path} has no key{which}",
            "name one of them: update_key_name in [dns] of vmail.toml" if keys else "make it with tsig-keygen",
        )
    return dns.update_server, keys[0]
