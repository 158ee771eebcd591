"""The server's side of a POP3 connection, without a socket: bytes in, events out, answers in, bytes out.

RFC 1939 with USER and PASS, TOP and UIDL; RFC 2449 (CAPA, RESP-CODES, PIPELINING); RFC 3206 (AUTH-RESP-CODE).
Whoever owns the socket gives what it reads to `receive_data` and then asks for events until there is none:

    connection.receive_data(data)
    while not isinstance(event := connection.next_event(), Wait):
        ...                         # carry the event out; connection.send(answer), now or later
    transport.write(connection.data_to_send())

An event is a question, and until it is answered the dialogue stands still (PAUSED): commands that come in the
meantime are held. Ask for events again after an answer, and after SEND_FIRST as soon as there is room to send;
ConnectionClosed is the last of them. COMMANDS says what a client may say in which state, ANSWERS what may answer
which question; both stand at the end of this module.

    CheckPassword   PasswordAccepted: OpenMaildrop follows; MaildropOpened: both in one go; LoginRefused
    OpenMaildrop    MaildropOpened; LoginRefused
    ReadMessage     WholeMessage; or MessageStarted, send_content()..., MessageEnded (MessageBroken when it
                    fails midway); or MessageUnreadable
    Commit          Committed
    ConnectionClosed: no answer. Send what is left to send, close, release the maildrop.

The client's faults are replies, never exceptions; an answer that nobody asked for is our own fault and raises
LocalProtocolError. Nothing is deleted but by Commit, and only a QUIT in the TRANSACTION state leads there.

It is one module of more than 300 lines because states, commands and answers are only understood together.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from vmaild.protocol.lines import LineBuffer, LineTooLong
from vmaild.protocol.multiline import MultilineEncoder

MAX_COMMAND = 255
"""Octets of a command with its CRLF (RFC 2449 section 4)."""
MAX_CREDENTIAL = 1024
"""Octets of a login or password; more than RFC 2449 asks for, and real."""
MAX_HELD_INPUT = 65_536
"""Octets: when more is waiting to be obeyed, `data_wanted` asks the outside to stop reading."""
MAX_HELD_OUTPUT = 262_144
"""Octets: when more is waiting to be sent, no further command is obeyed. Else a client that pipelines LIST by
the thousand and reads nothing would fill our memory."""
MAX_REPLY = 512
"""Octets of a reply's first line with its CRLF (RFC 1939 section 3)."""


class LocalProtocolError(Exception):
    """Our side said what was not asked: a defect of ours, never the client's doing."""


class State(Enum):
    """States of a session (RFC 1939 section 3)."""

    AUTHORIZATION = "AUTHORIZATION"
    TRANSACTION = "TRANSACTION"
    UPDATE = "UPDATE"
    CLOSED = "CLOSED"

    __hash__ = object.__hash__  # Enum's own runs in Python and is felt at every change of state


class ResponseCode(Enum):
    """Why an -ERR is what it is, for the client's program (RFC 2449 section 8, RFC 3206)."""

    NONE = ""
    AUTH = "AUTH"
    """The credentials are wrong: ask the user for others."""
    SYS_TEMP = "SYS/TEMP"
    SYS_PERM = "SYS/PERM"
    IN_USE = "IN-USE"
    """The credentials are right, another session has the maildrop."""
    LOGIN_DELAY = "LOGIN-DELAY"


class CloseReason(Enum):
    """What ended a connection, in words for the log."""

    QUIT = "QUIT"
    PEER_CLOSED = "the client closed the connection"
    BAD_COMMANDS = "too many bad commands"
    BROKEN_MESSAGE = "a message could not be read to its end"
    CLOSED_BY_US = "closed by the server"


class Wait(Enum):
    """Why there is no event now."""

    NEED_DATA = "the client has to say something"
    PAUSED = "a question has to be answered"
    SEND_FIRST = "much is waiting to be sent: send it, and ask for events again"


NEED_DATA: Final = Wait.NEED_DATA
PAUSED: Final = Wait.PAUSED
SEND_FIRST: Final = Wait.SEND_FIRST


# Events: what the core asks of the outside.


