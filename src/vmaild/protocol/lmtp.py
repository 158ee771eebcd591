"""The server's side of an LMTP connection (RFC 2033) and of its SMTP dialect (RFC 5321), without a socket.

Bytes in, events out, answers in, bytes out. Whoever owns the socket gives what it reads to `receive_data` and
then asks for events until there is none:

    connection.receive_data(data)
    while not isinstance(event := connection.next_event(), Wait):
        ...                         # carry the event out; connection.send(answer), now or later
    transport.write(connection.data_to_send())

Three events are questions. Until they are answered the dialogue stands still (PAUSED): what comes in the
meantime is held. After an answer, ask for events again.

    Recipient           Delivered(Condition.ACCEPTED), Deferred, Rejected
    DataStarted         Ready, or Deferred where the content cannot be taken now
    ContentEnded        a list of outcomes, one for each accepted recipient in the order of their acceptance
    Hello, MailFrom, ContentChunk: no answer.
    TransactionReset    no answer. Drop what was taken of the content; nothing of it is wanted any more.
    ConnectionClosed    no answer. Send what is left to send, and close.

The client's faults are replies, never exceptions; an answer that nobody asked for is our own fault and raises
LocalProtocolError. COMMANDS, at the end, says what a client may say in which state. The content goes through
in the pieces in which it comes, so that a message of any size costs no memory here.

Extensions: PIPELINING (RFC 2920), 8BITMIME (RFC 6152), SIZE (RFC 1870), ENHANCEDSTATUSCODES (RFC 2034) and
SMTPUTF8 (RFC 6531).

It is one module of more than 300 lines because states, commands and answers are only understood together.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import Final

from vmaild.address import Address, AddressError, parse_address
from vmaild.outcome import Condition, Deferred, Delivered, Outcome, Rejected
from vmaild.protocol.data import DataDecoder
from vmaild.protocol.lines import LineBuffer, LineTooLong
from vmaild.protocol.waits import (
    MAX_HELD_INPUT,
    MAX_HELD_OUTPUT,
    NEED_DATA,
    PAUSED,
    SEND_FIRST,
    LocalProtocolError,
    Wait,
)

MAX_COMMAND = 2048
"""Octets of a command. RFC 5321 4.5.3.1.4 asks for 512; rewritten senders (SRS) and parameters take more."""
MAX_REPLY = 512
"""Octets of a reply line with its CRLF (RFC 5321 4.5.3.1.5)."""
MAX_RECIPIENTS = 10_000
"""Accepted recipients of a transaction; RFC 5321 4.5.3.1.8 asks for 100 at least."""
MAX_BAD_COMMANDS = 10
"""So many in a row are borne, the last of them closes the connection."""


class Dialect(Enum):
    """Which protocol is spoken: its name."""

    LMTP = "LMTP"
    SMTP = "SMTP"


class State(Enum):
    """Where the dialogue stands, in words for the log."""

    START = "before a greeting"
    IDLE = "between messages"
    MAIL = "after MAIL"
    RCPT = "after RCPT"
    DATA = "in the content of a message"
    CLOSED = "at the end"


class CloseReason(Enum):
    """What ended a connection, in words for the log."""

    QUIT = "QUIT"
    PEER_CLOSED = "the client closed the connection"
    BAD_COMMANDS = "too many bad commands"
    CLOSED_BY_US = "closed by the server"


# Events: what the core tells and asks the outside.


@dataclass(frozen=True, slots=True)
class Hello:
    """The client named itself."""

    name: str
    """One word without control characters, otherwise not checked."""
    protocol: str
    """LMTP, SMTP or ESMTP: what stands after `with` in a Received field (RFC 3848)."""


@dataclass(frozen=True, slots=True)
class MailFrom:
    """A transaction begins."""

    sender: str
    """As it is to stand in the Return-Path: without brackets and source route. Empty: the null sender."""
    size: int = 0
    """Octets, as the client announces them (RFC 1870); 0: not said."""
    body: str = "7BIT"
    """7BIT or 8BITMIME, as announced (RFC 6152)."""
    smtputf8: bool = False


@dataclass(frozen=True, slots=True)
class Recipient:
    """Whether mail for this recipient is taken."""

    address: Address
    """Its domain is empty for a bare name such as `postmaster`."""
    text: str
    """As written, without angle brackets and source route."""


@dataclass(frozen=True, slots=True)
class DataStarted:
    """Whether the content can be taken now."""


@dataclass(frozen=True, slots=True)
class ContentChunk:
    """A piece of the content, stuffed dots taken away."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ContentEnded:
    """What became of the message: its content is whole."""

    size: int
    """Octets of the content."""


