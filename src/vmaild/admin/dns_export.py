"""The DNS records of all domains for octoDNS, which brings them to hosted providers: a folder of YAML files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from vmaild.admin.dns import plan_for, reverse_zone
from vmaild.admin.door import Change, Door, Draft
from vmaild.admin.plan import FileEdit, Plan
from vmaild.admin.refusal import Refused
from vmaild.admin.view import View
from vmaild.core.dns_plan import Record
from vmaild.core.permissions import Action
from vmaild.generate.octodns import HEAD, octodns_file, octodns_zone, zone_of


def export_octodns(door: Door, folder: str, zones: Sequence[str] = (), *, dry_run: bool = False) -> Plan:
    """Write the zones of all domains into a folder. Raises Refused, and then nothing is changed.

    `zones` are those at the provider, such as toto.fr; what lies in none of them gets a zone of its own: each
    domain, each domain alias, the /24 or /64 of each address. All domains are written at once, because several
    may lie in one zone; a file of a zone that has no record any more is removed, if it is ours.
    """
    where = os.path.abspath(folder)

    def draft(view: View) -> Draft:
        warnings: list[str] = []
        placed = _placed(view, zones, warnings)
        texts = {octodns_file(zone): octodns_zone(zone, records) for zone, records in placed.items()}
        edits = [
            FileEdit(edit.path, edit.before, edit.after, mode=0o644)
            for name, text in sorted(texts.items())
            for edit in _edit(view, f"{where}/{name}", text)
        ]
        return Draft(f"export {len(texts)} zones to {where}", [*edits, *_left_over(view, where, texts)], warnings)

    return door.change(Change("dns export", "", where, Action.MACHINE, draft), dry_run=dry_run)


def _placed(view: View, zones: Sequence[str], warnings: list[str]) -> dict[str, list[Record]]:
    """The records of all domains by their zone."""
    definitions = view.definitions()
    own = {name for each in definitions for name in (each.name, *each.aliases)}
    placed: dict[str, list[Record]] = {}
    for definition in definitions:
        plan = plan_for(view, definition)
        warnings += plan.warnings
        for wanted in plan.wanted:
            record = wanted.record
            zone = zone_of(record.name, zones) or zone_of(record.name, own)
            zone = zone or (reverse_zone(record.name) if record.reverse else "")
            if zone:
                placed.setdefault(zone, []).append(record)
            else:
                warnings.append(f"no zone holds it, name one with --zone: {record}")
    return placed


def _edit(view: View, path: str, text: str) -> list[FileEdit]:
    now = view.text(path)
    if now is not None and not now.startswith(HEAD):
        raise Refused(
            f"{path} is there and was not written by vmaild",
            "export to a folder of its own, and name both folders as sources of the zone",
        )
    return view.edit(path, text)


def _left_over(view: View, folder: str, texts: dict[str, str]) -> Iterator[FileEdit]:
    for stem in sorted(view.files.stems(folder, ".yaml")):
        path = f"{folder}/{stem}.yaml"
        if f"{stem}.yaml" not in texts and (view.text(path) or "").startswith(HEAD):
            yield from view.edit(path, None)
