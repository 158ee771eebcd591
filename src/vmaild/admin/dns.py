"""DNS of a domain: what it needs, as zone text, and written into the zone files of BIND.

Records of a domain that is no longer defined are taken out again: the marks around them say whose they are.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from vmaild.admin.door import Change, Door, Draft
from vmaild.admin.plan import FileEdit, Plan, RunProgram, Step
from vmaild.admin.refusal import Misused, Refused
from vmaild.admin.view import View
from vmaild.core.directory import DomainDefinition
from vmaild.core.dns_plan import Keys, Wanted, mail_host_of, plan_records
from vmaild.core.permissions import Action
from vmaild.formats.certificate import key_digest, public_key
from vmaild.formats.named import NamedZone, parse_named
from vmaild.generate.zone import ZoneUnusable, begin_mark, edited_zone, records_for, zone_text

_INCLUDE = re.compile(r'^\$INCLUDE[ \t]+"?([^\s";]+)"?[ \t]*([^\s;]*)[^\n]*$', re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class DnsPlan:
    """The records of a domain."""

    domain: str
    wanted: tuple[Wanted, ...]
    warnings: tuple[str, ...] = ()


def plan_of(door: Door, name: str) -> DnsPlan:
    """What a domain needs, for who may see it. Raises Refused."""
    view, domain = door.see(name)
    return plan_for(view, domain.definition)


def zones_of(door: Door, *names: str) -> dict[str, str]:
    """Whole zones for domains, their aliases and, in zones of /24 and /64, their addresses. Raises Refused.

    The mail host of the first domain that a zone is for is its name server, where the settings name none.
    """
    wanted: list[Wanted] = []
    servers: dict[str, tuple[str, ...]] = {}
    for name in names:
        view, domain = door.see(name)
        definition, dns = domain.definition, view.site.dns
        plan = plan_for(view, definition)
        wanted += plan.wanted
        named = dns.name_servers or (dns.primary or mail_host_of(definition),)
        if dns.primary:
            named = tuple(dict.fromkeys((dns.primary, *named)))
        for origin in (definition.name, *definition.aliases, *map(reverse_zone, _pointers(plan.wanted))):
            servers.setdefault(origin, named)
    serial, records, origins = _today() * 100, tuple(dict.fromkeys(wanted)), [*servers]
    return {
        origin: zone_text(origin, records_for(origin, records, origins), named, serial, door.site.dns.ttl)
        for origin, named in servers.items()
    }


def apply_dns(
    door: Door, name: str, zone_files: Mapping[str, str] | None = None, *, dry_run: bool = False
) -> Plan:
    """Write the records of a domain into the zone files that hold its names. Raises Refused.

    `zone_files`: paths by zone; empty: what named.conf says.
    """

    def draft(view: View) -> Draft:
        found = view.find(name)
        domain = found.name if found else name
        plan = plan_for(view, found.definition) if found else DnsPlan(domain, ())
        zones, warnings = _zones(view, zone_files or {})
        steps: list[Step] = []
        for zone in zones:
            steps += _zone_steps(view, zone, [each.name for each in zones], plan, warnings)
        steps += _reloads(view, zones, steps)
        for wanted in plan.wanted:
            if not any(_inside(wanted.record.name, zone.name) for zone in zones):
                warnings.append(f"no zone file here holds it: {wanted.record}")
        return Draft(f"write the DNS records of {domain}", steps, [*plan.warnings, *warnings])

    return door.change(Change("dns apply", name, name, Action.MACHINE, draft), dry_run=dry_run)


# -- parts


def plan_for(view: View, definition: DomainDefinition) -> DnsPlan:
    """What a domain needs, as a view has it. Raises Refused."""
    warnings: list[str] = []
    if not definition.addresses:
        warnings.append(
            f"{definition.name} has no service address: 'vmail domain set {definition.name} --address IP'"
        )
    certificate = definition.certificate or view.site.pop3.certificate
    keys = Keys(
        public_key(_text(view, definition.dkim_key)),
        key_digest(_text(view, certificate)) if view.site.dns.tlsa else "",
    )
    if definition.dkim_selector and not keys.dkim:
        warnings.append(f"dkim_key of {definition.name} names no PEM file with a public key")
    bare = [other for each in view.definitions() for other in (each.name, *each.aliases)]
    return DnsPlan(definition.name, plan_records(definition, view.site, keys, bare), tuple(warnings))


def _text(view: View, path: str) -> str:
    return (view.text(view.layout.path(path)) or "") if path else ""


def _pointers(plan: tuple[Wanted, ...]) -> list[str]:
    return [wanted.record.name for wanted in plan if wanted.record.reverse]


def reverse_zone(pointer: str) -> str:
    """The zone of a /24, or of a /64, that a PTR stands in."""
    labels = pointer.split(".")
    return ".".join(labels[16:] if pointer.endswith(".ip6.arpa") else labels[1:])


def _inside(name: str, zone: str) -> bool:
    return name == zone or name.endswith(f".{zone}")


def _zones(view: View, given: Mapping[str, str]) -> tuple[list[NamedZone], list[str]]:
    if given:
        return [NamedZone(zone, "primary", os.path.abspath(path)) for zone, path in given.items()], []
    root, path = view.layout.root, view.site.dns.named_conf
    # What stands in a file below a root is written as if that were "/".
    found = parse_named(path, lambda written: view.text(root + written))
    if path in found.unread:
        raise Refused(
            f"{root}{path} is not there",
            "name the file with --zone-file ZONE=PATH, or set named_conf in [dns] of vmail.toml",
        )
    zones = [
        NamedZone(zone.name, zone.kind, root + zone.file, zone.view)
        for zone in found.zones
        if zone.primary and zone.file
    ]
    return list({zone.file: zone for zone in zones}.values()), [f"cannot read {each}" for each in found.unread]


def _zone_steps(
    view: View, zone: NamedZone, all_zones: list[str], plan: DnsPlan, warnings: list[str]
) -> Iterator[Step]:
    """What is to be done in one zone file."""
    records = records_for(zone.name, plan.wanted, all_zones)
    text = view.text(zone.file)
    if text is None:
        if records:
            warnings.append(f"{zone.file}, the file of zone {zone.name}, is not there: 'vmail dns zone' makes one")
        return
    if not records and begin_mark(plan.domain) not in text:
        return
    try:
        edited = edited_zone(
            text, zone.name, plan.domain, records, _today(), included=_with_includes(view, zone, text)
        )
    except ZoneUnusable as error:
        raise Refused(f"{zone.file}: {error}", "correct that file; 'named-checkzone' tells more") from error
    warnings += edited.conflicts
    if edited.text == text:
        return
    if os.path.exists(f"{zone.file}.jnl"):
        raise Refused(
            f"{zone.file} is changed by dynamic updates, which an edit would be lost in",
            f"use 'vmail dns update'; or 'rndc freeze {zone.name}', this again, 'rndc thaw {zone.name}'",
        )
    _check_zone(zone, edited.text)
    backup = f"{zone.file}.before-vmaild"
    yield FileEdit(
        backup, None, text.encode("utf-8", "surrogateescape"), instead="the zone file as it was", mode=0o644
    )
    yield from view.edit(zone.file, edited.text)


def _with_includes(view: View, zone: NamedZone, text: str, depth: int = 0) -> str | None:
    """The text with the files that it includes in their place; None: it includes none."""
    if not _INCLUDE.search(text):
        return None
    if depth > 8:
        raise Refused(f"{zone.file} includes files that include themselves", "correct that file")
    folder = os.path.dirname(zone.file)

    def included(match: re.Match[str]) -> str:
        path = match[1] if match[1].startswith("/") else os.path.join(folder, match[1])
        found = view.text(path if path.startswith(folder) else view.layout.path(path))
        if found is None:
            raise Refused(f"{zone.file} includes {path}, which is not there", "correct that file")
        before = re.findall(r"^\$ORIGIN[ \t]+([^\s;]+)", text[: match.start()], re.MULTILINE | re.IGNORECASE)
        back = before[-1] if before else f"{zone.name}."
        origin = f"$ORIGIN {match[2]}\n" if match[2] else ""
        inner = _with_includes(view, zone, found, depth + 1) or found
        return f"{origin}{inner}\n$ORIGIN {back}"

    return _INCLUDE.sub(included, text)


def _check_zone(zone: NamedZone, text: str) -> None:
    """Ask BIND itself, where it is installed. Raises Refused."""
    program = shutil.which("named-checkzone") or shutil.which("named-checkzone", path="/usr/sbin:/usr/bin")
    if program is None:
        return
    command = [program, "-w", os.path.dirname(zone.file), zone.name, "/dev/stdin"]
    content = text.encode("utf-8", "surrogateescape")
    done = subprocess.run(command, input=content, capture_output=True, check=False)  # noqa: S603  our own words
    if done.returncode:
        said = done.stdout.decode("utf-8", "backslashreplace").strip().split("\n")
        raise Refused(
            f"named-checkzone does not take {zone.file} with our records: {said[0]}",
            "correct that file; nothing was changed",
        )


def _reloads(view: View, zones: list[NamedZone], steps: list[Step]) -> Iterator[Step]:
    if view.site.dns.reload:
        written = {step.path for step in steps if isinstance(step, FileEdit)}
        for zone in zones:
            if zone.file in written:
                yield RunProgram(("rndc", "reload", zone.name, *(("in", zone.view) if zone.view else ())))


def _today() -> int:
    return int(time.strftime("%Y%m%d", time.gmtime()))


def parse_zone_file(text: str) -> tuple[str, str]:
    """ZONE=PATH of a command line. Raises Misused."""
    zone, equals, path = text.partition("=")
    if not equals or not zone or not path:
        raise Misused(f"'{text}' is not a zone and its file", "write it like va.toto.fr=/etc/bind/db.va.toto.fr")
    return zone.removesuffix(".").lower(), path
