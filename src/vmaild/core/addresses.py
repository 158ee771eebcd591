"""Service addresses: who wants which, which are up, what is to be done, and which one of a pool is free.

Decided, not done: what the machine has now comes in as a Host. Addresses are spelt as ipaddress prints them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from vmaild.core.site import AddressSettings


@dataclass(frozen=True, slots=True)
class HostAddress:
    """An address that this machine has now."""

    address: str
    prefix_length: int
    interface: str
    duplicate: bool = False
    """Whether another machine of the network has it, too: the kernel has refused it (RFC 4862 section 5.4)."""


@dataclass(frozen=True, slots=True)
class Host:
    """What the network of this machine is like now."""

    interfaces: Mapping[str, int]
    """Index by name."""
    addresses: tuple[HostAddress, ...] = ()
    main: frozenset[str] = frozenset()
    """Those that its own connections come from, by the default routes: the main domain's."""
    gateways: frozenset[str] = frozenset()

    def at(self, address: str) -> HostAddress | None:
        """Where an address is up; None: it is not."""
        return next((each for each in self.addresses if each.address == address), None)


@dataclass(frozen=True, slots=True)
class Placed:
    """An address that vmaild has put up itself, or would."""

    address: str
    prefix_length: int
    interface: str

    def __str__(self) -> str:
        return f"{self.address}/{self.prefix_length}"


