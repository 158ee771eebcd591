"""`vmail admin`: who may manage a domain besides the site administrators."""

from __future__ import annotations

from typing import Annotated

import typer

from vmaild.admin import coadministrators
from vmaild.admin.door import open_door
from vmaild.admin.names import parse_domain
from vmaild.cli.conventions import DryRun, Json, Verbs, examples, root_of
from vmaild.cli.output import print_json, print_plan
from vmaild.cli.text import safe

app = Verbs("Let somebody manage the accounts and aliases of one domain.")

Principal = Annotated[
    str,
    typer.Argument(
        metavar="PRINCIPAL", help="unix:alice for a user of this machine, or bob@va.toto.fr.", show_default=False
    ),
]
Domain = Annotated[str, typer.Argument(metavar="DOMAIN", help="Its name.", show_default=False)]


@app.verb(
    epilog=examples("vmail admin grant unix:alice va.toto.fr", "vmail admin grant bob@va.toto.fr va.toto.fr")
)
def grant(
    context: typer.Context, principal: Principal, domain: Domain, dry_run: DryRun = False, as_json: Json = False
) -> None:
    """Make somebody a co-administrator of a domain.

    A co-administrator manages its accounts and its simple aliases, and nothing else: not the definition, and no
    aliases that run a command, write a file or read a list.
    """
    door = open_door(root_of(context))
    plan = coadministrators.grant(door, principal, parse_domain(domain), dry_run=dry_run)
    print_plan(plan, dry_run=dry_run, as_json=as_json)


@app.verb(epilog=examples("vmail admin revoke unix:alice va.toto.fr"))
def revoke(
    context: typer.Context, principal: Principal, domain: Domain, dry_run: DryRun = False, as_json: Json = False
) -> None:
    """Take that away again."""
    door = open_door(root_of(context))
    plan = coadministrators.revoke(door, principal, parse_domain(domain), dry_run=dry_run)
    print_plan(plan, dry_run=dry_run, as_json=as_json)


@app.verb("list", epilog=examples("vmail admin list va.toto.fr"))
def list_(context: typer.Context, domain: Domain, as_json: Json = False) -> None:
    """List the co-administrators of a domain."""
    admins = coadministrators.list_admins(open_door(root_of(context)), parse_domain(domain))
    if as_json:
        print_json({"domain": parse_domain(domain), "admins": list(admins)})
        return
    for admin in admins:
        print(safe(admin))
    if not admins:
        print(f"{domain} has no co-administrators.")
