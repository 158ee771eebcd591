"""What Settings turn on, where dialogues in text do not reach: STLS and its outside, secrets, memory."""

from __future__ import annotations

import tracemalloc
from base64 import b64encode

import pytest

from vmaild.protocol.pop3 import (
    CheckPassword,
    CloseReason,
    Connection,
    ConnectionClosed,
    Event,
    LoginRefused,
    MaildropOpened,
    MessageUnreadable,
    ReadMessage,
    ResponseCode,
    Settings,
    StartTls,
    State,
    TlsReady,
    TlsUnavailable,
)
from vmaild.protocol.waits import NEED_DATA, PAUSED, LocalProtocolError, Wait

EVERYTHING = Settings(stls=True, mechanisms=("PLAIN", "LOGIN"), utf8=True, lang=True, last=True)


def connected(settings: Settings = EVERYTHING, *, tls: bool = False) -> Connection:
    """A connection whose greeting is sent."""
    connection = Connection("va.toto.fr", "0.1.0", settings, tls=tls)
    connection.data_to_send()
    return connection


def hear(connection: Connection, data: bytes) -> Event | Wait:
    connection.receive_data(data)
    return connection.next_event()


def reply(connection: Connection, data: bytes) -> bytes:
    assert hear(connection, data) is NEED_DATA
    return connection.data_to_send()


def about_to_start(data: bytes = b"STLS\r\n") -> Connection:
    """A connection that has said +OK to STLS."""
    connection = connected()
    assert hear(connection, data) == StartTls()
    assert connection.data_to_send() == b""
    connection.send(TlsReady())
    assert connection.data_to_send() == b"+OK begin TLS\r\n"
    return connection


# mypy takes a property for a constant within a test; a function's value it lets change.


def data_wanted(connection: Connection) -> bool:
    return connection.data_wanted


def utf8(connection: Connection) -> bool:
    return connection.utf8


# STLS.


def test_stls_is_answered_when_the_outside_is_ready() -> None:
    connection = connected()
    assert hear(connection, b"STLS\r\n") == StartTls()
    assert hear(connection, b"CAPA\r\n") is PAUSED
    assert connection.data_to_send() == b""
    connection.send(TlsReady())
    assert connection.next_event() is PAUSED
    assert connection.data_to_send() == b"+OK begin TLS\r\n"
    connection.tls_started("vb.toto.fr")
    assert connection.next_event() is NEED_DATA
    assert connection.data_to_send() == b"", "no second greeting, and no answer to CAPA"
    assert connection.state is State.AUTHORIZATION


def test_before_the_handshake_nothing_more_is_read() -> None:
    connection = connected()
    hear(connection, b"STLS\r\n")
    assert data_wanted(connection)
    connection.send(TlsReady())
    assert not data_wanted(connection)
    connection.data_to_send()
    connection.tls_started(None)
    assert data_wanted(connection)


def test_what_comes_in_clear_before_the_handshake_costs_no_memory() -> None:
    connection = about_to_start()
    tracemalloc.start()
    try:
        for _ in range(100):
            assert hear(connection, b"NOOP\r\n" * 1000) is PAUSED
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 10_000
    connection.tls_started(None)
    assert reply(connection, b"BOGUS\r\n") == b"-ERR unknown command\r\n"


def test_a_line_begun_in_clear_does_not_go_on_under_tls() -> None:
    connection = about_to_start(b"STLS\r\nUSER mall")
    connection.receive_data(b"or")
    connection.tls_started(None)
    assert reply(connection, b"y\r\n") == b"-ERR unknown command\r\n"


def test_when_tls_is_unavailable_the_dialogue_goes_on() -> None:
    connection = connected()
    assert hear(connection, b"USER bob\r\nSTLS\r\nPASS secret\r\n") == StartTls()
    connection.send(TlsUnavailable())
    assert connection.next_event() == CheckPassword("bob", b"secret")
    expected = b"+OK send PASS\r\n-ERR [SYS/TEMP] TLS is not available now, try again later\r\n"
    assert connection.data_to_send() == expected