@dataclass(frozen=True, slots=True)
class CheckPassword:
    """Whether this is the login's password. What a login means, bare or qualified, the outside knows."""

    login: str
    """Octets that are not UTF-8 are surrogate escapes."""
    password: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class OpenMaildrop:
    """Lock the maildrop of the login just accepted, and take its snapshot."""


@dataclass(frozen=True, slots=True)
class ReadMessage:
    """The content of a message."""

    index: int
    """From 0, in the order of MaildropOpened."""
    lines: int | None
    """None: all (RETR). Else (TOP) the header and so many lines of the body; more is passed over."""


@dataclass(frozen=True, slots=True)
class Commit:
    """The client said QUIT: delete these for good. Asked even when there is none."""

    deleted: tuple[int, ...]
    """Indices from 0, ascending."""


@dataclass(frozen=True, slots=True)
class ConnectionClosed:
    """The dialogue is over; repeated for whoever asks again."""

    reason: CloseReason


Event = CheckPassword | OpenMaildrop | ReadMessage | Commit | ConnectionClosed


# Answers: what the outside tells the core.


@dataclass(frozen=True, slots=True)
class PasswordAccepted:
    """The password is the login's."""


@dataclass(frozen=True, slots=True)
class LoginRefused:
    """No login; `text` is for the user's eyes, ASCII."""

    code: ResponseCode
    text: str


@dataclass(frozen=True, slots=True)
class MaildropOpened:
    """The snapshot that this session sees. It is kept as it is, not copied: let it not change."""

    sizes: Sequence[int]
    """Octets as transmitted; see multiline.wire_size."""
    uids: Sequence[str]
    """As many, each of 1 to 70 characters from 0x21 to 0x7E (RFC 1939 section 7). Read only for UIDL."""


@dataclass(frozen=True, slots=True)
class MessageStarted:
    """The message can be read; `send_content` follows."""


@dataclass(frozen=True, slots=True)
class WholeMessage:
    """A message in one piece, as it is on disk: the fast way for small ones."""

    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class MessageEnded:
    """The content is complete, or no more of it is wanted."""


@dataclass(frozen=True, slots=True)
class MessageUnreadable:
    """The message cannot be read; nothing of it was sent."""

    text: str
    code: ResponseCode = ResponseCode.NONE


@dataclass(frozen=True, slots=True)
class MessageBroken:
    """The rest of the content cannot be read: the connection is closed before the terminating line.

    Nothing else would keep the client from taking a piece for the whole.
    """


@dataclass(frozen=True, slots=True)
class Committed:
    """The deletions are done, but for `failed` of them."""

    failed: int = 0


Answer = (
    PasswordAccepted
    | LoginRefused
    | MaildropOpened
    | MessageStarted
    | WholeMessage
    | MessageEnded
    | MessageUnreadable
    | MessageBroken
    | Committed
)


class _Refused(Exception):
    """A command that is well formed and cannot be obeyed; the argument is the reply."""


class _BadCommand(_Refused):
    """What no client should say; too many of them in a row close the connection."""


class _Misused(Exception):
    """Arguments that are missing, superfluous or not numbers: the reply is the command's usage."""


