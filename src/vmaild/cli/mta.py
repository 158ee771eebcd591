"""`vmail mta`: plug vmaild into Postfix, Sendmail or Exim."""

from __future__ import annotations

from typing import Annotated

import typer

from vmaild.admin import mta as room
from vmaild.admin.door import open_door
from vmaild.admin.names import parse_domain
from vmaild.admin.plan import Plan, RunProgram
from vmaild.admin.refusal import Misused
from vmaild.cli.conventions import REFUSED, DryRun, Json, Verbs, examples, root_of
from vmaild.cli.output import console, plan_document, print_json, print_plan, print_table, progress
from vmaild.cli.text import safe
from vmaild.core.findings import Finding
from vmaild.core.mta import MtaEvidence, mta_findings
from vmaild.diagnose.mta import probe_mta, questions
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


Server = Annotated[str, typer.Option(metavar="HOST:PORT", help="Where the MTA listens.")]


@app.verb(epilog=examples("vmail mta check", "vmail mta check va.toto.fr --server 192.0.2.1:25"))
def check(
    context: typer.Context,
    domain: Annotated[
        str | None, typer.Argument(metavar="[DOMAIN]", help="One domain; left away: all.", show_default=False)
    ] = None,
    server: Server = "127.0.0.1:25",
    as_json: Json = False,
) -> None:
    """Ask the running MTA whether it does what it should.

    Asked is by RCPT alone, and nothing is sent: does it take mail for every domain and domain alias, refuse
    unknown recipients, and still take mail for the main domain? Do the sockets answer that it needs? An MTA that
    relays for this machine may refuse to do so for others: ask it from another address to know.

    Exit status 0 when all is well, 1 when there is any finding.
    """
    door = open_door(root_of(context))
    view = door.view()
    names = view.names() if domain is None else [door.see(parse_domain(domain))[1].name]
    asked = questions(view.visible, names)
    with progress(f"asking the MTA at {server}", len(asked), shown=not as_json) as advance:
        evidence = probe_mta(server_of(server), asked, room.sockets(door), on_progress=advance)
    findings = mta_findings(evidence)
    if as_json:
        print_json(_evidence(evidence) | {"findings": [_finding(finding) for finding in findings]})
    else:
        _print_evidence(evidence, findings)
    if findings:
        raise typer.Exit(REFUSED)


def server_of(text: str) -> tuple[str, int]:
    """HOST:PORT of a command line. Raises Misused."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or not 0 < int(port) < 65536:
        raise Misused(f"'{text}' is not a host and a port", "write it like 127.0.0.1:25 or [::1]:25")
    return host.strip("[]"), int(port)


_VERDICTS = {True: "right", False: "wrong", None: "not to be known"}


def _print_evidence(evidence: MtaEvidence, findings: list[Finding]) -> None:
    out = console()
    if evidence.name:
        out.print(f"{safe(evidence.server)} calls itself {safe(evidence.name)}", style="bold")
    if evidence.asked:
        rows = [(_VERDICTS[each.right], each.purpose.value, each.recipient, each.reply) for each in evidence.asked]
        print_table(("", "the MTA", "asked for", "and said"), rows)
    for finding in findings:
        out.print(f"{finding.severity.name.lower()}  {safe(finding.path)}", style="bold")
        out.print(f"  {safe(finding.problem)}", soft_wrap=False)
        out.print(f"  remedy: {safe(finding.remedy)}", soft_wrap=False)
    if not findings:
        out.print("The MTA does what it should.", style="green")


def _finding(finding: Finding) -> dict[str, object]:
    return {
        "severity": finding.severity.name.lower(),
        "where": finding.path,
        "problem": finding.problem,
        "remedy": finding.remedy,
    }


def _evidence(evidence: MtaEvidence) -> dict[str, object]:
    return {
        "server": evidence.server,
        "problem": evidence.problem,
        "name": evidence.name,
        "asked": [
            {
                "purpose": each.purpose.name.lower(),
                "recipient": each.recipient,
                "reply": each.reply,
                "right": each.right,
            }
            for each in evidence.asked
        ],
        "sockets": [{"name": each.name, "path": each.path, "problem": each.problem} for each in evidence.sockets],
    }


def _document(plan: Plan, dry_run: bool) -> dict[str, object]:
    programs = [list(effect.argv) for effect in plan.effects if isinstance(effect, RunProgram)]
    return plan_document(plan, dry_run=dry_run) | {"programs": programs}
