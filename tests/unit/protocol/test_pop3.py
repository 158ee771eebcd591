"""The POP3 core where dialogues in text do not reach: questions, answers, limits and ends."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vmaild.protocol.pop3 import (
    ANSWERS,
    COMMANDS,
    Answer,
    CheckPassword,
    CloseReason,
    Commit,
    Committed,
    Connection,
    ConnectionClosed,
    Event,
    LoginRefused,
    MaildropOpened,
    MessageBroken,
    MessageEnded,
    MessageStarted,
    MessageUnreadable,
    OpenMaildrop,
    PasswordAccepted,
    ReadMessage,
    ResponseCode,
    Settings,
    StartTls,
    State,
    TlsReady,
    TlsUnavailable,
    WholeMessage,
)
from vmaild.protocol.waits import (
    MAX_HELD_INPUT,
    MAX_HELD_OUTPUT,
    NEED_DATA,
    PAUSED,
    SEND_FIRST,
    LocalProtocolError,
    Wait,
)

LOGIN = b"USER bob\r\nPASS secret\r\n"
CLOSED_BY_PEER = ConnectionClosed(CloseReason.PEER_CLOSED)


def connected(*, domain: str | None = "va.toto.fr", max_bad_commands: int = 10) -> Connection:
    """A connection whose greeting is sent."""
    connection = Connection(domain, "0.1.0", Settings(max_bad_commands=max_bad_commands))
    connection.data_to_send()
    return connection


def logged_in(*sizes: int) -> Connection:
    """A session whose maildrop has messages of these sizes, all told."""
    connection = connected()
    connection.receive_data(LOGIN)
    assert connection.next_event() == CheckPassword("bob", b"secret")
    connection.send(MaildropOpened(sizes, [f"uid{index}" for index in range(len(sizes))]))
    assert connection.next_event() is NEED_DATA
    connection.data_to_send()
    return connection


def hear(connection: Connection, data: bytes) -> Event | Wait:
    connection.receive_data(data)
    return connection.next_event()


def reply(connection: Connection, data: bytes) -> bytes:
    """What a command that asks nothing of the outside is replied."""
    assert hear(connection, data) is NEED_DATA
    return connection.data_to_send()


# mypy takes a property for a constant within a test; a function's value it lets change.


def state(connection: Connection) -> State:
    return connection.state


def data_wanted(connection: Connection) -> bool:
    return connection.data_wanted


def content_wanted(connection: Connection) -> bool:
    return connection.content_wanted


# Greeting and login.


@pytest.mark.parametrize(
    ("domain", "greeting"),
    [
        ("va.toto.fr", b"+OK Virtual va.toto.fr POP3 Server (Version 0.1.0) ready.\r\n"),
        (None, b"+OK POP3 Server (Version 0.1.0) ready.\r\n"),
    ],
)
def test_greeting(domain: str | None, greeting: bytes) -> None:
    connection = Connection(domain, "0.1.0")
    assert connection.data_to_send() == greeting
    assert connection.data_to_send() == b""
    assert connection.next_event() is NEED_DATA
    assert state(connection) is State.AUTHORIZATION


def test_login_in_two_steps() -> None:
    connection = connected()
    assert hear(connection, LOGIN) == CheckPassword("bob", b"secret")
    connection.send(PasswordAccepted())
    assert connection.next_event() == OpenMaildrop()
    assert state(connection) is State.AUTHORIZATION
    connection.send(MaildropOpened([10, 20], ["a", "b"]))
    assert connection.next_event() is NEED_DATA
    assert state(connection) is State.TRANSACTION
    assert connection.data_to_send() == b"+OK send PASS\r\n+OK maildrop has 2 messages (30 octets)\r\n"


def test_login_in_one_step() -> None:
    connection = connected()
    hear(connection, LOGIN)
    connection.send(MaildropOpened([10], ["a"]))
    assert connection.next_event() is NEED_DATA
    assert state(connection) is State.TRANSACTION


def test_the_password_is_in_no_repr() -> None:
    connection = connected()
    event = hear(connection, b"USER bob\r\nPASS tell-nobody\r\n")
    assert isinstance(event, CheckPassword)
    assert event.password == b"tell-nobody"
    assert "tell-nobody" not in repr(event)
    with pytest.raises(LocalProtocolError) as error:
        connection.send(Committed())
    assert "tell-nobody" not in str(error.value)


@pytest.mark.parametrize(
    ("line", "login"),
    [
        (b"USER bob@va.toto.fr", "bob@va.toto.fr"),
        (b"USER bob%va.toto.fr", "bob%va.toto.fr"),
        ("USER zoé".encode(), "zoé"),
        (b"USER zo\xe9", "zo\udce9"),
        (b"USER Joe Who", "Joe Who"),
    ],
)
def test_the_login_is_handed_over_as_it_is(line: bytes, login: str) -> None:
    assert hear(connected(), line + b"\r\nPASS x\r\n") == CheckPassword(login, b"x")


@pytest.mark.parametrize("password", [b" ", b" a", b"a ", b"a  b", b"\xe9\x00\x7f", b"PASS x", b"p" * 1024])
def test_the_password_keeps_every_octet(password: bytes) -> None:
    assert hear(connected(), b"USER bob\r\nPASS " + password + b"\r\n") == CheckPassword("bob", password)


@pytest.mark.parametrize(
    ("refused", "line"),
    [
        (LoginRefused(ResponseCode.AUTH, "no"), b"-ERR [AUTH] no\r\n"),
        (LoginRefused(ResponseCode.SYS_TEMP, "no"), b"-ERR [SYS/TEMP] no\r\n"),
        (LoginRefused(ResponseCode.SYS_PERM, "no"), b"-ERR [SYS/PERM] no\r\n"),
        (LoginRefused(ResponseCode.IN_USE, "no"), b"-ERR [IN-USE] no\r\n"),
        (LoginRefused(ResponseCode.LOGIN_DELAY, "no"), b"-ERR [LOGIN-DELAY] no\r\n"),
        (LoginRefused(ResponseCode.NONE, "no"), b"-ERR no\r\n"),
        (LoginRefused(ResponseCode.NONE, "two\r\nlines \xe9"), b"-ERR two??lines ?\r\n"),
        (LoginRefused(ResponseCode.AUTH, "x" * 1000), b"-ERR [AUTH] " + b"x" * 498 + b"\r\n"),
    ],
)
@pytest.mark.parametrize("accepted", [False, True])
def test_a_refused_login_is_one_line(refused: LoginRefused, line: bytes, accepted: bool) -> None:
    connection = connected()
    hear(connection, LOGIN)
    connection.data_to_send()
    if accepted:
        connection.send(PasswordAccepted())
        assert connection.next_event() == OpenMaildrop()
    connection.send(refused)
    assert connection.next_event() is NEED_DATA
    assert state(connection) is State.AUTHORIZATION
    assert connection.data_to_send() == line


def test_a_maildrop_has_a_unique_id_for_each_message() -> None:
    connection = connected()
    hear(connection, LOGIN)
    with pytest.raises(LocalProtocolError):
        connection.send(MaildropOpened([1, 2], ["a"]))


# Questions and answers.


def test_pipelined_commands_are_answered_at_once() -> None:
    connection = logged_in(10, 20)
    assert reply(connection, b"STAT\r\nLIST\r\nNOOP\r\nUIDL 1\r\nBOGUS\r\nDELE 1\r\n") == (
        b"+OK 2 30\r\n"
        b"+OK 2 messages (30 octets)\r\n1 10\r\n2 20\r\n.\r\n"
        b"+OK\r\n"
        b"+OK 1 uid0\r\n"
        b"-ERR unknown command\r\n"
        b"+OK message 1 deleted\r\n"
    )


def test_while_a_question_is_open_commands_are_held() -> None:
    connection = connected()
    assert isinstance(hear(connection, LOGIN + b"STAT\r\n"), CheckPassword)
    assert hear(connection, b"NOOP\r\n") is PAUSED
    assert connection.data_to_send() == b"+OK send PASS\r\n"
    connection.send(MaildropOpened([], []))
    assert connection.next_event() is NEED_DATA
    assert connection.data_to_send() == b"+OK maildrop has 0 messages (0 octets)\r\n+OK 0 0\r\n+OK\r\n"


def test_the_outside_is_told_to_stop_reading() -> None:
    connection = connected()
    hear(connection, LOGIN)
    assert data_wanted(connection)
    connection.receive_data(b"NOOP\r\n" * (MAX_HELD_INPUT // 6 + 1))
    assert connection.next_event() is PAUSED
    assert not data_wanted(connection)
    connection.send(MaildropOpened([], []))
    assert connection.next_event() is NEED_DATA
    assert data_wanted(connection)


def test_much_output_is_sent_before_more_is_made() -> None:
    connection = logged_in(*[1000] * 20_000)
    connection.receive_data(b"LIST\r\n" * 100)
    sent: list[int] = []
    while (event := connection.next_event()) is SEND_FIRST:
        assert connection.next_event() is SEND_FIRST
        sent.append(len(connection.data_to_send()))
    assert event is NEED_DATA
    sent.append(len(connection.data_to_send()))
    listing = len(reply(connection, b"LIST\r\n"))
    assert sum(sent) == 100 * listing
    assert max(sent) <= MAX_HELD_OUTPUT + listing


@pytest.mark.parametrize(
    ("commands", "admitted"),
    [
        (b"USER bob\r\n", ()),
        (b"USER bob\r\nPASS x\r\n", (PasswordAccepted, MaildropOpened, LoginRefused)),
    ],
)
def test_answers_nobody_asked_for(commands: bytes, admitted: tuple[type[Answer], ...]) -> None:
    check_only_admitted(connected, commands, admitted)


@pytest.mark.parametrize(
    ("commands", "admitted"),
    [
        (b"NOOP\r\n", ()),
        (b"RETR 1\r\n", (WholeMessage, MessageStarted, MessageUnreadable)),
        (b"TOP 1 0\r\n", (WholeMessage, MessageStarted, MessageUnreadable)),
        (b"QUIT\r\n", (Committed,)),
    ],
)
def test_answers_nobody_asked_for_after_login(commands: bytes, admitted: tuple[type[Answer], ...]) -> None:
    check_only_admitted(lambda: logged_in(10), commands, admitted)


EVERY_ANSWER: list[Answer] = [
    TlsReady(),
    TlsUnavailable(),
    PasswordAccepted(),
    LoginRefused(ResponseCode.AUTH, "no"),
    MaildropOpened([], []),
    WholeMessage(b""),
    MessageStarted(),
    MessageEnded(),
    MessageUnreadable("gone"),
    MessageBroken(),
    Committed(),
]


def check_only_admitted(
    make: Callable[[], Connection], commands: bytes, admitted: tuple[type[Answer], ...]
) -> None:
    for answer in EVERY_ANSWER:
        connection = make()
        hear(connection, commands)
        if isinstance(answer, admitted):
            connection.send(answer)
        else:
            with pytest.raises(LocalProtocolError, match=type(answer).__name__):
                connection.send(answer)


def test_an_answer_is_good_once() -> None:
    connection = logged_in(10)
    hear(connection, b"RETR 1\r\n")
    connection.send(WholeMessage(b"content"))
    with pytest.raises(LocalProtocolError):
        connection.send(WholeMessage(b"content"))
    with pytest.raises(LocalProtocolError):
        connection.send_content(b"content")


def test_the_tables_name_every_state_question_and_answer() -> None:
    assert set(COMMANDS) == set(State)
    questions = {None, StartTls, TlsReady, CheckPassword, OpenMaildrop, ReadMessage, MessageStarted, Commit}
    assert set(ANSWERS) == questions
    assert {answer for row in ANSWERS.values() for answer in row} == {type(answer) for answer in EVERY_ANSWER}


# Messages.


def test_retr_in_one_piece() -> None:
    connection = logged_in(17, 5)
    assert hear(connection, b"RETR 1\r\nNOOP\r\n") == ReadMessage(0, None)
    connection.send(WholeMessage(b"Subject: x\n\n.\n"))
    assert connection.next_event() is NEED_DATA
    assert connection.data_to_send() == b"+OK 17 octets\r\nSubject: x\r\n\r\n..\r\n.\r\n+OK\r\n"


def test_retr_in_pieces() -> None:
    connection = logged_in(17)
    hear(connection, b"RETR 1\r\n")
    assert not content_wanted(connection)
    connection.send(MessageStarted())
    assert connection.data_to_send() == b"+OK 17 octets\r\n"
    assert content_wanted(connection)
    connection.send_content(b"Subject: x\r")
    connection.send_content(b"\n\n.")
    assert connection.data_to_send() == b"Subject: x\r\n\r\n.."
    assert hear(connection, b"NOOP\r\n") is PAUSED
    connection.send(MessageEnded())
    assert not content_wanted(connection)
    assert connection.next_event() is NEED_DATA
    assert connection.data_to_send() == b"\r\n.\r\n+OK\r\n"


def test_top_stops_the_reading() -> None:
    connection = logged_in(1000)
    assert hear(connection, b"TOP 1 1\r\n") == ReadMessage(0, 1)
    connection.send(MessageStarted())
    connection.send_content(b"Subject: x\n\none\ntwo\n")
    assert not content_wanted(connection)
    connection.send_content(b"three\n")
    connection.send(MessageEnded())
    assert connection.data_to_send() == b"+OK top of message follows\r\nSubject: x\r\n\r\none\r\n.\r\n"


def test_top_in_one_piece() -> None:
    connection = logged_in(1000)
    hear(connection, b"TOP 1 0\r\n")
    connection.send(WholeMessage(b"Subject: x\n\none\n"))
    assert connection.data_to_send() == b"+OK top of message follows\r\nSubject: x\r\n\r\n.\r\n"


def test_an_unreadable_message_costs_that_message() -> None:
    connection = logged_in(10)
    hear(connection, b"RETR 1\r\n")
    connection.send(MessageUnreadable("it is gone", ResponseCode.SYS_TEMP))
    assert connection.next_event() is NEED_DATA
    assert connection.data_to_send() == b"-ERR [SYS/TEMP] it is gone\r\n"


def test_a_broken_message_never_looks_whole() -> None:
    connection = logged_in(10)
    hear(connection, b"RETR 1\r\nDELE 1\r\nQUIT\r\n")
    connection.send(MessageStarted())
    connection.send_content(b"Subject: x\n\nhal")
    connection.send(MessageBroken())
    assert connection.next_event() == ConnectionClosed(CloseReason.BROKEN_MESSAGE)
    assert connection.data_to_send() == b"+OK 10 octets\r\nSubject: x\r\n\r\nhal"


# Deletions and ends.


def test_quit_asks_to_commit_the_deletions() -> None:
    connection = logged_in(*range(9))
    assert hear(connection, b"DELE 9\r\nDELE 2\r\nQUIT\r\nNOOP\r\n") == Commit((1, 8))
    assert state(connection) is State.UPDATE
    assert connection.next_event() is PAUSED
    connection.data_to_send()
    connection.send(Committed())
    assert connection.next_event() == ConnectionClosed(CloseReason.QUIT)
    assert connection.next_event() == ConnectionClosed(CloseReason.QUIT)
    assert state(connection) is State.CLOSED
    assert not data_wanted(connection)
    farewell = b"+OK Virtual va.toto.fr POP3 Server signing off (7 messages left)\r\n"
    assert connection.data_to_send() == farewell


def test_rset_forgets_the_deletions() -> None:
    connection = logged_in(1, 2)
    assert hear(connection, b"DELE 1\r\nRSET\r\nQUIT\r\n") == Commit(())


def test_failed_deletions_are_told() -> None:
    connection = logged_in(1)
    hear(connection, b"DELE 1\r\nQUIT\r\n")
    connection.data_to_send()
    connection.send(Committed(failed=1))
    assert connection.next_event() == ConnectionClosed(CloseReason.QUIT)
    assert connection.data_to_send() == b"-ERR [SYS/TEMP] some deleted messages not removed\r\n"


def test_quit_before_login_asks_nothing() -> None:
    connection = connected(domain=None)
    assert hear(connection, b"QUIT\r\n") == ConnectionClosed(CloseReason.QUIT)
    assert connection.data_to_send() == b"+OK POP3 Server signing off\r\n"


def test_a_client_that_closes_deletes_nothing() -> None:
    connection = logged_in(1)
    assert hear(connection, b"DELE 1\r\nQUI") is NEED_DATA
    assert hear(connection, b"") == CLOSED_BY_PEER


def test_what_was_said_before_the_close_is_obeyed() -> None:
    connection = connected()
    connection.receive_data(LOGIN + b"STAT\r\nQUIT\r\n")
    connection.receive_data(b"")
    assert not data_wanted(connection)
    assert isinstance(connection.next_event(), CheckPassword)
    connection.send(MaildropOpened([], []))
    assert connection.next_event() == Commit(())
    connection.send(Committed())
    assert connection.next_event() == ConnectionClosed(CloseReason.QUIT)


def test_a_lost_connection_obeys_no_quit() -> None:
    connection = logged_in(1)
    hear(connection, b"RETR 1\r\nDELE 1\r\nQUIT\r\n")
    connection.send(MessageStarted())
    connection.connection_lost()
    connection.send_content(b"too late")
    connection.send(MessageEnded())
    assert connection.next_event() == CLOSED_BY_PEER
    assert connection.data_to_send() == b""


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("shutting down", ResponseCode.SYS_TEMP, b"-ERR [SYS/TEMP] shutting down\r\n"),
        ("too slow", ResponseCode.NONE, b"-ERR too slow\r\n"),
        ("", ResponseCode.NONE, b""),
    ],
)
def test_closing_from_our_side(text: str, code: ResponseCode, line: bytes) -> None:
    connection = logged_in(1)
    reply(connection, b"DELE 1\r\n")
    connection.receive_data(b"QUIT\r\n")
    connection.close(text, code)
    assert connection.next_event() == ConnectionClosed(CloseReason.CLOSED_BY_US)
    assert connection.data_to_send() == line
    connection.close("again")
    assert connection.data_to_send() == b""


def test_closing_passes_late_answers_over() -> None:
    connection = connected()
    hear(connection, LOGIN)
    connection.data_to_send()
    connection.close("shutting down", ResponseCode.SYS_TEMP)
    connection.send(PasswordAccepted())
    assert connection.next_event() == ConnectionClosed(CloseReason.CLOSED_BY_US)
    assert connection.data_to_send() == b"-ERR [SYS/TEMP] shutting down\r\n"


def test_nothing_is_said_inside_a_message() -> None:
    connection = logged_in(10)
    hear(connection, b"RETR 1\r\n")
    connection.send(MessageStarted())
    connection.send_content(b"half")
    connection.data_to_send()
    connection.close("shutting down")
    assert connection.next_event() == ConnectionClosed(CloseReason.CLOSED_BY_US)
    assert connection.data_to_send() == b""


def test_after_the_end_nothing_is_heard() -> None:
    connection = connected()
    hear(connection, b"QUIT\r\n")
    connection.data_to_send()
    assert hear(connection, b"CAPA\r\n" * 100_000) == ConnectionClosed(CloseReason.QUIT)
    assert connection.data_to_send() == b""


def test_bad_commands_in_a_row_close() -> None:
    connection = connected(max_bad_commands=3)
    assert reply(connection, b"X\r\nY\r\nCAPA\r\nX\r\nY\r\n").count(b"-ERR unknown command\r\n") == 4
    assert hear(connection, b"Z\r\nUSER bob\r\n") == ConnectionClosed(CloseReason.BAD_COMMANDS)
    assert connection.data_to_send() == b"-ERR too many bad commands, good bye\r\n"


def test_who_is_logged_in_may_try_all_commands_out() -> None:
    """Suites that test servers send every command without and with wrong arguments, in one session."""
    connection = connected()
    hear(connection, LOGIN)
    connection.send(MaildropOpened([], []))
    odd = b"RETR\r\nDELE x\r\nTOP 1\r\nLIST -1\r\nUIDL 1 1\r\nAPOP a b\r\nUSER bob\r\nSTAT x\r\nHELP\r\n" * 11
    assert reply(connection, odd).count(b"-ERR ") == 99
    assert hear(connection, b"HELP\r\n") == ConnectionClosed(CloseReason.BAD_COMMANDS)


def test_a_maildrop_may_be_read_only_when_asked() -> None:
    """Unique-ids may cost the outside something: only UIDL looks at them."""

    class Uids(list[str]):
        looked_at = False

        def __iter__(self) -> object:  # type: ignore[override]
            self.looked_at = True
            return super().__iter__()

    uids = Uids(["a"])
    connection = connected()
    hear(connection, LOGIN)
    connection.send(MaildropOpened([1], uids))
    reply(connection, b"STAT\r\nLIST\r\nDELE 1\r\nRSET\r\n")
    assert not uids.looked_at
    reply(connection, b"UIDL\r\n")
    assert uids.looked_at
