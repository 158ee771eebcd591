"""Where a connection comes from, and what it came to."""

from __future__ import annotations

from dataclasses import dataclass

from vmaild.store.directory import canonical_address


@dataclass(frozen=True, slots=True)
class Arrival:
    """Where a connection comes from and what it came to, as the socket or a named proxy says."""

    client: str
    """Address, canonical; empty for a local socket."""
    here: str
    authority: str | None = None
    """The name that a proxy was asked for by its client."""
    tls: bool = False
    """Whether the client speaks TLS, with the proxy."""


def local_host(name: object) -> str:
    """The address of a socket's name, as definitions spell it; empty for a socket that has none."""
    if isinstance(name, tuple) and name:
        host = str(name[0])
        return canonical_address(host.partition("%")[0]) if ":" in host else host
    return ""


def is_loopback(address: str) -> bool:
    """Whether nobody can listen in between: the machine itself."""
    return address.startswith("127.") or address in {"::1", ""}
