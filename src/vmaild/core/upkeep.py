"""What is the same for every domain of this machine: disks, clock, our sockets, the MTA. Evidence only."""

from __future__ import annotations

from dataclasses import dataclass

from vmaild.core.mta import Asked, MtaEvidence, Socket


@dataclass(frozen=True, slots=True)
class Volume:
    """The file system that a folder of ours is on."""

    path: str
    size: int
    """Bytes."""
    free: int
    """Bytes that our servers may still use."""
    inodes: int = 0
    """0: it has no fixed number of them."""
    free_inodes: int = 0


@dataclass(frozen=True, slots=True)
class Owned:
    """A folder, and whom it belongs to."""

    path: str
    owner: str


@dataclass(frozen=True, slots=True)
class Future:
    """A file that was changed at a time that is still to come."""

    path: str
    seconds: int
    """Ahead of the clock."""


@dataclass(frozen=True, slots=True)
class PostfixSettings:
    """What postconf(1) says, where there is a Postfix."""

    networks: tuple[str, ...] = ()
    """mynetworks: who may relay."""
    masqueraded: tuple[str, ...] = ()
    """masquerade_domains, in order; `!` before an exception."""
    destinations: tuple[str, ...] = ()
    """mydestination."""


@dataclass(frozen=True, slots=True)
class Upkeep:
    """All of it."""

    volumes: tuple[Volume, ...] = ()
    folders: tuple[Owned, ...] = ()
    user: str = ""
    """Whom the servers run as; empty: whoever starts them."""
    future: Future | None = None
    sockets: tuple[Socket, ...] = ()
    mta: MtaEvidence | None = None
    """None: it was not asked."""
    relayed: tuple[str, Asked] | None = None
    """A service address from which the MTA was asked to relay, and its answer; None: it was not asked so."""
    postfix: PostfixSettings | None = None
