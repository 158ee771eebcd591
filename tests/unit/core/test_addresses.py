"""Which service addresses are put up and taken down, and which are not to be had."""

from __future__ import annotations

from vmaild.core.addresses import (
    Host,
    HostAddress,
    Placed,
    PoolUse,
    State,
    Work,
    conflicts,
    families,
    next_free,
    pool_uses,
    standings,
    work,
)
from vmaild.core.site import AddressSettings

SETTINGS = AddressSettings(interface="eth0")
OWN = HostAddress("192.0.2.1", 24, "eth0")
A, B = Placed("192.0.2.10", 32, "eth0"), Placed("2001:db8::b", 128, "eth0")


def up(*placed: Placed) -> Host:
    found = (OWN, *(HostAddress(each.address, each.prefix_length, each.interface) for each in placed))
    return Host({"lo": 1, "eth0": 2, "eth1": 3}, found, frozenset({"192.0.2.1"}))


def done(wanted: dict[str, list[str]], host: Host, *placed: Placed, domain: str = "", remove: bool = True) -> Work:
    return work(standings(wanted, host, placed, host.main), SETTINGS, domain, remove=remove)


WANTED = {A.address: ["va"], B.address: ["vb"]}


def test_what_is_down_comes_up_and_what_is_up_stays() -> None:
    assert done(WANTED, up()) == Work((), (A, B), (A, B))
    assert done(WANTED, up(A), A) == Work((), (B,), (A, B))
    assert done(WANTED, up(A, B), A, B) == Work((), (), (A, B))


def test_ours_that_is_down_after_a_reboot_comes_up_again() -> None:
    assert done(WANTED, up(), A, B) == Work((), (A, B), (A, B))


def test_what_others_put_up_is_left_alone_wanted_or_not() -> None:
    assert done(WANTED, up(A, B)) == Work()
    assert done({}, up(A, B)) == Work()
    assert done({"127.0.0.2": ["va"], "::1": ["vb"]}, up()) == Work()


def test_what_no_domain_wants_is_taken_down_only_where_all_is_known() -> None:
    assert done({B.address: ["vb"]}, up(A, B), A, B) == Work((A,), (), (B,))
    assert done({B.address: ["vb"]}, up(A, B), A, B, remove=False) == Work((), (), (A, B))
    assert done({B.address: ["vb"]}, up(A, B), A, B, domain="vb") == Work((), (), (A, B))


def test_of_one_domain_the_others_stay_as_they_are() -> None:
    assert done(WANTED, up(), domain="va") == Work((), (A,), (A,))
    assert done(WANTED, up(B), B, domain="va") == Work((), (A,), (A, B))


def test_other_settings_move_it() -> None:
    old = Placed(A.address, 24, "eth1")
    assert done({A.address: ["va"]}, up(old), old) == Work((old,), (A,), (A,))


def test_what_is_not_to_be_had_is_refused_and_costs_the_others_nothing() -> None:
    wanted = {A.address: ["va", "vb"], "192.0.2.1": ["vc"], B.address: ["vd"]}
    found = done(wanted, up())
    assert (found.up, found.kept) == ((B,), (B,))
    assert [each.state for each in found.refused] == [State.TWICE, State.MAIN]
    told = list(conflicts(found.refused))
    assert "claimed by va and vb" in told[0]
    assert "vmail domain set vc --address IP" in told[1]


def test_an_address_of_another_machine_is_refused() -> None:
    host = Host({"eth0": 2}, (HostAddress(B.address, 128, "eth0", duplicate=True),))
    found = done({B.address: ["vb"]}, host)
    assert [each.state for each in found.refused] == [State.DUPLICATE]


def test_the_next_free_one() -> None:
    assert next_free(["192.0.2.0/29"], []) == ("192.0.2.1",)
    assert next_free(["192.0.2.0/29"], ["192.0.2.1", "192.0.2.3"]) == ("192.0.2.2",)
    assert next_free(["192.0.2.0/30", "192.0.2.9"], ["192.0.2.1", "192.0.2.2"]) == ("192.0.2.9",)
    assert next_free(["192.0.2.0/30"], ["192.0.2.1", "192.0.2.2"]) == ()
    assert next_free(["192.0.2.0/31"], []) == ("192.0.2.0",)
    pool = ["2001:db8::/64", "192.0.2.5-192.0.2.6"]
    assert next_free(pool, ["2001:db8::1", "::ffff:192.0.2.5"]) == ("192.0.2.5", "2001:db8::2")
    assert families(pool) == {4, 6}


def test_what_is_left_of_each_entry_of_a_pool() -> None:
    pool = ["192.0.2.0/29", "192.0.2.9", "2001:db8::/64"]
    assert pool_uses(pool, ["192.0.2.1", "192.0.2.9", "192.0.2.77", "2001:db8::1"]) == (
        PoolUse("192.0.2.0/29", 5, "192.0.2.2"),
        PoolUse("192.0.2.9", 0),
        PoolUse("2001:db8::/64", 2**64 - 2, "2001:db8::2"),
    )
