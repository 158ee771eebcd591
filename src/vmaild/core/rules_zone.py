"""Rules: the name servers of the zone: do they answer, do they agree, does the resolver say what they say."""

from __future__ import annotations

from collections.abc import Iterator

from vmaild.core.evidence import Answer, Case, NameEvidence, NameServer, Reply, shown
from vmaild.core.findings import Diagnosis


def zone_diagnoses(case: Case) -> Iterator[Diagnosis]:
    """What is wrong with the authoritative servers of the domain and of its domain aliases."""
    if case.dns is None:
        return
    for seen in case.dns.names:
        yield from _servers(case, seen)
        yield from _resolver(case, seen)


def _servers(case: Case, seen: NameEvidence) -> Iterator[Diagnosis]:
    silent = [server for server in seen.servers if server.problem]
    speaking = [server for server in seen.servers if server.address and not server.problem]
    for server in seen.servers:
        if not server.address:
            what = f"{server.name}, a name server of {seen.name}, has no address"
            remedy = f"give {server.name} an A record, or take it out of the NS records"
            yield case.warning("ns.no_address", what, "resolvers that choose it get no answer", remedy)
    if silent and not speaking:
        what = f"no name server of {seen.name} answers: {shown(map(_spelt, silent))} ({silent[0].problem})"
        why = "whether they are down or a firewall before this machine is in the way cannot be seen from here"
        yield case.unknown("ns.unknown", what, why, f"from elsewhere: dig @{silent[0].address} {seen.name} SOA")
        silent = []
    for server in silent:
        what = f"the name server {_spelt(server)} of {seen.name} does not answer: {server.problem}"
        why = "resolvers lose seconds with it, and some give up"
        yield case.warning("ns.silent", what, why, "start it, or take it out of the NS records")
    for server in speaking:
        if not server.authoritative:
            what = f"the name server {_spelt(server)} does not know {seen.name} (lame delegation)"
            why = "resolvers that ask it get no answer, so that mail waits now and then"
            remedy = f"add the zone to the configuration of {server.name}, or take it out of the NS records"
            yield case.error("ns.lame", what, why, remedy)
    yield from _disagreement(case, seen.name, [server for server in speaking if server.authoritative])


def _spelt(server: NameServer) -> str:
    return f"{server.name} ({server.address})"


def _disagreement(case: Case, name: str, servers: list[NameServer]) -> Iterator[Diagnosis]:
    said = {server.mx.values for server in servers if server.mx and _usable(server.mx)}
    told = shown(f"{_spelt(server)} serial {server.serial}" for server in servers)
    newest = max(servers, key=lambda server: server.serial, default=None)
    if newest is None:
        return
    remedy = f"transfer the zone anew on those with another serial than {newest.serial}, of {newest.name}"
    if len(said) > 1:
        what = f"the name servers of {name} disagree about its MX: {told}"
        yield case.error("ns.disagree", what, "mail goes here or there by chance", remedy)
    elif len({server.serial for server in servers}) > 1:
        what = f"the name servers of {name} have different serials: {told}"
        why = "right after a change that passes; if it lasts, a secondary is cut off and its zone will expire"
        yield case.warning("ns.serials", what, why, remedy)


def _usable(answer: Answer | None) -> bool:
    return answer is not None and answer.reply is not Reply.UNKNOWN


def _resolver(case: Case, seen: NameEvidence) -> Iterator[Diagnosis]:
    """Whether the resolver says what the servers of the zone say."""
    answers = {server.mx.values: server.mx for server in seen.servers if server.mx and _usable(server.mx)}
    if len(answers) != 1 or not _usable(seen.mx):
        return
    (truth,) = answers.values()
    if truth.values == seen.mx.values:
        return
    why = "those who asked before the change get the old answer until it expires"
    wait = "wait until it has expired (an hour is usual), or empty the cache: rndc flush"
    if seen.mx.nothing:
        what = f"the resolver still says that {seen.name} has no MX; its name servers say {shown(truth.values)}"
        yield case.warning("dns.negative_cached", what, why, wait)
        return
    yield case.warning(
        "dns.differs",
        f"the resolver says that the MX of {seen.name} is {shown(seen.mx.values)}; its name servers "
        + (f"say {shown(truth.values)}" if truth.values else "know of none"),
        f"{why}; or this network has an answer of its own (split DNS), or the resolver lies",
        f"compare 'dig {seen.name} MX' here and elsewhere; after a change, {wait}",
    )
