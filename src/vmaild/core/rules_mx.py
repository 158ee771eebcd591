"""Rules: does mail find its way here? MX records, the mail host, its addresses, IPv6."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from vmaild.core.evidence import Answer, Case, NameEvidence, Place, Reply, shown
from vmaild.core.findings import Diagnosis, FixKind

_LOST = "mail for the domain does not arrive"


def mx_diagnoses(case: Case) -> Iterator[Diagnosis]:
    """What is wrong with the MX of the domain and of its domain aliases."""
    if case.dns is None:
        return
    for seen in case.dns.names:
        yield from _mx(case, seen)


def host_diagnoses(case: Case) -> Iterator[Diagnosis]:
    """What is wrong with the addresses of the mail host, which clients connect to."""
    host = case.subject.mail_host
    if case.dns is None or host not in case.dns.hosts:
        return
    found = case.dns.addresses(host)
    if not found:
        if not case.dns.unsettled(host):
            yield _no_address(case, host)
        return
    yield from _wrong_addresses(case, host, found)
    yield from _missing_addresses(case, host, found)


def _mx(case: Case, seen: NameEvidence) -> Iterator[Diagnosis]:
    remedy = _exchanger_remedy(case, seen.name)
    if seen.mx.nothing:
        # A zone that is no virtual domain may well have no mail.
        if case.subject.definition is not None and not _held_back(seen):
            what = f"{seen.name} has no MX record" + (": no such name" if seen.mx.reply is Reply.NO_NAME else "")
            yield case.error("mx.none", what, "other servers do not know where mail goes", remedy, FixKind.DNS)
        return
    hosts = [host for _, host in seen.mail_exchangers()]
    if "." in hosts:
        why = "this record says that the domain takes no mail (RFC 7505)"
        yield case.error("mx.null", f"the MX of {seen.name} is '.'", why, remedy, FixKind.DNS)
        return
    for host in hosts:
        yield from _exchanger(case, seen.name, host, remedy)
    if case.subject.definition is not None or any(_places(case, host) == {Place.HERE} for host in hosts):
        yield from _reach(case, seen, hosts, remedy)


def _held_back(seen: NameEvidence) -> bool:
    """Whether an authoritative server has the MX that the resolver denies: told by rules_zone."""
    return any(server.mx is not None and server.mx.values for server in seen.servers)


def _exchanger(case: Case, name: str, host: str, remedy: str) -> Iterator[Diagnosis]:
    """One MX record by itself."""
    assert case.dns is not None
    if _is_address(host):
        why = "an MX must name a host; an address there is taken for a name that does not exist (RFC 5321 5.1)"
        yield case.error("mx.address", f"the MX of {name} is the address {host}", why, remedy, FixKind.DNS)
        return
    canonical = next((answer.canonical for answer in case.dns.hosts.get(host, ()) if answer.canonical), "")
    if canonical:
        yield case.error(
            "mx.cname",
            f"the MX of {name} names {host}, which is an alias (CNAME) of {canonical}",
            "an MX must not name an alias (RFC 2181 section 10.3): some servers refuse to send",
            f"name a host that has addresses of its own: {remedy}",
        )
    if not case.dns.addresses(host) and not case.dns.unsettled(host) and host != case.subject.mail_host:
        why = f"other servers cannot connect to it, so {_LOST} by this MX"
        yield case.error("mx.no_address", f"{host}, the MX of {name}, has no address", why, remedy)


def _reach(case: Case, seen: NameEvidence, hosts: list[str], remedy: str) -> Iterator[Diagnosis]:
    """Whether the MX leads to this machine."""
    assert case.dns is not None
    places = {host: _places(case, host) for host in hosts}
    if any(Place.HERE in found for found in places.values()):
        best = hosts[0]
        if places[best] == {Place.ELSEWHERE}:
            yield case.unknown(
                "mx.front",
                f"{best}, the best MX of {seen.name}, is another machine; only a later one leads here",
                "that is right where a filter or a relay stands before this machine",
                f"if there is none: {remedy}",
            )
        return
    addresses = [address for host in hosts for address in case.dns.addresses(host)]
    if any(Place.UNKNOWN in found for found in places.values()):
        if not any(_greets_us(case, address) for address in addresses):
            yield _behind_router(case, f"the MX of {seen.name} leads to {shown(addresses)}")
    elif addresses:
        what = f"the MX of {seen.name} leads to {shown(hosts)} ({shown(addresses)}), which is not this machine"
        yield case.error("mx.elsewhere", what, "mail for the domain goes to another machine", remedy, FixKind.DNS)


def _behind_router(case: Case, seen: str) -> Diagnosis:
    return case.unknown(
        "nat",
        f"{seen}, and this machine has private addresses only",
        "a router may hand connections on to here, or not: that cannot be seen from inside",
        "try it from outside: telnet to port 25 and port 110 of that address",
    )


def _greets_us(case: Case, address: str) -> bool:
    """Whether the right POP3 server answers at an address: then it leads here, whoever has it."""
    wanted = f"+OK Virtual {case.subject.name} ".lower()
    return any(each.address == address and each.greeting.lower().startswith(wanted) for each in case.pop3)


def _places(case: Case, host: str) -> set[Place]:
    assert case.dns is not None
    # A service address that is not up is told by itself.
    own = case.subject.addresses
    return {Place.HERE if each in own else case.machine.place(each) for each in case.dns.addresses(host)}


def _no_address(case: Case, host: str) -> Diagnosis:
    what = f"{host}, the mail host of {case.subject.name}, has no address"
    why = f"{_LOST}, and clients find no server"
    return case.error("host.no_address", what, why, _address_remedy(case, host), FixKind.DNS)


def _wrong_addresses(case: Case, host: str, found: tuple[str, ...]) -> Iterator[Diagnosis]:
    """Addresses of the mail host that do not lead to this domain."""
    right = {address for address in found if address in case.subject.addresses}
    for address in found:
        if address in right:
            continue
        owner = case.neighbours.owners.get(address, "")
        place = case.machine.place(address)
        if owner and owner != case.subject.name:
            what = f"{host} has the address {address}, which is the service address of {owner}"
            why = "a client that connects there is taken for one of the other domain, and its login fails"
            yield case.error("host.other_domain", what, why, _address_remedy(case, host), FixKind.DNS)
        elif place is Place.ELSEWHERE:
            code = "ipv6.elsewhere" if ":" in address else "host.elsewhere"
            what = f"{host} has the address {address}, which is not one of this machine"
            why = "clients and servers that choose this address do not get here"
            yield case.error(code, what, why, _address_remedy(case, host), FixKind.DNS)
        elif place is Place.HERE and case.subject.addresses and not right:
            what = f"{host} has the address {address} of this machine, which is no service address of the domain"
            why = "at this address clients must log in with the domain's name, or get the main domain's server"
            yield case.error("host.other_address", what, why, _address_remedy(case, host), FixKind.DNS)


def _missing_addresses(case: Case, host: str, found: tuple[str, ...]) -> Iterator[Diagnosis]:
    """Service addresses that DNS does not tell."""
    assert case.dns is not None
    if case.dns.unsettled(host) or any(case.machine.place(address) is Place.UNKNOWN for address in found):
        return  # split DNS, or a router before us
    if not any(address in case.subject.addresses for address in found):
        return  # told as wrong addresses
    for address in case.subject.addresses:
        if address not in found:
            six = ":" in address
            what = f"{host} has no {'AAAA' if six else 'A'} record for the service address {address}"
            why = "IPv6 is half set up: nobody uses this address" if six else "nobody uses this address"
            record = case.record(host, "AAAA" if six else "A", address)
            code = "ipv6.missing" if six else "host.missing"
            yield case.warning(code, what, why, f"add the record: {record}", FixKind.DNS)


def _exchanger_remedy(case: Case, name: str) -> str:
    record = case.record(name, "MX")
    return f"let it be: {record}" if record else f"give {name} an MX record that names a host of this machine"


def _address_remedy(case: Case, host: str) -> str:
    records = [wanted.record for wanted in case.subject.plan if wanted.record.name == host]
    hosts = [str(record) for record in records if record.type in ("A", "AAAA")]
    if hosts:
        return f"let it be: {'; '.join(hosts)}"
    name = case.subject.name
    if case.subject.definition is None:
        return f"give {host} an A record with the address of this machine"
    return f"give {host} the address of this machine, or the domain its own: vmail domain set {name} --address IP"


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def unanswered(case: Case) -> Iterator[Diagnosis]:
    """What DNS was asked and did not tell: one conclusion for all of it."""
    if case.dns is None:
        return
    open_questions: list[Answer] = [each for each in case.dns.answers() if each.reply is Reply.UNKNOWN]
    if open_questions:
        first = open_questions[0]
        more = f" and {len(open_questions) - 1} more" if len(open_questions) > 1 else ""
        yield case.unknown(
            "dns.unknown",
            f"no usable answer for {first.name} {first.type}{more}: {first.problem}",
            "what DNS says about the domain is not known, right or wrong",
            "see to the resolver in /etc/resolv.conf, or name another with --resolver; then check again",
        )
