"""`vmail check`: what is wrong, where, and what to do about it."""

from __future__ import annotations

from typing import Annotated

import typer

from vmaild.admin.checks import check_all, check_domain
from vmaild.admin.door import open_door
from vmaild.admin.names import parse_domain
from vmaild.admin.refusal import Misused
from vmaild.cli.conventions import REFUSED, Json, examples, root_of
from vmaild.cli.output import console, print_json
from vmaild.cli.text import safe
from vmaild.core.findings import Finding, Severity

EXAMPLES = examples("vmail check va.toto.fr", "vmail check --all --json")

_STYLES = {Severity.WARNING: "yellow", Severity.ERROR: "bold red"}


def check(
    context: typer.Context,
    domain: Annotated[
        str | None, typer.Argument(metavar="[DOMAIN]", help="Its name or a domain alias.", show_default=False)
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Check every domain.")] = False,
    as_json: Json = False,
) -> None:
    """Check the configuration of one domain or of all.

    Read are vmail.toml, the definition, the passwd, shadow and alias files with the lists they include, and who
    may read and write them; followed is every alias and the fallback. Each finding says where it stands, what is
    wrong and what to do about it. An error is something that does not work; a warning works, but not as written.

    Exit status 0 when all is well, 1 when there is any finding.
    """
    if (domain is None) != every:
        raise Misused("what to check is not clear", "name one domain, or give --all")
    door = open_door(root_of(context))
    findings = check_all(door) if domain is None else check_domain(door, parse_domain(domain))
    if as_json:
        print_json({"findings": [_document(finding) for finding in findings]})
    else:
        _print(findings, "everything" if domain is None else domain)
    if findings:
        raise typer.Exit(REFUSED)


def _print(findings: list[Finding], what: str) -> None:
    out = console()
    if not findings:
        out.print(f"{safe(what)}: nothing is wrong with the configuration", style="green")
        return
    for finding in findings:
        where = f"{finding.path}:{finding.line}" if finding.line else finding.path
        out.print(finding.severity.name.lower(), style=_STYLES[finding.severity], end="  ")
        out.print(safe(where), style="bold")
        out.print(f"  {safe(finding.problem)}", soft_wrap=False)
        out.print(f"  remedy: {safe(finding.remedy)}", soft_wrap=False)
    errors = sum(finding.severity is Severity.ERROR for finding in findings)
    out.print(f"{errors} errors, {len(findings) - errors} warnings")


def _document(finding: Finding) -> dict[str, object]:
    return {
        "severity": finding.severity.name.lower(),
        "file": finding.path,
        "line": finding.line,
        "problem": finding.problem,
        "remedy": finding.remedy,
    }
