"""Socketmap: netstrings in whatever pieces they come, and three kinds of answers that are never confused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmaild.protocol.socketmap import (
    MAX_REQUEST,
    Closed,
    Connection,
    Event,
    Failed,
    Found,
    LookUp,
    NotFound,
    Reply,
    netstring,
    parse_reply,
    request,
)
from vmaild.protocol.waits import NEED_DATA, PAUSED, SEND_FIRST, LocalProtocolError


def asked(*pieces: bytes) -> list[Event]:
    """The events of a whole connection, each question answered with "not there"."""
    core = Connection()
    events: list[Event] = []
    for piece in pieces:
        core.receive_data(piece)
        while isinstance(event := core.next_event(), LookUp | Closed):
            events.append(event)
            if isinstance(event, Closed):
                return events
            core.send(NotFound())
    return events


@given(st.lists(st.text(max_size=80), min_size=1, max_size=5), st.integers(1, 40))
def test_questions_may_come_in_any_pieces(keys: list[str], size: int) -> None:
    data = b"".join(request("recipients", key) for key in keys)
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    assert asked(*pieces) == [LookUp("recipients", key) for key in keys]


@pytest.mark.parametrize(
    ("reply", "octets"),
    [
        (Found("va.toto.fr"), b"13:OK va.toto.fr,"),
        (Found("bøb@va.toto.fr"), b"18:OK b\xc3\xb8b@va.toto.fr,"),
        (NotFound(), b"9:NOTFOUND ,"),
        (Failed("try again later"), b"20:TEMP try again later,"),
        (Failed("no such table", for_good=True), b"18:PERM no such table,"),
    ],
)
def test_answers_on_the_wire(reply: Reply, octets: bytes) -> None:
    core = Connection()
    core.receive_data(b"18:domains va.toto.fr,")
    assert core.next_event() == LookUp("domains", "va.toto.fr")
    assert core.next_event() is PAUSED
    core.send(reply)
    assert core.data_to_send() == octets
    assert core.next_event() is NEED_DATA
    assert parse_reply(octets) == reply
    assert all(parse_reply(octets[:end]) is None for end in range(len(octets) - 1))


@pytest.mark.parametrize(
    "data",
    [
        b"EHLO client.example\r\n",
        b":,",
        b"01:a,",
        b"-1:a,",
        b"3:abcd",
        b"%d:" % (MAX_REQUEST + 1),
        b"1" * 20,
        b"\0\0\0",
    ],
)
def test_what_is_no_netstring_ends_it(data: bytes) -> None:
    (event,) = asked(data)
    assert isinstance(event, Closed)
    assert event.problem


def test_what_was_asked_before_the_end_is_answered() -> None:
    core = Connection()
    core.receive_data(request("domains", "va.toto.fr"))
    core.receive_data(b"")
    assert core.next_event() == LookUp("domains", "va.toto.fr")
    core.send(Found("va.toto.fr"))
    assert core.next_event() == Closed()
    assert core.data_to_send() == b"13:OK va.toto.fr,"


def test_a_key_may_have_blanks_and_a_question_no_key() -> None:
    assert asked(b'23:recipients "a b"@va.fr ,' + b"7:domains,") == [
        LookUp("recipients", '"a b"@va.fr '),
        LookUp("domains", ""),
    ]


def test_a_client_that_reads_no_answers_is_not_answered_on_and_on() -> None:
    core = Connection()
    core.receive_data(request("domains", "x") * 40_000)
    count = 0
    while isinstance(core.next_event(), LookUp):
        core.send(NotFound())
        count += 1
    assert core.next_event() is SEND_FIRST
    assert count < 40_000
    assert core.data_to_send() == netstring(b"NOTFOUND ") * count
    assert isinstance(core.next_event(), LookUp)


def test_nothing_is_answered_unasked() -> None:
    with pytest.raises(LocalProtocolError):
        Connection().send(NotFound())


@pytest.mark.parametrize("data", [b"OK 1", b"4:okay,", b"x:OK 1,"])
def test_what_is_no_reply(data: bytes) -> None:
    with pytest.raises(ValueError, match="no "):
        parse_reply(data)
