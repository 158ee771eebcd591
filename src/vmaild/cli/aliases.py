"""`vmail alias`: names that expand to targets."""

from __future__ import annotations

from typing import Annotated

import typer

from vmaild.address import Address
from vmaild.admin import aliases
from vmaild.admin.checks import lint_aliases
from vmaild.admin.domains import chosen
from vmaild.admin.door import open_door
from vmaild.admin.names import parse_domain, parse_name
from vmaild.cli.conventions import REFUSED, DryRun, Json, Verbs, Which, examples, root_of
from vmaild.cli.output import console, place, print_json, print_plan, print_table
from vmaild.cli.text import safe
from vmaild.core.directory import Source
from vmaild.core.findings import Finding

app = Verbs("Add, change, show and remove aliases.")

Name = Annotated[str, typer.Argument(metavar="NAME@DOMAIN", help="The alias.", show_default=False)]
Targets = Annotated[
    list[str],
    typer.Argument(
        metavar="TARGET...",
        show_default=False,
        help="Names of the domain, addresses, \\name for the account; for site administrators also '|command', "
        "/file and :include:/file.",
    ),
]


@app.verb(
    epilog=examples(
        "vmail alias add sales@va.toto.fr alice bob",
        "vmail alias add office@va.toto.fr sales carol@example.org --dry-run",
    )
)
def add(
    context: typer.Context, name: Name, targets: Targets, dry_run: DryRun = False, as_json: Json = False
) -> None:
    """Create an alias. One that is there already is left alone: see 'vmail alias set'."""
    plan = aliases.add_alias(open_door(root_of(context)), parse_name(name), targets, dry_run=dry_run)
    print_plan(plan, dry_run=dry_run, as_json=as_json)


@app.verb(
    name="set",
    epilog=examples("vmail alias set sales@va.toto.fr alice", "vmail alias set bob@va.toto.fr bob x@y.example"),
)
def set_(
    context: typer.Context, name: Name, targets: Targets, dry_run: DryRun = False, as_json: Json = False
) -> None:
    """Create an alias, or replace all its targets."""
    plan = aliases.set_alias(open_door(root_of(context)), parse_name(name), targets, dry_run=dry_run)
    print_plan(plan, dry_run=dry_run, as_json=as_json)


@app.verb(epilog=examples("vmail alias remove sales@va.toto.fr --dry-run"))
def remove(context: typer.Context, name: Name, dry_run: DryRun = False, as_json: Json = False) -> None:
    """Remove an alias from the domain's own alias file."""
    plan = aliases.remove_alias(open_door(root_of(context)), parse_name(name), dry_run=dry_run)
    print_plan(plan, dry_run=dry_run, as_json=as_json)


@app.verb(epilog=examples("vmail alias show sales@va.toto.fr"))
def show(context: typer.Context, name: Name, as_json: Json = False) -> None:
    """Show the targets of an alias, and where it is written."""
    _print(aliases.show_alias(open_door(root_of(context)), parse_name(name)), as_json=as_json)


@app.verb("list", epilog=examples("vmail alias list va.toto.fr"))
def list_(context: typer.Context, domain: Which = None, as_json: Json = False) -> None:
    """List the aliases of a domain, or of all, from all their alias files."""
    door = open_door(root_of(context))
    records = [record for name in chosen(door, domain) for record in aliases.list_aliases(door, name)]
    if not records and not as_json:
        print(f"{domain} has no aliases." if domain else "There are no aliases.")
        return
    _print(records, as_json=as_json, with_domain=domain is None)


@app.verb(epilog=examples("vmail alias lint va.toto.fr", "vmail alias lint --json"))
def lint(
    context: typer.Context,
    domain: Annotated[
        str | None,
        typer.Argument(metavar="[DOMAIN]", help="Its name or a domain alias; else all.", show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """Look for aliases that are not as their writer meant them.

    Found are targets that lead nowhere, back to themselves or into a removed domain, entries that hide another
    or an account, doubles, and lists that expand to very many targets. Exit status 1 when there is any finding.
    """
    findings = lint_aliases(open_door(root_of(context)), None if domain is None else parse_domain(domain))
    if as_json:
        print_json({"findings": [_finding(finding) for finding in findings]})
    elif not findings:
        console().print("The aliases are all right.", style="green")
    for finding in () if as_json else findings:
        console().print(safe(str(Source(finding.path, finding.line))), style="bold")
        console().print(f"  {safe(finding.problem)}", soft_wrap=False)
        console().print(f"  remedy: {safe(finding.remedy)}", soft_wrap=False)
    if findings:
        raise typer.Exit(REFUSED)


def _finding(finding: Finding) -> dict[str, object]:
    return {
        "severity": finding.severity.name.lower(),
        "file": finding.path,
        "line": finding.line,
        "problem": finding.problem,
        "remedy": finding.remedy,
    }


def _print(records: list[aliases.AliasRecord], *, as_json: bool, with_domain: bool = False) -> None:
    if as_json:
        print_json({"aliases": [_document(record) for record in records]})
        return
    rows = []
    for record in records:
        entry = record.entry
        name = str(Address(entry.name, record.domain)) if with_domain else entry.name
        rows.append((name, ", ".join(entry.targets), f"{entry.source}{_remark(record)}"))
    print_table(("alias", "targets", "written in"), rows)


def _remark(record: aliases.AliasRecord) -> str:
    return " (hidden by the one above)" if record.hidden else ""


def _document(record: aliases.AliasRecord) -> dict[str, object]:
    return {
        "name": record.entry.name,
        "domain": record.domain,
        "targets": list(record.entry.targets),
        "source": place(record.entry.source),
        "hidden": record.hidden,
        "trusted": record.trusted,
    }
