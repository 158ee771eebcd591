"""Failed logins: what they cost, whom they cost nothing, and the memory that all workers share."""

from __future__ import annotations

import subprocess
import sys

import pytest

from vmaild.auth.throttle import (
    GO_AHEAD,
    KNOWN_FOR,
    Record,
    Slots,
    Standing,
    Throttle,
    Verdict,
    network_of,
    verdict,
)
from vmaild.core.site import AuthSettings

VA, HOME, AWAY = "va.toto.fr", "192.0.2.1", "198.51.100.7"
NOW = 10_000.0
POLICY = AuthSettings(free_failures=3, max_delay=15, max_failures_per_address=20, max_failures_per_account=10)
REFUSED = Verdict(refused=True)


@pytest.fixture
def throttle() -> Throttle:
    return Throttle(Slots(bytearray(1 << 16), b"secret"), POLICY)


def guesses(throttle: Throttle, number: int, address: str = AWAY, login: str = "bob", now: float = NOW) -> None:
    """As many different wrong passwords."""
    for each in range(number):
        throttle.failed(address, VA, login, f"{address} {login} {each} {now}".encode(), now)


# -- the decision


@pytest.mark.parametrize(
    ("failures", "expected"),
    [
        (0, GO_AHEAD),
        (2.4, GO_AHEAD),
        (3, Verdict(1)),
        (4, Verdict(2)),
        (5, Verdict(4)),
        (6, Verdict(8)),
        (7, Verdict(15)),
        (9.4, Verdict(15)),
        (10, REFUSED),
        (1e9, REFUSED),
    ],
)
def test_the_more_failures_the_longer_the_wait(failures: float, expected: Verdict) -> None:
    assert verdict(Standing(account=failures), POLICY) == expected
    assert verdict(Standing(pair=failures), POLICY) == expected
    assert verdict(Standing(pair=failures, known=True), POLICY) == expected


def test_a_network_may_fail_more_often_than_an_account_before_it_is_refused() -> None:
    assert verdict(Standing(network=19), POLICY) == Verdict(15)
    assert verdict(Standing(network=20), POLICY) == REFUSED
    assert verdict(Standing(network=4, account=5), POLICY) == Verdict(4)


def test_a_known_pair_is_judged_by_its_own_failures() -> None:
    assert verdict(Standing(network=1e6, account=1e6, pair=0, known=True), POLICY) == GO_AHEAD
    assert verdict(Standing(network=1e6, account=1e6, pair=4, known=True), POLICY) == Verdict(2)


def test_limits_of_any_size_are_borne() -> None:
    odd = AuthSettings(free_failures=0, max_delay=0, max_failures_per_account=1 << 30)
    assert verdict(Standing(account=1e6), odd) == GO_AHEAD
    assert verdict(Standing(account=1e6), AuthSettings(max_failures_per_account=1 << 30)) == Verdict(15)


# -- from login to login


def test_guesses_at_an_account_from_many_networks_shut_out_further_guesses(throttle: Throttle) -> None:
    for number in range(10):
        guesses(throttle, 1, address=f"203.0.113.{number}")
    assert throttle.verdict(AWAY, VA, "bob", NOW) == REFUSED
    assert throttle.verdict(AWAY, VA, "alice", NOW) == GO_AHEAD
    assert throttle.verdict(AWAY, "vb.toto.fr", "bob", NOW) == GO_AHEAD


def test_guesses_of_one_network_at_many_accounts_shut_it_out(throttle: Throttle) -> None:
    for number in range(20):
        guesses(throttle, 1, login=f"user{number}")
    assert throttle.verdict(AWAY, VA, "somebody", NOW) == REFUSED
    assert throttle.verdict(HOME, VA, "somebody", NOW) == GO_AHEAD


def test_who_logged_in_well_from_there_is_not_shut_out_by_others(throttle: Throttle) -> None:
    throttle.succeeded(HOME, VA, "bob", NOW)
    for number in range(20):
        guesses(throttle, 1, address=HOME, login=f"user{number}")  # a neighbour behind the same address
    guesses(throttle, 10)  # and somebody elsewhere who guesses at bob
    assert throttle.verdict(HOME, VA, "bob", NOW) == GO_AHEAD
    assert throttle.verdict(HOME, VA, "alice", NOW) == REFUSED
    assert throttle.verdict("203.0.113.9", VA, "bob", NOW) == REFUSED
    # But the neighbour cannot guess at bob for ever, either.
    guesses(throttle, 4, address=HOME)
    assert throttle.verdict(HOME, VA, "bob", NOW) == Verdict(2)
    guesses(throttle, 6, address=HOME)
    assert throttle.verdict(HOME, VA, "bob", NOW) == REFUSED


