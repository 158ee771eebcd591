"""The whole check in a process of its own, which may take its time and be ended.

`python -m vmaild.diagnose.apart` reads from standard input what to check, as JSON: `root`, `principal`,
`site_admin`, `domain` (empty: all). What it finds goes to standard output as lines of JSON: `{"total": N}`,
`{"files": {...}}`, `{"done": N}` many times, at last `{"found": {...}}`; or `{"problem": ..., "remedy": ...}`.
Findings stand by domain, the machine's under "".
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from vmaild.admin.checks import file_findings
from vmaild.admin.door import Door, refusals
from vmaild.admin.refusal import Refused
from vmaild.core.findings import Diagnosis, Finding
from vmaild.core.permissions import Actor
from vmaild.diagnose.checkup import Extent
from vmaild.diagnose.doctor import examined
from vmaild.store.layout import Layout
from vmaild.store.site import load_site

_POLITE = 10
"""How far pages and deliveries go before it; see nice(2)."""
_EVERY = 0.3
"""Seconds between two words on how far it is."""


def main() -> None:
    """Read what to check, check it, tell it."""
    os.nice(_POLITE)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    try:
        _check(json.load(sys.stdin))
    except Refused as refusal:
        _tell(problem=refusal.problem, remedy=refusal.remedy)
    except ValueError as error:
        _tell(problem=str(error), remedy="set resolver in [dns] of vmail.toml")


def _check(wanted: dict[str, Any]) -> None:
    layout = Layout(wanted["root"])
    with refusals():
        site, faults = load_site(layout)
        door = Door(layout, site, Actor(wanted["principal"], wanted["site_admin"], "web"), findings=faults)
        files = file_findings(door, wanted["domain"] or None)
        names = [name for name in files if name]
        _tell(total=len(names))
        _tell(files=of_files(files))
        done, told = 0, time.monotonic()

        def advance() -> None:
            nonlocal done, told
            done += 1
            if time.monotonic() > told + _EVERY:
                told = time.monotonic()
                _tell(done=done)

        found = examined(door, names, Extent(resolver=site.dns.resolver), advance)
    _tell(found={name: [_of_rule(each) for each in told] for name, told in found.items()})


def of_files(found: Mapping[str, Sequence[Finding]]) -> dict[str, list[dict[str, Any]]]:
    """Faults of files as plain values, by domain."""
    return {name: [_of_file(each) for each in findings] for name, findings in found.items()}


def _of_file(finding: Finding) -> dict[str, Any]:
    """A fault of a file as plain values; `place` is the file with its line."""
    return {
        "place": finding.place,
        "severity": finding.severity.name.lower(),
        "problem": finding.problem,
        "why": "",
        "remedy": finding.remedy,
        "fix": asdict(finding.fix) if finding.fix else None,
    }


def _of_rule(diagnosis: Diagnosis) -> dict[str, Any]:
    """A conclusion as plain values; `place` is its code."""
    return {
        "place": diagnosis.code,
        "severity": diagnosis.severity.name.lower(),
        "problem": diagnosis.seen,
        "why": diagnosis.why,
        "remedy": diagnosis.remedy,
        "fix": asdict(diagnosis.fix) if diagnosis.fix else None,
    }


def _end_with(parent: int) -> None:
    """End when nobody listens any more."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _tell(**what: Any) -> None:  # noqa: ANN401  as JSON has it
    print(json.dumps(what), flush=True)  # noqa: T201  whoever started this listens


if __name__ == "__main__":
    main()
