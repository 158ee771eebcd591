"""Gather what DNS says about a domain: at the resolver, and at the servers of its zone."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Iterable

from vmaild.core.evidence import Answer, DnsEvidence, NameEvidence, NameServer, Reply, Subject
from vmaild.diagnose.asking import Asker, unreachable

IMPOSSIBLE = "vmaild-check.invalid"
"""A name that cannot be (RFC 6761 section 6.4)."""


async def invents(asker: Asker) -> bool:
    """Whether the resolver finds what cannot be, as those do that want to show advertisements."""
    return (await asker.ask(IMPOSSIBLE, "A")).reply is Reply.FOUND


async def dns_evidence(asker: Asker, subject: Subject) -> DnsEvidence:
    """All that DNS says about a domain. Raises nothing."""
    names, pointers = await asyncio.gather(
        asyncio.gather(*(_name(asker, name, subject) for name in subject.names)),
        asyncio.gather(*(asker.pointer(address) for address in subject.addresses)),
    )
    wanted = {subject.mail_host, *subject.names} - {""}
    for seen in names:
        wanted |= {host for _, host in seen.mail_exchangers() if _is_name(host)}
    for answer in pointers:
        wanted |= {host for host in answer.values if _is_name(host)}
    hosts = dict(zip(wanted, await asyncio.gather(*(_addresses(asker, host) for host in wanted)), strict=True))
    return DnsEvidence(tuple(names), hosts, dict(zip(subject.addresses, pointers, strict=True)))


async def _addresses(asker: Asker, host: str) -> tuple[Answer, Answer]:
    four, six = await asyncio.gather(asker.ask(host, "A"), asker.ask(host, "AAAA"))
    return four, six


async def _name(asker: Asker, name: str, subject: Subject) -> NameEvidence:
    selector = subject.definition.dkim_selector if subject.definition else ""
    mx, texts, dmarc, dkim, servers = await asyncio.gather(
        asker.ask(name, "MX"),
        asker.ask(name, "TXT"),
        _dmarc(asker, name),
        _optional(asker, f"{selector}._domainkey.{name}" if selector else ""),
        _servers(asker, name),
    )
    return NameEvidence(name, mx, texts, dmarc, dkim, servers)


async def _optional(asker: Asker, name: str) -> Answer | None:
    return await asker.ask(name, "TXT") if name else None


async def _dmarc(asker: Asker, name: str) -> tuple[Answer, ...]:
    """The policy of the name, or of the nearest name above that has one, top-level domains left out."""
    labels = name.split(".")
    answers: list[Answer] = []
    for start in range(max(len(labels) - 1, 1)):
        answers.append(await asker.ask(f"_dmarc.{'.'.join(labels[start:])}", "TXT"))
        if any("dmarc1" in value.lower() for value in answers[-1].values):
            break
    return tuple(answers)


async def _servers(asker: Asker, name: str) -> tuple[NameServer, ...]:
    zone = await asker.zone_of(name)
    # What the root or a top-level domain answers says only that the name does not exist.
    if "." not in zone:
        return ()
    servers = (await asker.ask(zone, "NS")).values
    found = await asyncio.gather(*(_at(asker, server, zone, name) for server in servers))
    return tuple(each for group in found for each in group)


async def _at(asker: Asker, server: str, zone: str, name: str) -> list[NameServer]:
    four, six = await _addresses(asker, server)
    addresses = [*four.values, *six.values]
    if not addresses:
        return [NameServer(server)] if four.nothing and six.nothing else []
    seen = await asyncio.gather(*(asker.at_server(server, address, zone, name) for address in addresses))
    return _reached(seen)


def _reached(seen: Iterable[NameServer]) -> list[NameServer]:
    return [each for each in seen if not unreachable(each.problem)]


def _is_name(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host not in ("", ".")
    return False