def test_a_good_login_long_ago_is_forgotten(throttle: Throttle) -> None:
    throttle.succeeded(HOME, VA, "bob", NOW)
    later = NOW + KNOWN_FOR
    guesses(throttle, 10, now=later)
    assert throttle.verdict(HOME, VA, "bob", later - 1) == GO_AHEAD
    assert throttle.verdict(HOME, VA, "bob", later) == REFUSED


def test_every_good_login_counts_as_the_last_one(throttle: Throttle) -> None:
    now = NOW
    for _ in range(10):
        throttle.succeeded(HOME, VA, "bob", now)
        now += KNOWN_FOR / 2
    guesses(throttle, 10, now=now)
    assert throttle.verdict(HOME, VA, "bob", now) == GO_AHEAD


def test_a_good_login_forgives_its_own_failures_and_nobody_elses(throttle: Throttle) -> None:
    guesses(throttle, 4, address=HOME)
    guesses(throttle, 12, address=HOME, login="alice")
    assert throttle.verdict(HOME, VA, "bob", NOW) == Verdict(15)
    throttle.succeeded(HOME, VA, "bob", NOW)
    assert throttle.verdict(HOME, VA, "bob", NOW) == GO_AHEAD
    # Whoever has one account wins no guesses at others with it.
    assert throttle.verdict(HOME, VA, "carol", NOW) == Verdict(15)
    assert throttle.standing(HOME, VA, "carol", NOW).network == 16


def test_the_same_wrong_password_again_and_again_is_one_guess(throttle: Throttle) -> None:
    for _ in range(30):
        throttle.failed(HOME, VA, "bob", b"of last year", NOW)
    standing = throttle.standing(HOME, VA, "bob", NOW)
    assert (standing.network, standing.account, standing.pair) == (1, 1, 30)
    assert throttle.verdict(HOME, VA, "alice", NOW) == GO_AHEAD
    assert throttle.verdict(AWAY, VA, "bob", NOW) == GO_AHEAD
    assert throttle.verdict(HOME, VA, "bob", NOW) == REFUSED  # it still costs hashes
    throttle.failed(HOME, VA, "bob", b"another", NOW)
    assert throttle.standing(HOME, VA, "bob", NOW).account == 2


def test_failures_fade(throttle: Throttle) -> None:
    guesses(throttle, 12)
    half_life = POLICY.half_life
    assert throttle.verdict(AWAY, VA, "bob", NOW) == REFUSED
    assert throttle.verdict(AWAY, VA, "bob", NOW + half_life) == Verdict(8)
    assert throttle.verdict(AWAY, VA, "bob", NOW + 2 * half_life) == Verdict(1)
    assert throttle.verdict(AWAY, VA, "bob", NOW + 3 * half_life) == GO_AHEAD
    guesses(throttle, 1, now=NOW + half_life)
    assert throttle.standing(AWAY, VA, "bob", NOW + half_life).account == pytest.approx(7)


def test_an_account_that_does_not_exist_is_treated_like_one_that_does(throttle: Throttle) -> None:
    guesses(throttle, 5, login="bob")
    guesses(throttle, 5, login="nobody", address=HOME)
    assert throttle.verdict(AWAY, VA, "bob", NOW) == throttle.verdict(HOME, VA, "nobody", NOW) == Verdict(4)


def test_the_failures_of_a_trusted_address_are_those_of_the_account_only(throttle: Throttle) -> None:
    for number in range(40):
        guesses(throttle, 1, address="127.0.0.3", login=f"user{number}")
    guesses(throttle, 10, address="::1", login="bob")
    guesses(throttle, 10, address="", login="alice")  # a socket with a path
    assert throttle.verdict("127.0.0.3", VA, "carol", NOW) == GO_AHEAD
    assert throttle.verdict("", VA, "carol", NOW) == GO_AHEAD
    assert throttle.verdict("127.0.0.3", VA, "bob", NOW) == REFUSED
    assert throttle.verdict(HOME, VA, "alice", NOW) == REFUSED


def test_last_logins_are_told_where_they_were_noted(throttle: Throttle) -> None:
    guesses(throttle, 2)
    assert throttle.last_login(VA, "bob") is None
    throttle.logged_in(VA, "bob", NOW)
    assert throttle.last_login(VA, "bob") == NOW
    assert throttle.last_login(VA, "alice") is None
    assert throttle.standing(AWAY, VA, "bob", NOW).account == 2
    guesses(throttle, 1)
    assert throttle.last_login(VA, "bob") == NOW


def test_odd_names_are_names_too(throttle: Throttle) -> None:
    for login in ("", "\0", "\udce9", "bob\0va", "x" * 10_000):
        guesses(throttle, 1, login="b")
        throttle.failed(AWAY, "", login, b"\xff", NOW)
        assert throttle.standing(AWAY, "", login, NOW).account == 1


