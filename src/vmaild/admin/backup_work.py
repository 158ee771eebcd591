"""Backups on the web: what has to do with mail may take minutes, and goes on while people look at other pages."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from vmaild.admin.answers.values import Values, Verb, dry, page, shown_plan
from vmaild.admin.backups import (
    BackupRecord,
    list_backups,
    make_backup,
    no_backup,
    parts_of,
    remove_backup,
    see_backups,
)
from vmaild.admin.door import Door
from vmaild.admin.long_work import Work
from vmaild.admin.names import parse_domain
from vmaild.admin.plan import Plan
from vmaild.admin.refusal import Code, Refused
from vmaild.admin.restore import restore_backup


@dataclass(frozen=True, slots=True)
class _Last:
    """What is being done, or was done last."""

    domain: str = ""
    work: Work = field(default_factory=lambda: Work(state="none"))


class BackupWork:
    """See the module. For all threads; one piece of work at a time, as all of them want the disk."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = _Last()

    def verbs(self) -> dict[str, Verb]:
        """What the desk may be asked."""
        return {
            "backups": self.show,
            "backup.progress": self.progress,
            "backup.make": self.make,
            "backup.restore": self.restore,
            "backup.remove": self.remove,
        }

    def show(self, door: Door, values: Values) -> dict[str, Any]:
        """The backups of all domains or of one, and what is being done. Raises Refused."""
        found = page(list_backups(door, _domain(values)), values)
        work = self.progress(door, {})
        return found | {"items": [_values(each) for each in found["items"]], "work": work}

    def progress(self, door: Door, values: Values) -> dict[str, str]:
        """What is being done, or was done last; of one domain or of whichever. Raises Refused."""
        domain = _domain(values)
        see_backups(door, domain)
        last = self._last if domain in ("", self._last.domain) else _Last()
        return {"summary": last.work.what} | last.work.told()

    def make(self, door: Door, values: Values) -> dict[str, Any]:
        """Back up a domain. Raises Refused."""
        domain, mail = parse_domain(values["domain"]), bool(values.get("mail"))
        shown = make_backup(door, domain, mail=mail, dry_run=mail or dry(values))
        if mail and not dry(values):
            self._begin(shown, lambda: make_backup(door, domain, mail=True))
        return shown_plan(shown)

    def restore(self, door: Door, values: Values) -> dict[str, Any]:
        """Put a domain back. Raises Refused."""
        name, mail = _name(values), bool(values.get("mail"))
        shown = restore_backup(door, name, mail=mail, counted=False, dry_run=mail or dry(values))
        if mail and not dry(values):
            self._begin(shown, lambda: restore_backup(door, name, mail=True, counted=False))
        return shown_plan(shown)

    def remove(self, door: Door, values: Values) -> dict[str, Any]:
        """Remove a backup. Raises Refused."""
        return shown_plan(remove_backup(door, _name(values), dry_run=dry(values)))

    def _begin(self, shown: Plan, do: Callable[[], Plan]) -> None:
        """Do in a thread what was found possible. Raises Refused."""
        with self._lock:
            if self._last.work.running:
                raise Refused("another backup is being made or put back", "wait until it has ended", Code.BUSY)
            self._last = _Last(shown.domain, Work(shown.summary))
            self._last.work.begin(do)


def _domain(values: Values) -> str:
    """The domain that is meant; empty: all."""
    domain = str(values.get("domain") or "").strip()
    return parse_domain(domain) if domain else ""


def _name(values: Values) -> str:
    """The backup that is meant: by its name, or by its domain and time. Raises Refused."""
    domain = _domain(values)
    if not domain:
        return str(values.get("backup", ""))
    name = f"{domain}.{values.get('time', '')}"
    if parts_of(name)[0] != domain:
        raise no_backup(name)  # else "a.TIME" of "b" would be a backup of the domain "b.a"
    return name


def _values(record: BackupRecord) -> dict[str, Any]:
    manifest = record.manifest
    return {
        "name": record.name,
        "domain": record.domain,
        "time": parts_of(record.name)[1],
        "size": record.size,
        "made": manifest.made if manifest else "",
        "by": manifest.by if manifest else "",
        "accounts": manifest.accounts if manifest else 0,
        "mail": bool(manifest and manifest.mail),
        "problem": record.problem,
    }
