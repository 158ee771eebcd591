"""Imports on the web: a list is sent once, looked at, and carried out while its owner watches.

They live in the memory of the keeper, passwords included, for as long as somebody may want to see how one ended.
"""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from vmaild.admin.account_import import Looked, carry_out, preview
from vmaild.admin.answers.values import LEAST, Values, page
from vmaild.admin.door import Door
from vmaild.admin.long_work import Work
from vmaild.admin.names import parse_domain
from vmaild.admin.refusal import Code, Misused, Refused

PAGE = 200
"""Rows that are shown at once."""
_KEPT = 1800.0
"""Seconds."""
_MOST = 20
"""Imports at the same time, of everybody."""


@dataclass(slots=True)
class _Import:
    principal: str
    domain: str
    rows: list[Looked] = field(repr=False)
    until: float
    work: Work
    done: int = 0
    failed: list[Looked] = field(default_factory=list, repr=False)

    @property
    def good(self) -> int:
        """Rows that can be added."""
        return sum(not row.problem for row in self.rows)


class Imports:
    """See the module. For all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[str, _Import] = {}

    def answer(self, door: Door, verb: str, values: Values) -> dict[str, Any]:
        """`import.preview`, `import.show`, `import.run`. Raises Refused."""
        match verb:
            case "import.preview":
                domain = door.see(parse_domain(values["domain"]))[1].name
                rows = preview(door, str(values.get("text", "")).encode(), domain, least=LEAST)
                return self._shown(self._keep(door, domain, rows), values)
            case "import.show":
                return self._shown(self._find(door, values), values)
            case "import.run":
                self._run(door, self._find(door, values)[1])
                return {}
        raise Misused(f"there is no verb {verb}", "see the documentation of the API")

    def _keep(self, door: Door, domain: str, rows: list[Looked]) -> tuple[str, _Import]:
        now, number = time.monotonic(), secrets.token_urlsafe(12)
        made = _Import(door.actor.principal, domain, rows, now + _KEPT, Work(f"import into {domain}"))
        with self._lock:
            self._kept = {key: each for key, each in self._kept.items() if each.until > now or each.work.running}
            if len(self._kept) >= _MOST:
                raise Refused("too many lists are being imported", "try again later", Code.BUSY)
            self._kept[number] = made
        return number, made

    def _find(self, door: Door, values: Values) -> tuple[str, _Import]:
        number = str(values.get("import", ""))
        with self._lock:
            found = self._kept.get(number)
        if found is None or (found.principal, found.domain) != (door.actor.principal, values.get("domain")):
            raise Refused("that list is not here any more", "send it again", Code.NOT_FOUND)
        return number, found

    def _run(self, door: Door, wanted: _Import) -> None:
        with self._lock:
            if wanted.work.state == "prepared":  # else a form was sent twice
                wanted.work.begin(lambda: _carry_out(door, wanted))

    @staticmethod
    def _shown(kept: tuple[str, _Import], values: Values) -> dict[str, Any]:
        number, found = kept
        rows = found.failed if found.work.state == "done" else found.rows
        shown = page(rows, {"page": values.get("page", 1), "size": PAGE})
        return found.work.told() | {
            "import": number,
            "total": len(found.rows),
            "good": found.good,
            "done": found.done,
            "failed": len(found.failed),
            "page": shown["page"],
            "pages": shown["pages"],
            "rows": [_row(row) for row in shown["items"]],
        }


def _carry_out(door: Door, wanted: _Import) -> None:
    def progress(done: int) -> None:
        wanted.done = done

    try:
        wanted.failed = carry_out(door, wanted.rows, progress)
    finally:
        wanted.until = time.monotonic() + _KEPT


def _row(row: Looked) -> dict[str, Any]:
    return {
        "line": row.row.line,
        "login": row.row.login,
        "full_name": row.row.full_name,
        "quota": row.row.quota,
        "password": bool(row.row.password),
        "problem": row.problem,
        "remedy": row.remedy,
        "warning": row.warning,
    }
