from __future__ import annotations

import threading

import pytest

from vmaild.auth.passwords import PasswordError, hash_password, verify

# All of the password "bob-va", as the system's own tools write them.
HASHES = {
    "yescrypt": "$y$j9T$OarZxV74PsEVMSwPr.AcD.$1ibxQ.L0Ry//FJ0Ssbli23zYT7l44VmOwdnQUUkbYeB",
    "gost-yescrypt": "$gy$j9T$silX4lEwRxXD0cU6mK4Xz0$rSLeOFJ29RXOHxlg529zWkXSgS05OUK3bBpGZZvJ.a/",
    "bcrypt b": "$2b$05$yYNL1lY87qmAfiQPJetIF.a5NlD9xT33uneimtdj8.IH67KrLotXK",
    "bcrypt y": "$2y$05$vbtjscEZ2w8e.F5GCgYll.s6ss8DiPLol3oSoehsKxWd.B6Jiry7m",
    "bcrypt a": "$2a$05$TZa/22zaerm/q6VM.IA7k.YTeE88bsNusrzAiSGTmfD37ll5.yR3e",
    "SHA-512": "$6$pq1Q063vA5ZXbXtt$DX0CxM.Gw7seiwV/J28O0CO578xCE4IVQiBzK/"
    "SW/zh.c2qHOpd0TmITUjLMkxnK5jCkDMOs3MXe3H5OSE.DI.",
    "SHA-256": "$5$t7WYNyzUD0PVeXsD$sv7e3KUKuleWZThq.hP47ZBvOw1CThWFbJqdwiDpd3D",
    "MD5": "$1$pcYddMSl$IxihxMwcP0r3I4xgdqplV0",
    "DES": "lVMuNemE23X1A",
    "BSDi DES": "_J9..Z5I3WDDX6RMq1E.",
}


@pytest.mark.parametrize("hashed", HASHES.values(), ids=HASHES)
def test_every_method_of_the_system_is_verified(hashed: str) -> None:
    assert verify(b"bob-va", hashed)
    assert not verify(b"bob-vb", hashed)
    assert not verify(b"", hashed)


@pytest.mark.parametrize("hashed", ["", "!", "*", "!!", "x", "$y$", "$9$what$is", "*0", "*1", "bob-va", "é"])
def test_what_is_no_hash_verifies_nothing(hashed: str) -> None:
    assert not verify(b"bob-va", hashed)
    assert not verify(hashed.encode(), hashed)


def test_a_locked_account_does_not_verify_its_own_password() -> None:
    assert not verify(b"bob-va", "!" + HASHES["SHA-512"])


def test_a_new_password_is_hashed_with_the_best_method_and_its_own_salt() -> None:
    one, other = hash_password(b"bob-va"), hash_password(b"bob-va")
    assert one.startswith("$y$")
    assert one != other
    assert verify(b"bob-va", one)
    assert not verify(b"bob-va\0x", one)


@pytest.mark.parametrize("password", [b"", b"a\0b", b"x" * 512])
def test_a_password_that_cannot_be_taken_whole_is_refused_without_quoting_it(password: bytes) -> None:
    with pytest.raises(PasswordError) as refused:
        hash_password(password)
    assert "xxx" not in str(refused.value)


def test_hashing_leaves_the_interpreter_to_other_threads() -> None:
    hashed = HASHES["yescrypt"]
    done = threading.Event()

    def hash_for_a_while() -> None:
        for _ in range(8):
            verify(b"wrong", hashed)
        done.set()

    thread = threading.Thread(target=hash_for_a_while)
    turns = 0
    thread.start()
    while not done.is_set():
        turns += 1
    thread.join()
    # Had a hash held the lock, this loop would have had a turn or two between one hash and the next.
    assert turns > 1000
