"""The demonstration shows one of everything, and is without fault."""

from __future__ import annotations

from email import message_from_bytes, policy

import pytest

from vmaild.core.directory import (
    FallbackToAddress,
    FallbackToCommand,
    FallbackToDomain,
    FallbackToName,
    NoFallback,
)
from vmaild.core.site import Listen
from vmaild.formats.aliases import parse_aliases
from vmaild.formats.domain import parse_definition
from vmaild.formats.site import parse_site
from vmaild.generate.demo import DOMAINS, SITE, sample_messages
from vmaild.generate.site import render_site

MAIN = {"va.toto.fr": "127.0.0.2", "vb.toto.fr": "127.0.0.3", "vc.toto.fr": "127.0.0.4"}


def test_every_kind_of_fallback_is_to_be_seen() -> None:
    kinds = set()
    for domain in DOMAINS:
        definition, findings = parse_definition(domain.definition, domain.name, "")
        assert (definition is not None, findings) == (True, ())
        assert definition is not None
        kinds.add(type(definition.fallback))
    assert kinds == {NoFallback, FallbackToAddress, FallbackToDomain, FallbackToName, FallbackToCommand}


@pytest.mark.parametrize("domain", [each for each in DOMAINS if each.name in MAIN], ids=lambda each: each.name)
def test_the_three_domains_look_alike_from_outside(domain: object) -> None:
    (found,) = [each for each in DOMAINS if each is domain]
    definition, _ = parse_definition(found.definition, found.name, "")
    assert definition is not None
    assert (definition.mail_host, definition.addresses) == (f"mailhost.{found.name}", (MAIN[found.name],))
    short = found.name[:2]
    assert [(each.login, each.password) for each in found.accounts] == [
        ("bob", f"bob-{short}"),
        ("alice", f"alice-{short}"),
    ]
    assert parse_aliases(found.aliases, "").findings == ()
    assert "postmaster" in {entry.name for entry in parse_aliases(found.aliases, "").entries}


def test_nobody_has_the_name_of_somebody_else() -> None:
    names = [account.full_name for domain in DOMAINS for account in domain.accounts]
    assert len(set(names)) == len(names) == 6


def test_it_listens_on_loopback_alone() -> None:
    site, findings = parse_site(render_site(SITE), "")
    assert findings == ()
    assert site is not None
    assert site.demo
    assert [str(listen) for listen in site.pop3.listen] == [f"127.0.0.{number}:11110" for number in (1, 2, 3, 4)]
    everywhere = [*site.pop3.listen, *site.lmtp.listen, *site.smtp.listen, *site.web.listen, *site.pop3.tls_listen]
    assert all(listen.path or listen.host.startswith("127.") for listen in everywhere)
    assert Listen("127.0.0.1", 11024) in site.lmtp.listen


def test_sample_messages_are_whole() -> None:
    samples = list(sample_messages("Thu, 13 Feb 2025 09:26:53 +0100"))
    assert {f"{sample.login}@{sample.domain}" for sample in samples} == {
        f"{account.login}@{domain.name}" for domain in DOMAINS for account in domain.accounts
    }
    for sample in samples:
        message = message_from_bytes(sample.content, policy=policy.default)
        assert [part.defects for part in message.walk()] == [[]] * len(list(message.walk()))
        assert {"Date", "From", "To", "Subject", "Message-ID", "MIME-Version"} <= set(message.keys())
    assert any(b"\nContent-Disposition: attachment" in sample.content for sample in samples)
    assert any(not sample.content.isascii() for sample in samples)