def test_tls_that_nobody_asked_for() -> None:
    connection = connected()
    with pytest.raises(LocalProtocolError, match="without TlsReady"):
        connection.tls_started(None)
    hear(connection, b"STLS\r\n")
    with pytest.raises(LocalProtocolError, match="without TlsReady"):
        connection.tls_started(None)


def test_tls_before_the_go_ahead_is_sent() -> None:
    connection = connected()
    hear(connection, b"STLS\r\n")
    connection.send(TlsReady())
    with pytest.raises(LocalProtocolError, match="in clear"):
        connection.tls_started(None)


def test_while_tls_starts_no_answer_is_due() -> None:
    connection = about_to_start()
    with pytest.raises(LocalProtocolError, match="does not answer TlsReady"):
        connection.send(TlsReady())


def test_closing_while_tls_starts_says_nothing() -> None:
    connection = about_to_start()
    connection.close("server is going down", ResponseCode.SYS_TEMP)
    assert connection.next_event() == ConnectionClosed(CloseReason.CLOSED_BY_US)
    assert connection.data_to_send() == b""
    connection.tls_started("va.toto.fr")
    assert connection.next_event() == ConnectionClosed(CloseReason.CLOSED_BY_US)


def test_a_client_that_closes_instead_of_starting_tls() -> None:
    connection = about_to_start(b"STLS\r\nQUIT\r\n")
    assert hear(connection, b"") == ConnectionClosed(CloseReason.PEER_CLOSED)


def test_a_client_that_closed_before_we_were_ready() -> None:
    connection = connected()
    hear(connection, b"STLS\r\n")
    connection.receive_data(b"")
    connection.send(TlsReady())
    connection.connection_lost()
    assert connection.next_event() == ConnectionClosed(CloseReason.PEER_CLOSED)


def test_a_handshake_that_fails() -> None:
    connection = about_to_start()
    connection.connection_lost()
    assert connection.next_event() == ConnectionClosed(CloseReason.PEER_CLOSED)
    assert connection.data_to_send() == b""


# AUTH.


def test_credentials_of_auth_lead_to_the_same_question() -> None:
    connection = connected()
    response = b64encode(b"\0bob\0secret")
    assert hear(connection, b"AUTH PLAIN " + response + b"\r\n") == CheckPassword("bob", b"secret")
    connection.send(MaildropOpened([], []))
    assert reply(connection, b"STAT\r\n").endswith(b"+OK 0 0\r\n")


def test_an_exchange_tells_no_secret() -> None:
    connection = connected()
    connection.receive_data(b"AUTH LOGIN\r\n" + b64encode(b"bob") + b"\r\n" + b64encode(b"tell-nobody") + b"\r\n")
    event = connection.next_event()
    assert event == CheckPassword("bob", b"tell-nobody")
    assert "tell-nobody" not in repr(event)
    connection.send(LoginRefused(ResponseCode.AUTH, "wrong login or password"))
    output = connection.data_to_send()
    assert b"tell-nobody" not in output
    assert b64encode(b"tell-nobody") not in output


def test_a_client_that_closes_in_an_exchange() -> None:
    connection = connected()
    connection.receive_data(b"AUTH PLAIN\r\n" + b64encode(b"\0bob\0secret"))
    connection.receive_data(b"")
    assert connection.next_event() == ConnectionClosed(CloseReason.PEER_CLOSED)


def test_after_an_exchange_commands_are_as_short_as_before() -> None:
    connection = connected()
    for end in (b"*", b"!", b"x" * 9000):
        reply(connection, b"AUTH PLAIN\r\n" + end + b"\r\n")
        assert reply(connection, b"x" * 2000) == b"-ERR line too long\r\n"
        assert reply(connection, b"\r\n") == b""


