"""The records that a domain needs in DNS, each with the reason for it: decided, not looked up.

Names are canonical and without a final dot; rdata is what stands in a zone file, its names with their final dot.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from vmaild.core.directory import DomainDefinition
from vmaild.core.site import DnsSettings, Site

TXT_PIECE = 255
"""Octets of one character-string (RFC 1035 section 3.3)."""
SUBMISSIONS = 465
"""The port of submission with TLS from the first byte (RFC 8314 section 3.3)."""


class Need(Enum):
    """What is lost without a record."""

    REQUIRED = "required"
    """Mail does not arrive, or arrives marked as junk."""
    RECOMMENDED = "recommended"
    OPTIONAL = "optional"


@dataclass(frozen=True, slots=True)
class Record:
    """One resource record."""

    name: str
    type: str
    rdata: str
    ttl: int = 3600

    @property
    def reverse(self) -> bool:
        """Whether it belongs into a zone of addresses."""
        return self.type == "PTR"

    def __str__(self) -> str:
        return f"{self.name}. {self.ttl} IN {self.type} {self.rdata}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A record of the plan."""

    record: Record
    need: Need
    why: str


@dataclass(frozen=True, slots=True)
class Keys:
    """What only files tell."""

    dkim: str = ""
    """The public key, as base64; empty: mail of the domain is not signed."""
    tlsa: str = ""
    """SHA-256 of the certificate's public key, in hexadecimal (RFC 6698 section 2.1); empty: no certificate."""


def mail_host_of(definition: DomainDefinition) -> str:
    """The name that the MX points to and clients connect to."""
    return definition.mail_host or f"mailhost.{definition.name}"


def pointer_host(definition: DomainDefinition, bare: Sequence[str] = ()) -> str:
    """What a PTR may name: the mail host, but never a bare domain, neither this one nor one of `bare`.

    An MTA collects the names of the machine's addresses, and would masquerade outgoing mail of such a domain.
    """
    host = mail_host_of(definition)
    if host in (definition.name, *definition.aliases, *bare):
        return f"mailhost.{definition.name}"
    return host


def reverse_name(address: str) -> str:
    """Where the PTR of an address stands (RFC 1035 section 3.5, RFC 3596 section 2.5)."""
    return ipaddress.ip_address(address).reverse_pointer


def plan_records(
    definition: DomainDefinition, site: Site, keys: Keys = Keys(), bare: Sequence[str] = ()
) -> tuple[Wanted, ...]:
    """All records of a domain, its domain aliases and its service addresses.

    `bare` are the names of the other domains of this machine.
    """
    plan = [*_host(definition, site, bare), *_of_host(definition, site, keys)]
    for name in (definition.name, *definition.aliases):
        plan += _of_name(name, definition, site, keys)
    return tuple({wanted.record: wanted for wanted in plan}.values())


def text_rdata(text: str) -> str:
    """A TXT record's data: quoted, in pieces that fit."""
    data = text.encode("utf-8")
    pieces = [data[start : start + TXT_PIECE] for start in range(0, len(data), TXT_PIECE)] or [b""]
    return " ".join(f'"{"".join(map(_escaped, piece))}"' for piece in pieces)


def _escaped(octet: int) -> str:
    if octet in b'"\\':
        return f"\\{chr(octet)}"
    return chr(octet) if 32 <= octet < 127 else f"\\{octet:03}"


def _host(definition: DomainDefinition, site: Site, bare: Sequence[str]) -> Iterator[Wanted]:
    """The mail host's addresses, and the way back from them."""
    host, pointer, ttl = mail_host_of(definition), pointer_host(definition, bare), site.dns.ttl
    for address in definition.addresses:
        kind = "AAAA" if ":" in address else "A"
        for name in dict.fromkeys((host, pointer)):
            why = "the mail host must have the domain's service address"
            yield Wanted(Record(name, kind, address, ttl), Need.REQUIRED, why)
        yield Wanted(
            Record(reverse_name(address), "PTR", f"{pointer}.", ttl),
            Need.REQUIRED,
            "receivers refuse mail from addresses whose name does not lead back; it must not be a bare domain",
        )