class Connection:
    """One session, from the greeting on; it is ready to send when the object is made."""

    __slots__ = (
        "_bad_commands",
        "_closed",
        "_commands",
        "_count",
        "_deleted",
        "_encoder",
        "_lines",
        "_login",
        "_max_bad_commands",
        "_name",
        "_octets",
        "_output",
        "_output_size",
        "_peer_closed",
        "_question",
        "_reading",
        "_sizes",
        "_state",
        "_uids",
        "_upcoming",
        "_version",
    )

    def __init__(self, domain: str | None, version: str, *, max_bad_commands: int = 10) -> None:
        """Greet as `domain` (canonical; None: not known before the login).

        `max_bad_commands` in a row are borne, the last of them closes the connection.
        """
        self._name = f"Virtual {domain} POP3 Server" if domain else "POP3 Server"
        self._version = version
        self._max_bad_commands = max_bad_commands
        self._bad_commands = 0
        self._lines = LineBuffer(_MAX_LINE)
        greeting = f"+OK {self._name} (Version {version}) ready.\r\n".encode("ascii")
        self._output = [greeting]
        self._output_size = len(greeting)
        self._state = State.AUTHORIZATION
        self._commands = _BEFORE_LOGIN
        self._question: type[Event | MessageStarted] | None = None
        self._upcoming: Event | None = None
        self._closed: ConnectionClosed | None = None
        self._peer_closed = False
        self._login: str | None = None
        self._sizes: Sequence[int] = ()
        self._uids: Sequence[str] = ()
        self._deleted: set[int] = set()
        self._count = self._octets = 0  # of the messages that are not deleted
        self._reading: ReadMessage | None = None
        self._encoder = _NO_ENCODER

    # What the outside may ask.

    @property
    def state(self) -> State:
        """Where the session stands; TRANSACTION and UPDATE are those that hold a maildrop."""
        return self._state

    @property
    def data_wanted(self) -> bool:
        """Whether to go on reading from the client; False: enough is held, let TCP slow it down."""
        return self._closed is None and not self._peer_closed and len(self._lines) <= MAX_HELD_INPUT

    @property
    def content_wanted(self) -> bool:
        """Whether `send_content` has a use for more; False once TOP has its lines."""
        return self._question is MessageStarted and self._encoder.wanted

    def data_to_send(self) -> bytes:
        """Hand over what is to be written to the client; empty when there is nothing."""
        data = b"".join(self._output)
        self._output.clear()
        self._output_size = 0
        return data

    # What the outside tells.

    def receive_data(self, data: bytes) -> None:
        """Take what was read from the client; b"" says that it closed its side.

        Commands that came before the close are still obeyed, a QUIT among them: it was said.
        """
        if not data:
            self._peer_closed = True
        elif self._closed is None:
            self._lines.feed(data)

    def connection_lost(self) -> None:
        """Nothing can be sent any more: forget what is held, obey nothing further, delete nothing."""
        self._close(CloseReason.PEER_CLOSED)
        self._output.clear()
        self._output_size = 0

    def close(self, text: str = "", code: ResponseCode = ResponseCode.NONE) -> None:
        """End the session now, with `-ERR text` unless the text is empty, and delete nothing.

        RFC 1939 section 3 wants silence when the inactivity timer expires. Inside a message nothing is said
        either: the client would read it as content. A Commit already asked for is not taken back.
        """
        if self._closed is None:
            if text and self._question is not MessageStarted:
                self._reply(_error(text, code))
            self._close(CloseReason.CLOSED_BY_US)

    def send(self, answer: Answer) -> None:
        """Answer the question that is open. After the end of the session late answers are passed over.

        Raises LocalProtocolError for an answer that the question does not admit.
        """
        if self._closed is not None:
            return
        take = ANSWERS[self._question].get(type(answer))
        if take is None:
            asked = "no question" if self._question is None else self._question.__name__
            raise LocalProtocolError(f"{type(answer).__name__} does not answer {asked}")
        self._question = None
        take(self, answer)

    def send_content(self, chunk: bytes) -> None:
        """A piece of the message's content as it is on disk, between MessageStarted and MessageEnded.

        Raises LocalProtocolError when no message was started.
        """
        if self._closed is not None:
            return
        if self._question is not MessageStarted:
            raise LocalProtocolError("content without MessageStarted")
        self._reply(self._encoder.encode(chunk))

    def next_event(self) -> Event | Wait:
        """Obey what the client said, up to the next question; or why there is none."""
        if self._question is not None:
            return PAUSED
        if self._upcoming is not None:
            event, self._upcoming = self._upcoming, None
            return self._ask(event)
        while self._closed is None:
            if self._output_size > MAX_HELD_OUTPUT:
                return SEND_FIRST
            try:
                line = self._lines.next_line()
                if line is not None:
                    asked = self._obey(line)
                    self._bad_commands = 0
                    if asked is not None:
                        return self._ask(asked)
                elif self._peer_closed:
                    self._close(CloseReason.PEER_CLOSED)
                else:
                    return NEED_DATA
            except LineTooLong:
                self._reply_bad(b"-ERR line too long\r\n")
            except _BadCommand as fault:
                self._reply_bad(fault.args[0])
            except _Refused as refusal:
                self._bad_commands = 0
                self._reply(refusal.args[0])
        return self._closed

    # Inside.

    def _ask(self, question: Event) -> Event:
        self._question = type(question)
        return question

    def _obey(self, line: bytes) -> Event | None:
        """Carry a command out; raises LineTooLong, _BadCommand or _Refused where it cannot be."""
        keyword, _, argument = line.partition(b" ")
        keyword = keyword.upper()  # RFC 1939 section 3: case-insensitive
        command = self._commands.get(keyword)
        if command is None:
            misplaced = any(keyword in commands for commands in COMMANDS.values())
            raise _BadCommand(_MISPLACED[self._state] if misplaced else b"-ERR unknown command\r\n")
        if len(line) > command.max_length:
            raise LineTooLong
        try:
            return command.obey(self, argument)
        except _Misused:
            raise _BadCommand(command.usage) from None

    def _reply(self, reply: bytes) -> None:
        self._output.append(reply)
        self._output_size += len(reply)

    def _reply_bad(self, reply: bytes) -> None:
        self._bad_commands += 1
        if self._bad_commands < self._max_bad_commands:
            self._reply(reply)
        else:
            self._reply(b"-ERR too many bad commands, good bye\r\n")
            self._close(CloseReason.BAD_COMMANDS)

    def _enter(self, state: State) -> None:
        self._state = state
        self._commands = COMMANDS[state]

    def _close(self, reason: CloseReason) -> None:
        if self._closed is None:
            self._closed = _CLOSED[reason]
            self._enter(State.CLOSED)
            self._question = self._upcoming = None
            self._lines.take_all()

    def _summary(self) -> str:
        return f"{_messages(self._count)} ({self._octets} octets)"

    def _index(self, number: bytes) -> int:
        """The index of a message number; raises _Misused or _Refused."""
        if not number.isdigit():
            raise _Misused
        index = int(number) - 1  # message numbers are from 1 and keep for the session (RFC 1939 section 5)
        if not 0 <= index < len(self._sizes):
            raise _Refused(_error(f"no such message, {_messages(len(self._sizes))} in maildrop"))
        if index in self._deleted:
            raise _Refused(_error(f"message {index + 1} is deleted"))
        return index

    def _listing(self, title: str, values: Sequence[object], argument: bytes) -> None:
        """LIST and UIDL: a line for one message or for each."""
        number = argument.strip()
        if number:
            index = self._index(number)
            self._reply(f"+OK {index + 1} {values[index]}\r\n".encode("ascii"))
            return
        rows = enumerate(values, 1)
        deleted = self._deleted
        if deleted:
            lines = [f"{number} {value}\r\n" for number, value in rows if number - 1 not in deleted]
        else:
            lines = [f"{number} {value}\r\n" for number, value in rows]
        self._reply(f"+OK {title}\r\n{''.join(lines)}.\r\n".encode("ascii"))

    # Commands: each takes what follows the keyword and a space; raises _Misused or _Refused.

    def _user(self, argument: bytes) -> None:
        if not argument:
            raise _Misused
        self._login = argument.decode("utf-8", "surrogateescape")
        self._reply(b"+OK send PASS\r\n")  # whoever it is: RFC 1939 section 13, nobody learns who exists

    def _pass(self, argument: bytes) -> Event:
        login = self._login
        if login is None:
            raise _BadCommand(b"-ERR USER first\r\n")
        if not argument:
            raise _Misused
        self._login = None
        return CheckPassword(login, argument)  # with its spaces (RFC 1939 section 7, PASS)

    def _capa(self, argument: bytes) -> None:
        _no_argument(argument)
        capabilities = b"+OK capabilities follow\r\n" + _CAPABILITIES
        if self._state is State.TRANSACTION:  # RFC 2449 section 6.9 allows telling it only to those logged in
            capabilities += f"IMPLEMENTATION vmaild-{self._version}\r\n".encode("ascii")
        self._reply(capabilities + b".\r\n")

    def _quit_before_login(self, argument: bytes) -> None:
        _no_argument(argument)
        self._reply(f"+OK {self._name} signing off\r\n".encode("ascii"))
        self._close(CloseReason.QUIT)

    def _quit(self, argument: bytes) -> Event:
        _no_argument(argument)
        self._enter(State.UPDATE)
        return Commit(tuple(sorted(self._deleted))) if self._deleted else _NOTHING_TO_DELETE

    def _stat(self, argument: bytes) -> None:
        _no_argument(argument)
        self._reply(b"+OK %d %d\r\n" % (self._count, self._octets))

    def _list(self, argument: bytes) -> None:
        self._listing(self._summary(), self._sizes, argument)

    def _uidl(self, argument: bytes) -> None:
        self._listing("unique-id listing follows", self._uids, argument)

    def _retr(self, argument: bytes) -> Event:
        self._reading = ReadMessage(self._index(argument.strip()), None)
        return self._reading

    def _top(self, argument: bytes) -> Event:
        match argument.split():
            case [number, lines] if lines.isdigit():
                self._reading = ReadMessage(self._index(number), int(lines))
                return self._reading
        raise _Misused

    def _dele(self, argument: bytes) -> None:
        index = self._index(argument.strip())
        self._deleted.add(index)
        self._count -= 1
        self._octets -= self._sizes[index]
        self._reply(b"+OK message %d deleted\r\n" % (index + 1))

    def _noop(self, argument: bytes) -> None:
        _no_argument(argument)
        self._reply(b"+OK\r\n")

    def _rset(self, argument: bytes) -> None:
        _no_argument(argument)
        self._deleted.clear()
        self._count = len(self._sizes)
        self._octets = sum(self._sizes)
        self._reply(f"+OK maildrop has {self._summary()}\r\n".encode("ascii"))

    # Answers: the question is closed when one of these runs.

    def _accept_password(self, _: PasswordAccepted) -> None:
        self._upcoming = _OPEN_MAILDROP

    def _refuse_login(self, refused: LoginRefused) -> None:
        self._reply(_error(refused.text, refused.code))

    def _open_maildrop(self, opened: MaildropOpened) -> None:
        if len(opened.sizes) != len(opened.uids):
            raise LocalProtocolError("a maildrop has as many unique-ids as messages")
        self._sizes, self._uids = opened.sizes, opened.uids
        self._count = len(opened.sizes)
        self._octets = sum(opened.sizes)
        self._enter(State.TRANSACTION)
        self._reply(f"+OK maildrop has {self._summary()}\r\n".encode("ascii"))

    def _start_message(self, _: MessageStarted) -> None:
        reading = self._reading
        assert reading is not None
        self._encoder = MultilineEncoder(reading.lines)
        if reading.lines is None:
            self._reply(b"+OK %d octets\r\n" % self._sizes[reading.index])
        else:
            self._reply(b"+OK top of message follows\r\n")
        self._question = MessageStarted

    def _send_whole(self, message: WholeMessage) -> None:
        self._start_message(MessageStarted())
        self._reply(self._encoder.encode(message.content))
        self._end_message(MessageEnded())

    def _end_message(self, _: MessageEnded) -> None:
        self._reply(self._encoder.end())
        self._encoder = _NO_ENCODER
        self._question = None

    def _refuse_message(self, unreadable: MessageUnreadable) -> None:
        self._reply(_error(unreadable.text, unreadable.code))

    def _break_message(self, _: MessageBroken) -> None:
        self._close(CloseReason.BROKEN_MESSAGE)

    def _finish(self, committed: Committed) -> None:
        if committed.failed:  # RFC 1939 section 6
            self._reply(b"-ERR [SYS/TEMP] some deleted messages not removed\r\n")
        else:
            self._reply(f"+OK {self._name} signing off ({_messages(self._count)} left)\r\n".encode("ascii"))
        self._close(CloseReason.QUIT)


