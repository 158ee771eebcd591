"""The command `vmail`, put together: of its verbs only those that a command line asks for are loaded.

Loading all of them takes a third of the time that most verbs need.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Annotated

import typer

from vmaild import __version__
from vmaild.cli.conventions import Verbs, VmailGroup, examples


@cache
def application(verb: str = "") -> Verbs:
    """The command, with all verbs or with one; an unknown one gets all, to be told which there are."""
    app = Verbs(
        "Administer many independent mail domains on one machine.\n\n"
        "Every verb takes --json; every verb that changes something takes --dry-run, and then prints exactly what "
        "would change, addresses whose mail would go elsewhere included. Exit status: 0 done, 1 a finding or a "
        "refusal, 2 wrong usage.",
        VmailGroup,
    )
    app.callback(
        epilog=examples(
            "vmail --root demo init --demo",
            "vmail domain add va.toto.fr --address 172.16.0.1 --quota 100M",
            "vmail user add bob@va.toto.fr --full-name 'Bob Martin'",
            "vmail explain sales@va.toto.fr",
        )
    )(vmail)
    for name, add in _VERBS.items():
        if verb == name or verb not in _VERBS:
            add(app)
    return app


def verb_of(arguments: Sequence[str]) -> str:
    """The verb of a command line, or the first word that stands where one should; empty: there is none."""
    words = iter(arguments)
    for word in words:
        if word == "--root":
            next(words, None)
        elif not word.startswith("-"):
            return word
    return ""


def _print_version(given: bool) -> None:
    if given:
        print(f"vmail {__version__}")
        raise typer.Exit


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


def _init(app: Verbs) -> None:
    from vmaild.cli import init

    app.verb(epilog=init.EXAMPLES)(init.init)


def _serve(app: Verbs) -> None:
    from vmaild.cli import serve

    app.verb(epilog=serve.EXAMPLES)(serve.serve)


def _top(app: Verbs) -> None:
    from vmaild.cli import top

    app.verb(epilog=top.EXAMPLES)(top.top)


def _audit(app: Verbs) -> None:
    from vmaild.cli import tokens

    app.verb(epilog=tokens.AUDIT_EXAMPLES)(tokens.audit)


def _domain(app: Verbs) -> None:
    from vmaild.cli import domains

    app.add_typer(domains.app, name="domain")


def _user(app: Verbs) -> None:
    from vmaild.cli import (
        owners,  # noqa: F401  adds its verbs to those of users
        users,
    )

    app.add_typer(users.app, name="user")


def _alias(app: Verbs) -> None:
    from vmaild.cli import aliases

    app.add_typer(aliases.app, name="alias")


def _admin(app: Verbs) -> None:
    from vmaild.cli import admins

    app.add_typer(admins.app, name="admin")


def _mta(app: Verbs) -> None:
    from vmaild.cli import mta

    app.add_typer(mta.app, name="mta")


def _dns(app: Verbs) -> None:
    from vmaild.cli import dns

    app.add_typer(dns.app, name="dns")


def _address(app: Verbs) -> None:
    from vmaild.cli import addresses

    app.add_typer(addresses.app, name="address")


def _backup(app: Verbs) -> None:
    from vmaild.cli import backups

    app.add_typer(backups.app, name="backup")


def _token(app: Verbs) -> None:
    from vmaild.cli import tokens

    app.add_typer(tokens.app, name="token")


def _explain(app: Verbs) -> None:
    from vmaild.cli import explain

    app.verb(epilog=explain.EXAMPLES)(explain.explain)


def _check(app: Verbs) -> None:
    from vmaild.cli import check

    app.verb(epilog=check.EXAMPLES, no_args_is_help=True)(check.check)


_VERBS: Mapping[str, Callable[[Verbs], None]] = {
    "init": _init,
    "serve": _serve,
    "top": _top,
    "audit": _audit,
    "domain": _domain,
    "user": _user,
    "alias": _alias,
    "admin": _admin,
    "mta": _mta,
    "dns": _dns,
    "address": _address,
    "backup": _backup,
    "token": _token,
    "explain": _explain,
    "check": _check,
}
"""What loads and adds each, in the order in which the help names them."""
