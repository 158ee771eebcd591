"""`vmail user`: the accounts of a domain."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable
from functools import partial
from typing import Annotated

import typer

from vmaild.admin import accounts
from vmaild.admin.account_import import Looked, carry_out, preview
from vmaild.admin.domains import chosen
from vmaild.admin.door import open_door
from vmaild.admin.names import parse_domain, parse_name
from vmaild.admin.plan import Plan
from vmaild.admin.records import AccountRecord, list_users, show_user
from vmaild.admin.refusal import Misused, Refused, system_refusal
from vmaild.cli.conventions import (
    REFUSED,
    ArchiveMail,
    DeleteMail,
    DryRun,
    Json,
    KeepMail,
    Verbs,
    Which,
    Yes,
    examples,
    is_interactive,
    mail_choice,
    root_of,
)
from vmaild.cli.imports import print_import, progress_of
from vmaild.cli.output import place, print_fields, print_json, print_plan, print_question, print_table
from vmaild.cli.text import quota_in_words, size_in_words

app = Verbs("Add, change, show and remove the accounts of a domain.")

Login = Annotated[str, typer.Argument(metavar="LOGIN@DOMAIN", help="The account.", show_default=False)]
PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from the first line of standard input.")
]
Quota = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE", help="Such as 50M; 'none' for no limit, 'default' for the domain's.", show_default=False
    ),
]
QuotaMessages = Annotated[
    str | None,
    typer.Option(metavar="N", help="Messages at most; 'none' or 'default' as above.", show_default=False),
]
SubFolders = Annotated[
    str | None,
    typer.Option(
        "--folders",
        metavar="none|existing|create",
        help="Where mail for LOGIN+FOLDER@ goes: to the inbox, to such a folder if there is one, or made.",
        show_default=False,
    ),
]
FullName = Annotated[str | None, typer.Option(metavar="NAME", help="Such as 'Bob Martin'.", show_default=False)]


@app.verb(
    epilog=examples(
        "vmail user add bob@va.toto.fr --full-name 'Bob Martin'",
        "pwgen 20 1 | vmail user add bob@va.toto.fr --password-stdin --quota 50M",
    )
)
def add(
    context: typer.Context,
    login: Login,
    *,
    full_name: FullName = None,
    quota: Quota = None,
    password_stdin: PasswordStdin = False,
    no_password: Annotated[
        bool, typer.Option("--no-password", help="Nobody can log in until 'vmail user passwd' sets one.")
    ] = False,
    keep_mail: Annotated[
        bool, typer.Option("--keep-mail", help="Let the account inherit the mail of a former one of that name.")
    ] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Create an account with its mailbox.

    The password is asked for twice, or read from standard input; never give one as an argument, where
    everybody on the machine can see it. Mail that a former account of that name left is archived first.
    """
    door, address = open_door(root_of(context)), parse_name(login)
    planned = partial(
        accounts.add_user, door, address, full_name=full_name or "", quota=quota or "", keep_mail=keep_mail
    )
    password = None
    if not no_password:
        password = _password(login, planned, from_stdin=password_stdin, dry_run=dry_run)
    plan = planned(password=password, dry_run=dry_run)
    print_plan(plan, dry_run=dry_run, as_json=as_json)


@app.verb(
    name="import",
    epilog=examples(
        "vmail user import staff.csv --domain va.toto.fr --dry-run", "vmail user import - < everybody.csv"
    ),
)
def import_(
    context: typer.Context,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="The list; '-' is standard input.", show_default=False)
    ],
    domain: Annotated[
        str, typer.Option(metavar="DOMAIN", help="Of logins without one; no other domain is taken then.")
    ] = "",
    skip: Annotated[
        bool, typer.Option("--skip", help="Leave out rows with a problem, and add the others.")
    ] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Add the accounts of a list in CSV.

    Its first line names the columns: login (or address), full_name, quota, password; only the first must be
    there. Every row is looked at before anything changes. Where one has a problem, nothing is added without
    --skip. Keep such a list where nobody else can read it, and remove it afterwards.
    """
    door = open_door(root_of(context))
    rows = preview(door, _content(file), parse_domain(domain) if domain else "")
    bad = [row for row in rows if row.problem]
    failed: list[Looked] = []
    if not dry_run and (skip or not bad):
        with progress_of("adding accounts", len(rows) - len(bad), shown=not as_json) as progress:
            failed = carry_out(door, rows, progress)
    print_import(rows, failed, carried_out=not dry_run and (skip or not bad), as_json=as_json)
    if failed or (bad and not skip):
        raise typer.Exit(REFUSED)


def _content(file: str) -> bytes:
    try:
        if file == "-":
            return sys.stdin.buffer.read()
        with open(file, "rb") as opened:
            return opened.read()
    except OSError as error:
        raise system_refusal(error) from error


@app.verb(
    name="set",
    epilog=examples("vmail user set bob@va.toto.fr --quota 200M", "vmail user set bob@va.toto.fr --lock"),
)
def set_(
    context: typer.Context,
    login: Login,
    *,
    full_name: FullName = None,
    quota: Quota = None,
    quota_messages: QuotaMessages = None,
    folders: SubFolders = None,
    lock: Annotated[
        bool | None,
        typer.Option(
            "--lock/--unlock", help="Suspend logins, or allow them again; mail still arrives.", show_default=False
        ),
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Change full name, quota or folders, or suspend logins."""
    settings = accounts.AccountSettings(full_name, quota, lock, quota_messages, folders)
    if settings == accounts.AccountSettings():
        raise Misused("nothing to change is given", "see 'vmail user set --help'")
    plan = accounts.set_user(open_door(root_of(context)), parse_name(login), settings, dry_run=dry_run)
    print_plan(plan, dry_run=dry_run, as_json=as_json)