@dataclass(frozen=True, slots=True)
class TransactionReset:
    """The transaction ends, or its content is over the limit: there will be no delivery."""


@dataclass(frozen=True, slots=True)
class ConnectionClosed:
    """The dialogue is over; repeated for whoever asks again."""

    reason: CloseReason
    state: State
    """Where it stood."""


Question = Recipient | DataStarted | ContentEnded
Event = Hello | MailFrom | Question | ContentChunk | TransactionReset | ConnectionClosed


# Answers: what the outside tells the core.


@dataclass(frozen=True, slots=True)
class Ready:
    """The content can be taken."""


Answer = Outcome | Ready | Sequence[Outcome]


class _Refused(Exception):
    """A command that is well formed and cannot be obeyed; the argument is the reply."""


class _BadCommand(_Refused):
    """What no client should say; too many of them in a row close the connection."""


@dataclass(slots=True)
class _Transaction:
    smtputf8: bool = False
    accepted: int = 0
    """Recipients, repeated ones included."""
    size: int = 0
    dropped: bool = False
    """The outside knows that there will be no delivery; what still comes of the content is passed over."""
    decoder: DataDecoder = field(default_factory=DataDecoder)


class Connection:
    """One connection, from the greeting on; it is ready to send when the object is made."""

    def __init__(
        self, dialect: Dialect, hostname: str, *, max_size: int = 0, max_recipients: int = MAX_RECIPIENTS
    ) -> None:
        """Greet as `hostname`; `max_size` is in octets of content, 0: no limit."""
        self._dialect = dialect
        self._hostname = hostname
        self._max_size = max_size
        self._max_recipients = max_recipients
        self._state = State.START
        self._transaction = _Transaction()
        self._bad_commands = 0
        self._lines = LineBuffer(MAX_COMMAND)
        self._peer_closed = False
        self._upcoming: deque[Event] = deque()
        self._question: Question | None = None
        self._closed: ConnectionClosed | None = None
        self._output: list[bytes] = []
        self._output_size = 0
        # RFC 5321 4.2: ESMTP in the greeting tells that EHLO is worth trying.
        self._reply(f"220 {hostname} {'LMTP' if dialect is Dialect.LMTP else 'ESMTP'} ready")

    # What the outside may ask.

    @property
    def state(self) -> State:
        """Where the dialogue stands; MAIL, RCPT and DATA are those with a transaction."""
        return self._state

    @property
    def data_wanted(self) -> bool:
        """Whether to go on reading from the client; False: enough is held, let TCP slow it down."""
        return self._closed is None and not self._peer_closed and len(self._lines) <= MAX_HELD_INPUT

    def data_to_send(self) -> bytes:
        """Hand over what is to be written to the client; empty when there is nothing."""
        data = b"".join(self._output)
        self._output.clear()
        self._output_size = 0
        return data

    # What the outside tells.

    def receive_data(self, data: bytes) -> None:
        """Take what was read from the client; b"" says that it closed its side.

        What came before the close is still obeyed: a message whose end was seen is delivered.
        """
        if not data:
            self._peer_closed = True
        elif self._closed is None:
            self._lines.feed(data)

    def connection_lost(self) -> None:
        """Nothing can be sent any more: forget what is held, obey nothing further."""
        self._close(CloseReason.PEER_CLOSED)
        self.data_to_send()

    def close(self, text: str = "Service closing, try again later") -> None:
        """End the dialogue from our side with a 421 (RFC 5321 3.8): a shutdown, a client that is silent."""
        if self._closed is None:
            self._reply(f"421 4.3.2 {self._hostname} {text}")
            self._close(CloseReason.CLOSED_BY_US)

    def send(self, answer: Answer) -> None:
        """Answer the question that is open. After the end of the dialogue late answers are passed over.

        Raises LocalProtocolError for an answer that the question does not admit.
        """
        if self._closed is not None:
            return
        match self._question, answer:
            case Recipient(), Delivered() | Deferred() | Rejected():
                self._answer_recipient(_consistent(answer))
            case DataStarted(), Ready():
                self._state = State.DATA
                self._reply("354 End the message with <CRLF>.<CRLF>")
            case DataStarted(), Deferred():
                self._reply(str(_consistent(answer)))
            case ContentEnded(), list() | tuple() if len(answer) == self._transaction.accepted:
                self._answer_content([_consistent(outcome) for outcome in answer])
            case question, _:
                raise LocalProtocolError(f"{answer!r} does not answer {question or 'no question'}")
        self._question = None

    def next_event(self) -> Event | Wait:
        """Obey what the client said, up to the next event; or why there is none."""
        while True:
            if self._upcoming:
                return self._upcoming.popleft()
            if self._closed is not None:
                return self._closed
            if self._question is not None:
                return PAUSED
            if self._output_size > MAX_HELD_OUTPUT:
                return SEND_FIRST
            if not self._advance():
                if not self._peer_closed:
                    return NEED_DATA
                self._close(CloseReason.PEER_CLOSED)

    # Inside: from bytes to commands and content.

    def _advance(self) -> bool:
        """Take the next line, or the next piece of content; False: there is none yet."""
        if self._state is State.DATA:
            data = self._lines.take_all()
            if data:
                self._take_content(data)
            return bool(data)
        try:
            line = self._lines.next_line()
            if line is None:
                return False
            self._obey(line)
            self._bad_commands = 0
        except LineTooLong:
            self._reply_bad("500 5.5.2 Line too long")
        except _BadCommand as fault:
            self._reply_bad(fault.args[0])
        except _Refused as refusal:
            self._bad_commands = 0
            self._reply(refusal.args[0])
        return True

    def _obey(self, line: bytes) -> None:
        """Carry a command out; raises _BadCommand or _Refused where it cannot be."""
        words = line.strip().split(None, 1)
        verb = words[0].decode("ascii", "replace").upper() if words else ""  # RFC 5321 2.4: in any case
        command = COMMANDS[self._state].get(verb)
        if command is None:
            raise _BadCommand("500 5.5.2 Unknown command")
        if isinstance(command, str):
            raise _Refused(f"503 5.5.1 {command}")
        command(self, words[1] if len(words) > 1 else b"")

    def _take_content(self, data: bytes) -> None:
        transaction = self._transaction
        content = transaction.decoder.feed(data)
        transaction.size += len(content)
        if self._max_size and transaction.size > self._max_size:
            # The rest is read all the same: the reply comes after the terminator (RFC 5321 4.1.1.4).
            self._drop_transaction()
        elif content:
            self._upcoming.append(ContentChunk(content))
        if transaction.decoder.finished:
            self._lines.feed(transaction.decoder.rest)
            if transaction.dropped:
                self._answer_content([Rejected(Condition.TOO_BIG)] * transaction.accepted)
            else:
                self._ask(ContentEnded(transaction.size))

    # Inside: the commands, in the order of RFC 5321 4.1.1.

    def _lhlo(self, argument: bytes) -> None:
        self._hello(Dialect.LMTP, "LHLO", argument)

    def _ehlo(self, argument: bytes) -> None:
        self._hello(Dialect.SMTP, "EHLO", argument)

    def _helo(self, argument: bytes) -> None:
        self._hello(Dialect.SMTP, "HELO", argument)

    def _hello(self, dialect: Dialect, verb: str, argument: bytes) -> None:
        if dialect is not self._dialect:
            # RFC 2033 4.1: HELO and EHLO must not succeed, 500 is recommended.
            raise _BadCommand(f"500 5.5.1 {verb} is not {self._dialect.value}")
        words = _CONTROL.sub("?", argument.decode("utf-8", "replace")).split()
        if not words:
            raise _BadCommand(f"501 5.5.4 Syntax: {verb} hostname")
        self._drop_transaction()  # RFC 5321 4.1.4: a later EHLO does what RSET does
        self._state = State.IDLE
        lines = [self._hostname]
        if verb != "HELO":
            lines += ["PIPELINING", "8BITMIME", f"SIZE {self._max_size}", "ENHANCEDSTATUSCODES", "SMTPUTF8"]
        for line in lines[:-1]:
            self._reply(f"250-{line}")
        self._reply(f"250 {lines[-1]}")
        self._upcoming.append(Hello(words[0], {"LHLO": "LMTP", "EHLO": "ESMTP", "HELO": "SMTP"}[verb]))

    def _mail(self, argument: bytes) -> None:
        mail = _mail_from(argument)
        # An LMTP client is an MTA that has taken the message already: if its sender were refused, there would
        # be nobody to tell, and the message would only be lost.
        if self._dialect is Dialect.SMTP and mail.sender:
            try:
                parse_address(mail.sender)
            except AddressError as error:
                raise _Refused(f"553 5.1.7 {error}") from None
        if self._max_size and mail.size > self._max_size:
            raise _Refused(str(Rejected(Condition.TOO_BIG)))  # RFC 1870 6.1
        self._state = State.MAIL
        self._transaction = _Transaction(mail.smtputf8)
        self._upcoming.append(mail)
        self._reply("250 2.1.0 Sender accepted")

    def _rcpt(self, argument: bytes) -> None:
        recipient = _recipient(argument)
        if self._transaction.accepted >= self._max_recipients:
            raise _Refused("452 4.5.3 Too many recipients")  # RFC 5321 4.5.3.1.10
        self._ask(recipient)

    def _data(self, argument: bytes) -> None:
        _no_argument("DATA", argument)
        self._ask(DataStarted())

    def _rset(self, argument: bytes) -> None:
        _no_argument("RSET", argument)
        self._drop_transaction()
        if self._state is not State.START:
            self._state = State.IDLE
        self._reply("250 2.0.0 OK")

    def _vrfy(self, _: bytes) -> None:
        # RFC 5321 7.3: which names exist is told to those alone who come with a message for them.
        self._reply("252 2.0.0 Not verified, send the message and see")

    def _help(self, _: bytes) -> None:
        hello = "LHLO" if self._dialect is Dialect.LMTP else "EHLO HELO"
        self._reply(f"214 2.0.0 {hello} MAIL RCPT DATA RSET VRFY HELP NOOP QUIT")

    def _noop(self, _: bytes) -> None:
        self._reply("250 2.0.0 OK")

    def _quit(self, argument: bytes) -> None:
        _no_argument("QUIT", argument)
        self._reply(f"221 2.0.0 {self._hostname} closing")
        self._close(CloseReason.QUIT)

    # Inside: questions, answers and the end.

    def _ask(self, question: Question) -> None:
        self._upcoming.append(question)
        self._question = question

    def _answer_recipient(self, outcome: Outcome) -> None:
        if isinstance(outcome, Delivered):
            self._transaction.accepted += 1
            self._state = State.RCPT
        self._reply(str(outcome))

    def _answer_content(self, outcomes: Sequence[Outcome]) -> None:
        # RFC 2033 4.2: a reply for each RCPT that was accepted, in their order, repeated ones included.
        for outcome in outcomes if self._dialect is Dialect.LMTP else [folded(outcomes)]:
            self._reply(str(outcome))
        self._state = State.IDLE
        self._transaction = _Transaction()

    def _reply(self, text: str) -> None:
        reply = render_reply(text, utf8=self._transaction.smtputf8)
        self._output.append(reply)
        self._output_size += len(reply)

    def _reply_bad(self, text: str) -> None:
        self._reply(text)
        self._bad_commands += 1
        if self._bad_commands >= MAX_BAD_COMMANDS:
            self._reply(f"421 4.7.0 {self._hostname} Too many bad commands, closing")
            self._close(CloseReason.BAD_COMMANDS)

    def _drop_transaction(self) -> None:
        """Tell the outside, once, that there will be no delivery; if there is a transaction."""
        if self._state in _IN_TRANSACTION and not self._transaction.dropped:
            self._upcoming.append(TransactionReset())
            self._transaction.dropped = True

    def _close(self, reason: CloseReason) -> None:
        if self._closed is None:
            self._drop_transaction()
            self._closed = ConnectionClosed(reason, self._state)
            self._state = State.CLOSED
            self._lines.take_all()


