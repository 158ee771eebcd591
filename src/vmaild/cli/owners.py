"""`vmail user vacation` and `vmail user forward`: what the owner of an account sets up."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from vmaild.admin import owner
from vmaild.admin.door import open_door
from vmaild.admin.names import parse_name
from vmaild.admin.refusal import Misused, system_refusal
from vmaild.cli.conventions import DryRun, Json, examples, root_of
from vmaild.cli.output import console, print_fields, print_json, print_plan
from vmaild.cli.text import safe, safe_lines
from vmaild.cli.users import Login, app

VACATION_EXAMPLES = examples(
    "vmail user vacation bob@va.toto.fr --text-file away.txt --to 2027-01-03",
    "echo 'Away until May.' | vmail user vacation bob@va.toto.fr --stdin",
    "vmail user vacation bob@va.toto.fr --to 2027-01-10",
    "vmail user vacation bob@va.toto.fr --off",
)
FORWARD_EXAMPLES = examples(
    "vmail user forward bob@va.toto.fr bob@example.org --keep-copy",
    "vmail user forward bob@va.toto.fr",
    "vmail user forward bob@va.toto.fr --off",
)

_Show = Annotated[bool, typer.Option("--show", help="Only show what is set up; also when no option is given.")]
_Off = Annotated[bool, typer.Option("--off", help="Switch it off.")]


@app.verb(epilog=VACATION_EXAMPLES)
def vacation(
    context: typer.Context,
    login: Login,
    *,
    text_file: Annotated[
        str | None, typer.Option(metavar="FILE", show_default=False, help="The text of the reply, in UTF-8.")
    ] = None,
    from_stdin: Annotated[bool, typer.Option("--stdin", help="Read the text from standard input.")] = False,
    subject: Annotated[
        str | None,
        typer.Option(metavar="TEXT", show_default=False, help="Of the reply; '': 'Re:' and that of the message."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", show_default=False, help="Before the address in From.")
    ] = None,
    first_day: Annotated[
        str | None,
        typer.Option("--from", metavar="DATE", show_default=False, help="The first day, as 2026-12-20; '': now."),
    ] = None,
    last_day: Annotated[
        str | None,
        typer.Option("--to", metavar="DATE", show_default=False, help="The last day; '': until switched off."),
    ] = None,
    days: Annotated[
        str | None,
        typer.Option(metavar="N", show_default=False, help="Each sender is answered once in N days; '': default."),
    ] = None,
    address: Annotated[
        list[str] | None,
        typer.Option(metavar="ADDRESS", help="Another address of the owner that mail is sent to; repeatable."),
    ] = None,
    any_recipient: Annotated[
        bool | None,
        typer.Option(
            "--any-recipient/--own-recipient",
            show_default=False,
            help="Whether to answer mail that does not name the owner in To or Cc.",
        ),
    ] = None,
    off: _Off = False,
    show: _Show = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Answer senders automatically while the owner is away.

    Each sender is answered once in a while; lists, bulk mail, bounces and other automatic mail never are. What
    is not given stays as it is. Setting it up anew forgets who was answered before.
    """
    if text_file is not None and from_stdin:
        raise Misused("two texts are given", "give --text-file or --stdin")
    text = _text(text_file) if text_file is not None else sys.stdin.read() if from_stdin else None
    wanted = owner.VacationText(text, subject, name, first_day, last_day, days, address, any_recipient)
    door, account = open_door(root_of(context)), parse_name(login)
    _check_one_thing(off=off, show=show, given=wanted != owner.VacationText())
    if off:
        plan = owner.clear_vacation(door, account, dry_run=dry_run)
    elif wanted == owner.VacationText():
        _print_vacation(owner.show_vacation(door, account), as_json=as_json)
        return
    else:
        plan = owner.set_vacation(door, account, wanted, dry_run=dry_run)
    print_plan(plan, dry_run=dry_run, as_json=as_json)