def _of_host(definition: DomainDefinition, site: Site, keys: Keys) -> Iterator[Wanted]:
    """What stands below the mail host."""
    host, dns = mail_host_of(definition), site.dns
    if dns.tlsa and keys.tlsa:
        yield Wanted(
            Record(f"_25._tcp.{host}", "TLSA", f"3 1 1 {keys.tlsa}", dns.ttl),
            Need.OPTIONAL,
            "senders with DANE insist on TLS with this certificate (RFC 7672); it counts in signed zones only",
        )


def _of_name(name: str, definition: DomainDefinition, site: Site, keys: Keys) -> Iterator[Wanted]:
    """What the domain, or one of its domain aliases, needs at its own name and below it."""
    host, dns = mail_host_of(definition), site.dns

    def wanted(owner: str, kind: str, rdata: str, need: Need, why: str) -> Wanted:
        return Wanted(Record(owner, kind, rdata, dns.ttl), need, why)

    yield wanted(name, "MX", f"10 {host}.", Need.REQUIRED, "tells other servers where mail goes")
    yield from _policies(name, dns)
    if definition.dkim_selector and keys.dkim:
        why = "the key that signatures of the domain's mail are checked with (RFC 6376)"
        text = text_rdata(f"v=DKIM1; k=rsa; p={keys.dkim}")
        yield wanted(f"{definition.dkim_selector}._domainkey.{name}", "TXT", text, Need.REQUIRED, why)
    if dns.caa:
        why = "tells who may issue certificates for the domain (RFC 8659)"
        yield wanted(name, "CAA", f'0 issue "{dns.caa}"', Need.OPTIONAL, why)
    if dns.mta_sts:
        for address in definition.addresses:
            kind = "AAAA" if ":" in address else "A"
            yield wanted(f"mta-sts.{name}", kind, address, Need.OPTIONAL, "where that policy is read")
    if dns.autoconfig:
        for label in ("autoconfig", "autodiscover"):
            why = "where mail programs ask for their settings"
            yield wanted(f"{label}.{name}", "CNAME", f"{host}.", Need.OPTIONAL, why)
    for service, port in _services(site).items():
        why = "mail programs find their server by it (RFC 6186, RFC 8314)"
        if not port:
            why = "tells mail programs that there is no such service (RFC 6186)"
        rdata = f"0 1 {port} {host}." if port else "0 0 0 ."
        yield wanted(f"_{service}._tcp.{name}", "SRV", rdata, Need.OPTIONAL, why)


def _policies(name: str, dns: DnsSettings) -> Iterator[Wanted]:
    """The texts that are the same for every domain."""
    reports = f"v=TLSRPTv1; rua={dns.tlsrpt}" if dns.tlsrpt else ""
    policy = f"v=STSv1; id={dns.mta_sts}" if dns.mta_sts else ""
    recommended, optional = Need.RECOMMENDED, Need.OPTIONAL
    for label, text, need, why in (
        ("", dns.spf, recommended, "tells who may send mail of the domain (RFC 7208)"),
        ("_dmarc.", dns.dmarc, recommended, "tells receivers what to do with forged mail (RFC 7489)"),
        ("_smtp._tls.", reports, optional, "tells where reports on TLS that failed are sent (RFC 8460)"),
        ("_mta-sts.", policy, optional, "tells that there is a policy at https://mta-sts.DOMAIN (RFC 8461)"),
    ):
        if text:
            yield Wanted(Record(f"{label}{name}", "TXT", text_rdata(text), dns.ttl), need, why)


def _services(site: Site) -> dict[str, int]:
    """The port of each service for clients; 0: not offered."""

    def port(listens: Sequence[object], usual: int) -> int:
        ports = [int(getattr(listen, "port", 0)) for listen in listens]
        return usual if usual in ports else next(filter(None, ports), 0)

    return {
        "pop3": port(site.pop3.listen, 110),
        "pop3s": port(site.pop3.tls_listen, 995),
        "imap": 0,
        "imaps": 0,
        # The port tells which it is: TLS from the first byte (RFC 8314 section 5.1), or STARTTLS.
        "submission": 0 if site.dns.submission == SUBMISSIONS else site.dns.submission,
        "submissions": SUBMISSIONS if site.dns.submission == SUBMISSIONS else 0,
    }