# The grammar of MAIL and RCPT.

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
# RFC 5321 4.1.2 Path, with a quoted string wherever it may stand. Clients are met that leave out the angle
# brackets or put a space before the path.
_PATH = re.compile(
    r"""(?:<(?P<path>(?:"(?:[^"\\]|\\.)*+"|[^"<>])*+)>|(?P<bare>(?:"(?:[^"\\]|\\.)*+"|[^"<>\s])++))
        (?:[ \t]+(?P<parameters>.*))?""",
    re.VERBOSE | re.DOTALL,
)
_SOURCE_ROUTE = re.compile(r'@[^:"\s]++:')
# RFC 5321 4.1.2 esmtp-param
_PARAMETER = re.compile(r"(?P<keyword>[A-Za-z0-9][A-Za-z0-9-]*)(?:=(?P<value>[^=\s]+))?")
_SIZE = re.compile(r"[0-9]{1,20}")  # RFC 1870 3 (4)


def _path(keyword: str, argument: bytes) -> tuple[str, dict[str, str]]:
    """`FROM:<path> parameters` or `TO:...`: the path without brackets and route, parameters by keyword."""
    before, _, after = argument.partition(b":")
    try:
        path = _PATH.fullmatch(after.decode("utf-8").strip())
    except UnicodeDecodeError:
        raise _Refused("553 5.6.7 The address is neither ASCII nor UTF-8") from None  # RFC 6531 3.5
    if before.strip().upper() != keyword.encode() or path is None:
        raise _BadCommand(f"501 5.5.4 Syntax: {keyword}:<address>")
    parameters: dict[str, str] = {}
    for word in (path["parameters"] or "").split():
        parameter = _PARAMETER.fullmatch(word)
        if parameter is None or parameter["keyword"].upper() in parameters:
            raise _BadCommand("501 5.5.4 Bad or repeated parameter")
        parameters[parameter["keyword"].upper()] = parameter["value"] or ""
    text = path["bare"] if path["path"] is None else path["path"].strip(" \t")
    if _CONTROL.search(text):
        raise _BadCommand("501 5.5.2 Control character in an address")
    # RFC 5321 4.1.1.3 and appendix C: a source route must be taken, and should be passed over.
    return _SOURCE_ROUTE.sub("", text, count=1) if text.startswith("@") else text, parameters


