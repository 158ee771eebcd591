from __future__ import annotations

import pytest

from vmaild.core.directory import DomainDefinition
from vmaild.core.dns_plan import Keys, Need, Record, plan_records, pointer_host, text_rdata
from vmaild.core.site import DnsSettings, Listen, Pop3Settings, Site

VA = DomainDefinition(
    "va.toto.fr", mail_host="mailhost.va.toto.fr", addresses=("172.16.0.1", "2001:db8::1"), aliases=("va.example",)
)


NONE, PLAIN = Keys(), Site()


def records(definition: DomainDefinition, site: Site = PLAIN, keys: Keys = NONE) -> set[tuple[str, str, str]]:
    plan = [wanted.record for wanted in plan_records(definition, site, keys)]
    return {(each.name, each.type, each.rdata) for each in plan}


def test_the_originals_example() -> None:
    found = records(VA)
    assert ("va.toto.fr", "MX", "10 mailhost.va.toto.fr.") in found
    assert ("va.example", "MX", "10 mailhost.va.toto.fr.") in found
    assert ("mailhost.va.toto.fr", "A", "172.16.0.1") in found
    assert ("mailhost.va.toto.fr", "AAAA", "2001:db8::1") in found
    assert ("1.0.16.172.in-addr.arpa", "PTR", "mailhost.va.toto.fr.") in found
    pointer = "1." + "0." * 23 + "8.b.d.0.1.0.0.2.ip6.arpa"
    assert (pointer, "PTR", "mailhost.va.toto.fr.") in found
    assert ("va.example", "TXT", '"v=spf1 mx -all"') in found
    assert ("_dmarc.va.toto.fr", "TXT", '"v=DMARC1; p=none"') in found


@pytest.mark.parametrize("host", ["va.toto.fr", "va.example", "vb.toto.fr"])
def test_a_pointer_never_names_a_bare_domain(host: str) -> None:
    definition = DomainDefinition("va.toto.fr", mail_host=host, addresses=("172.16.0.1",), aliases=("va.example",))
    assert pointer_host(definition, ["vb.toto.fr"]) == "mailhost.va.toto.fr"
    plan = {each.record for each in plan_records(definition, Site(), bare=["vb.toto.fr"])}
    assert Record("1.0.16.172.in-addr.arpa", "PTR", "mailhost.va.toto.fr.") in plan
    assert Record("mailhost.va.toto.fr", "A", "172.16.0.1") in plan  # so that the name leads back


def test_services_are_offered_or_denied() -> None:
    site = Site(pop3=Pop3Settings(tls_listen=(Listen("*", 995),)), dns=DnsSettings(submission=587))
    found = records(VA, site)
    assert ("_pop3._tcp.va.toto.fr", "SRV", "0 1 110 mailhost.va.toto.fr.") in found
    assert ("_pop3s._tcp.va.toto.fr", "SRV", "0 1 995 mailhost.va.toto.fr.") in found
    assert ("_submission._tcp.va.toto.fr", "SRV", "0 1 587 mailhost.va.toto.fr.") in found
    assert ("_imap._tcp.va.toto.fr", "SRV", "0 0 0 .") in found
    assert ("_pop3s._tcp.va.toto.fr", "SRV", "0 0 0 .") in records(VA)


def test_the_port_says_which_submission_it_is() -> None:
    found = records(VA, Site(dns=DnsSettings(submission=465)))
    assert ("_submissions._tcp.va.toto.fr", "SRV", "0 1 465 mailhost.va.toto.fr.") in found
    assert ("_submission._tcp.va.toto.fr", "SRV", "0 0 0 .") in found


def test_what_is_asked_for_only() -> None:
    dns = DnsSettings(
        spf="", dmarc="", caa="letsencrypt.org", mta_sts="1", tlsrpt="mailto:a@b.fr", tlsa=True, autoconfig=True
    )
    definition = DomainDefinition("va.toto.fr", addresses=("172.16.0.1",), dkim_selector="m1")
    found = records(definition, Site(dns=dns), Keys(dkim="A" * 300, tlsa="ab" * 32))
    assert not any("spf1" in rdata or "DMARC" in rdata for _, _, rdata in found)
    assert ("va.toto.fr", "CAA", '0 issue "letsencrypt.org"') in found
    assert ("_mta-sts.va.toto.fr", "TXT", '"v=STSv1; id=1"') in found
    assert ("_smtp._tls.va.toto.fr", "TXT", '"v=TLSRPTv1; rua=mailto:a@b.fr"') in found
    assert ("_25._tcp.mailhost.va.toto.fr", "TLSA", f"3 1 1 {'ab' * 32}") in found
    assert ("autodiscover.va.toto.fr", "CNAME", "mailhost.va.toto.fr.") in found
    key = next(rdata for name, _, rdata in found if name == "m1._domainkey.va.toto.fr")
    assert all(len(piece) <= 257 for piece in key.split(" ") if piece.startswith('"A'))


def test_texts_are_cut_and_quoted() -> None:
    assert text_rdata('a"b\\') == '"a\\"b\\\\"'
    assert text_rdata("x" * 256) == f'"{"x" * 255}" "x"'
    assert text_rdata("é") == '"\\195\\169"'


def test_each_record_says_why() -> None:
    plan = plan_records(VA, Site())
    assert all(each.why for each in plan)
    assert {each.need for each in plan} == set(Need)
