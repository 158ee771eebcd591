"""`vmail check`: what is wrong, where, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from vmaild.admin.checks import file_findings
from vmaild.admin.door import Door, open_door
from vmaild.admin.mend import Mended, mend
from vmaild.admin.names import parse_domain
from vmaild.admin.refusal import Misused
from vmaild.admin.subjects import zones_in
from vmaild.cli.conventions import REFUSED, Json, examples, root_of
from vmaild.cli.mended import mended_document, print_mended
from vmaild.cli.output import print_json, progress
from vmaild.cli.verdicts import Report, print_report, report_document, report_page
from vmaild.core.findings import Diagnosis

EXAMPLES = examples(
    "vmail check va.toto.fr",
    "vmail check --all --json",
    "vmail check --all --html report.html",
    "vmail check --all --fix --dry-run",
    "vmail check --named /etc/bind/named.conf",
    "vmail check va.toto.fr --offline",
)


def check(
    context: typer.Context,
    domain: Annotated[
        str | None, typer.Argument(metavar="[DOMAIN]", help="Its name or a domain alias.", show_default=False)
    ] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="Check every domain.")] = False,
    named: Annotated[
        str,
        typer.Option(metavar="PATH", help="Check every zone of a named.conf or named.boot, and every domain."),
    ] = "",
    offline: Annotated[
        bool, typer.Option("--offline", help="Read files only: ask neither DNS nor any server.")
    ] = False,
    resolver: Annotated[
        str,
        typer.Option(metavar="HOST[:PORT]", help="Whom to ask about DNS; left away: dns.resolver of vmail.toml."),
    ] = "",
    html: Annotated[
        str, typer.Option("--html", metavar="FILE", help="Write a page as well, which can be sent to somebody.")
    ] = "",
    fix: Annotated[
        bool, typer.Option("--fix", help="Mend what vmaild may, having shown it, and check again.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="With --fix: only show what would be done.")] = False,
    as_json: Json = False,
) -> None:
    """Check one domain or all: files, DNS, addresses, servers.

    Read are vmail.toml, the definition, the passwd, shadow and alias files with the lists they include, and who
    may read and write them; every alias and the fallback are followed. DNS is asked at the resolver and at the
    name servers of the zone: MX, addresses, the way back (PTR), SPF, DKIM, DMARC. At each service address the POP3
    server must greet in the domain's name.

    Each finding says what was seen, why it matters and what to do. An error is something that does not work; a
    warning works, but not well; unknown is what cannot be seen from this machine, as behind a router.

    With --fix the DNS records of the domain are written into zone files of this machine (as vmail dns apply does),
    service addresses put up (vmail address apply), missing folders made, and files shut that everybody may use.

    Exit status 0 when all is well, or unknown; 1 when there is any error or warning.
    """
    if (domain is None) == (not every and not named):
        raise Misused("what to check is not clear", "name one domain, or give --all or --named PATH")
    if dry_run and not fix:
        raise Misused("--dry-run goes with --fix", "leave it away: a check changes nothing")
    door = open_door(root_of(context))
    name = None if domain is None else parse_domain(domain)
    extent = _Extent(offline, resolver, as_json)
    report = _report(door, name, named, extent)
    mended: list[Mended] = []
    if fix:
        mended = mend(door, report.fixes(), dry_run=dry_run)
        if not as_json:
            print_mended(mended, dry_run=dry_run, reloads=door.site.dns.reload)
        if any(each.plan is not None and each.plan.carried_out for each in mended):
            report = _report(open_door(root_of(context)), name, named, extent)
    if html:
        page = report_page(report).encode("utf-8", "backslashreplace")
        with open(html, "wb") as file:
            file.write(page)
    if as_json:
        print_json(report_document(report) | ({"mended": mended_document(mended, dry_run=dry_run)} if fix else {}))
    else:
        print_report(report, None if name is None else next(iter(report.names)), offline=offline)
    if report.faulty:
        raise typer.Exit(REFUSED)


@dataclass(frozen=True, slots=True)
class _Extent:
    """How far a check goes."""

    offline: bool
    resolver: str
    quiet: bool


def _report(door: Door, name: str | None, named: str, extent: _Extent) -> Report:
    """Check one domain, or all of them and the zones of `named`. Raises Refused."""
    files = file_findings(door, name)
    names = [each for each in files if each]
    if named:
        names = list(dict.fromkeys([*names, *zones_in(named).domains()]))
    found: Mapping[str, Sequence[Diagnosis]] = {}
    if not extent.offline:
        found = _diagnosed(door, names, extent)
    return Report(tuple(names), files, found)


def _diagnosed(door: Door, names: Sequence[str], extent: _Extent) -> Mapping[str, Sequence[Diagnosis]]:
    # It takes a moment to load, which other verbs need not wait for.
    from vmaild.diagnose.checkup import Extent  # noqa: PLC0415
    from vmaild.diagnose.doctor import examined  # noqa: PLC0415

    asked = Extent(resolver=extent.resolver or door.site.dns.resolver)
    try:
        with progress("checking domains", len(names), shown=not extent.quiet) as advance:
            return examined(door, names, asked, advance)
    except ValueError as error:
        raise Misused(str(error), "give --resolver HOST[:PORT], or --offline") from error