def _no_argument(argument: bytes) -> None:
    if argument and not argument.isspace():
        raise _Misused


def _messages(count: int) -> str:
    return "1 message" if count == 1 else f"{count} messages"


def _error(text: str, code: ResponseCode = ResponseCode.NONE) -> bytes:
    """An -ERR reply: one line of printable ASCII, whatever the text."""
    tag = f"[{code.value}] " if code.value else ""
    reply = re.sub(rb"[^ -~]", b"?", f"-ERR {tag}{text}".encode("ascii", "replace"))
    return reply[: MAX_REPLY - 2] + b"\r\n"


@dataclass(frozen=True, slots=True)
class Command:
    """A row of COMMANDS."""

    obey: Callable[[Connection, bytes], Event | None]
    usage: bytes
    """The reply to wrong arguments."""
    max_length: int = MAX_COMMAND - 2
    """Octets of the line without its end."""


COMMANDS: Final[Mapping[State, Mapping[bytes, Command]]] = {
    State.AUTHORIZATION: {
        b"USER": Command(Connection._user, b"-ERR usage: USER login\r\n", len("USER ") + MAX_CREDENTIAL),
        b"PASS": Command(Connection._pass, b"-ERR usage: PASS password\r\n", len("PASS ") + MAX_CREDENTIAL),
        b"CAPA": Command(Connection._capa, b"-ERR usage: CAPA\r\n"),
        b"QUIT": Command(Connection._quit_before_login, b"-ERR usage: QUIT\r\n"),
    },
    State.TRANSACTION: {
        b"STAT": Command(Connection._stat, b"-ERR usage: STAT\r\n"),
        b"LIST": Command(Connection._list, b"-ERR usage: LIST [message]\r\n"),
        b"RETR": Command(Connection._retr, b"-ERR usage: RETR message\r\n"),
        b"DELE": Command(Connection._dele, b"-ERR usage: DELE message\r\n"),
        b"NOOP": Command(Connection._noop, b"-ERR usage: NOOP\r\n"),
        b"RSET": Command(Connection._rset, b"-ERR usage: RSET\r\n"),
        b"TOP": Command(Connection._top, b"-ERR usage: TOP message lines\r\n"),
        b"UIDL": Command(Connection._uidl, b"-ERR usage: UIDL [message]\r\n"),
        b"CAPA": Command(Connection._capa, b"-ERR usage: CAPA\r\n"),
        b"QUIT": Command(Connection._quit, b"-ERR usage: QUIT\r\n"),
    },
    State.UPDATE: {},
    State.CLOSED: {},
}
"""What a client may say, by state (RFC 1939 sections 4 to 6)."""