def _mail_from(argument: bytes) -> MailFrom:
    """What follows MAIL; raises _Refused."""
    sender, parameters = _path("FROM", argument)
    size, body = parameters.pop("SIZE", "0"), parameters.pop("BODY", "7BIT").upper()
    smtputf8 = parameters.pop("SMTPUTF8", None)
    _no_more(parameters)
    if not _SIZE.fullmatch(size) or body not in {"7BIT", "8BITMIME"} or smtputf8:
        raise _BadCommand("501 5.5.4 Bad value of a parameter")
    return MailFrom(sender, int(size), body, smtputf8 is not None)


def _recipient(argument: bytes) -> Recipient:
    """What follows RCPT; raises _Refused."""
    text, parameters = _path("TO", argument)
    _no_more(parameters)
    try:
        return Recipient(parse_address(text), text)
    except AddressError as error:
        raise _Refused(str(Rejected(Condition.BAD_RECIPIENT, str(error)))) from None


def _no_more(parameters: Mapping[str, str]) -> None:
    for keyword in parameters:
        raise _BadCommand(f"555 5.5.4 Unknown parameter {keyword}")  # RFC 5321 4.1.1.11


def _no_argument(verb: str, argument: bytes) -> None:
    if argument:
        raise _BadCommand(f"501 5.5.4 {verb} takes no parameter")


