"""`vmail admin`: who may manage a domain besides the site administrators."""

from __future__ import annotations

from typing import Annotated

import typer

from vmaild.admin import coadministrators, second_factor
from vmaild.admin.domains import chosen
from vmaild.admin.door import open_door
from vmaild.admin.names import parse_domain
from vmaild.cli.conventions import DryRun, Json, Verbs, Which, examples, root_of
from vmaild.cli.output import print_json, print_plan
from vmaild.cli.text import safe
from vmaild.core.permissions import Right

app = Verbs("Let somebody manage the accounts and aliases of one domain.")

Principal = Annotated[
    str,
    typer.Argument(
        metavar="PRINCIPAL", help="unix:alice for a user of this machine, or bob@va.toto.fr.", show_default=False
    ),
]
Domain = Annotated[str, typer.Argument(metavar="DOMAIN", help="Its name.", show_default=False)]


@app.verb(
    epilog=examples(
        "vmail admin grant unix:alice va.toto.fr",
        "vmail admin grant bob@va.toto.fr va.toto.fr --right passwords --right mail",
    )
)
def grant(
    context: typer.Context,
    principal: Principal,
    domain: Domain,
    right: Annotated[
        list[str] | None,
        typer.Option(metavar="RIGHT", help="accounts, removal, passwords, aliases or mail; may be repeated."),
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Make somebody a co-administrator of a domain.

    A co-administrator manages its accounts and its simple aliases, and nothing else: not the definition, and no
    aliases that run a command, write a file or read a list. With --right only a part of that: accounts (add,
    change and suspend them), removal (of accounts), passwords, aliases, mail (vacation texts and forwarding).
    """
    door = open_door(root_of(context))
    plan = coadministrators.grant(door, principal, parse_domain(domain), right or (), dry_run=dry_run)
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
def list_(context: typer.Context, domain: Which = None, as_json: Json = False) -> None:
    """List the co-administrators of a domain, or of all."""
    door = open_door(root_of(context))
    found = {name: coadministrators.list_rights(door, name) for name in chosen(door, domain)}
    if as_json:
        documents: list[dict[str, object]] = [
            {"domain": name, "admins": list(each), "rights": each} for name, each in found.items()
        ]
        print_json(documents[0] if domain else {"domains": documents})
        return
    for name, admins in found.items():
        for admin, rights in admins.items():
            limited = "" if len(rights) == len(Right) else f": {', '.join(rights)}"
            print(("" if domain else f"{name}  ") + safe(admin) + limited)
    if not any(found.values()):
        print(f"{domain} has no co-administrators." if domain else "There are no co-administrators.")


@app.verb(
    "second-factor",
    epilog=examples("vmail admin second-factor unix:alice", "vmail admin second-factor unix:alice --reset"),
)
def second_factor_(
    context: typer.Context,
    principal: Principal,
    reset: Annotated[
        bool,
        typer.Option("--reset", help="Switch it off, for who has lost telephone and recovery codes."),
    ] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Show or reset the second factor of a login.

    With one, signing in to the web wants a code from a telephone (TOTP) besides the password.
    """
    door = open_door(root_of(context))
    if not reset:
        left = second_factor.show(door, principal)
        if as_json:
            print_json({"principal": principal, "on": left is not None, "recovery_codes": left or 0})
        elif left is None:
            print(f"{safe(principal)} has no second factor.")
        else:
            print(f"{safe(principal)} has a second factor and {left} recovery codes.")
        return
    there = second_factor.switch_off(door, principal, dry_run=dry_run)
    if as_json:
        print_json({"principal": principal, "switched_off": there and not dry_run, "dry_run": dry_run})
    elif not there:
        print(f"{safe(principal)} has no second factor.")
    else:
        done = "Would switch off" if dry_run else "Done: switched off"
        print(f"{done} the second factor of {safe(principal)}")
