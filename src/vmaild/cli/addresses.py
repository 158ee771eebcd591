"""`vmail address`: the service addresses of the domains on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from vmaild.admin import addresses as room
from vmaild.admin.door import open_door
from vmaild.admin.names import parse_domain
from vmaild.admin.plan import AddressEffect
from vmaild.cli.conventions import REFUSED, DryRun, Json, Verbs, examples, root_of
from vmaild.cli.output import console, plan_document, print_json, print_plan, print_table
from vmaild.cli.text import safe
from vmaild.core.addresses import Standing

app = Verbs("Show the addresses of the domains, and put them up.")

Domain = Annotated[
    str, typer.Argument(metavar="[DOMAIN]", help="Its name or a domain alias; left away: all.", show_default=False)
]


@app.verb(epilog=examples("vmail address show", "vmail address show va.toto.fr --json"))
def show(context: typer.Context, domain: Domain = "", as_json: Json = False) -> None:
    """Print the service addresses, and whether they are up.

    It tells for each whether it will be up after a reboot; and for the whole site what is free in the pool.

    Exit status 1 when one is not up, is not to be had, or is left over.
    """
    found = room.show_addresses(open_door(root_of(context)), parse_domain(domain) if domain else "")
    if as_json:
        print_json(_document(found))
    elif not found.standings:
        print("There are no service addresses; 'vmail domain set DOMAIN --address IP' gives one.")
    else:
        rows = [
            (
                each.address,
                ", ".join(each.domains),
                each.state.value,
                each.interface,
                _AFTER_REBOOT[found.lasts(each)],
                _told_by(found, each),
            )
            for each in found.standings
        ]
        print_table(("address", "domain", "now", "interface", "after a reboot", "told by"), rows)
        if found.stored:
            print(f"\nAfter a reboot they are put up by {found.file}")
    if not as_json:
        for use in found.pool:
            print(f"Free in the pool {use.entry}: {use.free}" + (f", next {use.next}" if use.next else ""))
    if not found.right:
        raise typer.Exit(REFUSED)


@app.verb(epilog=examples("vmail address apply --dry-run", "vmail address apply va.toto.fr"))
def apply(context: typer.Context, domain: Domain = "", dry_run: DryRun = False, as_json: Json = False) -> None:
    """Put the service addresses up, now and after a reboot.

    For that a file of vmaild's own is written, for netplan, systemd-networkd or ifupdown. Without DOMAIN all
    addresses are put up, and those that vmaild has put up for a domain which does not want them any more are taken
    down. What others have put up is never touched. Exit status 1 when a domain cannot have what it wants.
    """
    name = parse_domain(domain) if domain else ""
    done = room.apply_addresses(open_door(root_of(context)), name, dry_run=dry_run)
    if as_json:
        print_json({**plan_document(done.plan, dry_run=dry_run), **_effects(done)})
    else:
        print_plan(done.plan, dry_run=dry_run, as_json=False)
        for problem in done.refused:
            console(error=True).print(f"refused: {safe(problem)}", style="red")
    if done.refused:
        raise typer.Exit(REFUSED)


_AFTER_REBOOT = {room.Lasting.YES: "yes", room.Lasting.BY_OTHERS: "set up by others", room.Lasting.NO: "no"}


def _told_by(found: room.Addresses, standing: Standing) -> str:
    """Where it comes from that an address is a domain's."""
    name = found.learnt.get(standing.address)
    return f"reverse DNS: {name}" if name else "its definition" if standing.domains else ""


def _effects(done: room.Applied) -> dict[str, object]:
    effects = [effect for effect in done.plan.effects if isinstance(effect, AddressEffect)]
    return {
        "addresses": [
            {"address": str(each.placed), "interface": each.placed.interface, "up": each.up} for each in effects
        ],
        "refused": list(done.refused),
    }


def _document(found: room.Addresses) -> dict[str, object]:
    return {
        "interface": found.interface,
        "file": found.file,
        "pool": [{"entry": each.entry, "free": each.free, "next": each.next or None} for each in found.pool],
        "addresses": [
            {
                "address": each.address,
                "domains": list(each.domains),
                "state": each.state.value,
                "interface": each.interface,
                "ours": each.ours is not None,
                "stored": each.address in found.stored,
                "reverse_dns": found.learnt.get(each.address),
            }
            for each in found.standings
        ],
    }
