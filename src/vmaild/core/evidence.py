"""What probes saw of a domain and of this machine, as values: gathered in `diagnose`, judged by `core.rules_*`.

Host names are lower case and without a final dot, addresses as ipaddress prints them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum

from vmaild.core.directory import DomainDefinition
from vmaild.core.dns_plan import Record, Wanted, mail_host_of
from vmaild.core.findings import Diagnosis, Fix, FixKind, Severity
from vmaild.core.site import Site

# -- DNS


class Reply(Enum):
    """How a question to DNS ended."""

    FOUND = "found"
    NO_DATA = "no such record"
    """The name is there."""
    NO_NAME = "no such name"
    UNKNOWN = "no usable answer"


@dataclass(frozen=True, slots=True)
class Answer:
    """The records of one name and type."""

    name: str
    type: str
    reply: Reply
    values: tuple[str, ...] = ()
    """Of MX `10 mailhost.va.toto.fr`; of TXT the text, unquoted and in one piece; sorted."""
    canonical: str = ""
    """Where a CNAME at the name leads to; empty: there is none."""
    ttl: int = 0
    problem: str = ""
    """Why there is no usable answer."""

    @property
    def nothing(self) -> bool:
        """Whether there is no such record: known, not guessed."""
        return self.reply in (Reply.NO_DATA, Reply.NO_NAME)


@dataclass(frozen=True, slots=True)
class NameServer:
    """An authoritative server of a zone, and what it said itself."""

    name: str
    address: str = ""
    """Empty: its name has none."""
    problem: str = ""
    """Why it gave no answer at all; empty: it did."""
    authoritative: bool = False
    serial: int = 0
    mx: Answer | None = None


@dataclass(frozen=True, slots=True)
class NameEvidence:
    """What DNS says at and below the name of a domain, or of a domain alias."""

    name: str
    mx: Answer
    texts: Answer
    dmarc: tuple[Answer, ...] = ()
    """At the name and, where it has none, at the names above (RFC 7489 section 6.6.3)."""
    dkim: Answer | None = None
    """None: no selector is configured."""
    servers: tuple[NameServer, ...] = ()

    def mail_exchangers(self) -> tuple[tuple[int, str], ...]:
        """Preference and name of each MX, best first."""
        pairs = [value.partition(" ") for value in self.mx.values]
        return tuple(sorted((int(preference), host) for preference, _, host in pairs))


@dataclass(frozen=True, slots=True)
class DnsEvidence:
    """All that DNS says about one domain."""

    names: tuple[NameEvidence, ...] = ()
    """The domain, then its domain aliases."""
    hosts: Mapping[str, tuple[Answer, Answer]] = field(default_factory=dict)
    """A and AAAA of each host name that matters."""
    pointers: Mapping[str, Answer] = field(default_factory=dict)
    """PTR of each address that matters."""

    def addresses(self, host: str) -> tuple[str, ...]:
        """All addresses of a host, as far as they are known."""
        return tuple(value for answer in self.hosts.get(host, ()) for value in answer.values)

    def unsettled(self, host: str) -> bool:
        """Whether it may have addresses that could not be asked for."""
        return any(answer.reply is Reply.UNKNOWN for answer in self.hosts.get(host, ()))

    def answers(self) -> Iterator[Answer]:
        """Every answer of the resolver."""
        for name in self.names:
            yield from (name.mx, name.texts, *name.dmarc)
            if name.dkim is not None:
                yield name.dkim
        for pair in self.hosts.values():
            yield from pair
        yield from self.pointers.values()


# -- servers


class Trust(Enum):
    """What a client concludes from a certificate; the value is the word for it."""

    GOOD = "good"
    EXPIRED = "expired"
    NOT_YET = "not valid yet"
    SELF_SIGNED = "self-signed"
    UNTRUSTED = "of an authority that this machine does not know"
    OTHER_NAME = "for another name"


@dataclass(frozen=True, slots=True)
class TlsEvidence:
    """A handshake, as a client saw it that expects the mail host's name."""

    problem: str = ""
    """Why there was no TLS at all; empty: there was."""
    faults: tuple[Trust, ...] = ()
    days_left: int | None = None
    """Until it expires; None: not known, as of one that is not trusted."""
    names: tuple[str, ...] = ()
    """Names that it is for, as far as known."""


