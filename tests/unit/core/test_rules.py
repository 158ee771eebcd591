"""What the rules conclude from evidence that no test can build from the inside: other networks, other machines."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vmaild.core.directory import DomainDefinition
from vmaild.core.dns_plan import plan_records
from vmaild.core.evidence import (
    Answer,
    Case,
    DnsEvidence,
    Machine,
    NameEvidence,
    NameServer,
    Neighbours,
    Place,
    Pop3Evidence,
    Reply,
    Subject,
)
from vmaild.core.findings import Severity
from vmaild.core.mta import Asked, MtaEvidence, Purpose
from vmaild.core.rules_mta import mta_diagnoses
from vmaild.core.site import Site
from vmaild.core.upkeep import PostfixSettings, Upkeep
from vmaild.core.verdicts import diagnoses

PUBLIC, INSIDE = "198.51.100.7", "192.168.7.2"
HOST = "mailhost.va.test"


def found(name: str, kind: str, *values: str) -> Answer:
    return Answer(name, kind, Reply.FOUND if values else Reply.NO_DATA, values)


def case(service: str, *, told: str, machine: tuple[str, ...], spf: str = "v=spf1 mx -all") -> Case:
    """A domain whose records are right, but for the address that DNS tells."""
    definition = DomainDefinition("va.test", addresses=(service,), dkim_selector="k")
    name = NameEvidence(
        "va.test",
        found("va.test", "MX", f"10 {HOST}"),
        found("va.test", "TXT", spf),
        (found("_dmarc.va.test", "TXT", "v=DMARC1; p=none"),),
        found("k._domainkey.va.test", "TXT", "v=DKIM1; p=QUJD"),
    )
    hosts = {
        HOST: (found(HOST, "A", told), found(HOST, "AAAA")),
        "va.test": (found("va.test", "A"), found("va.test", "AAAA")),
    }
    pointers = {service: found("7", "PTR", HOST)}
    subject = Subject("va.test", definition, plan_records(definition, Site()), "QUJD")
    evidence = DnsEvidence((name,), hosts, pointers)
    return Case(subject, Neighbours(frozenset({"va.test"})), Machine(frozenset(machine)), evidence)


def codes(given: Case) -> dict[str, Severity]:
    return {each.code: each.severity for each in diagnoses(given)}


def test_a_domain_that_is_right_has_no_finding() -> None:
    assert codes(case(PUBLIC, told=PUBLIC, machine=(PUBLIC,))) == {}


def test_behind_a_router_it_is_unknown_until_the_right_server_greets_there() -> None:
    behind = case(INSIDE, told=PUBLIC, machine=(INSIDE, "127.0.0.1"))
    assert codes(behind) == {"nat": Severity.UNKNOWN}
    greets = Pop3Evidence(PUBLIC, 110, greeting="+OK Virtual va.test POP3 Server (Version 1) ready.")
    assert codes(replace(behind, pop3=(greets,))) == {}
    other = replace(greets, greeting="+OK Virtual vb.test POP3 Server (Version 1) ready.")
    assert codes(replace(behind, pop3=(other,))) == {"nat": Severity.UNKNOWN}


def test_with_a_public_address_of_its_own_another_one_is_another_machine() -> None:
    assert codes(case(PUBLIC, told="203.0.113.9", machine=(PUBLIC,)))["mx.elsewhere"] is Severity.ERROR


def test_without_knowing_its_addresses_the_machine_says_nothing_of_them() -> None:
    """As in a sandbox without netlink."""
    found_codes = codes(case(PUBLIC, told="203.0.113.9", machine=()))
    assert not {"mx.elsewhere", "address.down", "host.elsewhere"} & set(found_codes), found_codes


@pytest.mark.parametrize(
    ("address", "place"),
    [
        (PUBLIC, Place.UNKNOWN),
        (INSIDE, Place.HERE),
        ("192.168.7.3", Place.ELSEWHERE),
        ("127.0.0.9", Place.HERE),
        ("2001:db8::1", Place.UNKNOWN),
        ("fd00::1", Place.ELSEWHERE),
    ],
)
def test_where_an_address_leads_from_a_machine_in_a_private_network(address: str, place: Place) -> None:
    assert Machine(frozenset({INSIDE, "127.0.0.1", "::1"})).place(address) is place


@pytest.mark.parametrize(
    ("spf", "code"),
    [
        ("v=spf1 ip4:198.51.100.0/24 -all", ""),
        ("v=spf1 ip4:203.0.113.0/24 ~all", ""),
        ("v=spf1 ip4:203.0.113.0/24 include:other.test -all", ""),
        ("v=spf1 ip4:203.0.113.0/24 redirect=other.test", ""),
        ("v=spf1 ip4:203.0.113.0/24", ""),
        ("v=spf1 -mx ?all", "spf.refuses"),
        ("v=spf1 ip6:2001:db8::/32 -all", "spf.refuses"),
        ("V=SPF1 A/24 MX -ALL", ""),
        ("v=spf1 ip4:198.51.100.300 -all", "spf.syntax"),
        ("v=spf1 include: -all", "spf.syntax"),
        ("v=spf1 exp=why.va.test mx -all", ""),
    ],
)
def test_what_an_spf_record_says_of_the_service_address(spf: str, code: str) -> None:
    assert set(codes(case(PUBLIC, told=PUBLIC, machine=(PUBLIC,), spf=spf))) == ({code} if code else set())


def at_servers(*servers: NameServer) -> Case:
    right = case(PUBLIC, told=PUBLIC, machine=(PUBLIC,))
    assert right.dns is not None
    (name,) = right.dns.names
    return replace(right, dns=replace(right.dns, names=(replace(name, servers=servers),)))


def test_servers_that_cannot_be_reached_from_here_may_be_behind_a_firewall() -> None:
    silent = NameServer("ns.test", "198.51.100.53", problem="no answer")
    assert codes(at_servers(silent)) == {"ns.unknown": Severity.UNKNOWN}
    mx = found("va.test", "MX", f"10 {HOST}")
    good = NameServer("ns2.test", "198.51.100.54", "", True, 1, mx)
    assert codes(at_servers(silent, good)) == {"ns.silent": Severity.WARNING}


def test_an_answer_of_the_resolver_alone_is_told_as_such() -> None:
    truth = found("va.test", "MX", "10 elsewhere.test")
    differs = at_servers(NameServer("ns.test", "198.51.100.53", "", True, 1, truth))
    assert codes(differs) == {"dns.differs": Severity.WARNING}


def asked(code: int, enhanced: str) -> tuple[str, Asked]:
    return PUBLIC, Asked(Purpose.RELAY, "x@example.net", code, enhanced, "said")


@pytest.mark.parametrize(
    ("relayed", "postfix", "code"),
    [
        (asked(554, "5.7.1"), None, ""),
        (asked(250, "2.1.5"), None, "mta.relay_unknown"),
        (asked(250, "2.1.5"), PostfixSettings(("127.0.0.0/8", f"{PUBLIC}/32")), "mta.relay_unknown"),
        (asked(250, "2.1.5"), PostfixSettings(("127.0.0.0/8",)), "mta.relays"),
        (None, PostfixSettings(("0.0.0.0/0",)), "mta.relays"),
        (None, PostfixSettings(("[::]/0",)), "mta.relays"),
        (None, PostfixSettings(("127.0.0.0/8", "[::1]/128", "cidr:/etc/postfix/nets")), ""),
    ],
)
def test_whether_the_mta_relays(
    relayed: tuple[str, Asked] | None, postfix: PostfixSettings | None, code: str
) -> None:
    seen = Upkeep(mta=MtaEvidence("127.0.0.1:25"), relayed=relayed, postfix=postfix)
    assert [each.code for each in mta_diagnoses(seen, ())] == ([code] if code else [])


@pytest.mark.parametrize(
    ("masqueraded", "rewritten"),
    [
        (("toto.fr",), True),
        (("!va.toto.fr", "toto.fr"), False),
        (("toto.fr", "!va.toto.fr"), True),
        (("example.org",), False),
        ((), False),
    ],
)
def test_whether_postfix_rewrites_a_sender(masqueraded: tuple[str, ...], rewritten: bool) -> None:
    seen = Upkeep(postfix=PostfixSettings(masqueraded=masqueraded))
    assert [each.code for each in mta_diagnoses(seen, ["va.toto.fr"])] == ["mta.rewrites"] * rewritten
