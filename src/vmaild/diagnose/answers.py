"""The verbs of the desk that ask others: DNS, and the running MTA. Plain values, as in admin.answers."""

from __future__ import annotations

from typing import Any

from vmaild.admin import dns, mta
from vmaild.admin.answers.values import Values, Verb
from vmaild.admin.door import Door
from vmaild.admin.names import parse_domain
from vmaild.admin.overview import see_site
from vmaild.admin.refusal import Misused
from vmaild.core.mta import mta_findings
from vmaild.diagnose.dns import look, make_resolver
from vmaild.diagnose.mta import probe_mta, questions
from vmaild.diagnose.rounds import Rounds

_MOST_DOMAINS = 20
"""Asked about in one go: a person waits."""
_TIMEOUT = 10.0


def _dns_look(door: Door, values: Values) -> Any:  # noqa: ANN401  plain values
    plan = dns.plan_of(door, parse_domain(values["domain"]))
    try:
        resolver = make_resolver(door.site.dns.resolver)
    except ValueError as error:
        raise Misused(str(error), "set resolver in [dns] of vmail.toml") from error
    seen = look([wanted.record for wanted in plan.wanted], resolver)
    return [{"state": each.state.value, "found": list(each.found), "problem": each.problem} for each in seen]


def _mta_check(door: Door, values: Values) -> Any:  # noqa: ANN401  likewise
    see_site(door)
    view = door.view()
    names = view.names()
    server = str(values.get("server") or "127.0.0.1:25")
    host, colon, port = server.rpartition(":")
    if not colon or not port.isdecimal() or not 0 < int(port) < 65536:
        raise Misused(f"'{server}' is not a host and a port", "write it like 127.0.0.1:25 or [::1]:25")
    asked = questions(view.visible, names[:_MOST_DOMAINS])
    evidence = probe_mta((host.strip("[]"), int(port)), asked, mta.sockets(door), timeout=_TIMEOUT)
    return {
        "server": evidence.server,
        "name": evidence.name,
        "problem": evidence.problem,
        "left_out": max(0, len(names) - _MOST_DOMAINS),
        "asked": [
            {"purpose": each.purpose.value, "recipient": each.recipient, "reply": each.reply, "right": each.right}
            for each in evidence.asked
        ],
        "sockets": [{"name": each.name, "path": each.path, "problem": each.problem} for each in evidence.sockets],
        "findings": [
            {"problem": each.problem, "remedy": each.remedy, "severity": each.severity.name.lower()}
            for each in mta_findings(evidence)
        ],
    }


def probes() -> dict[str, Verb]:
    """These verbs, for one desk: checks that are started are kept there."""
    return {"dns.look": _dns_look, "mta.check": _mta_check, **Rounds().verbs()}
