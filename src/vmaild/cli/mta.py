"""`vmail mta`: plug vmaild into Postfix, Sendmail or Exim."""

from __future__ import annotations

from typing import Annotated

import typer

from vmaild.admin import mta as room
from vmaild.admin.door import open_door
from vmaild.admin.plan import Plan, RunProgram
from vmaild.cli.conventions import DryRun, Json, Verbs, examples, root_of
from vmaild.cli.output import console, plan_document, print_json, print_plan
from vmaild.cli.text import safe
from vmaild.generate.mta import Maps, Mta

app = Verbs("Plug vmaild into Postfix, Sendmail or Exim.")

Which = Annotated[Mta, typer.Argument(metavar="MTA", help="postfix, sendmail or exim.", show_default=False)]
ConfigDir = Annotated[
    str, typer.Option(metavar="DIR", help="The MTA's configuration; left away: where Debian has it.")
]
MapsChoice = Annotated[
    Maps,
    typer.Option(
        "--maps",
        help="Postfix only. How it learns which recipients there are: socketmap asks the running server; lmdb and "
        "hash are indexed files, which need no server and are written anew with each change.",
    ),
]
Vdeliver = Annotated[
    bool, typer.Option("--vdeliver", help="Sendmail only. Call vdeliver for each message, instead of LMTP.")
]


@app.verb(epilog=examples("vmail mta show postfix", "vmail mta show exim"))
def show(
    context: typer.Context,
    mta: Which,
    config_dir: ConfigDir = "",
    maps: MapsChoice = Maps.SOCKETMAP,
    vdeliver: Vdeliver = False,
    as_json: Json = False,
) -> None:
    """Print the settings that an MTA needs, and where they go."""
    found = room.pieces(open_door(root_of(context)), room.Wish(mta, config_dir, maps, vdeliver))
    if as_json:
        pieces = [{"path": piece.path, "place": piece.place, "text": piece.text} for piece in found]
        print_json({"mta": mta.value, "pieces": pieces})
        return
    out = console()
    for number, piece in enumerate(found):
        if number:
            out.print()
        out.print(f"# {safe(piece.path)}: {piece.place or 'a file of its own'}", style="bold")
        for line in piece.text.rstrip("\n").split("\n"):
            print("\t".join(map(safe, line.split("\t"))), flush=True)  # the tabs of Sendmail's rules matter


@app.verb(
    epilog=examples(
        "vmail mta install postfix --dry-run",
        "vmail mta install postfix --maps lmdb",
        "vmail mta install sendmail --config-dir /srv/chroot/etc/mail",
    )
)
def install(
    context: typer.Context,
    mta: Which,
    config_dir: ConfigDir = "",
    maps: MapsChoice = Maps.SOCKETMAP,
    vdeliver: Vdeliver = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Write these settings into the MTA's files.

    Changed are marked blocks, and files of vmaild's own; what else stands there stays, and how the main domain
    works with it. A copy of each changed file is left beside it. Done again, there is nothing to change. The MTA
    is not reloaded: the commands that do it are printed.
    """
    wish = room.Wish(mta, config_dir, maps, vdeliver)
    done = room.install(open_door(root_of(context)), wish, dry_run=dry_run)
    if as_json:
        print_json(_document(done.plan, dry_run) | {"commands": list(done.commands)})
        return
    print_plan(done.plan, dry_run=dry_run, as_json=False)
    if done.commands and not dry_run:
        out = console()
        out.print("To put it in force:")
        for command in done.commands:
            out.print(f"  {safe(command)}", style="bold")


@app.verb(epilog=examples("vmail mta tables"))
def tables(context: typer.Context, dry_run: DryRun = False, as_json: Json = False) -> None:
    """Write anew what an MTA reads from files, after hand edits.

    Changes made with vmail do that by themselves, and a Postfix that asks the server needs no files at all.
    """
    plan = room.refresh_tables(open_door(root_of(context)), dry_run=dry_run)
    if as_json:
        print_json(_document(plan, dry_run))
        return
    print_plan(plan, dry_run=dry_run, as_json=False)


def _document(plan: Plan, dry_run: bool) -> dict[str, object]:
    programs = [list(effect.argv) for effect in plan.effects if isinstance(effect, RunProgram)]
    return plan_document(plan, dry_run=dry_run) | {"programs": programs}
