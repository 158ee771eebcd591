"""Backups on the web: what has to do with mail may take minutes, and goes on while people look at other pages."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vmaild.admin.answers.values import Values, Verb, dry, page, shown_plan
from vmaild.admin.backups import BackupRecord, list_backups, make_backup, remove_backup
from vmaild.admin.door import Door
from vmaild.admin.names import parse_domain
from vmaild.admin.overview import see_site
from vmaild.admin.plan import Plan
from vmaild.admin.refusal import Refused, not_now
from vmaild.admin.restore import restore_backup

log = logging.getLogger("vmaild.backup")


@dataclass(slots=True)
class _Work:
    """What is being done, or was done last."""

    summary: str
    state: str = "running"
    """`none`, `running`, `done`."""
    refusal: Refused | None = None
    """Why it was not done, or not wholly."""


class BackupWork:
    """See the module. For all threads; one piece of work at a time, as all of them want the disk."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: _Work | None = None

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
        domain = str(values.get("domain") or "").strip()
        found = page(list_backups(door, parse_domain(domain) if domain else ""), values)
        return found | {"items": [_values(each) for each in found["items"]], "work": self.progress(door, values)}

    def progress(self, door: Door, _values: Values) -> dict[str, Any]:
        """What is being done, or was done last. Raises Refused."""
        see_site(door)
        last = self._last or _Work("", "none")
        return {
            "state": last.state,
            "summary": last.summary,
            "problem": last.refusal.problem if last.refusal else "",
            "remedy": last.refusal.remedy if last.refusal else "",
        }

    def make(self, door: Door, values: Values) -> dict[str, Any]:
        """Back up a domain. Raises Refused."""
        domain, mail = parse_domain(values["domain"]), bool(values.get("mail"))
        shown = make_backup(door, domain, mail=mail, dry_run=mail or dry(values))
        if mail and not dry(values):
            self._begin(shown, lambda: make_backup(door, domain, mail=True))
        return shown_plan(shown)

    def restore(self, door: Door, values: Values) -> dict[str, Any]:
        """Put a domain back. Raises Refused."""
        name, mail = str(values.get("backup", "")), bool(values.get("mail"))
        shown = restore_backup(door, name, mail=mail, counted=False, dry_run=mail or dry(values))
        if mail and not dry(values):
            self._begin(shown, lambda: restore_backup(door, name, mail=True, counted=False))
        return shown_plan(shown)

    def remove(self, door: Door, values: Values) -> dict[str, Any]:
        """Remove a backup. Raises Refused."""
        return shown_plan(remove_backup(door, str(values.get("backup", "")), dry_run=dry(values)))

    def _begin(self, shown: Plan, work: Callable[[], Plan]) -> None:
        """Do in a thread what was found possible. Raises Refused."""
        made = _Work(shown.summary)
        with self._lock:
            if self._last is not None and self._last.state == "running":
                raise Refused("another backup is being made or put back", "wait until it has ended")
            self._last = made
        threading.Thread(target=_carry_out, args=(made, work), name="backup", daemon=True).start()


def _carry_out(made: _Work, work: Callable[[], Plan]) -> None:
    try:
        work()
    except Refused as refusal:
        made.refusal = refusal
    except Exception:
        log.exception("%s failed", made.summary)
        made.refusal = not_now()
    finally:
        made.state = "done"


def _values(record: BackupRecord) -> dict[str, Any]:
    manifest = record.manifest
    return {
        "name": record.name,
        "domain": record.domain,
        "size": record.size,
        "made": manifest.made if manifest else "",
        "by": manifest.by if manifest else "",
        "accounts": manifest.accounts if manifest else 0,
        "mail": bool(manifest and manifest.mail),
        "problem": record.problem,
    }
