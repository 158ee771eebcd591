"""Mend what a check found, where vmaild may do it: each through the verb that an administrator would use."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from vmaild.admin.addresses import apply_addresses
from vmaild.admin.dns import apply_dns
from vmaild.admin.dns_update import update_dns
from vmaild.admin.door import Change, Door, Draft
from vmaild.admin.plan import FolderMode, Plan
from vmaild.admin.refusal import Refused
from vmaild.admin.view import View
from vmaild.core.findings import Fix, FixKind
from vmaild.core.permissions import Action


@dataclass(frozen=True, slots=True)
class Mended:
    """What became of one fix."""

    fix: Fix
    plan: Plan | None = None
    """What was done, or would be; None: nothing."""
    problem: str = ""
    """Why not, and what people have to do."""


def mend(door: Door, fixes: Iterable[Fix], *, dry_run: bool = False) -> list[Mended]:
    """Do each once; one that cannot be done hinders no other."""
    return [_mended(door, fix, dry_run) for fix in dict.fromkeys(fixes)]


def _mended(door: Door, fix: Fix, dry_run: bool) -> Mended:
    try:
        return Mended(fix, _WAYS[fix.kind](door, fix, dry_run))
    except Refused as refusal:
        return Mended(fix, problem=f"{refusal.problem}; {refusal.remedy}")


def _dns(door: Door, fix: Fix, dry_run: bool) -> Plan:
    """Where a name server takes updates, by an update; else in zone files."""
    change = update_dns if door.site.dns.update_server else apply_dns
    return change(door, fix.subject, dry_run=dry_run)


def _addresses(door: Door, fix: Fix, dry_run: bool) -> Plan:
    applied = apply_addresses(door, fix.subject, dry_run=dry_run)
    if applied.refused and not applied.plan.changes:
        raise Refused(applied.refused[0], "see 'vmail address show'")
    return applied.plan


def _mode(door: Door, fix: Fix, dry_run: bool) -> Plan:
    def draft(view: View) -> Draft:
        new = fix.kind is FixKind.FOLDER
        summary = f"make {fix.subject}" if new else f"restrict who may use {fix.subject}"
        return Draft(summary, list(_steps(fix, view.site.user)))

    return door.change(Change("check", "", fix.subject, Action.MACHINE, draft), dry_run=dry_run)


def _steps(fix: Fix, owner: str) -> Iterator[FolderMode]:
    try:
        mode: int | None = stat.S_IMODE(os.stat(fix.subject).st_mode)
    except FileNotFoundError:
        mode = None
    if mode is None or fix.kind is FixKind.MODE:
        wanted = fix.mode if mode is None else mode & fix.mode
        if wanted != mode:
            yield FolderMode(fix.subject, mode, wanted, owner)


_WAYS: dict[FixKind, Callable[[Door, Fix, bool], Plan]] = {
    FixKind.DNS: _dns,
    FixKind.ADDRESSES: _addresses,
    FixKind.MODE: _mode,
    FixKind.FOLDER: _mode,
}
