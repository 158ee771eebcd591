"""`vmail backup`: one domain to one archive, and back."""

from __future__ import annotations

from typing import Annotated

import typer

from vmaild.admin import backups as room
from vmaild.admin.domains import list_domains
from vmaild.admin.door import open_door
from vmaild.admin.names import parse_domain
from vmaild.admin.plan import Mail, Plan
from vmaild.admin.refusal import Misused
from vmaild.admin.restore import restore_backup
from vmaild.cli.conventions import DryRun, Json, Verbs, Yes, examples, root_of
from vmaild.cli.output import plan_document, print_json, print_plan, print_question, print_table

app = Verbs("Back up domains, and put them back.")

Name = Annotated[
    str, typer.Argument(metavar="BACKUP", help="As 'vmail backup list' shows it.", show_default=False)
]


@app.verb(epilog=examples("vmail backup make va.toto.fr --mail", "vmail backup make --all"))
def make(
    context: typer.Context,
    domain: Annotated[
        str, typer.Argument(metavar="[DOMAIN]", help="Its name or a domain alias.", show_default=False)
    ] = "",
    every: Annotated[bool, typer.Option("--all", help="Back up every domain.")] = False,
    mail: Annotated[bool, typer.Option("--mail", help="With the mailboxes.")] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Pack a domain into an archive of /var/backups/vmail.

    In it are the definition, accounts, passwords, aliases, forwarding and vacation texts; with --mail also every
    message. Not in it are extra alias files, certificates and keys, which other domains may use, too. Mail goes on
    being delivered meanwhile. Copy the archives to another machine: they hold all that is needed to go on there.
    """
    if bool(domain) == every:
        raise Misused("what to back up is not clear", "name one domain, or give --all")
    door = open_door(root_of(context))
    names = [parse_domain(domain)] if domain else [each.name for each in list_domains(door) if each.definition]
    plans = [room.make_backup(door, name, mail=mail, dry_run=dry_run) for name in names]
    if as_json:
        print_json({"backups": [_document(plan, dry_run=dry_run) for plan in plans]})
        return
    for plan in plans:
        print_plan(plan, dry_run=dry_run, as_json=False)


@app.verb("list", epilog=examples("vmail backup list", "vmail backup list va.toto.fr --json"))
def list_(
    context: typer.Context,
    domain: Annotated[
        str, typer.Argument(metavar="[DOMAIN]", help="A domain, which may be gone; left away: all.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Print the backups, the newest first."""
    found = room.list_backups(open_door(root_of(context)), parse_domain(domain) if domain else "")
    if as_json:
        print_json({"backups": [_record(each) for each in found]})
    elif not found:
        print("There are no backups; 'vmail backup make DOMAIN' makes one.")
    else:
        rows = [
            (
                each.name,
                str(each.manifest.accounts) if each.manifest else each.problem,
                "yes" if each.manifest and each.manifest.mail else "no",
                f"{each.size:,}",
            )
            for each in found
        ]
        print_table(("backup", "accounts", "with mail", "bytes"), rows)


@app.verb(
    epilog=examples(
        "vmail backup restore va.toto.fr.20260131T120000 --dry-run",
        "vmail backup restore va.toto.fr.20260131T120000 --mail",
    )
)
def restore(
    context: typer.Context,
    name: Name,
    mail: Annotated[bool, typer.Option("--mail", help="Put back messages, too.")] = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Put a domain into the state of a backup, also one that was removed.

    Its definition, accounts, passwords and aliases are then those of the backup: what was changed since is undone,
    and an account that was added since is none any more. With --mail the messages that are missing are put back,
    those too that their owners have deleted; no message is changed or removed. Extra alias files stay as they are.
    """
    door = open_door(root_of(context))
    if not (yes or dry_run):
        # What is there now cannot be had back, so scripts have to say that they mean it, as for mail that goes.
        print_question(restore_backup(door, name, mail=mail, dry_run=True), mail=Mail.DELETE, as_json=as_json)
    plan = restore_backup(door, name, mail=mail, dry_run=dry_run)
    _print(plan, dry_run=dry_run, as_json=as_json)


@app.verb(epilog=examples("vmail backup remove va.toto.fr.20260131T120000"))
def remove(
    context: typer.Context, name: Name, yes: Yes = False, dry_run: DryRun = False, as_json: Json = False
) -> None:
    """Remove a backup for good."""
    door = open_door(root_of(context))
    if not (yes or dry_run):
        print_question(room.remove_backup(door, name, dry_run=True), mail=Mail.DELETE, as_json=as_json)
    _print(room.remove_backup(door, name, dry_run=dry_run), dry_run=dry_run, as_json=as_json)


def _print(plan: Plan, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        print_json(_document(plan, dry_run=dry_run))
    else:
        print_plan(plan, dry_run=dry_run, as_json=False)


def _document(plan: Plan, *, dry_run: bool) -> dict[str, object]:
    return plan_document(plan, dry_run=dry_run) | {"effects": [str(effect) for effect in plan.effects]}


def _record(record: room.BackupRecord) -> dict[str, object]:
    manifest = record.manifest
    return {
        "name": record.name,
        "domain": record.domain,
        "path": record.path,
        "bytes": record.size,
        "made": manifest.made if manifest else None,
        "by": manifest.by if manifest else None,
        "accounts": manifest.accounts if manifest else None,
        "mail": manifest.mail if manifest else None,
        "problem": record.problem or None,
    }