ANSWERS: Final[Mapping[type | None, Mapping[type, Callable[[Connection, Any], None]]]] = {
    None: {},
    CheckPassword: {
        PasswordAccepted: Connection._accept_password,
        MaildropOpened: Connection._open_maildrop,
        LoginRefused: Connection._refuse_login,
    },
    OpenMaildrop: {
        MaildropOpened: Connection._open_maildrop,
        LoginRefused: Connection._refuse_login,
    },
    ReadMessage: {
        WholeMessage: Connection._send_whole,
        MessageStarted: Connection._start_message,
        MessageUnreadable: Connection._refuse_message,
    },
    MessageStarted: {
        MessageEnded: Connection._end_message,
        MessageBroken: Connection._break_message,
    },
    Commit: {
        Committed: Connection._finish,
    },
}
"""What the outside may answer, by what was asked last; MessageStarted asks on: what next?"""

_BEFORE_LOGIN = COMMANDS[State.AUTHORIZATION]
_MISPLACED = {
    State.AUTHORIZATION: b"-ERR log in first\r\n",
    State.TRANSACTION: b"-ERR already logged in\r\n",
}
_MAX_LINE = max(row.max_length for rows in COMMANDS.values() for row in rows.values()) + len("\r")
_CLOSED = {reason: ConnectionClosed(reason) for reason in CloseReason}
_NOTHING_TO_DELETE = Commit(())
_OPEN_MAILDROP = OpenMaildrop()
_NO_ENCODER = MultilineEncoder()
# RFC 2449 section 6 wants what can be had before the login announced after it as well.
_CAPABILITIES = b"TOP\r\nUSER\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\nEXPIRE NEVER\r\n"