class State(Enum):
    """How an address stands now; the value is the word for it."""

    UP = "up"
    DOWN = "down"
    DUPLICATE = "used by another machine"
    MAIN = "the main domain's"
    TWICE = "of several domains"
    LEFT_OVER = "of no domain"
    """It was put up for a domain that does not want it any more."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One address: who wants it, and how it stands."""

    address: str
    domains: tuple[str, ...]
    state: State
    interface: str = ""
    """Where it is up; empty: nowhere."""
    ours: Placed | None = None
    """As it was put up by vmaild; None: by others, or not at all."""


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be done, in this order."""

    down: tuple[Placed, ...] = ()
    up: tuple[Placed, ...] = ()
    kept: tuple[Placed, ...] = ()
    """All of ours afterwards, for the file that puts them up after a reboot; sorted."""
    refused: tuple[Standing, ...] = ()
    """What the domains want and cannot have."""


@dataclass(frozen=True, slots=True)
class PoolUse:
    """What is left of one entry of a pool."""

    entry: str
    """A network, an address or a range, as vmail.toml has it."""
    free: int
    next: str = ""
    """The one that a domain would get; empty: none is free."""


def standings(
    wanted: Mapping[str, Sequence[str]], host: Host, placed: Collection[Placed], taken_by_main: Collection[str]
) -> list[Standing]:
    """How each address stands: those that domains want (domains by address), then those left over."""
    ours = {each.address: each for each in placed}
    found = [
        _standing(address, tuple(domains), host, ours.get(address), taken_by_main)
        for address, domains in wanted.items()
    ]
    for each in placed:
        if each.address not in wanted:
            up = host.at(each.address)
            found.append(Standing(each.address, (), State.LEFT_OVER, up.interface if up else "", each))
    return found


def work(found: Sequence[Standing], settings: AddressSettings, domain: str = "", *, remove: bool = True) -> Work:
    """What brings the addresses of a domain, or of all (empty), into the state that is wanted.

    What no domain wants is taken down with all of them only, and not without `remove`. What others have put up
    stays as it is.
    """
    down: list[Placed] = []
    up: list[Placed] = []
    kept: list[Placed] = []
    refused: list[Standing] = []
    for each in found:
        concerned = not domain or domain in each.domains
        goal = each.ours
        if concerned:
            if each.state is State.LEFT_OVER:
                goal = None if remove else each.ours
            elif each.state not in (State.UP, State.DOWN):
                refused.append(each)
            elif each.ours or not each.interface:
                goal = place(each.address, settings)
                up += [goal] if goal != each.ours or not each.interface else []
            if each.ours and goal != each.ours:
                down.append(each.ours)
        kept += [goal] if goal else []
    return Work(tuple(down), tuple(up), tuple(sorted(kept, key=_order)), tuple(refused))


def place(address: str, settings: AddressSettings) -> Placed:
    """How an address is put up by these settings."""
    length = settings.prefix_length_6 if ":" in address else settings.prefix_length
    return Placed(address, length, settings.interface)


def next_free(pool: Sequence[str], taken: Collection[str]) -> tuple[str, ...]:
    """The first free address of a pool, of IPv4 and of IPv6 where the pool has both; empty: none is left.

    `pool`: networks (without the addresses that stand for all of them), addresses, and ranges `FIRST-LAST`.
    """
    numbers = {(each.version, int(each)) for each in map(ipaddress.ip_address, taken)}
    found: dict[int, str] = {}
    for version, first, last in map(_bounds, pool):
        if version in found:
            continue
        number = first
        while (version, number) in numbers:
            number += 1
        if number <= last:
            found[version] = _text(version, number)
    return tuple(found[version] for version in sorted(found))


def pool_uses(pool: Sequence[str], taken: Collection[str]) -> tuple[PoolUse, ...]:
    """What is left of each entry of a pool (see `next_free`), in their order."""
    numbers = {(each.version, int(each)) for each in map(ipaddress.ip_address, taken)}
    uses = []
    for entry in pool:
        version, first, last = _bounds(entry)
        used = sum(version == other and first <= number <= last for other, number in numbers)
        uses.append(PoolUse(entry, last - first + 1 - used, *next_free([entry], taken)))
    return tuple(uses)


def families(pool: Sequence[str]) -> set[int]:
    """The IP versions that a pool has addresses of."""
    return {version for version, _, _ in map(_bounds, pool)}


def is_loopback(address: str) -> bool:
    """Whether an address is up on every machine, by itself."""
    return ipaddress.ip_address(address).is_loopback


# -- parts


def _standing(
    address: str, domains: tuple[str, ...], host: Host, ours: Placed | None, taken_by_main: Collection[str]
) -> Standing:
    up = host.at(address)
    interface = up.interface if up else "lo" if is_loopback(address) else ""
    if len(domains) > 1:
        state = State.TWICE
    elif address in taken_by_main:
        state = State.MAIN
    elif up and up.duplicate:
        state = State.DUPLICATE
    else:
        state = State.UP if interface else State.DOWN
    return Standing(address, domains, state, interface, ours)


def _order(placed: Placed) -> tuple[str, int, int]:
    address = ipaddress.ip_address(placed.address)
    return placed.interface, address.version, int(address)


def _bounds(entry: str) -> tuple[int, int, int]:
    """IP version, first and last number of an entry of a pool."""
    first, dash, last = entry.partition("-")
    if dash:
        start = ipaddress.ip_address(first)
        return start.version, int(start), int(ipaddress.ip_address(last))
    network = ipaddress.ip_network(entry)
    low, high = int(network.network_address), int(network.broadcast_address)
    if network.num_addresses > 2:
        # The network itself and its broadcast address; of IPv6 the routers' anycast address (RFC 4291 2.6.1).
        low, high = low + 1, high - (network.version == 4)
    return network.version, low, high


def _text(version: int, number: int) -> str:
    return str(ipaddress.IPv4Address(number) if version == 4 else ipaddress.IPv6Address(number))


def conflicts(refused: Sequence[Standing]) -> Iterator[str]:
    """What is refused, in words."""
    for each in refused:
        match each.state:
            case State.TWICE:
                yield f"{each.address} is claimed by {' and '.join(each.domains)}: take it out of one of them"
            case State.MAIN:
                yield (
                    f"{each.address} of {each.domains[0]} is this machine's own, where the main domain is served: "
                    f"give the domain one of its own with 'vmail domain set {each.domains[0]} --address IP'"
                )
            case _:
                yield (
                    f"{each.address} of {each.domains[0]} is used by another machine of the network: "
                    f"take it away there, or choose another with 'vmail domain set {each.domains[0]} --address IP'"
                )
