"""Settings, and the lines of CAPA in each state."""

from __future__ import annotations

from typing import Any

import pytest

from vmaild.protocol.pop3_capabilities import PLAIN_POP3, Settings, capabilities
from vmaild.protocol.pop3_events import State

USUAL = ["TOP", "USER", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING", "EXPIRE NEVER"]


def told(settings: Settings, state: State = State.AUTHORIZATION, *, tls: bool = False) -> list[str]:
    return capabilities(settings, state, "0.1.0", tls=tls)


def test_nothing_is_on_unless_it_is_turned_on() -> None:
    assert told(PLAIN_POP3) == USUAL
    assert told(PLAIN_POP3, State.TRANSACTION) == [*USUAL, "IMPLEMENTATION vmaild-0.1.0"]
    assert Settings() == PLAIN_POP3


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"mechanisms": ("PLAIN", "LOGIN")}, "SASL PLAIN LOGIN"),
        ({"mechanisms": ("LOGIN",)}, "SASL LOGIN"),
        ({"utf8": True}, "UTF8 USER"),
        ({"lang": True}, "LANG"),
        ({"login_delay": 900}, "LOGIN-DELAY 900"),
        ({"expire": 60}, "EXPIRE 60"),
        ({"expire": 0}, "EXPIRE 0"),
    ],
)
@pytest.mark.parametrize("state", [State.AUTHORIZATION, State.TRANSACTION])
@pytest.mark.parametrize("tls", [False, True])
def test_what_is_told_in_both_states(settings: dict[str, Any], line: str, state: State, tls: bool) -> None:
    lines = told(Settings(**settings), state, tls=tls)
    assert line in lines
    assert ("EXPIRE NEVER" in lines) == ("expire" not in settings)


@pytest.mark.parametrize(
    ("state", "tls", "there"),
    [
        (State.AUTHORIZATION, False, True),
        (State.AUTHORIZATION, True, False),
        (State.TRANSACTION, False, False),
        (State.TRANSACTION, True, False),
    ],
)
def test_stls_is_told_where_it_may_be_said(state: State, tls: bool, there: bool) -> None:
    assert ("STLS" in told(Settings(stls=True), state, tls=tls)) is there


@pytest.mark.parametrize(
    ("plain_logins", "tls", "there"), [(False, False, False), (False, True, True), (True, False, True)]
)
def test_logins_are_told_where_they_are_admitted(plain_logins: bool, tls: bool, there: bool) -> None:
    lines = told(Settings(plain_logins=plain_logins, mechanisms=("PLAIN",)), tls=tls)
    assert ("USER" in lines) is there
    assert ("SASL PLAIN" in lines) is there


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"mechanisms": ("PLAIN", "GSSAPI")}, "GSSAPI"),
        ({"preferred_language": "de"}, "de"),
        ({"login_delay": -1}, "negative"),
        ({"expire": -1}, "negative"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Settings(**settings)
