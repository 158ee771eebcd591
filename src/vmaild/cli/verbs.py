"""The verbs of `vmail`, put together, and the options before them."""

from __future__ import annotations

from typing import Annotated

import typer

from vmaild import __version__
from vmaild.cli import (
    addresses,
    admins,
    aliases,
    backups,
    check,
    dns,
    domains,
    explain,
    init,
    mta,
    owners,
    serve,
    tokens,
    top,
    users,
)
from vmaild.cli.conventions import Verbs, VmailGroup, examples

app = Verbs(
    "Administer many independent mail domains on one machine.\n\n"
    "Every verb takes --json; every verb that changes something takes --dry-run, and then prints exactly what "
    "would change, addresses whose mail would go elsewhere included. Exit status: 0 done, 1 a finding or a "
    "refusal, 2 wrong usage.",
    VmailGroup,
)


def _print_version(given: bool) -> None:
    if given:
        print(f"vmail {__version__}")
        raise typer.Exit


@app.callback(
    epilog=examples(
        "vmail --root demo init --demo",
        "vmail domain add va.toto.fr --address 172.16.0.1 --quota 100M",
        "vmail user add bob@va.toto.fr --full-name 'Bob Martin'",
        "vmail explain sales@va.toto.fr",
    )
)
def vmail(
    root: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            envvar="VMAIL_ROOT",
            show_envvar=True,
            help="Prefix of every path, for trying things out.",
        ),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version.")
    ] = False,
) -> None:
    """The options before the verb."""


app.verb(epilog=init.EXAMPLES)(init.init)
app.verb(epilog=serve.EXAMPLES)(serve.serve)
app.verb(epilog=top.EXAMPLES)(top.top)
app.verb(epilog=tokens.AUDIT_EXAMPLES)(tokens.audit)
_GROUPS = {
    "domain": domains.app,
    "user": users.app,
    "alias": aliases.app,
    "admin": admins.app,
    "mta": mta.app,
    "dns": dns.app,
    "address": addresses.app,
    "backup": backups.app,
    "token": tokens.app,
}
users.app.verb("vacation", epilog=owners.VACATION_EXAMPLES)(owners.vacation)
users.app.verb("forward", epilog=owners.FORWARD_EXAMPLES)(owners.forward)
for _name, _group in _GROUPS.items():
    app.add_typer(_group, name=_name)
app.verb(epilog=explain.EXAMPLES)(explain.explain)
app.verb(epilog=check.EXAMPLES, no_args_is_help=True)(check.check)