# UTF8, LANG.


def test_utf8_mode_is_told_to_the_outside() -> None:
    connection = connected()
    assert not utf8(connection)
    reply(connection, b"LANG fr\r\n")
    assert not utf8(connection), "LANG concerns texts, not messages"
    reply(connection, b"UTF8\r\n")
    assert utf8(connection)


def test_a_message_that_needs_utf8_mode() -> None:
    connection = connected()
    hear(connection, b"USER bob\r\nPASS secret\r\n")
    connection.send(MaildropOpened([10], ["a"]))
    assert hear(connection, b"RETR 1\r\n") == ReadMessage(0, None)
    connection.data_to_send()
    connection.send(MessageUnreadable("this message needs UTF8", ResponseCode.UTF8))
    assert connection.data_to_send() == b"-ERR [UTF8] this message needs UTF8\r\n"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("été", "-ERR été\r\n"),
        ("two\r\nlines\x85\u2028\u2029\ud800\x7f", "-ERR two??lines?????\r\n"),
        ("x" * 504 + "é", "-ERR " + "x" * 504 + "\r\n"),
        ("x" * 503 + "é", "-ERR " + "x" * 503 + "é\r\n"),
        ("wrong login or password", "-ERR identifiant ou mot de passe erroné\r\n"),
        ("100%s sure", "-ERR 100%s sure\r\n"),
    ],
)
def test_a_text_in_utf_8_is_one_line(text: str, line: str) -> None:
    connection = connected()
    reply(connection, b"LANG fr\r\n")
    hear(connection, b"USER bob\r\nPASS secret\r\n")
    connection.data_to_send()
    connection.send(LoginRefused(ResponseCode.NONE, text))
    assert connection.data_to_send() == line.encode()


# Opening a maildrop.


def test_the_sum_of_the_sizes_may_be_told() -> None:
    connection = connected()
    hear(connection, b"USER bob\r\nPASS secret\r\n")
    connection.send(MaildropOpened([10, 20], ["a", "b"], 30))
    assert reply(connection, b"DELE 1\r\nSTAT\r\nRSET\r\nSTAT\r\n").splitlines()[2:] == [
        b"+OK message 1 deleted",
        b"+OK 1 20",
        b"+OK maildrop has 2 messages (30 octets)",
        b"+OK 2 30",
    ]


# Memory.


def test_an_idle_connection_is_small() -> None:
    """The object itself, its buffers and its lists, once the greeting is sent and a command was answered."""
    connections = []
    tracemalloc.start()
    try:
        for _ in range(1000):
            connection = connected()
            reply(connection, b"NOOP\r\nBOGUS\r\n")
            connections.append(connection)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held / len(connections) < 500


def test_a_password_that_must_not_come_in_clear_is_not_asked_for() -> None:
    """RFC 2595 section 2.3: where the login tells whether it may, USER is where that is said, before PASS."""
    asked: list[str] = []

    def in_clear(login: str) -> bool:
        asked.append(login)
        return login != "bob@va.toto.fr"

    connection = Connection(None, "0.1.0", EVERYTHING, in_clear=in_clear)
    connection.data_to_send()
    assert reply(connection, b"USER bob@va.toto.fr\r\n").startswith(b"-ERR [SYS/PERM] no login without encryption")
    assert reply(connection, b"PASS secret\r\n") == b"-ERR USER first\r\n"
    assert reply(connection, b"USER bob@vb.toto.fr\r\n") == b"+OK send PASS\r\n"
    assert asked == ["bob@va.toto.fr", "bob@vb.toto.fr"]
    assert hear(connection, b"STLS\r\n") == StartTls()
    connection.send(TlsReady())
    connection.data_to_send()
    connection.tls_started(None)
    assert reply(connection, b"USER bob@va.toto.fr\r\n") == b"+OK send PASS\r\n"
    assert len(asked) == 2