# -- networks


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::9", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("fe80::1%eth0", "fe80::2", True),
        ("", "", True),
        ("", "192.0.2.1", False),
    ],
)
def test_what_counts_as_one_network(one: str, other: str, same: bool) -> None:
    assert (network_of(one) == network_of(other)) is same


# -- the memory


def test_a_full_bucket_gives_up_what_is_worth_least() -> None:
    throttle = Throttle(Slots(bytearray(320), b"secret"), POLICY)  # one bucket of eight
    slots = throttle.slots
    throttle.succeeded(HOME, VA, "bob", NOW)
    slots.put(1, Record(failures=9.0, stamp=NOW), NOW, 900.0)
    for number in range(2, 100):
        slots.put(number, Record(failures=1.0, stamp=NOW + number), NOW + number, 900.0)
    assert throttle.verdict(HOME, VA, "bob", NOW) == GO_AHEAD
    assert slots.find(1) == Record(failures=9.0, stamp=NOW)
    assert slots.find(2) is None
    assert slots.find(99) == Record(failures=1.0, stamp=NOW + 99)


def test_few_records_lie_together_and_many_use_all_the_memory() -> None:
    memory = bytearray(3 * 320)
    slots = Slots(memory, b"secret", front=1)
    keys = [slots.key(b"pair", b"%d" % number) for number in range(16)]
    for number, key in enumerate(keys):
        slots.put(key, Record(failures=2.0 + number, stamp=NOW), NOW, 900.0)
        assert any(memory[320:]) == (number >= 8)
    assert [slots.find(key) for key in keys] == [Record(2.0 + number, NOW) for number in range(16)]
    for number in range(1000):
        slots.put(slots.key(b"once", b"%d" % number), Record(failures=1.0, stamp=NOW), NOW, 900.0)
    assert [slots.find(key) for key in keys] == [Record(2.0 + number, NOW) for number in range(16)]
    slots.put(keys[9], Record(failures=50.0, stamp=NOW), NOW, 900.0)
    assert slots.find(keys[9]) == Record(50.0, NOW)


def test_keys_cannot_be_foreseen_and_do_not_run_together() -> None:
    slots = Slots(bytearray(320), b"secret")
    assert slots.key(b"pair", b"a", b"bc") != slots.key(b"pair", b"ab", b"c")
    assert slots.key(b"pair", b"a") != slots.key(b"account", b"a")
    assert slots.key(b"pair", b"a") == Slots(bytearray(320), b"secret").key(b"pair", b"a")
    assert slots.key(b"pair", b"a") != Slots(bytearray(320), b"other").key(b"pair", b"a")


def test_nothing_in_the_memory_names_anybody() -> None:
    memory = bytearray(1 << 16)
    throttle = Throttle(Slots(memory, b"secret"), POLICY)
    throttle.failed("203.0.113.77", VA, "charlotte", b"swordfish", NOW)
    throttle.succeeded("203.0.113.77", VA, "charlotte", NOW)
    throttle.failed("203.0.113.77", VA, "charlotte", b"swordfish", NOW)
    assert any(memory)
    for text in (b"charlotte", b"swordfish", b"va.toto", network_of("203.0.113.77")):
        assert text not in memory
    assert "swordfish" not in repr(throttle)
    assert "charlotte" not in repr(throttle)


FORKED = """
import os
from vmaild.auth.throttle import Slots, Throttle
from vmaild.core.site import AuthSettings
throttle = Throttle(Slots.create(1 << 12), AuthSettings())
for worker in range(4):
    if os.fork() == 0:
        for number in range(500):
            throttle.failed(f"198.51.100.{worker}", "va.toto.fr", "bob", b"%d" % number, 1000.0)
            throttle.failed("203.0.113.1", "va.toto.fr", f"user{worker}.{number}", b"x", 1000.0)
        throttle.succeeded("192.0.2.1", "va.toto.fr", f"good{worker}", 1000.0)
        os.kill(os.getpid(), 9)
for worker in range(4):
    os.wait()
for worker in range(4):
    assert throttle.standing(f"198.51.100.{worker}", "va.toto.fr", "x", 1000.0).network == 500
    assert throttle.standing("192.0.2.1", "va.toto.fr", f"good{worker}", 1000.0).known
# What all wrote at once without a pause between: some failures are lost, not all, and none is invented.
together = throttle.standing("203.0.113.1", "va.toto.fr", "bob", 1000.0)
assert 400 < together.network <= 2000, together
assert 400 < together.account <= 2000, together
"""


def test_all_processes_forked_from_one_share_it() -> None:
    subprocess.run([sys.executable, "-c", FORKED], check=True, timeout=30)
