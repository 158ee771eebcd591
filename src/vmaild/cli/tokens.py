"""`vmail token`: what scripts show to the API instead of a password; `vmail audit`: who changed what."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from vmaild.admin import audit as log
from vmaild.admin import tokens
from vmaild.admin.door import open_door
from vmaild.admin.names import parse_domain
from vmaild.cli.conventions import DryRun, Json, Verbs, examples, root_of
from vmaild.cli.output import print_json, print_table
from vmaild.cli.text import safe

app = Verbs("Tokens for scripts that use the API of the web server.")

AUDIT_EXAMPLES = examples("vmail audit", "vmail audit va.toto.fr --json")


@app.verb(
    epilog=examples(
        "vmail token add backup --right read --days 365",
        "vmail token add shop --domain va.toto.fr --right accounts --right passwords",
    )
)
def add(  # noqa: PLR0917  a verb with its options
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is for.", show_default=False)],
    principal: Annotated[
        str,
        typer.Option("--for", metavar="PRINCIPAL", help="Whose: unix:alice or bob@va.toto.fr; else yours."),
    ] = "",
    domain: Annotated[str, typer.Option(metavar="DOMAIN", help="The only domain that it is for.")] = "",
    right: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RIGHT",
            help="Such as read or accounts, see docs/api.md; without it all of yours.",
        ),
    ] = None,
    days: Annotated[int, typer.Option(min=0, metavar="N", help="Days until it expires; 0: never.")] = 0,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Make a token and print it: it cannot be shown again."""
    door = open_door(root_of(context))
    only = parse_domain(domain) if domain else ""
    made = tokens.add_token(
        door, name, principal=principal, domain=only, rights=right or [], days=days, dry_run=dry_run
    )
    if made is None:
        print_json({"dry_run": True}) if as_json else print(f"Would make the token {safe(name)}")
    elif as_json:
        print_json({"number": made.number, "token": made.secret})
    else:
        print(made.secret)


@app.verb("list", epilog=examples("vmail token list"))
def list_(context: typer.Context, as_json: Json = False) -> None:
    """List the tokens, without their secrets."""
    found = tokens.list_tokens(open_door(root_of(context)))
    if as_json:
        fields = ("number", "name", "principal", "domain", "begun", "seen", "expires")
        documents = [
            {**{key: getattr(each, key) for key in fields}, "rights": list(each.rights)} for each in found
        ]
        print_json({"tokens": documents})
        return
    rows = [
        (
            str(each.number),
            each.name,
            each.principal,
            each.domain or "all",
            ", ".join(each.rights) or "all",
            _day(each.seen) or "never",
            _day(each.expires) or "never",
        )
        for each in found
    ]
    print_table(("number", "name", "whose", "domain", "rights", "last used", "expires"), rows)


@app.verb(epilog=examples("vmail token revoke 3"))
def revoke(
    context: typer.Context,
    number: Annotated[int, typer.Argument(metavar="NUMBER", help="As the list shows it.", show_default=False)],
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Take a token back."""
    tokens.revoke_token(open_door(root_of(context)), number, dry_run=dry_run)
    if as_json:
        print_json({"revoked": number, "dry_run": dry_run})
    elif dry_run:
        print(f"Would take back token {number}")
    else:
        print(f"Done: token {number} is worth nothing any more.")


def audit(
    context: typer.Context,
    domain: Annotated[
        str, typer.Argument(metavar="[DOMAIN]", help="Of this domain only.", show_default=False)
    ] = "",
    page: Annotated[int, typer.Option(min=1, metavar="N", help="Page, the newest first.")] = 1,
    as_json: Json = False,
) -> None:
    """Show who changed what, the newest first."""
    found = log.changes(open_door(root_of(context)), parse_domain(domain) if domain else None, page)
    if as_json:
        print_json({"changes": found})
        return
    rows = [
        (str(each["at"])[:19].replace("T", " "), each["actor"], each["domain"], each["summary"], each["outcome"])
        for each in found
    ]
    print_table(("when", "who", "domain", "what", "outcome"), rows)


def _day(seconds: int) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(seconds)) if seconds else ""