@app.verb(epilog=FORWARD_EXAMPLES)
def forward(
    context: typer.Context,
    login: Login,
    targets: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TARGET]...", help="Addresses that get the mail.", show_default=False),
    ] = None,
    *,
    keep_copy: Annotated[
        bool,
        typer.Option("--keep-copy/--no-copy", help="Whether the mailbox gets it, too; by default not."),
    ] = False,
    off: _Off = False,
    show: _Show = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Send the mail of an account on to other addresses.

    The targets replace those that were set up before. Where they lead nowhere, and while the site does not
    allow them (see [forwarding] in vmail.toml), the mail stays in the mailbox.
    """
    door, account = open_door(root_of(context)), parse_name(login)
    _check_one_thing(off=off, show=show, given=bool(targets))
    if off:
        plan = owner.clear_forward(door, account, dry_run=dry_run)
    elif not targets:
        if keep_copy:
            raise Misused("no target is given", "name the addresses, too")
        _print_forward(owner.show_forward(door, account), as_json=as_json)
        return
    else:
        plan = owner.set_forward(door, account, targets, keep_copy=keep_copy, dry_run=dry_run)
    print_plan(plan, dry_run=dry_run, as_json=as_json)


# -- parts


def _check_one_thing(*, off: bool, show: bool, given: bool) -> None:
    if off + show + given > 1:
        raise Misused("it is not clear what to do", "set something up, or give --off or --show alone")


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except UnicodeDecodeError:
        raise Misused(f"{path} is not UTF-8", "save it as UTF-8") from None
    except OSError as error:
        raise system_refusal(error) from error


def _print_vacation(record: owner.VacationRecord, *, as_json: bool) -> None:
    vacation = record.vacation
    if as_json:
        print_json(_vacation_document(record))
        return
    if vacation is not None:
        print_fields(
            [
                ("address", record.address),
                ("in force", "today" if record.in_force else "not today"),
                ("from", vacation.first_day or "now on"),
                ("to", vacation.last_day or "until it is switched off"),
                ("subject", vacation.subject or "Re: that of the message"),
                ("name", vacation.name or "as the account has it"),
                ("answers again", f"after {vacation.days} days" if vacation.days else "as the site has it"),
                ("also for", ", ".join(map(str, vacation.addresses)) or "no other address"),
                ("answered", f"{record.answered} senders"),
                ("written in", record.path),
            ]
        )
        console().print(f"\n{safe_lines(vacation.text.strip())}")
    elif not record.problems:
        console().print(f"{safe(record.address)} answers nobody.")
    _print_problems(record.problems)


def _print_forward(record: owner.ForwardRecord, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "address": record.address,
                "targets": list(record.targets),
                "keep_copy": record.keep_copy,
                "file": record.path,
                "problems": list(record.problems),
            }
        )
        return
    if record.targets:
        kept = "and keeps a copy" if record.keep_copy else "and keeps no copy"
        console().print(f"{safe(record.address)} forwards to {safe(', '.join(record.targets))} {kept}.")
    else:
        console().print(f"{safe(record.address)} forwards nothing.")
    _print_problems(record.problems)


def _print_problems(problems: tuple[str, ...]) -> None:
    for problem in problems:
        console(error=True).print(f"warning: {safe(problem)}", style="yellow")


def _vacation_document(record: owner.VacationRecord) -> dict[str, object]:
    vacation = record.vacation
    document: dict[str, object] = {
        "address": record.address,
        "file": record.path,
        "set_up": vacation is not None,
        "in_force": record.in_force,
        "answered": record.answered,
        "problems": list(record.problems),
    }
    if vacation is None:
        return document
    return document | {
        "text": vacation.text,
        "subject": vacation.subject,
        "name": vacation.name,
        "first_day": vacation.first_day or None,
        "last_day": vacation.last_day or None,
        "days": vacation.days,
        "addresses": list(map(str, vacation.addresses)),
        "any_recipient": vacation.any_recipient,
    }