@dataclass(frozen=True, slots=True)
class Pop3Evidence:
    """What answers at an address as POP3 server."""

    address: str
    port: int
    problem: str = ""
    """Why nothing does; empty: something does."""
    greeting: str = ""
    capabilities: tuple[str, ...] | None = None
    """None: it has no CAPA."""
    tls: TlsEvidence | None = None
    """Behind STLS, or at once where `implicit`; None: not tried."""
    implicit: bool = False
    """Whether TLS comes before the greeting (port 995)."""


# -- the machine


class Place(Enum):
    """Where an address leads to."""

    HERE = "here"
    ELSEWHERE = "elsewhere"
    UNKNOWN = "unknown"
    """This machine has private addresses only: a router may hand on to it what comes for a public one."""


_PRIVATE = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("fc00::/7", "fe80::/10", "::1/128"),
    )
)


def is_private(address: str) -> bool:
    """Whether nobody outside can reach it (RFC 1918, 6598, 4193; loopback, link-local)."""
    found = ipaddress.ip_address(address)
    return any(found in network for network in _PRIVATE)


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine, as far as domains have it in common."""

    addresses: frozenset[str] = frozenset()
    """Of its interfaces, loopback included."""
    resolver_invents: bool = False
    """Whether the resolver finds names that cannot be."""

    def place(self, address: str) -> Place:
        """Where an address leads to."""
        if address in self.addresses or ipaddress.ip_address(address).is_loopback:
            return Place.HERE
        if is_private(address):
            return Place.ELSEWHERE
        of_family = [each for each in self.addresses if (":" in each) == (":" in address)]
        public = any(not is_private(each) for each in of_family)
        return Place.ELSEWHERE if public else Place.UNKNOWN


# -- a case: all that the rules look at


@dataclass(frozen=True, slots=True)
class Subject:
    """A domain to be checked."""

    name: str
    definition: DomainDefinition | None = None
    """None: a zone of the name server that is no virtual domain here."""
    plan: tuple[Wanted, ...] = ()
    dkim_key: str = ""
    """The public key, as base64; empty: none is configured."""

    @property
    def names(self) -> tuple[str, ...]:
        """The domain and its domain aliases."""
        return (self.name, *(self.definition.aliases if self.definition else ()))

    @property
    def addresses(self) -> tuple[str, ...]:
        """Its service addresses."""
        return self.definition.addresses if self.definition else ()

    @property
    def mail_host(self) -> str:
        """The name that clients connect to; empty: not known."""
        return mail_host_of(self.definition) if self.definition else ""


@dataclass(frozen=True, slots=True)
class Neighbours:
    """What the domains of this machine are to each other."""

    bare: frozenset[str] = frozenset()
    """Names of all domains and domain aliases: what a PTR must not name."""
    owners: Mapping[str, str] = field(default_factory=dict)
    """The domain of each service address."""
    site: Site = field(default_factory=Site)


@dataclass(frozen=True, slots=True)
class Case:
    """One domain with the evidence about it."""

    subject: Subject
    neighbours: Neighbours
    machine: Machine
    dns: DnsEvidence | None = None
    """None: DNS was not asked."""
    pop3: tuple[Pop3Evidence, ...] = ()

    def record(self, name: str, kind: str, starts: str = "") -> Record | None:
        """The record that the plan has there; `starts`: of several, the one whose data begin so."""
        return next(
            (
                wanted.record
                for wanted in self.subject.plan
                if (wanted.record.name, wanted.record.type) == (name, kind)
                and wanted.record.rdata.startswith(starts)
            ),
            None,
        )

    def error(self, code: str, seen: str, why: str, remedy: str, fix: FixKind | None = None) -> Diagnosis:
        """A conclusion about this domain: it does not work."""
        return self._concluded(code, Severity.ERROR, seen, why, remedy, fix)

    def warning(self, code: str, seen: str, why: str, remedy: str, fix: FixKind | None = None) -> Diagnosis:
        """A conclusion about this domain: it works, but not well or not everywhere."""
        return self._concluded(code, Severity.WARNING, seen, why, remedy, fix)

    def unknown(self, code: str, seen: str, why: str, remedy: str) -> Diagnosis:
        """What cannot be concluded from here."""
        return self._concluded(code, Severity.UNKNOWN, seen, why, remedy, None)

    def _concluded(
        self, code: str, severity: Severity, seen: str, why: str, remedy: str, fix: FixKind | None
    ) -> Diagnosis:
        name = self.subject.name
        # What is not defined here has no plan that could be carried out.
        mend = Fix(fix, name) if fix is not None and self.subject.definition is not None else None
        return Diagnosis(code, severity, name, seen, why, remedy, mend)


def shown(values: Iterable[str]) -> str:
    """Several values in a sentence."""
    return ", ".join(values)
