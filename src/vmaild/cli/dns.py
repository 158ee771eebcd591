"""`vmail dns`: the records that a domain needs."""

from __future__ import annotations

from typing import Annotated

import typer

from vmaild.admin import dns as room
from vmaild.admin.dns_export import export_octodns
from vmaild.admin.dns_update import update_dns
from vmaild.admin.domains import chosen
from vmaild.admin.door import open_door
from vmaild.admin.names import parse_domain
from vmaild.admin.refusal import Misused
from vmaild.cli.conventions import REFUSED, DryRun, Json, Verbs, Which, examples, root_of
from vmaild.cli.output import console, plan_document, print_json, print_plan, print_table
from vmaild.cli.text import safe
from vmaild.core.dns_plan import Need
from vmaild.diagnose.dns import Seen, State, look, make_resolver

app = Verbs("Show the DNS records of a domain, and write them.")

Domain = Annotated[str, typer.Argument(metavar="DOMAIN", help="Its name or a domain alias.", show_default=False)]


@app.verb(epilog=examples("vmail dns show va.toto.fr", "vmail dns show va.toto.fr --resolver 192.0.2.53 --json"))
def show(
    context: typer.Context,
    domain: Which = None,
    resolver: Annotated[
        str, typer.Option(metavar="HOST[:PORT]", help="Whom to ask; left away: [dns] resolver, or the system's.")
    ] = "",
    offline: Annotated[bool, typer.Option("--offline", help="Ask nobody: the plan alone.")] = False,
    as_text: Annotated[
        bool, typer.Option("--text", help="Print lines for a zone file; how each stands is its comment.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Print the records of a domain, or of all, and whether DNS has them now.

    Exit status 1 when a required record is missing or different.
    """
    door = open_door(root_of(context))
    plans = [room.plan_of(door, name) for name in chosen(door, domain)]
    seen: list[Seen] = []
    if not offline:
        records = dict.fromkeys(wanted.record for plan in plans for wanted in plan.wanted)
        try:
            seen = look([*records], make_resolver(resolver or door.site.dns.resolver))
        except ValueError as error:
            raise Misused(str(error), "give --resolver HOST[:PORT], or --offline") from error
    if as_json:
        documents = [_document(plan, seen) for plan in plans]
        print_json(documents[0] if domain else {"domains": documents})
    for plan in () if as_json else plans:
        if as_text:
            _print_text(plan, seen)
        else:
            _print(plan, seen)
    wrong = {each.record for each in seen if each.state in (State.MISSING, State.DIFFERENT)}
    if any(wanted.need is Need.REQUIRED and wanted.record in wrong for plan in plans for wanted in plan.wanted):
        raise typer.Exit(REFUSED)


@app.verb(epilog=examples("vmail dns zone va.toto.fr", "vmail dns zone va.toto.fr --json"))
def zone(context: typer.Context, domain: Which = None, as_json: Json = False) -> None:
    """Print whole zone files for a domain, or for all: one for each name and for each network of addresses."""
    door = open_door(root_of(context))
    zones = room.zones_of(door, *chosen(door, domain))
    if as_json:
        print_json({"zones": dict(zones)})
        return
    for origin, text in zones.items():
        print(f"; zone {origin}\n$ORIGIN {origin}.\n{text}")


@app.verb(
    epilog=examples(
        "vmail dns apply va.toto.fr --dry-run",
        "vmail dns apply va.toto.fr --zone-file toto.fr=/srv/db.toto.fr",
    )
)
def apply(
    context: typer.Context,
    domain: Which = None,
    zone_file: Annotated[
        list[str] | None,
        typer.Option(metavar="ZONE=PATH", help="A zone and its file; left away: all that named.conf says."),
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Write the records of a domain, or of all in turn, into the zone files of BIND, forward and reverse.

    They stand in a marked block; of the rest of a file only the serial is changed. A record that contradicts one
    written by hand is left away, with a warning. A domain that is no longer defined loses its records. A copy of
    each file as it was is left beside it. Journalled zones, which dynamic updates change, are refused.
    """
    files = dict(map(room.parse_zone_file, zone_file or ()))
    door = open_door(root_of(context))
    plans = [room.apply_dns(door, name, files, dry_run=dry_run) for name in chosen(door, domain)]
    if as_json and domain is None:
        print_json({"domains": [plan_document(plan, dry_run=dry_run) for plan in plans]})
        return
    for plan in plans:
        print_plan(plan, dry_run=dry_run, as_json=as_json)


@app.verb(
    epilog=examples(
        "vmail dns export --octodns /srv/dns/vmaild --dry-run",
        "vmail dns export --octodns /srv/dns/vmaild --zone toto.fr",
    )
)
def export(
    context: typer.Context,
    octodns: Annotated[
        str, typer.Option(metavar="DIR", help="Write YAML files for octoDNS into this folder.", show_default=False)
    ],
    zone: Annotated[
        list[str] | None,
        typer.Option(metavar="ZONE", help="A zone at the provider, where it is not the domain itself."),
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Write the records of all domains for octoDNS, which brings them to a hosted provider.

    A zone has exactly the records of its sources: name the folder of what is kept by hand as another source of
    the same zone, or octoDNS removes that from the provider.
    """
    zones = [parse_domain(each) for each in zone or ()]
    plan = export_octodns(open_door(root_of(context)), octodns, zones, dry_run=dry_run)
    print_plan(plan, dry_run=dry_run, as_json=as_json)


@app.verb(epilog=examples("vmail dns update va.toto.fr --dry-run", "vmail dns update va.toto.fr"))
def update(context: typer.Context, domain: Domain, dry_run: DryRun = False, as_json: Json = False) -> None:
    """Bring the records of a domain to the name server, by dynamic update (RFC 2136).

    The server and the file of the key that signs (TSIG) are update_server and update_key in [dns] of vmail.toml.
    Taken out are only records that were put in like this. A record that contradicts one of somebody else is left
    away, with a warning; if somebody changes a zone between the look and the update, nothing of it is changed. A
    domain that is no longer defined loses its records. A dry run asks the server, and shows the difference.
    """
    plan = update_dns(open_door(root_of(context)), parse_domain(domain), dry_run=dry_run)
    if as_json:
        zones = [{"zone": each.zone, "server": each.server, "lines": list(each.lines)} for each in plan.updates]
        print_json(plan_document(plan, dry_run=dry_run) | {"updates": zones})
        return
    print_plan(plan, dry_run=dry_run, as_json=False)


def _print(plan: room.DnsPlan, seen: list[Seen]) -> None:
    states = {each.record: each for each in seen}
    rows = []
    for wanted in plan.wanted:
        record, found = wanted.record, states.get(wanted.record)
        now = "" if found is None else found.state.value
        if found is not None and found.state is State.DIFFERENT:
            now += f": {', '.join(found.found)}"
        rows.append((now or wanted.need.value, f"{record.name}.", record.type, record.rdata))
    print_table(("now" if seen else "need", "name", "type", "data"), rows)
    for problem in dict.fromkeys(each.problem for each in seen if each.problem):
        console(error=True).print(f"warning: {safe(problem)}", style="yellow")
    for warning in plan.warnings:
        console(error=True).print(f"warning: {safe(warning)}", style="yellow")


def _print_text(plan: room.DnsPlan, seen: list[Seen]) -> None:
    states = {each.record: each.state.value for each in seen}
    for wanted in plan.wanted:
        print(safe(f"{wanted.record} ; {states.get(wanted.record, wanted.need.value)}"))


def _document(plan: room.DnsPlan, seen: list[Seen]) -> dict[str, object]:
    states = {each.record: each for each in seen}
    records = []
    for wanted in plan.wanted:
        record, found = wanted.record, states.get(wanted.record)
        records.append(
            {
                "name": record.name,
                "type": record.type,
                "ttl": record.ttl,
                "data": record.rdata,
                "need": wanted.need.value,
                "why": wanted.why,
                "state": found.state.value if found else None,
                "found": list(found.found) if found else [],
            }
        )
    return {"domain": plan.domain, "records": records, "warnings": list(plan.warnings)}
