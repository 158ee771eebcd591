"""What follows from the answers of an MTA."""

from __future__ import annotations

import pytest

from vmaild.core.findings import Severity
from vmaild.core.mta import Asked, MtaEvidence, Purpose, Socket, mta_findings


@pytest.mark.parametrize(
    ("purpose", "code", "right", "severity"),
    [
        (Purpose.KNOWN, 250, True, None),
        (Purpose.KNOWN, 554, False, Severity.ERROR),
        (Purpose.KNOWN, 451, False, Severity.ERROR),
        (Purpose.UNKNOWN, 550, True, None),
        (Purpose.UNKNOWN, 250, False, Severity.WARNING),
        (Purpose.UNKNOWN, 451, False, Severity.ERROR),
        (Purpose.MAIN, 250, True, None),
        (Purpose.MAIN, 550, False, Severity.ERROR),
        (Purpose.RELAY, 554, True, None),
        (Purpose.RELAY, 250, None, None),
    ],
)
def test_each_answer(purpose: Purpose, code: int, right: bool | None, severity: Severity | None) -> None:
    asked = Asked(purpose, "bob@va.toto.fr", code, f"{code // 100}.1.1", "says so")
    assert asked.right is right
    findings = mta_findings(MtaEvidence("127.0.0.1:25", asked=(asked,)))
    assert [finding.severity for finding in findings] == ([severity] if severity else [])
    assert all("bob@va.toto.fr" in finding.problem and finding.remedy for finding in findings)


def test_nobody_answers() -> None:
    dead = Socket("lmtp", "/run/vmail/lmtp.sock", "Connection refused")
    findings = mta_findings(
        MtaEvidence("127.0.0.1:25", "Connection refused", sockets=(dead, Socket("maps", "/m")))
    )
    assert [(finding.path, finding.severity) for finding in findings] == [
        ("/run/vmail/lmtp.sock", Severity.ERROR),
        ("127.0.0.1:25", Severity.ERROR),
    ]
