"""STARTTLS to a real Postfix: asked for, checked, offered, missing."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.e2e import mtas
from tests.e2e.machine import Machine
from tests.e2e.mtas import Mail
from tests.e2e.zoo.world import Authority
from tests.served import moments

from vmaild.address import parse_address
from vmaild.core.site import Relay, RelayKind
from vmaild.delivery import resend
from vmaild.delivery.message import Attempt
from vmaild.outcome import Condition, Deferred, Delivered, Outcome
from vmaild.store.content import Content

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="MTAs want root, and a mount namespace")

TLS = """\
smtpd_tls_security_level = may
smtpd_tls_cert_file = /etc/postfix/relay.pem
smtpd_tls_received_header = yes
"""


@pytest.fixture
def postfix(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Callable[[str, str], Mail]]:
    """Call it with a certificate and settings for a Postfix that takes mail for partner.example."""
    machines: list[Machine] = []

    def make(certificate: str, settings: str) -> Mail:
        machines.append(Machine("postfix", tmp_path / f"machine{len(machines)}", tmp_path / "nothing"))
        mail = mtas.postfix(machines[-1], free_port(), 1, "outside.example, partner.example", settings)
        mail.machine.write("etc/postfix/relay.pem", certificate)
        mail.start()
        for _ in moments("Postfix does not answer"):
            if mail.swaks("", "office@partner.example", "x", "--quit-after", "EHLO")[0] == 0:
                break
        return mail

    yield make
    for machine in machines:
        print(machine.text("var/log/mail.log"))
        machine.stop()


def send(relay: Relay, subject: str, folder: Path) -> Outcome:
    with Content(str(folder)) as content:
        content.append(f"Subject: {subject}\n\nHello.\n".encode())
        content.finish()
        way = resend.Way(relay, "here.test", str(folder), Attempt())
        recipient = parse_address("office@partner.example")
        (outcome,) = resend.resend(way, "ann@outside.example", [recipient], b"", content)
        return outcome


def protocol_of(mail: Mail, subject: str) -> str:
    """What the Received field of the relay says that the message came with."""
    for _ in moments(f"{subject} did not arrive"):
        for text in mail.machine.inbox("office").split("\nFrom "):
            if f"\nSubject: {subject}\n" in text:
                found = re.search(r"from here\.test [^;]*?with (E?SMTPS?)\b", text, re.DOTALL)
                assert found is not None, text
                return found[1]
    raise AssertionError


def test_tls_that_is_asked_for_is_checked(
    tmp_path: Path, postfix: Callable[[str, str], Mail], monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path / "ca")
    mail = postfix(authority.certificate("relay", ["localhost"]).read_text(), TLS)
    asked = Relay(RelayKind.STARTTLS, "localhost", mail.port)
    waits = Deferred(Condition.NEXT_SERVER_WAITS)
    assert send(asked, "nobody vouches", tmp_path) == waits
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
    assert send(asked, "vouched for", tmp_path) == Delivered()
    assert protocol_of(mail, "vouched for") == "ESMTPS"
    assert send(Relay(RelayKind.STARTTLS, "127.0.0.1", mail.port), "another name", tmp_path) == waits
    # On this machine nobody listens on the way; from another, what is offered is taken, whoever vouches for it.
    offered = Relay(RelayKind.SMTP, "127.0.0.1", mail.port)
    assert send(offered, "next door", tmp_path) == Delivered()
    assert protocol_of(mail, "next door") == "ESMTP"
    monkeypatch.delenv("SSL_CERT_FILE")
    monkeypatch.setattr(resend, "_is_here", lambda _: False)
    assert send(offered, "from afar", tmp_path) == Delivered()
    assert protocol_of(mail, "from afar") == "ESMTPS"
    assert not {"nobody vouches", "another name"} & set(re.findall(r"Subject: (.*)", mail.machine.inbox("office")))


@pytest.mark.parametrize("settings", ["smtpd_tls_security_level = none\n", f"{TLS}smtpd_tls_protocols = TLSv1\n"])
def test_without_tls(
    tmp_path: Path, postfix: Callable[[str, str], Mail], monkeypatch: pytest.MonkeyPatch, settings: str
) -> None:
    """Nothing that must be secret goes out; what need not be does, also where TLS is offered and fails."""
    monkeypatch.setattr(resend, "_is_here", lambda _: False)
    authority = Authority(tmp_path / "ca")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
    mail = postfix(authority.certificate("relay", ["localhost"]).read_text(), settings)
    asked = Relay(RelayKind.STARTTLS, "localhost", mail.port)
    assert send(asked, "secret", tmp_path) == Deferred(Condition.NEXT_SERVER_WAITS)
    assert send(Relay(RelayKind.SMTP, "127.0.0.1", mail.port), "postcard", tmp_path) == Delivered()
    assert protocol_of(mail, "postcard") == "ESMTP"
    assert "secret" not in mail.machine.inbox("office")
