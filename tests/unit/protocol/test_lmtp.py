"""The LMTP core: what the transcripts do not show, above all how it deals with the outside."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from vmaild.address import Address
from vmaild.outcome import Condition, Deferred, Delivered, Outcome, Rejected
from vmaild.protocol.lmtp import (
    MAX_COMMAND,
    Answer,
    CloseReason,
    Connection,
    ConnectionClosed,
    ContentChunk,
    ContentEnded,
    DataStarted,
    Dialect,
    Event,
    Hello,
    MailFrom,
    Ready,
    Recipient,
    State,
    TransactionReset,
    folded,
    render_reply,
)
from vmaild.protocol.waits import MAX_HELD_INPUT, NEED_DATA, PAUSED, SEND_FIRST, LocalProtocolError, Wait

ACCEPTED = Delivered(Condition.ACCEPTED)
BOB = Recipient(Address("bob", "va.toto.fr"), "bob@va.toto.fr")
TO_MAIL = b"LHLO client\r\nMAIL FROM:<joe@x.example>\r\n"
TO_RCPT = TO_MAIL + b"RCPT TO:<bob@va.toto.fr>\r\n"
TO_DATA = TO_RCPT + b"DATA\r\n"


def connection_after(data: bytes, dialect: Dialect = Dialect.LMTP, max_size: int = 0) -> Connection:
    """A connection to which a client said `data`, all recipients accepted, all events and replies taken."""
    connection = Connection(dialect, "mx.example", max_size=max_size)
    if data:  # no data would be the end of the connection
        connection.receive_data(data)
        run(connection)
    connection.data_to_send()
    return connection


def run(connection: Connection) -> list[Event]:
    """Take the events that are there; accept recipients and content, leave the message itself unanswered."""
    events: list[Event] = []
    while not isinstance(event := connection.next_event(), Wait):
        events.append(event)
        match event:
            case Recipient():
                connection.send(ACCEPTED)
            case DataStarted():
                connection.send(Ready())
            case ConnectionClosed():
                break
    return events


# Events


def test_events_of_a_message() -> None:
    connection = Connection(Dialect.LMTP, "mx.example")
    connection.receive_data(
        b"LHLO client.example and more\r\n"
        b"MAIL FROM:<Joe@X.example> SIZE=12 BODY=8bitmime SMTPUTF8\r\n"
        b"RCPT TO:<@relay.example:Bob@VA.Toto.FR>\r\n"
        b"DATA\r\n"
        b"a\r\n.\r\n"
    )
    assert run(connection) == [
        Hello("client.example", "LMTP"),
        MailFrom("Joe@X.example", 12, "8BITMIME", True),
        Recipient(Address("Bob", "va.toto.fr"), "Bob@VA.Toto.FR"),
        DataStarted(),
        ContentChunk(b"a\r\n"),
        ContentEnded(3),
    ]


@pytest.mark.parametrize(
    ("dialect", "hello", "protocol"),
    [
        (Dialect.LMTP, b"LHLO x\r\n", "LMTP"),
        (Dialect.SMTP, b"EHLO x\r\n", "ESMTP"),
        (Dialect.SMTP, b"helo x\r\n", "SMTP"),
    ],
)
def test_hello_tells_the_protocol_of_the_received_field(dialect: Dialect, hello: bytes, protocol: str) -> None:
    connection = Connection(dialect, "mx.example")
    connection.receive_data(hello)
    assert connection.next_event() == Hello("x", protocol)


def test_a_name_in_hello_is_made_harmless() -> None:
    connection = Connection(Dialect.LMTP, "mx.example")
    connection.receive_data(b"LHLO a\rb\x00\xff\r\n")
    assert connection.next_event() == Hello("a?b?\ufffd", "LMTP")


def test_plain_mail_from() -> None:
    connection = connection_after(b"LHLO x\r\n")
    connection.receive_data(b"MAIL FROM:<>\r\n")
    assert connection.next_event() == MailFrom("", size=0, body="7BIT", smtputf8=False)


# Questions and answers


def test_a_question_holds_the_dialogue_until_it_is_answered() -> None:
    connection = connection_after(TO_MAIL)
    connection.receive_data(b"RCPT TO:<bob@va.toto.fr>\r\nRCPT TO:<alice@va.toto.fr>\r\n")
    assert connection.next_event() == BOB
    assert connection.next_event() is PAUSED
    connection.receive_data(b"RSET\r\n")
    assert connection.next_event() is PAUSED
    assert connection.data_to_send() == b""
    connection.send(Rejected(Condition.NO_SUCH_USER, "No bob"))
    assert connection.data_to_send() == b"550 5.1.1 No bob\r\n"
    assert isinstance(connection.next_event(), Recipient)
    connection.send(ACCEPTED)
    assert connection.next_event() == TransactionReset()
    assert connection.next_event() is NEED_DATA


def test_content_is_not_held_by_a_question_once_it_may_come() -> None:
    connection = connection_after(TO_RCPT)
    connection.receive_data(b"DATA\r\nearly")
    assert connection.next_event() == DataStarted()
    assert connection.next_event() is PAUSED
    connection.send(Ready())
    assert connection.state is State.DATA
    assert connection.data_to_send().startswith(b"354 ")
    assert connection.next_event() == ContentChunk(b"early")
    assert connection.next_event() is NEED_DATA
    for _ in range(3):
        connection.receive_data(b"more")
        assert connection.next_event() == ContentChunk(b"more")


def test_content_that_cannot_be_taken_now_may_be_tried_again() -> None:
    connection = connection_after(TO_RCPT)
    connection.receive_data(b"DATA\r\nDATA\r\n")
    assert connection.next_event() == DataStarted()
    connection.send(Deferred(Condition.SYSTEM_FULL))
    assert connection.data_to_send() == b"452 4.3.1 Not enough space, try again later\r\n"
    assert connection.next_event() == DataStarted()
    connection.send(Ready())
    assert connection.state is State.DATA


def test_one_answer_for_each_recipient_and_dialect() -> None:
    outcomes = (Delivered(), Rejected(Condition.OVER_QUOTA), Delivered(Condition.DELIVERED, "Filed"))
    for dialect, hello in (Dialect.LMTP, b"LHLO x\r\n"), (Dialect.SMTP, b"EHLO x\r\n"):
        connection = connection_after(
            hello + b"MAIL FROM:<>\r\n" + b"RCPT TO:<bob>\r\n" * 3 + b"DATA\r\n.\r\n", dialect
        )
        connection.send(outcomes)
        said = connection.data_to_send()
        if dialect is Dialect.LMTP:
            assert said == b"250 2.0.0 Delivered\r\n552 5.2.2 Mailbox full\r\n250 2.0.0 Filed\r\n"
        else:
            assert said == b"552 5.2.2 Mailbox full\r\n"
        assert connection.state is State.IDLE


ANY_QUESTION = [
    pytest.param(TO_MAIL, b"RCPT TO:<bob>\r\n", ACCEPTED, id="recipient"),
    pytest.param(TO_RCPT, b"DATA\r\n", Ready(), id="data"),
    pytest.param(TO_DATA, b".\r\n", [Delivered()], id="content"),
]
ANY_ANSWER: list[Answer] = [
    Ready(),
    ACCEPTED,
    Rejected(Condition.NO_SUCH_USER),
    Deferred(Condition.INTERNAL),
    [],
    [Delivered()],
    [Delivered()] * 2,
    [Rejected(Condition.OVER_QUOTA)],
    # The kind says one thing and the code another.
    Delivered(Condition.NO_SUCH_USER),
    Rejected(Condition.INTERNAL),
    Deferred(Condition.DELIVERED),
    [Deferred(Condition.NO_SUCH_USER)],
]


@pytest.mark.parametrize(("before", "asking", "good"), ANY_QUESTION)
def test_an_answer_that_does_not_fit_is_our_fault(before: bytes, asking: bytes, good: Answer) -> None:
    taken = 0
    for answer in ANY_ANSWER:
        connection = connection_after(before)
        connection.receive_data(asking)
        connection.next_event()
        try:
            connection.send(answer)
        except LocalProtocolError:
            # The question is still open, and nothing was said.
            assert connection.data_to_send() == b""
            assert connection.next_event() is PAUSED
            connection.send(good)
        else:
            taken += 1
        assert connection.data_to_send().count(b"\r\n") == 1
    assert taken == {b"RCPT TO:<bob>\r\n": 3, b"DATA\r\n": 2, b".\r\n": 2}[asking]


@pytest.mark.parametrize("said", [b"", TO_MAIL, TO_RCPT, TO_DATA])
def test_an_answer_that_nobody_asked_for_is_our_fault(said: bytes) -> None:
    connection = connection_after(said)
    for answer in ANY_ANSWER:
        with pytest.raises(LocalProtocolError):
            connection.send(answer)
    assert connection.data_to_send() == b""


def test_folding_for_smtp() -> None:
    delivered, deferred = Delivered(), Deferred(Condition.INTERNAL)
    rejected = Rejected(Condition.OVER_QUOTA)
    cases: list[tuple[Sequence[Outcome], Outcome]] = [
        ([delivered], delivered),
        ([delivered, delivered], delivered),
        ([delivered, rejected], rejected),
        ([rejected, deferred, delivered], deferred),
        ([delivered, deferred, Deferred(Condition.SYSTEM_FULL)], deferred),
    ]
    for outcomes, expected in cases:
        assert folded(outcomes) is expected


# Limits


def test_reading_stops_while_much_is_held() -> None:
    connection = connection_after(TO_MAIL)
    connection.receive_data(b"RCPT TO:<bob@va.toto.fr>\r\n")
    assert connection.next_event() == BOB
    for commands, wanted in (MAX_HELD_INPUT // 6, True), (1, False):
        connection.receive_data(b"NOOP\r\n" * commands)
        assert connection.data_wanted is wanted
    connection.send(ACCEPTED)
    assert connection.next_event() is NEED_DATA
    assert connection.data_wanted
    assert connection.data_to_send().count(b"250 2.0.0 OK\r\n") == MAX_HELD_INPUT // 6 + 1


def test_obeying_stops_while_much_is_to_be_sent() -> None:
    connection = connection_after(b"LHLO x\r\n")
    connection.receive_data(b"HELP\r\n" * 5000)
    assert connection.next_event() is SEND_FIRST
    first = connection.data_to_send()
    assert connection.next_event() is NEED_DATA
    assert (first + connection.data_to_send()).count(b"214 ") == 5000


def test_content_passes_through_without_being_held() -> None:
    connection = connection_after(TO_DATA)
    for _ in range(50):
        connection.receive_data(b"x" * 100_000)
        assert connection.next_event() == ContentChunk(b"x" * 100_000)
        assert connection.data_wanted
    connection.receive_data(b"\r\n.\r\n")
    assert run(connection) == [ContentChunk(b"\r\n"), ContentEnded(5_000_002)]


def test_content_over_the_limit_is_dropped_at_once() -> None:
    connection = connection_after(TO_DATA, max_size=1000)
    connection.receive_data(b"x" * 1000)
    assert run(connection) == [ContentChunk(b"x" * 1000)]
    connection.receive_data(b"x")
    assert run(connection) == [TransactionReset()]
    connection.receive_data(b"x" * 100_000)
    assert run(connection) == []
    assert connection.data_to_send() == b""
    connection.receive_data(b"\r\n.\r\n")
    assert run(connection) == []
    assert connection.data_to_send() == b"552 5.3.4 Message too big\r\n"
    assert connection.state is State.IDLE


def test_dropped_content_is_dropped_once() -> None:
    connection = connection_after(TO_DATA, max_size=10)
    connection.receive_data(b"x" * 11)
    connection.receive_data(b"")
    assert run(connection) == [TransactionReset(), ConnectionClosed(CloseReason.PEER_CLOSED, State.DATA)]


def test_a_command_as_long_as_may_be() -> None:
    connection = connection_after(b"")
    connection.receive_data(b"NOOP ".ljust(MAX_COMMAND - 1, b"x") + b"\r\n")
    connection.next_event()
    assert connection.data_to_send() == b"250 2.0.0 OK\r\n"


@pytest.mark.parametrize("piece", [100, MAX_COMMAND, 1_000_000])
def test_a_line_too_long_costs_that_line_only(piece: int) -> None:
    connection = connection_after(b"")
    line = b"NOOP ".ljust(1_000_000 - 2, b"x") + b"\r\n"
    for start in range(0, len(line), piece):
        connection.receive_data(line[start : start + piece])
        assert connection.next_event() is NEED_DATA
        assert connection.data_wanted
    connection.receive_data(b"NOOP\r\n")
    connection.next_event()
    assert connection.data_to_send() == b"500 5.5.2 Line too long\r\n250 2.0.0 OK\r\n"


def test_bad_commands_count_in_a_row() -> None:
    connection = connection_after(b"LHLO x\r\n")
    for between in b"NOOP\r\n", b"DATA\r\n", b"":
        connection.receive_data(b"XYZZY\r\n" * 9 + between)
        assert connection.next_event() is NEED_DATA
    connection.receive_data(b"x" * (MAX_COMMAND + 1) + b"\r\nNOOP\r\n")
    assert connection.next_event() == ConnectionClosed(CloseReason.BAD_COMMANDS, State.IDLE)
    assert connection.data_to_send().endswith(b"\r\n421 4.7.0 mx.example Too many bad commands, closing\r\n")


# Replies


@pytest.mark.parametrize(
    ("text", "utf8", "line"),
    [
        ("250 2.0.0 OK", False, b"250 2.0.0 OK"),
        ("550 5.1.1 a\r\n250 b\0\x1b\x7f\x85\u2028c", False, b"550 5.1.1 a  250 b     c"),
        ("550 5.1.1 a\r\n250 b\0\x1b\x7f\x85\u2028c", True, b"550 5.1.1 a  250 b     c"),
        ("550 5.1.1 \xe9\udcff", False, b"550 5.1.1 ? "),
        ("550 5.1.1 \xe9\udcff", True, b"550 5.1.1 \xc3\xa9 "),
        ("550 " + "x" * 506, False, b"550 " + b"x" * 506),
        ("550 " + "x" * 507, False, b"550 " + b"x" * 506),
        ("550 x" + "\xe9" * 300, True, b"550 x" + b"\xc3\xa9" * 252),
    ],
)
def test_a_reply_is_one_line(text: str, utf8: bool, line: bytes) -> None:
    assert render_reply(text, utf8=utf8) == line + b"\r\n"


# The end


@pytest.mark.parametrize("said", [b"", b"LHLO x\r\n", TO_MAIL, TO_RCPT, TO_DATA, TO_DATA + b"half"])
def test_closing_from_our_side(said: bytes) -> None:
    connection = connection_after(said)
    state = connection.state
    connection.close("Shutting down")
    assert connection.data_to_send() == b"421 4.3.2 mx.example Shutting down\r\n"
    events = run(connection)
    assert events[-1] == ConnectionClosed(CloseReason.CLOSED_BY_US, state)
    assert events[:-1] == ([TransactionReset()] if TO_MAIL in said else [])
    connection.close("Again")
    connection.receive_data(b"NOOP\r\n")
    assert connection.next_event() == ConnectionClosed(CloseReason.CLOSED_BY_US, state)
    assert connection.data_to_send() == b""
    assert not connection.data_wanted


def test_an_answer_after_the_end_is_passed_over() -> None:
    connection = connection_after(TO_DATA + b".\r\n")
    connection.close()
    connection.data_to_send()
    connection.send([Delivered()])
    assert connection.data_to_send() == b""


def test_a_message_is_answered_though_the_client_has_closed_its_side() -> None:
    connection = connection_after(TO_DATA)
    connection.receive_data(b"x\r\n.\r\n")
    connection.receive_data(b"")
    assert run(connection) == [ContentChunk(b"x\r\n"), ContentEnded(3)]
    assert connection.next_event() is PAUSED
    assert not connection.data_wanted
    connection.send([Delivered()])
    assert connection.next_event() == ConnectionClosed(CloseReason.PEER_CLOSED, State.IDLE)
    assert connection.data_to_send() == b"250 2.0.0 Delivered\r\n"


def test_a_lost_connection_obeys_nothing_more() -> None:
    connection = connection_after(TO_RCPT)
    connection.receive_data(b"NOOP\r\nDATA\r\nx\r\n.\r\n")
    connection.connection_lost()
    assert run(connection) == [TransactionReset(), ConnectionClosed(CloseReason.PEER_CLOSED, State.RCPT)]
    assert connection.data_to_send() == b""
    connection.connection_lost()
    assert run(connection) == [ConnectionClosed(CloseReason.PEER_CLOSED, State.RCPT)]