@app.verb(
    epilog=examples("vmail user passwd bob@va.toto.fr", "vmail user passwd bob@va.toto.fr --password-stdin < file")
)
def passwd(
    context: typer.Context,
    login: Login,
    *,
    password_stdin: PasswordStdin = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Set the password of an account. One whose logins are suspended stays so."""
    door, address = open_door(root_of(context)), parse_name(login)
    planned = partial(accounts.set_password, door, address)
    password = _password(login, planned, from_stdin=password_stdin, dry_run=dry_run)
    plan = planned(password=password, dry_run=dry_run)
    print_plan(plan, dry_run=dry_run, as_json=as_json)


@app.verb(epilog=examples("vmail user show bob@va.toto.fr"))
def show(context: typer.Context, login: Login, as_json: Json = False) -> None:
    """Show one account, where it is written, and what its mailbox holds."""
    record = show_user(open_door(root_of(context)), parse_name(login))
    if as_json:
        print_json(_document(record))
        return
    account, usage = record.account, record.usage
    print_fields(
        [
            ("address", record.address),
            ("full name", account.full_name),
            ("login", _state(record)),
            ("quota", _quota(record)),
            ("sub-addresses", f"folders: {account.sub_folders.value}"),
            ("forwards to", ", ".join(map(str, account.forward.targets)) if account.forward else "nobody"),
            ("automatic reply", "set up" if account.autoreply else "none"),
            ("mailbox", f"{usage.messages} messages, {size_in_words(usage.bytes)}" if usage else ""),
            ("home", account.home),
            ("owner", f"uid {account.uid}, gid {account.gid}"),
            ("written in", str(account.source)),
        ]
    )


@app.verb("list", epilog=examples("vmail user list va.toto.fr", "vmail user list va.toto.fr --json"))
def list_(context: typer.Context, domain: Which = None, as_json: Json = False) -> None:
    """List the accounts of a domain, or of all."""
    door = open_door(root_of(context))
    records = [record for name in chosen(door, domain) for record in list_users(door, name)]
    if as_json:
        print_json({"users": [_document(record) for record in records]})
        return
    if not records:
        print(f"{domain} has no accounts." if domain else "There are no accounts.")
        return
    rows = [
        (
            record.account.login if domain else record.address,
            record.account.full_name,
            quota_in_words(record.quota, record.quota_messages),
            _state(record),
        )
        for record in records
    ]
    print_table(("login", "full name", "quota", "may log in"), rows)


@app.verb(
    epilog=examples("vmail user remove bob@va.toto.fr", "vmail user remove bob@va.toto.fr --delete-mail --yes")
)
def remove(
    context: typer.Context,
    login: Login,
    *,
    archive_mail: ArchiveMail = False,
    keep_mail: KeepMail = False,
    delete_mail: DeleteMail = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Remove an account.

    Its mail and its home are set aside unless you say otherwise: nothing is lost, and whoever is given the
    name next does not inherit it.
    """
    door, address = open_door(root_of(context)), parse_name(login)
    mail = mail_choice(archive=archive_mail, keep=keep_mail, delete=delete_mail)
    if not (yes or dry_run):
        print_question(accounts.remove_user(door, address, mail, dry_run=True), mail=mail, as_json=as_json)
    plan = accounts.remove_user(door, address, mail, dry_run=dry_run)
    print_plan(plan, dry_run=dry_run, as_json=as_json)


# -- parts


_NO_PASSWORD_YET = b"none, in a dry run"


def _password(login: str, planned: Callable[..., Plan], *, from_stdin: bool, dry_run: bool) -> bytes:
    """The new password, read or asked for; a dry run needs none."""
    if from_stdin:
        password = sys.stdin.buffer.readline().rstrip(b"\r\n")
        if not password:
            raise Misused("standard input has no password", "write it there, on a line of its own")
        return password
    if dry_run:
        return _NO_PASSWORD_YET
    if not is_interactive():
        raise Misused("there is no password", "write it to standard input and add --password-stdin")
    planned(password=_NO_PASSWORD_YET, dry_run=True)  # what is refused is refused before anything is asked
    password = getpass.getpass(f"Password for {login}: ").encode("utf-8", "surrogateescape")
    if getpass.getpass("Once more: ").encode("utf-8", "surrogateescape") != password:
        raise Refused("the two passwords differ", "run it again")
    return password


def _quota(record: AccountRecord) -> str:
    own = record.account.quota is not None or record.account.quota_messages is not None
    return quota_in_words(record.quota, record.quota_messages) + ("" if own else " (of the domain)")


def _state(record: AccountRecord) -> str:
    if record.locked and record.has_password:
        return "no, locked"
    return "yes" if record.has_password else "no, has no password"


def _document(record: AccountRecord) -> dict[str, object]:
    account, usage = record.account, record.usage
    document: dict[str, object] = {
        "address": record.address,
        "login": account.login,
        "domain": record.domain,
        "full_name": account.full_name,
        "quota": record.quota,
        "quota_is_own": account.quota is not None,
        "quota_messages": record.quota_messages,
        "quota_messages_is_own": account.quota_messages is not None,
        "sub_folders": account.sub_folders.value,
        "autoreply": account.autoreply,
        "forward": [str(target) for target in account.forward.targets] if account.forward else [],
        "uid": account.uid,
        "gid": account.gid,
        "home": account.home,
        "shell": account.shell,
        "has_password": record.has_password,
        "locked": record.locked,
        "source": place(account.source),
    }
    return document | ({"mailbox": {"messages": usage.messages, "bytes": usage.bytes}} if usage else {})
