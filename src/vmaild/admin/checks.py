"""What is wrong with the configuration: every file read, every destination followed, nothing changed."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator

from vmaild.admin.door import Door
from vmaild.admin.lint import alias_faults, fallback_fault
from vmaild.admin.view import View
from vmaild.core.alias_lint import Fault, oddities
from vmaild.core.directory import Domain, LookupFailed
from vmaild.core.findings import Finding, Fix, FixKind, Severity
from vmaild.core.permissions import Action, allowed

_ARCHIVED = re.compile(r"(.+)\.[0-9]{8}T[0-9]{6}(?:\.[0-9]+)?")


def check_all(door: Door) -> list[Finding]:
    """The findings of the site and of every domain that the actor may see. Raises Refused."""
    return _sorted([finding for findings in file_findings(door).values() for finding in findings])


def check_domain(door: Door, name: str) -> list[Finding]:
    """The findings of one domain, by its name or a domain alias, and of the site. Raises Refused."""
    return _sorted([finding for findings in file_findings(door, name).values() for finding in findings])


def file_findings(door: Door, name: str | None = None) -> dict[str, list[Finding]]:
    """The findings of each domain that the actor may see, or of one, by canonical name; of the site, under "".

    Raises Refused.
    """
    if name is not None and not door.actor.site_admin:
        door.see(name)
    view = door.view()
    if name is None:
        names = [each for each in view.names() if door.actor.site_admin or _may_see(door, view, each)]
    else:
        names = [name if name in view.names() else view.domain(name).name]
    found = {"": _sorted(list(_site(door)))} if door.actor.site_admin else {}
    return found | {each: _sorted(list(_domain(view, each))) for each in names}


def lint_aliases(door: Door, name: str | None) -> list[Finding]:
    """What is wrong with or odd about the aliases of a domain; None: of all that the actor may see.

    Raises Refused.
    """
    if name is not None:
        view, domain = door.see(name)
        return _sorted(list(_aliases(view, domain)))
    view = door.view()
    findings: list[Finding] = []
    for each in view.names():
        if door.actor.site_admin or _may_see(door, view, each):
            try:
                found = view.directory.find(each)
            except LookupFailed as failure:
                findings.append(_unreadable(view, each, failure))
                continue
            findings += _aliases(view, found) if found else ()
    return _sorted(findings)


def _aliases(view: View, domain: Domain) -> Iterator[Finding]:
    for alias_file in domain.alias_files:
        yield from (finding for finding in domain.findings if finding.path == alias_file.path)
    try:
        for fault in (*alias_faults(view.directory, domain), *oddities(view.directory, domain, _removed(view))):
            yield _finding(fault)
    except LookupFailed as failure:
        yield _unreadable(view, domain.name, failure)


def _unreadable(view: View, name: str, failure: LookupFailed) -> Finding:
    problem = f"cannot be looked at: {failure}"
    return Finding(view.definition_path(name), 0, problem, f"see 'vmail check {name}'", Severity.ERROR)


def _removed(view: View) -> set[str]:
    """Domains that were removed, whose files were archived."""
    if not view.actor.site_admin:
        return set()  # other people's domains
    try:
        archived = os.listdir(f"{view.layout.configuration}/.archive")
    except OSError:
        return set()
    return {found[1] for found in map(_ARCHIVED.fullmatch, archived) if found}


def _may_see(door: Door, view: View, name: str) -> bool:
    try:
        domain = view.directory.find(name)
    except LookupFailed:
        return False
    return domain is not None and allowed(door.actor, Action.SEE, domain.definition)


def _site(door: Door) -> Iterator[Finding]:
    """vmail.toml, and the folders of everybody."""
    yield from door.findings
    where = door.layout
    for path in (where.spool, where.state):
        if not os.path.isdir(path):
            make = Fix(FixKind.FOLDER, path, 0o750)
            yield Finding(path, 0, "there is no such folder", "make it with 'vmail init'", Severity.ERROR, make)
    for path in (where.configuration, where.definitions, where.spool):
        if os.path.isdir(path) and os.stat(path).st_mode & stat.S_IWOTH:
            shut = Fix(FixKind.MODE, path, ~stat.S_IWOTH)
            problem, remedy = "everybody on this machine may write here", f"chmod o-w {path}"
            yield Finding(path, 0, problem, remedy, Severity.ERROR, shut)


def _domain(view: View, name: str) -> Iterator[Finding]:
    yield from view.findings(name)
    try:
        domain = view.directory.find(name)
    except LookupFailed:
        return  # told above
    if domain is None:
        return
    yield from _secrets(view, domain)
    yield from _pairs(view, domain)
    yield from _aliases(view, domain)
    fault_of_fallback = fallback_fault(view.directory, domain)
    if fault_of_fallback is not None:
        yield _finding(fault_of_fallback)


def _secrets(view: View, domain: Domain) -> Iterator[Finding]:
    path = view.shadow_path(domain.name)
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return  # that it is not there, or cannot be read, is told elsewhere
    if mode & stat.S_IRWXO:
        shut = Fix(FixKind.MODE, path, ~stat.S_IRWXO)
        problem, remedy = "everybody on this machine may use this file", f"chmod o= {path}"
        yield Finding(path, 0, problem, remedy, Severity.ERROR, shut)


def _pairs(view: View, domain: Domain) -> Iterator[Finding]:
    """Accounts without a password line, and password lines without an account."""
    shadow = view.shadow_path(domain.name)
    try:
        passwords = view.passwords(domain)
    except LookupFailed:
        return  # told as unreadable
    if [*domain.accounts] == [*passwords]:
        return  # in one order, as tools write them: that is seen in no time
    accounts, secrets = {*domain.accounts}, {*passwords}
    for key in accounts - secrets:
        account = domain.accounts[key]
        yield Finding(
            account.source.path,
            account.source.line,
            f"account {account.login} has no line in {shadow}, so nobody can log in",
            f"set a password: 'vmail user passwd {account.login}@{domain.name}'",
        )
    for key in secrets - accounts:
        entry = passwords[key]
        yield Finding(
            entry.source.path,
            entry.source.line,
            f"there is a password for {entry.login}, but no such account in {view.passwd_path(domain.name)}",
            "remove the line, before an account of that name gets this password",
        )


def _finding(fault: Fault) -> Finding:
    return Finding(fault.source.path, fault.source.line, fault.problem, fault.remedy)


def _sorted(findings: list[Finding]) -> list[Finding]:
    """Once each, by place."""
    return sorted(dict.fromkeys(findings), key=lambda finding: (finding.path, finding.line, finding.problem))