# Replies.


@lru_cache(maxsize=64)  # most of those to one client are the same few
def render_reply(text: str, *, utf8: bool = False) -> bytes:
    """One reply line with its CRLF: whatever `text` holds, one line of 512 octets at most.

    Characters outside ASCII are kept with `utf8` only: for a client that said SMTPUTF8 (RFC 6531 3.7.4).
    """
    line = _CONTROL.sub(" ", text).encode("utf-8" if utf8 else "ascii", "replace")
    if len(line) > MAX_REPLY - 2:
        line = line[: MAX_REPLY - 2].decode("utf-8", "ignore").encode()
    return line + b"\r\n"


def folded(outcomes: Sequence[Outcome]) -> Outcome:
    """The one outcome that SMTP can tell for all recipients.

    One deferred recipient defers the message: a second copy for some is better than none for one.
    """
    for kind in (Deferred, Rejected):
        for outcome in outcomes:
            if isinstance(outcome, kind):
                return outcome
    return outcomes[0]


def _consistent(outcome: Outcome) -> Outcome:
    """The outcome, if its kind and its reply code say the same; raises LocalProtocolError."""
    if type(outcome) is not _KINDS.get(outcome.code // 100):
        raise LocalProtocolError(f"{outcome!r} says two things")
    return outcome


_KINDS = {2: Delivered, 4: Deferred, 5: Rejected}
_IN_TRANSACTION = {State.MAIL, State.RCPT, State.DATA}
_SAY_HELLO = "Say hello first"
_SAY_MAIL = "MAIL comes first"
_NESTED = "A message is under way already"
_NO_RECIPIENT = "No valid recipient"  # RFC 2033 4.2: DATA must fail with 503 then
_ANYWHERE: Mapping[str, Callable[[Connection, bytes], None]] = {
    "LHLO": Connection._lhlo,
    "EHLO": Connection._ehlo,
    "HELO": Connection._helo,
    "RSET": Connection._rset,
    "VRFY": Connection._vrfy,
    "HELP": Connection._help,
    "NOOP": Connection._noop,
    "QUIT": Connection._quit,
}

COMMANDS: Final[Mapping[State, Mapping[str, Callable[[Connection, bytes], None] | str]]] = {
    State.START: {**_ANYWHERE, "MAIL": _SAY_HELLO, "RCPT": _SAY_HELLO, "DATA": _SAY_HELLO},
    State.IDLE: {**_ANYWHERE, "MAIL": Connection._mail, "RCPT": _SAY_MAIL, "DATA": _SAY_MAIL},
    State.MAIL: {**_ANYWHERE, "MAIL": _NESTED, "RCPT": Connection._rcpt, "DATA": _NO_RECIPIENT},
    State.RCPT: {**_ANYWHERE, "MAIL": _NESTED, "RCPT": Connection._rcpt, "DATA": Connection._data},
}
"""What a client may say, by state (RFC 5321 4.1.4); a text says why it may not."""
