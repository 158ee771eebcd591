"""What may happen once happens once, also where two ask at the same moment in processes of their own."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import sqlalchemy.orm  # noqa: F401  the audit log's, once for all processes
from pyotp import TOTP

from vmaild.address import Address
from vmaild.admin.account_import import carry_out, preview
from vmaild.admin.accounts import add_user
from vmaild.admin.door import Door
from vmaild.admin.gate import Gate
from vmaild.admin.refusal import Refused
from vmaild.admin.second_factor import renew_codes, switch_off, switch_on, takes_code
from vmaild.admin.view import file_directory
from vmaild.auth.throttle import Slots, Throttle
from vmaild.core.permissions import Actor
from vmaild.core.second_factor import STEP, Factor, digest
from vmaild.core.site import AuthSettings, Site
from vmaild.store.layout import Layout
from vmaild.store.second_factor import Factors

BOB = "bob@va.toto.fr"
SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
FORK = multiprocessing.get_context("fork")

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def at_once(count: int, work: Callable[[int], bool]) -> int:
    """Do it in so many processes, which wait for each other first; how many said that it was done."""
    together, done = FORK.Barrier(count), FORK.Value("i", 0)

    def one(number: int) -> None:
        together.wait()
        if work(number):
            with done.get_lock():
                done.value += 1

    processes = [FORK.Process(target=one, args=(number,)) for number in range(count)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    return int(done.value)


def with_factor(layout: Layout, *recovery: str) -> Factors:
    factors = Factors(layout)
    factors.save(BOB, Factor(SECRET, recovery=tuple(map(digest, recovery))))
    return factors


@pytest.mark.parametrize("kind", ["telephone", "recovery"])
def test_a_code_lets_one_in_whoever_is_asked(layout: Layout, kind: str) -> None:
    factors = with_factor(layout, "aaaa-bbbb-cccc-dddd", "eeee-ffff-gggg-hhhh")
    code = TOTP(SECRET).now() if kind == "telephone" else "AAAA bbbb cccc-dddd"
    assert at_once(4, lambda _: takes_code(layout, BOB, code)) == 1
    assert not takes_code(layout, BOB, code)
    found = factors.find(BOB)
    assert found is not None
    assert (len(found.recovery), found.used > 0) == ((2, True) if kind == "telephone" else (1, False))


def test_an_old_code_is_not_taken_after_a_newer_one_nor_one_of_tomorrow(layout: Layout) -> None:
    with_factor(layout)
    now = int(time.time())
    codes = {step: TOTP(SECRET).at(now + step * STEP) for step in range(-3, 5)}
    assert not takes_code(layout, BOB, codes[-3])
    assert not takes_code(layout, BOB, codes[4])
    assert takes_code(layout, BOB, codes[0])
    assert not takes_code(layout, BOB, codes[-1]), "the one before, seen over a shoulder"
    assert not takes_code(layout, BOB, codes[0])


def test_new_recovery_codes_do_not_bring_a_used_code_back(layout: Layout) -> None:
    """Whoever renews them and whoever comes in at that moment both write the same file."""
    with_factor(layout)
    code = TOTP(SECRET).now()
    owner = Door(layout, Site(), Actor(BOB), lock_wait=10)

    def one(number: int) -> bool:
        if number % 2:
            return takes_code(layout, BOB, code)
        renew_codes(owner)
        return False

    assert at_once(6, one) == 1
    assert not takes_code(layout, BOB, code)


def test_a_factor_that_is_switched_off_stays_off(layout: Layout) -> None:
    factors = with_factor(layout)
    owner = Door(layout, Site(), Actor(BOB), lock_wait=10)

    def one(number: int) -> bool:
        return switch_off(owner) if number == 0 else takes_code(layout, BOB, TOTP(SECRET).now())

    at_once(4, one)
    assert factors.find(BOB) is None


def test_of_two_sessions_that_set_one_up_the_first_counts(layout: Layout) -> None:
    owner = Door(layout, Site(), Actor(BOB), lock_wait=10)
    assert len(switch_on(owner, SECRET, TOTP(SECRET).now())) == 10
    other = SECRET[::-1]
    with pytest.raises(Refused, match="there is a second factor already"):
        switch_on(owner, other, TOTP(other).now())
    found = Factors(layout).find(BOB)
    assert found is not None
    assert found.secret == SECRET


def test_the_last_free_account_goes_to_one_whichever_way_they_come(layout: Layout) -> None:
    """By the page, the API or the command line: all of them come through the door; and by a list."""
    definition = Path(layout.definition("va.toto.fr"))
    definition.write_text('admins = ["unix:alice", "unix:eve"]\nmax_users = 3\n')  # there are two
    doors = [Door(layout, Site(), Actor(name), lock_wait=30) for name in ("unix:alice", "unix:eve")]

    def one(number: int) -> bool:
        door, login = doors[number % 2], f"new{number}"
        if number < 3:
            rows = preview(door, f"login\n{login}\n".encode(), "va.toto.fr")
            return not any(row.problem for row in rows) and not carry_out(door, rows)
        try:
            add_user(door, Address(login, "va.toto.fr"), password=None)
        except Refused as refusal:
            return "3 accounts of 3 allowed" not in refusal.problem
        return True

    assert at_once(6, one) == 1
    passwd = Path(layout.passwd("va.toto.fr")).read_text()
    assert (passwd.count("\n"), passwd.count("\nnew")) == (3, 1)


def test_two_who_add_the_same_name_do_not_both_succeed(layout: Layout) -> None:
    def one(number: int) -> bool:
        door = Door(layout, Site(), Actor("unix:root", site_admin=True), lock_wait=30)
        try:
            add_user(door, Address("Carol" if number % 2 else "carol", "va.toto.fr"), password=None)
        except Refused as refusal:
            return "exists already" not in refusal.problem
        return True

    assert at_once(4, one) == 1


@pytest.mark.parametrize("kind", ["code", "password"])
def test_guesses_at_the_same_moment_are_not_all_free(layout: Layout, kind: str) -> None:
    policy = AuthSettings(free_failures=3, max_delay=1)
    looked: list[float] = []

    def wrong(*_: str) -> bool:
        looked.append(time.monotonic())
        return False

    gate = Gate(layout, Site(), Throttle(Slots.create(), policy), file_directory(layout, Site()), pam=wrong)

    def guess(number: int) -> None:
        with suppress(Refused):
            if kind == "code":
                gate.check_code(BOB, f"{number:06}", "203.0.113.9", wrong)
            gate.log_in("unix:eve", f"{number:06}", None, "203.0.113.9")

    threads = [threading.Thread(target=guess, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(looked) == 12
    assert sum(at < looked[0] + 0.9 for at in looked) == 3
