"""Who asked, by which name and how, where reverse proxies stand before us: what those say that the site names.

Each of them adds what it knows behind what it was told, so only the end of a list is to be believed: what a client
says of itself stands further in front.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.datastructures import Headers

from vmaild.core.site import is_among


@dataclass(frozen=True, slots=True)
class Forwarded:
    """A request as it was before the proxies."""

    client: str
    """Address; IPv4 mapped into IPv6 is the IPv4 address."""
    host: str = ""
    """With its port, as the browser asked; empty: no proxy says that."""
    scheme: str = ""
    """`https`, `http`; empty: no proxy says that."""


def forwarded(peer: str, headers: Headers, proxies: tuple[str, ...]) -> Forwarded:
    """What is to be believed of X-Forwarded-For, -Host and -Proto, for a connection of `peer`."""
    peer = plain(peer)
    if not is_among(peer, proxies):
        return Forwarded(peer)
    host, scheme = (_told(headers, name) for name in ("x-forwarded-host", "x-forwarded-proto"))
    client = _client(peer, _told(headers, "x-forwarded-for"), proxies)
    return Forwarded(client, host[-1] if host else "", scheme[-1].lower() if scheme else "")


def plain(address: str) -> str:
    """An IP address as it is compared; IPv4 mapped into IPv6 is the IPv4 address."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(getattr(found, "ipv4_mapped", None) or found)


def _told(headers: Headers, name: str) -> list[str]:
    """The values of a list, whose lines are one list, too (RFC 9110 section 5.3): some proxies add a line."""
    return [each.strip() for line in headers.getlist(name) for each in line.split(",")]


def _client(peer: str, told: Sequence[str], proxies: tuple[str, ...]) -> str:
    """The first from behind who is no proxy of ours; each of those tells who came to it."""
    found = peer
    for each in reversed(told):
        address = _address_in(each)
        if not is_among(found, proxies) or not address:
            break
        found = address
    return found


def _address_in(entry: str) -> str:
    """The IP address of an entry, some of which have a port; empty: there is none."""
    bare = entry[1:].partition("]")[0] if entry.startswith("[") else entry
    bare = bare.partition(":")[0] if bare.count(":") == 1 else bare
    try:
        ipaddress.ip_address(bare)
    except ValueError:
        return ""
    return plain(bare)
