"""Whatever a pool and whatever is taken: an address is given to one domain only, and none is lost."""

from __future__ import annotations

import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from vmaild.core.addresses import Host, HostAddress, Placed, next_free, standings, work
from vmaild.core.site import AddressSettings

NUMBERS = st.integers(0, 31)
ADDRESSES = st.builds(lambda number: str(ipaddress.IPv4Address(0xC0000200 + number)), NUMBERS)
NETWORKS = st.sampled_from(["192.0.2.0/29", "192.0.2.8/30", "192.0.2.16/31", "192.0.2.20/32", "192.0.2.24/29"])
RANGES = st.builds(
    lambda one, other: "-".join(
        str(ipaddress.IPv4Address(0xC0000200 + number)) for number in sorted((one, other))
    ),
    NUMBERS,
    NUMBERS,
)


def members(pool: list[str]) -> set[str]:
    """What a pool has, told in another way than the code tells it."""
    found: set[str] = set()
    for entry in pool:
        first, dash, last = entry.partition("-")
        if dash:
            numbers = range(int(ipaddress.ip_address(first)), int(ipaddress.ip_address(last)) + 1)
            found |= {str(ipaddress.IPv4Address(number)) for number in numbers}
        else:
            found |= set(map(str, ipaddress.ip_network(entry).hosts()))
    return found


@given(st.lists(st.one_of(NETWORKS, RANGES, ADDRESSES), min_size=1, max_size=4), st.sets(ADDRESSES))
def test_allocating_until_the_pool_is_empty_gives_each_free_address_once(pool: list[str], taken: set[str]) -> None:
    given_out: list[str] = []
    while found := next_free(pool, {*taken, *given_out}):
        given_out += found
    assert len(given_out) == len(set(given_out))
    assert set(given_out) == members(pool) - taken


PLACED = st.builds(Placed, ADDRESSES, st.sampled_from([24, 32]), st.sampled_from(["eth0", "eth1"]))
WANTED = st.dictionaries(
    ADDRESSES, st.lists(st.sampled_from(["va", "vb", "vc"]), min_size=1, max_size=2, unique=True)
)


@given(WANTED, st.lists(PLACED, unique_by=lambda each: each.address), st.lists(PLACED), st.sets(ADDRESSES))
def test_what_was_applied_needs_nothing_more_and_others_keep_theirs(
    wanted: dict[str, list[str]], ours: list[Placed], others: list[Placed], main: set[str]
) -> None:
    settings = AddressSettings(interface="eth0")
    up = {(each.address, each.prefix_length, each.interface) for each in (*ours, *others)}

    def host() -> Host:
        return Host({"eth0": 1, "eth1": 2}, tuple(HostAddress(*each) for each in sorted(up)))

    todo = work(standings(wanted, host(), ours, main), settings)
    assert {each.address for each in todo.down} <= {each.address for each in ours}
    up -= {(each.address, each.prefix_length, each.interface) for each in todo.down}
    up |= {(each.address, each.prefix_length, each.interface) for each in todo.up}
    again = work(standings(wanted, host(), todo.kept, main), settings)
    assert (again.up, again.down, again.kept) == ((), (), todo.kept)
    for address, domains in wanted.items():
        if len(domains) == 1 and address not in main:
            assert host().at(address)
