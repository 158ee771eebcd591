"""The verdict on a domain: all rules asked, in an order that begins with causes and ends with consequences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from vmaild.core.evidence import Case
from vmaild.core.findings import Diagnosis, Severity
from vmaild.core.rules_mx import host_diagnoses, mx_diagnoses, unanswered
from vmaild.core.rules_policy import policy_diagnoses
from vmaild.core.rules_ptr import pointer_diagnoses
from vmaild.core.rules_servers import server_diagnoses
from vmaild.core.rules_zone import zone_diagnoses

_RULES = (
    unanswered,
    zone_diagnoses,
    mx_diagnoses,
    host_diagnoses,
    pointer_diagnoses,
    server_diagnoses,
    policy_diagnoses,
)


def diagnoses(case: Case) -> tuple[Diagnosis, ...]:
    """All that is wrong with a domain, or cannot be known."""
    return tuple(dict.fromkeys((*_undefined(case), *(each for rule in _RULES for each in rule(case)))))


def _undefined(case: Case) -> Iterator[Diagnosis]:
    name = case.subject.name
    if case.subject.definition is None:
        yield case.unknown(
            "domain.undefined",
            f"{name} is no virtual domain of this machine",
            "that is right for the main domain, and for zones without mail here",
            f"if it is to be one: vmail domain add {name}",
        )


def resolver_diagnoses(cases: Iterable[Case]) -> Iterator[Diagnosis]:
    """What is wrong with the resolver itself."""
    if any(case.machine.resolver_invents for case in cases):
        yield Diagnosis(
            "resolver.invents",
            Severity.WARNING,
            "",
            "the resolver finds names that cannot be",
            "it answers for names that do not exist, as some providers do for advertisements: what is missing in "
            "DNS cannot be seen, and mail to mistyped domains hangs",
            "use another one in /etc/resolv.conf, such as a resolver of your own (unbound)",
        )


def worst(severities: Iterable[Severity]) -> Severity | None:
    """The verdict: the most severe there is; None: all is well."""
    return max(severities, default=None)
