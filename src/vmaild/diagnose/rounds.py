"""Checks that people start on the web: each in a process of its own (diagnose.apart), watched and kept.

The network may let a check wait for minutes, and a thousand domains want the processor for as long: neither must
hold up the keeper, whose threads answer pages. What was found stays in its memory, for whoever has started it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from vmaild.admin.answers.values import dry, page, shown_plan
from vmaild.admin.checks import file_findings
from vmaild.admin.door import Door
from vmaild.admin.long_work import Work
from vmaild.admin.mend import Mended, mend
from vmaild.admin.names import parse_domain
from vmaild.admin.overview import see_site
from vmaild.admin.refusal import Code, Refused
from vmaild.core.findings import Fix, FixKind
from vmaild.diagnose.apart import of_files

Values = Mapping[str, Any]
Findings = dict[str, list[dict[str, Any]]]

LIMIT_OF_ONE = 120.0
"""Seconds that the check of one domain may take."""
LIMIT_OF_ALL = 1800.0
_AT_A_TIME = 4
_KEPT = 50
"""Checks that are kept; the oldest are forgotten."""
_PAGE = 20
"""Domains that are told at once."""
_RANK = ("right", "unknown", "warning", "error")


@dataclass(slots=True)
class Round:
    """One check."""

    principal: str
    domain: str
    """Empty: all, and the machine."""
    began: float
    """Seconds since 1970."""
    work: Work
    total: int = 0
    done: int = 0
    files: Findings = field(default_factory=dict, repr=False)
    found: Findings = field(default_factory=dict, repr=False)

    def hear(self, told: dict[str, Any]) -> None:
        """Take one line of the process. Raises Refused where it gives up."""
        if "problem" in told:
            raise Refused(told["problem"], told["remedy"])
        for name, value in told.items():
            setattr(self, name, value)


class Rounds:
    """See the module. For all threads."""

    def __init__(self, *, limit_of_one: float = LIMIT_OF_ONE, limit_of_all: float = LIMIT_OF_ALL) -> None:
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, str], Round] = {}
        self._limits = {True: limit_of_one, False: limit_of_all}

    def verbs(self) -> dict[str, Callable[[Door, Values], Any]]:
        """What the desk may be asked."""
        return {
            "check.start": self.start,
            "check.show": self.show,
            "check.progress": self.progress,
            "check.fix": self.fix,
        }

    def start(self, door: Door, values: Values) -> None:
        """Begin to check a domain, or all; one that runs already goes on. Raises Refused."""
        domain = _scope(door, values)
        made = Round(door.actor.principal, domain, time.time(), Work(f"the check of {domain or 'all domains'}"))
        with self._lock:
            running = [each for each in self._kept.values() if each.work.running]
            if any((each.principal, each.domain) == (made.principal, domain) for each in running):
                return
            if len(running) >= _AT_A_TIME or any(each.principal == made.principal for each in running):
                raise Refused("another check is still running", "wait until it has ended", Code.BUSY)
            self._kept.pop((made.principal, domain), None)  # the newest come last
            self._kept[made.principal, domain] = made
            while len(self._kept) > _KEPT:
                del self._kept[next(key for key, each in self._kept.items() if not each.work.running)]
            wanted = {
                "root": door.layout.root,
                "principal": made.principal,
                "site_admin": door.actor.site_admin,
                "domain": domain,
            }
            made.work.begin(lambda: _listen(made, json.dumps(wanted), self._limits[bool(domain)]))

    def show(self, door: Door, values: Values) -> dict[str, Any]:
        """How far the last check is and what it found, worst first. Raises Refused.

        The files of one domain are looked at now; those of all, which may be many, where there was no check yet.
        """
        domain = _scope(door, values)
        last = self._last(door, domain)
        found = _joined(door, last, domain)
        order = sorted(found, key=lambda name: (name != "", -_rank(found[name]), name))
        told = [name for name in order if found[name] or name == domain != ""]
        shown = page(told, {"page": values.get("page", 1), "size": _PAGE})
        return _progress(last) | {
            "tally": Counter(_RANK[_rank(each)] for name, each in found.items() if name),
            "fixes": len(_fixes(found)) if door.actor.site_admin else 0,
            "page": shown["page"],
            "pages": shown["pages"],
            "places": [
                {"name": name, "verdict": _RANK[_rank(found[name])], "findings": _worst_first(found[name])}
                for name in shown["items"]
            ],
        }

    def progress(self, door: Door, values: Values) -> dict[str, Any]:
        """How far the last check is. Raises Refused."""
        return _progress(self._last(door, _scope(door, values)))

    def fix(self, door: Door, values: Values) -> dict[str, Any]:
        """Mend what was found and vmaild may mend, or tell what that would be. Raises Refused."""
        domain = _scope(door, values)
        see_site(door)
        mended = mend(door, _fixes(_joined(door, self._last(door, domain), domain)), dry_run=dry(values))
        plans = [shown_plan(each.plan) for each in mended if each.plan is not None]
        joined = {key: [each for plan in plans for each in plan[key]] for key in _LISTS}
        return joined | {
            "changed": any(plan["changed"] for plan in plans),
            "carried_out": any(plan["carried_out"] for plan in plans),
            "summary": "; ".join(plan["summary"] for plan in plans if plan["changed"]),
            "warnings": [*joined["warnings"], *(_not_mended(each) for each in mended if each.problem)],
        }

    def _last(self, door: Door, domain: str) -> Round | None:
        """The newest check that has something to say of a domain, or of all."""
        with self._lock:
            own = self._kept.get((door.actor.principal, domain))
            whole = self._kept.get((door.actor.principal, "")) if domain and door.actor.site_admin else None
        if whole and domain in whole.found and (own is None or whole.began > own.began):
            return whole
        return own


def _listen(made: Round, wanted: str, limit: float) -> None:
    """Have the check carried out, and take what it tells. Raises Refused."""
    # -P: what lies in the folder where the servers were started is not for root to run.
    command = [sys.executable, "-P", "-m", "vmaild.diagnose.apart"]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True) as process:  # noqa: S603  our own words
        assert process.stdin is not None
        assert process.stdout is not None
        late = threading.Timer(limit, process.kill)
        late.start()
        try:
            process.stdin.write(wanted)
            process.stdin.close()
            for line in process.stdout:
                made.hear(json.loads(line))
        finally:
            late.cancel()
            process.kill()
    if not made.found:
        raise Refused(
            "the check took too long, and was ended",
            "run 'vmail check' on the machine itself: there it takes the time it needs",
        )


_LISTS = ("rerouted", "effects", "warnings", "diffs")


def _scope(door: Door, values: Values) -> str:
    """The domain that is meant, empty for all, where the actor may see that. Raises Refused."""
    if values.get("domain"):
        return door.see(parse_domain(values["domain"]))[1].name
    see_site(door)
    return ""


def _progress(last: Round | None) -> dict[str, Any]:
    if last is None:
        return {"began": "", "total": 0, "done": 0} | Work(state="never").told()
    began = time.strftime("%Y-%m-%d %H:%M", time.localtime(last.began))
    return {"began": began, "total": last.total, "done": last.done} | last.work.told()


def _joined(door: Door, last: Round | None, domain: str) -> Findings:
    """Findings of files and of the last check, by domain; of one domain only those of it and of the machine."""
    files = last.files if last and not domain else of_files(file_findings(door, domain or None))
    found = last.found if last else {}
    names = [name for name in dict.fromkeys([*files, *found]) if not domain or name in ("", domain)]
    return {name: [*files.get(name, ()), *found.get(name, ())] for name in names}


def _rank(findings: Iterable[dict[str, Any]]) -> int:
    return max((_RANK.index(each["severity"]) for each in findings), default=0)


def _worst_first(findings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(findings, key=lambda each: -_RANK.index(each["severity"]))


def _fixes(found: Findings) -> list[Fix]:
    plain = [each["fix"] for findings in found.values() for each in findings if each["fix"]]
    return list(dict.fromkeys(Fix(FixKind(each["kind"]), each["subject"], each["mode"]) for each in plain))


def _not_mended(mended: Mended) -> str:
    subject = mended.fix.subject
    match mended.fix.kind:
        case FixKind.DNS:
            return f"the DNS records of {subject} cannot be mended: {mended.problem}"
        case FixKind.ADDRESSES:
            return f"the service addresses of {subject} cannot be mended: {mended.problem}"
        case FixKind.MODE | FixKind.FOLDER:
            return f"{subject} cannot be mended: {mended.problem}"
