"""Examine domains: gather the evidence about hundreds of them at the same time, each judged when it is whole."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from vmaild.core.evidence import Case, DnsEvidence, Machine, Neighbours, Place, Pop3Evidence, Subject
from vmaild.core.site import Listen
from vmaild.diagnose.asking import Asker
from vmaild.diagnose.probes_dns import dns_evidence, invents
from vmaild.diagnose.probes_pop3 import pop3_evidence

DOMAINS_AT_A_TIME = 64
SERVERS_AT_A_TIME = 32


@dataclass(frozen=True, slots=True)
class Extent:
    """What is asked."""

    dns: bool = True
    resolver: str = ""
    """As of diagnose.dns.make_resolver; empty: the system's."""


def examine(
    subjects: Sequence[Subject],
    neighbours: Neighbours,
    machine: Machine,
    extent: Extent = Extent(),
    *,
    on_done: Callable[[], object] = lambda: None,
) -> list[Case]:
    """The case of each domain, in their order. Raises ValueError for a resolver that cannot be."""
    return asyncio.run(_examine(subjects, neighbours, machine, extent, on_done))


async def _examine(
    subjects: Sequence[Subject],
    neighbours: Neighbours,
    machine: Machine,
    extent: Extent,
    on_done: Callable[[], object],
) -> list[Case]:
    asker = Asker(extent.resolver) if extent.dns else None
    lies = asyncio.create_task(invents(asker)) if asker else None
    turn, servers = asyncio.Semaphore(DOMAINS_AT_A_TIME), asyncio.Semaphore(SERVERS_AT_A_TIME)

    async def case(subject: Subject) -> Case:
        async with turn:
            found = await dns_evidence(asker, subject) if asker else None
            pop3 = await _pop3(subject, neighbours, machine, found, servers)
        on_done()
        return Case(subject, neighbours, machine, found, pop3)

    cases = await asyncio.gather(*map(case, subjects))
    invented = await lies if lies else False
    return [replace(each, machine=replace(machine, resolver_invents=invented)) for each in cases]


async def _pop3(
    subject: Subject,
    neighbours: Neighbours,
    machine: Machine,
    found: DnsEvidence | None,
    servers: asyncio.Semaphore,
) -> tuple[Pop3Evidence, ...]:
    async def asked(address: str, port: int, implicit: bool) -> Pop3Evidence:
        async with servers:
            return await pop3_evidence(address, port, subject.mail_host, implicit=implicit)

    if subject.definition is None or subject.definition.disabled:
        return ()
    here = [each for each in subject.addresses if machine.place(each) is Place.HERE]
    # A router may hand on to here what comes for an address of its own: the greeting tells.
    behind = set(found.addresses(subject.mail_host) if found else ()) - set(here)
    behind = {address for address in behind if machine.place(address) is Place.UNKNOWN}
    targets = [target for address in (*here, *sorted(behind)) for target in _targets(address, neighbours)]
    return tuple(await asyncio.gather(*(asked(*target) for target in targets)))


def _targets(address: str, neighbours: Neighbours) -> Iterator[tuple[str, int, bool]]:
    """The ports of an address where a POP3 server should be: by vmail.toml, or under inetd."""
    settings = neighbours.site.pop3
    plain = [each.port for each in settings.listen if _covers(each, address)]
    if not settings.listen and not settings.tls_listen:
        plain = [110]
    for port in dict.fromkeys(plain):
        yield address, port, False
    for port in dict.fromkeys(each.port for each in settings.tls_listen if _covers(each, address)):
        yield address, port, True


def _covers(listen: Listen, address: str) -> bool:
    return bool(listen.port) and listen.host in ("*", address)
