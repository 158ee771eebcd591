"""What is remembered of verified passwords, until when, and that no password can be read from it."""

from __future__ import annotations

import gc

from vmaild.auth.cache import VerifiedPasswords

VA, VB = "va.toto.fr", "vb.toto.fr"
OLD, NEW = "$y$j9T$old", "$y$j9T$new"


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_verified_password_is_known_and_no_other() -> None:
    verified = VerifiedPasswords()
    assert not verified.knows(VA, "bob", b"bob-va", OLD)
    verified.remember(VA, "bob", b"bob-va", OLD)
    assert verified.knows(VA, "bob", b"bob-va", OLD)
    assert not verified.knows(VA, "bob", b"bob-vb", OLD)
    assert not verified.knows(VA, "bob", b"", OLD)
    assert not verified.knows(VA, "alice", b"bob-va", OLD)
    assert not verified.knows(VB, "bob", b"bob-va", OLD)
    assert verified.knows(VA, "bob", b"bob-va", OLD)  # a wrong one does no harm to the right one


def test_a_changed_shadow_entry_ends_it() -> None:
    verified = VerifiedPasswords()
    verified.remember(VA, "bob", b"bob-va", OLD)
    for hashed in (NEW, "!" + OLD, ""):
        assert not verified.knows(VA, "bob", b"bob-va", hashed)
    verified.remember(VA, "bob", b"newer", NEW)
    assert not verified.knows(VA, "bob", b"bob-va", OLD)
    assert verified.knows(VA, "bob", b"newer", NEW)


def test_hash_and_password_are_kept_apart() -> None:
    verified = VerifiedPasswords()
    verified.remember(VA, "bob", b"$x", "$y")
    assert not verified.knows(VA, "bob", b"x", "$y$")
    assert not verified.knows(VA, "bob", b"", "$y$x")


def test_who_is_forgotten_is_forgotten() -> None:
    verified = VerifiedPasswords()
    verified.remember(VA, "bob", b"bob-va", OLD)
    verified.remember(VA, "alice", b"alice-va", OLD)
    verified.forget(VA, "bob")
    verified.forget(VA, "nobody")
    assert not verified.knows(VA, "bob", b"bob-va", OLD)
    assert verified.knows(VA, "alice", b"alice-va", OLD)


def test_an_hour_after_the_check_it_is_checked_again_however_often_it_was_used() -> None:
    clock = Clock()
    verified = VerifiedPasswords(clock=clock)
    verified.remember(VA, "bob", b"bob-va", OLD)
    for _ in range(60):
        assert verified.knows(VA, "bob", b"bob-va", OLD)
        clock.now += 60
    assert verified.knows(VA, "bob", b"bob-va", OLD)
    clock.now += 1
    assert not verified.knows(VA, "bob", b"bob-va", OLD)
    assert len(verified) == 0


def test_without_an_age_limit_it_stays() -> None:
    clock = Clock()
    verified = VerifiedPasswords(age=None, clock=clock)
    verified.remember(VA, "bob", b"bob-va", OLD)
    clock.now += 1e9
    assert verified.knows(VA, "bob", b"bob-va", OLD)


def test_where_there_is_no_room_the_one_unused_for_longest_goes() -> None:
    verified = VerifiedPasswords(limit=3)
    for login in ("a", "b", "c"):
        verified.remember(VA, login, b"x", OLD)
    assert verified.knows(VA, "a", b"x", OLD)
    verified.remember(VA, "b", b"y", OLD)
    verified.remember(VA, "d", b"x", OLD)
    assert len(verified) == 3
    assert not verified.knows(VA, "c", b"x", OLD)
    assert verified.knows(VA, "a", b"x", OLD)
    assert verified.knows(VA, "b", b"y", OLD)
    assert verified.knows(VA, "d", b"x", OLD)


def test_with_a_limit_of_nought_nothing_is_remembered() -> None:
    verified = VerifiedPasswords(limit=0)
    verified.remember(VA, "bob", b"bob-va", OLD)
    assert not verified.knows(VA, "bob", b"bob-va", OLD)


def test_nothing_that_it_holds_contains_or_tells_the_password() -> None:
    verified, other = VerifiedPasswords(), VerifiedPasswords()
    for each in (verified, other):
        each.remember(VA, "bob", b"very-secret", OLD)
    seen: list[object] = [verified]
    held: list[object] = []
    while seen:
        item = seen.pop()
        held.append(item)
        seen += [each for each in gc.get_referents(item) if isinstance(each, dict | tuple | bytes | str | list)]
    assert any(isinstance(item, bytes) for item in held)  # the digest, at least, was found
    assert not any(b"secret" in item for item in held if isinstance(item, bytes))
    assert not any("secret" in item for item in held if isinstance(item, str))
    assert repr(verified) == "<VerifiedPasswords: 1 of at most 100000>"
    # What one process holds is of no use in another.
    assert verified._verified[VA, "bob"][0] != other._verified[VA, "bob"][0]
