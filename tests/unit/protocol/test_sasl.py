"""SASL mechanisms alone; dialogues with them are in tests/transcripts/pop3/extensions."""

from __future__ import annotations

from base64 import b64encode

import pytest

from vmaild.protocol.sasl import (
    MAX_CREDENTIAL,
    MECHANISMS,
    Credentials,
    Exchange,
    ExchangeFailed,
    MalformedResponse,
    NotAcceptable,
    PreparationError,
    prepared,
)


def plain(message: bytes) -> Credentials | None:
    return Exchange("PLAIN").respond(b64encode(message))


def login(name: bytes, password: bytes) -> Credentials | None:
    exchange = Exchange("LOGIN")
    assert exchange.respond(b64encode(name)) is None
    return exchange.respond(b64encode(password))


def test_plain_in_one_response() -> None:
    exchange = Exchange("PLAIN")
    assert exchange.challenge == b""
    assert exchange.respond(b"AHRpbQB0YW5zdGFhZnRhbnN0YWFm") == Credentials("tim", b"tanstaaftanstaaf")


def test_login_in_two_responses() -> None:
    exchange = Exchange("LOGIN")
    assert exchange.challenge == b"Username:"
    assert exchange.respond(b"dGlt") is None
    assert exchange.challenge == b"Password:"
    assert exchange.respond(b"dGFuc3RhYWZ0YW5zdGFhZg==") == Credentials("tim", b"tanstaaftanstaaf")


def test_a_mechanism_that_is_none() -> None:
    with pytest.raises(KeyError):
        Exchange("GSSAPI")


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize(
    "response",
    [b"=", b"*", b"A", b"AA", b"AAA", b"AA=", b"AA==AA==", b"A A=", b"AA==\r", b"\xff", b"=AAA", b"-_=="],
)
def test_what_is_not_base64(mechanism: str, response: bytes) -> None:
    with pytest.raises(MalformedResponse, match="not base64"):
        Exchange(mechanism).respond(response)


@pytest.mark.parametrize("identity", [b"", b"zo\xc3\xa9", b"zoe\xcc\x81"])
@pytest.mark.parametrize("name", [b"zo\xc3\xa9", b"zoe\xcc\x81"])
def test_plain_for_oneself_is_compared_composed(identity: bytes, name: bytes) -> None:
    assert plain(identity + b"\0" + name + b"\0x") == Credentials("zoé", b"x")


@pytest.mark.parametrize("identity", [b"ursel", b"Bob", b"bob ", b"b", b"\xff", b"x" * 5000])
def test_plain_for_another(identity: bytes) -> None:
    with pytest.raises(NotAcceptable):
        plain(identity + b"\0bob\0x")


def test_how_long_a_login_and_a_password_may_be() -> None:
    longest = b"x" * MAX_CREDENTIAL
    text = longest.decode("ascii")
    assert plain(longest + b"\0" + longest + b"\0" + longest) == Credentials(text, longest)
    assert login(longest, longest) == Credentials(text, longest)
    for name, password in ((longest + b"x", b"x"), (b"x", longest + b"x")):
        with pytest.raises(NotAcceptable, match="too long"):
            plain(b"\0" + name + b"\0" + password)
        with pytest.raises(NotAcceptable, match="too long"):
            login(name, password)


def test_a_password_that_is_not_utf_8_is_taken_as_it_is() -> None:
    assert plain(b"\0bob\0p\xe9") == Credentials("bob", b"p\xe9")
    assert login(b"bob", b"p\xe9") == Credentials("bob", b"p\xe9")


def test_no_secret_is_in_a_repr_or_an_error() -> None:
    exchange = Exchange("LOGIN")
    exchange.respond(b64encode(b"bob"))
    credentials = exchange.respond(b64encode(b"tell-nobody"))
    assert "tell-nobody" not in repr(exchange) + repr(credentials)
    for message in (b"tell-nobody", b"ursel\0bob\0tell-nobody", b"\0\0tell-nobody", b"\0b\xff\0tell-nobody"):
        with pytest.raises(ExchangeFailed) as error:
            plain(message)
        assert "tell-nobody" not in str(error.value)
        assert error.value.__cause__ is None


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        ("", ""),
        ("bob", "bob"),
        (" a\tb\x7f", " a\tb\x7f"),
        ("zoé", "zoé"),
        ("zoe\u0301", "zoé"),
        ("côté\u00a0mer", "côté mer"),
        ("\u3000é", " é"),
        ("Å", "Å"),
        ("ﬁn", "ﬁn"),
        ("密码🔑", "密码🔑"),
        ("\U0003fffd", "\U0003fffd"),
    ],
)
def test_preparation(octets: str, text: str) -> None:
    assert prepared(octets.encode()) == text


@pytest.mark.parametrize(
    "octets",
    [
        b"\xe9",
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        "é\0".encode(),
        "é\x85".encode(),
        "\u200d".encode(),
        "\u200e".encode(),
        "\ue000".encode(),
        "\ufffe".encode(),
        "\ufffd".encode(),
        "\u2ff0".encode(),
        "\U000e0041".encode(),
    ],
)
def test_what_cannot_be_prepared(octets: bytes) -> None:
    with pytest.raises(PreparationError):
        prepared(octets)
