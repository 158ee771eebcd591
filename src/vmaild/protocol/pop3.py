"""The server's side of a POP3 connection, without a socket: bytes in, events out, answers in, bytes out.

RFC 1939 with USER and PASS, TOP and UIDL; RFC 2449 (CAPA, RESP-CODES, PIPELINING); RFC 3206 (AUTH-RESP-CODE).
What `Settings` turns on besides: STLS (RFC 2595), AUTH (RFC 5034), UTF8 and LANG (RFC 6856), LAST (RFC 1460),
LOGIN-DELAY and EXPIRE.

Whoever owns the socket gives what it reads to `receive_data` and then asks for events until there is none:

    connection.receive_data(data)
    while not isinstance(event := connection.next_event(), Wait):
        ...                         # carry the event out; connection.send(answer), now or later
    transport.write(connection.data_to_send())

An event is a question, and until it is answered the dialogue stands still (PAUSED): commands that come in the
meantime are held. Ask for events again after an answer, and after SEND_FIRST as soon as there is room to send;
ConnectionClosed is the last of them. COMMANDS says what a client may say in which state, ANSWERS what may answer
which question; both stand at the end of this module.

    StartTls        TlsReady: send what there is to send, begin the handshake, then `tls_started`; TlsUnavailable
    CheckPassword   PasswordAccepted: OpenMaildrop follows; MaildropOpened: both in one go; LoginRefused
    OpenMaildrop    MaildropOpened; LoginRefused
    ReadMessage     WholeMessage; or MessageStarted, send_content()..., MessageEnded (MessageBroken when it
                    fails midway); or MessageUnreadable
    Commit          Committed
    ConnectionClosed: no answer. Send what is left to send, close, release the maildrop.

The client's faults are replies, never exceptions; an answer that nobody asked for is our own fault and raises
LocalProtocolError. Nothing is deleted but by Commit, and only a QUIT in the TRANSACTION state leads there.
Nothing that came in clear outlives STLS.

It is one module of more than 300 lines because states, commands and answers are only understood together. What
can be understood alone stands beside it: pop3_events, pop3_capabilities, pop3_maildrop, pop3_texts, sasl.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from vmaild.protocol.lines import LineBuffer, LineTooLong
from vmaild.protocol.multiline import MultilineEncoder
from vmaild.protocol.pop3_capabilities import PLAIN_POP3, Settings, capabilities
from vmaild.protocol.pop3_events import (
    Answer,
    CheckPassword,
    CloseReason,
    Commit,
    Committed,
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
    StartTls,
    State,
    TlsReady,
    TlsUnavailable,
    WholeMessage,
)
from vmaild.protocol.pop3_maildrop import Maildrop
from vmaild.protocol.pop3_texts import ENGLISH, LANGUAGES, Language, language_for
from vmaild.protocol.sasl import (
    MAX_CREDENTIAL,
    MAX_RESPONSE,
    Exchange,
    MalformedResponse,
    NotAcceptable,
    PreparationError,
    prepared,
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

__all__ = [
    "ANSWERS",
    "COMMANDS",
    "MAX_COMMAND",
    "MAX_CREDENTIAL",
    "MAX_REPLY",
    "MAX_RESPONSE",
    "Answer",
    "CheckPassword",
    "CloseReason",
    "Command",
    "Commit",
    "Committed",
    "Connection",
    "ConnectionClosed",
    "Event",
    "LoginRefused",
    "MaildropOpened",
    "MessageBroken",
    "MessageEnded",
    "MessageStarted",
    "MessageUnreadable",
    "OpenMaildrop",
    "PasswordAccepted",
    "ReadMessage",
    "ResponseCode",
    "Settings",
    "StartTls",
    "State",
    "TlsReady",
    "TlsUnavailable",
    "WholeMessage",
]

MAX_COMMAND = 255
"""Octets of a command with its CRLF (RFC 2449 section 4)."""
MAX_REPLY = 512
"""Octets of a reply's first line with its CRLF (RFC 1939 section 3)."""


class _Refused(Exception):
    """A command that is well formed and cannot be obeyed; `details` fill the places in the text."""

    def __init__(self, text: str, *details: object, code: ResponseCode = ResponseCode.NONE) -> None:
        self.text = text
        self.details = details
        self.code = code


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
        "_domain",
        "_encoder",
        "_exchange",
        "_in_clear",
        "_language",
        "_lines",
        "_login",
        "_maildrop",
        "_output",
        "_output_size",
        "_peer_closed",
        "_question",
        "_reading",
        "_refused_logins",
        "_settings",
        "_state",
        "_tls",
        "_unicode",
        "_upcoming",
        "_utf8",
        "_version",
    )

    def __init__(
        self,
        domain: str | None,
        version: str,
        settings: Settings = PLAIN_POP3,
        *,
        tls: bool = False,
        in_clear: Callable[[str], bool] | None = None,
    ) -> None:
        """Greet as `domain` (canonical; None: not known before the login).

        `tls` says that all of the connection is under TLS (RFC 8314), so that STLS is not needed. `in_clear` tells
        of a login whether its password may come in clear, where only the login tells; None: the settings do.
        """
        self._in_clear = in_clear
        self._domain = domain
        self._version = version
        self._settings = settings
        self._bad_commands = self._refused_logins = 0
        self._lines = LineBuffer(_MAX_LINE)
        greeting = _greeting(domain, version)
        self._output = [greeting]
        self._output_size = len(greeting)
        self._state = State.AUTHORIZATION
        self._commands = _BEFORE_LOGIN
        self._question: type[Event | Answer] | None = None
        self._upcoming: Event | None = None
        self._closed: ConnectionClosed | None = None
        self._peer_closed = self._utf8 = False
        self._tls = tls
        self._login: str | None = None
        self._exchange: Exchange | None = None  # an AUTH under way: lines are responses, not commands
        self._language = ENGLISH
        self._unicode = False  # whether texts may leave ASCII
        self._maildrop = _NO_MAILDROP
        self._reading: ReadMessage | None = None
        self._encoder = _NO_ENCODER

    # What the outside may ask.

    @property
    def state(self) -> State:
        """Where the session stands; TRANSACTION and UPDATE are those that hold a maildrop."""
        return self._state

    @property
    def utf8(self) -> bool:
        """Whether the client asked for UTF-8 mode: it bears messages with UTF-8 in their header."""
        return self._utf8

    @property
    def data_wanted(self) -> bool:
        """Whether to go on reading from the client.

        False: enough is held, let TCP slow it down; or the handshake of TLS is due, which is not for us.
        """
        return (
            self._closed is None
            and not self._peer_closed
            and len(self._lines) <= MAX_HELD_INPUT
            and self._question is not TlsReady
        )

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
        if self._question is TlsReady:
            if not data:
                self._close(CloseReason.PEER_CLOSED)
        elif not data:
            self._peer_closed = True
        elif self._closed is None:
            self._lines.feed(data)

    def tls_started(self, domain: str | None) -> None:
        """The handshake that TlsReady announced is done; `domain` is what the connection is now for.

        The session begins anew, without a greeting, and knows nothing of what came in clear: not a login, not
        a language, not an octet (RFC 2595 section 4). Raises LocalProtocolError when no handshake was due, or
        when the go-ahead is not sent yet: it would be sent under TLS, and the client still waits for it in clear.
        """
        if self._closed is not None:
            return
        if self._question is not TlsReady:
            raise LocalProtocolError("TLS without TlsReady")
        if self._output:
            raise LocalProtocolError("TLS before what was to be sent in clear")
        # All of it, so that nothing can be forgotten to be forgotten; only the greeting is not said again.
        self.__init__(domain, self._version, self._settings, tls=True)  # type: ignore[misc]
        self.data_to_send()

    def connection_lost(self) -> None:
        """Nothing can be sent any more: forget what is held, obey nothing further, delete nothing."""
        self._close(CloseReason.PEER_CLOSED)
        self._output.clear()
        self._output_size = 0

    def close(self, text: str = "", code: ResponseCode = ResponseCode.NONE) -> None:
        """End the session now, with `-ERR text` unless the text is empty, and delete nothing.

        RFC 1939 section 3 wants silence when the inactivity timer expires. Inside a message nothing is said
        either: the client would read it as content; nor in the handshake of TLS. A Commit already asked for is
        not taken back.
        """
        if self._closed is None:
            if text and self._question not in _SILENT:
                self._refuse(text, code=code)
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
            self._question = type(event)
            return event
        while self._closed is None:
            if self._output_size > MAX_HELD_OUTPUT:
                return SEND_FIRST
            try:
                line = self._lines.next_line()
                if line is not None:
                    asked = self._obey(line) if self._exchange is None else self._take_response(line)
                    self._bad_commands = 0
                    if asked is not None:
                        self._question = type(asked)
                        return asked
                elif self._peer_closed:
                    self._close(CloseReason.PEER_CLOSED)
                else:
                    return NEED_DATA
            except LineTooLong:
                self._end_exchange()
                self._refuse_bad("line too long")
            except _BadCommand as fault:
                self._refuse_bad(fault.text, *fault.details)
            except _Refused as refusal:
                self._bad_commands = 0
                self._refuse(refusal.text, *refusal.details, code=refusal.code)
        return self._closed

    # Inside.

    def _obey(self, line: bytes) -> Event | None:
        """Carry a command out; raises LineTooLong, _BadCommand or _Refused where it cannot be."""
        keyword, _, argument = line.partition(b" ")
        keyword = keyword.upper()  # RFC 1939 section 3: case-insensitive
        command = self._commands.get(keyword)
        if command is None or (command.setting and not getattr(self._settings, command.setting)):
            raise self._no_command(keyword)
        if len(line) > command.max_length:
            raise LineTooLong
        try:
            if argument and not command.arguments and not argument.isspace():
                raise _Misused
            return command.obey(self, argument)
        except _Misused:
            arguments = self._language.text(command.arguments) if command.arguments else ""
            raise _BadCommand("usage: %s", f"{keyword.decode('ascii')} {arguments}".rstrip()) from None

    def _no_command(self, keyword: bytes) -> _BadCommand:
        """Why there is no such command in this state."""
        for commands in COMMANDS.values():
            command = commands.get(keyword)
            if command is not None and (not command.setting or getattr(self._settings, command.setting)):
                return _BadCommand(_MISPLACED[self._state])
        return _BadCommand("unknown command")

    def _reply(self, reply: bytes) -> None:
        self._output.append(reply)
        self._output_size += len(reply)

    def _refuse(self, text: str, *details: object, code: ResponseCode = ResponseCode.NONE) -> None:
        """-ERR: one line of printable characters, whatever the text; ASCII unless the client wanted more."""
        text = self._language.text(text)
        if details:
            text %= details
        tag = f"[{code.value}] " if code.value else ""
        line = f"-ERR {tag}{text}"
        if self._unicode:
            octets = _NO_TEXT.sub("?", line).encode("utf-8")[: MAX_REPLY - 2]
            self._reply(octets.decode("utf-8", "ignore").encode("utf-8") + b"\r\n")  # not half a character
        else:
            self._reply(_NO_ASCII_TEXT.sub("?", line).encode("ascii")[: MAX_REPLY - 2] + b"\r\n")

    def _refuse_bad(self, text: str, *details: object) -> None:
        self._bad_commands += 1
        settings, inside = self._settings, self._state is State.TRANSACTION
        if self._bad_commands < (settings.max_bad_commands_inside if inside else settings.max_bad_commands):
            self._refuse(text, *details)
        else:
            self._refuse("too many bad commands, good bye")
            self._close(CloseReason.BAD_COMMANDS)

    def _enter(self, state: State) -> None:
        self._state = state
        self._commands = COMMANDS[state]

    def _close(self, reason: CloseReason) -> None:
        if self._closed is None:
            self._closed = _CLOSED[reason]
            self._enter(State.CLOSED)
            self._question = self._upcoming = self._exchange = None
            self._lines.take_all()

    def _index(self, number: bytes) -> int:
        """The index of a message number; raises _Misused or _Refused."""
        if not number.isdigit():
            raise _Misused
        maildrop = self._maildrop
        index = int(number) - 1
        if not 0 <= index < len(maildrop):
            there_are = self._language.messages(len(maildrop))
            raise _Refused("no such message, %s in maildrop", there_are)
        if maildrop.is_deleted(index):
            raise _Refused("message %d is deleted", index + 1)
        return index

    def _reply_opened(self) -> None:
        maildrop, language = self._maildrop, self._language
        text = language.ok["maildrop has %s (%d octets)"]
        self._reply(text % (_messages(language, maildrop.count), maildrop.octets))

    # The exchange of AUTH.

    def _take_response(self, line: bytes) -> Event | None:
        """A response of the client; raises _BadCommand or _Refused where the exchange ends without a login."""
        exchange = self._exchange
        assert exchange is not None
        self._end_exchange()
        if line == b"*":  # RFC 5034 section 4
            raise _Refused("authentication cancelled")
        try:
            credentials = exchange.respond(line)
        except MalformedResponse as fault:
            raise _BadCommand(str(fault)) from None
        except NotAcceptable as refusal:
            raise _Refused(str(refusal), code=ResponseCode.AUTH) from None
        if credentials is not None:
            return CheckPassword(credentials.login, credentials.password)
        self._challenge(exchange)
        return None

    def _challenge(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._lines.limit = MAX_RESPONSE - len("\n")
        self._reply(b"+ %s\r\n" % b64encode(exchange.challenge))

    def _end_exchange(self) -> None:
        self._exchange = None
        self._lines.limit = _MAX_LINE

    # Commands: each takes what follows the keyword and a space; raises _Misused or _Refused.

    def _stls(self, argument: bytes) -> Event:
        if self._tls:
            raise _Refused("TLS is active already")
        return _START_TLS

    def _user(self, argument: bytes) -> None:
        if not (self._tls or self._settings.plain_logins):
            raise _login_in_clear()
        if not argument:
            raise _Misused
        if self._settings.utf8 and not argument.isascii():
            self._login = self._prepared(argument, "the login is not valid UTF-8")
        else:
            self._login = argument.decode("utf-8", "surrogateescape")
        if self._in_clear is not None and not self._in_clear(self._login):
            self._login = None
            raise _login_in_clear()  # before the password is sent
        # Whoever it is: RFC 1939 section 13, nobody learns who exists.
        self._reply(self._language.ok["send PASS"])

    def _pass(self, argument: bytes) -> Event:
        if not (self._tls or self._settings.plain_logins):
            raise _login_in_clear()
        login = self._login
        if login is None:
            raise _BadCommand("USER first")
        if not argument:
            raise _Misused
        self._login = None
        if self._settings.utf8 and not argument.isascii():
            argument = self._prepared(argument, "the password is not valid UTF-8").encode(
                "utf-8", "surrogateescape"
            )
        return CheckPassword(login, argument)  # with its spaces (RFC 1939 section 7, PASS)

    def _prepared(self, credential: bytes, otherwise: str) -> str:
        """A login or password that is not ASCII (RFC 6856 section 2.2); raises _Refused for one that is not UTF-8.

        That is, of a client that said UTF8. One that never did may have a password in Latin-1 since long ago.
        """
        try:
            return prepared(credential)
        except PreparationError:
            if self._utf8:
                raise _Refused(otherwise, code=ResponseCode.AUTH) from None
            return credential.decode("utf-8", "surrogateescape")

    def _auth(self, argument: bytes) -> Event | None:
        if not (self._tls or self._settings.plain_logins):
            raise _login_in_clear()
        mechanisms = self._settings.mechanisms
        words = argument.split()
        if not words:  # as servers of RFC 1734 did, before there was a CAPA to ask
            listing = "".join(f"{mechanism}\r\n" for mechanism in mechanisms)
            self._reply(self._language.ok["mechanisms follow"] + f"{listing}.\r\n".encode("ascii"))
            return None
        mechanism = words[0].upper().decode("latin-1")
        if mechanism not in mechanisms:
            raise _Refused("no such mechanism")
        match words[1:]:
            case []:
                self._challenge(Exchange(mechanism))
                return None
            case [response]:
                self._exchange = Exchange(mechanism)
                return self._take_response(b"" if response == b"=" else response)  # RFC 5034 section 4
        raise _Misused

    def _utf8_mode(self, argument: bytes) -> None:
        self._utf8 = self._unicode = True
        self._reply(self._language.ok["UTF-8 mode is on"])

    def _lang(self, argument: bytes) -> None:
        match argument.decode("latin-1").split():
            case []:
                listing = "".join(f"{language.tag} {language.name}\r\n" for language in LANGUAGES)
                self._reply(self._language.ok["languages follow"] + f"{listing}.\r\n".encode())
            case [wanted]:
                language = language_for(self._settings.preferred_language if wanted == "*" else wanted)
                if language is None:
                    raise _Refused("no such language")
                self._language = language
                self._unicode = True  # RFC 6856 section 3.2: UTF-8 from here on, in or out of UTF-8 mode
                changed = language.text("language changed")
                self._reply(f"+OK {language.tag} {changed}\r\n".encode())
            case _:
                raise _Misused

    def _capa(self, argument: bytes) -> None:
        lines = capabilities(self._settings, self._state, self._version, tls=self._tls)
        listing = "".join(f"{line}\r\n" for line in lines)
        self._reply(self._language.ok["capabilities follow"] + f"{listing}.\r\n".encode("ascii"))

    def _quit_before_login(self, argument: bytes) -> None:
        self._reply(self._language.ok["%s signing off"] % _name(self._domain))
        self._close(CloseReason.QUIT)

    def _quit(self, argument: bytes) -> Event:
        self._enter(State.UPDATE)
        deleted = self._maildrop.deleted
        return Commit(deleted) if deleted else _NOTHING_TO_DELETE

    def _stat(self, argument: bytes) -> None:
        maildrop = self._maildrop
        self._reply(b"+OK %d %d\r\n" % (maildrop.count, maildrop.octets))

    def _list(self, argument: bytes) -> None:
        maildrop = self._maildrop
        number = argument.strip()
        if number:
            index = self._index(number)
            self._reply(b"+OK %d %d\r\n" % (index + 1, maildrop.sizes[index]))
        else:
            there_are = _messages(self._language, maildrop.count)
            self._reply(self._language.ok["%s (%d octets)"] % (there_are, maildrop.octets))
            self._reply(f"{maildrop.listing(maildrop.sizes)}.\r\n".encode("ascii"))

    def _uidl(self, argument: bytes) -> None:
        maildrop = self._maildrop
        number = argument.strip()
        if number:
            index = self._index(number)
            self._reply(f"+OK {index + 1} {maildrop.uids[index]}\r\n".encode("ascii"))
        else:
            self._reply(self._language.ok["unique-id listing follows"])
            self._reply(f"{maildrop.listing(maildrop.uids)}.\r\n".encode("ascii"))

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
        self._maildrop.delete(index)
        self._reply(self._language.ok["message %d deleted"] % (index + 1))

    def _last(self, argument: bytes) -> None:
        self._reply(b"+OK %d\r\n" % self._maildrop.highest)

    def _noop(self, argument: bytes) -> None:
        self._reply(b"+OK\r\n")

    def _rset(self, argument: bytes) -> None:
        self._maildrop.reset()
        self._reply_opened()

    # Answers: the question is closed when one of these runs.

    def _begin_tls(self, _: TlsReady) -> None:
        self._lines.take_all()
        self._reply(self._language.ok["begin TLS"])
        self._question = TlsReady  # what comes now is the handshake, or was slipped in before it

    def _refuse_tls(self, unavailable: TlsUnavailable) -> None:
        self._refuse(unavailable.text, code=unavailable.code)

    def _accept_password(self, _: PasswordAccepted) -> None:
        self._upcoming = _OPEN_MAILDROP

    def _refuse_login(self, refused: LoginRefused) -> None:
        self._refuse(refused.text, code=refused.code)
        self._refused_logins += 1
        if self._refused_logins >= self._settings.max_refused_logins:
            self._close(CloseReason.REFUSED_LOGINS)

    def _open_maildrop(self, opened: MaildropOpened) -> None:
        if len(opened.sizes) != len(opened.uids):
            raise LocalProtocolError("a maildrop has as many unique-ids as messages")
        self._maildrop = Maildrop(opened.sizes, opened.uids, opened.octets)
        self._enter(State.TRANSACTION)
        self._reply_opened()

    def _start_message(self, _: MessageStarted) -> None:
        reading = self._reading
        assert reading is not None
        self._encoder = MultilineEncoder(reading.lines)
        if reading.lines is None:
            self._maildrop.access(reading.index)
            self._reply(self._language.ok["%d octets"] % self._maildrop.sizes[reading.index])
        else:
            self._reply(self._language.ok["top of message follows"])
        self._question = MessageStarted

    def _send_whole(self, message: WholeMessage) -> None:
        self._start_message(_MESSAGE_STARTED)
        self._reply(self._encoder.encode(message.content))
        self._end_message(_MESSAGE_ENDED)

    def _end_message(self, _: MessageEnded) -> None:
        self._reply(self._encoder.end())
        self._encoder = _NO_ENCODER
        self._question = None

    def _refuse_message(self, unreadable: MessageUnreadable) -> None:
        self._refuse(unreadable.text, code=unreadable.code)

    def _break_message(self, _: MessageBroken) -> None:
        self._close(CloseReason.BROKEN_MESSAGE)

    def _finish(self, committed: Committed) -> None:
        if committed.failed:  # RFC 1939 section 6
            self._refuse("some deleted messages not removed", code=ResponseCode.SYS_TEMP)
        else:
            self._reply(_farewell(self._language, self._domain, self._maildrop.count))
        self._close(CloseReason.QUIT)


# Wordings. They are the same for many connections, and making them is felt.


@lru_cache(maxsize=1024)
def _messages(language: Language, count: int) -> bytes:
    return language.messages(count).encode()


@lru_cache(maxsize=1024)
def _name(domain: str | None) -> bytes:
    return f"Virtual {domain} POP3 Server".encode("ascii") if domain else b"POP3 Server"


@lru_cache(maxsize=1024)
def _greeting(domain: str | None, version: str) -> bytes:
    return b"+OK %s (Version %s) ready.\r\n" % (_name(domain), version.encode("ascii"))


@lru_cache(maxsize=4096)
def _farewell(language: Language, domain: str | None, left: int) -> bytes:
    return language.ok["%s signing off (%s left)"] % (_name(domain), _messages(language, left))


def _login_in_clear() -> _Refused:
    """A password must not travel in clear (RFC 2595 section 2.3)."""
    # Not AUTH: the password may be right, and to ask the user for another would not help.
    text = "no login without encryption: choose SSL/TLS or STARTTLS in your mail program"
    return _Refused(text, code=ResponseCode.SYS_PERM)


@dataclass(frozen=True, slots=True)
class Command:
    """A row of COMMANDS."""

    obey: Callable[[Connection, bytes], Event | None]
    arguments: str = ""
    """What is to follow the keyword, for the reply to what does not; empty: nothing may."""
    max_length: int = MAX_COMMAND - 2
    """Octets of the line without its end."""
    setting: str = ""
    """Which of the Settings turns it on; empty: always there."""


COMMANDS: Final[Mapping[State, Mapping[bytes, Command]]] = {
    State.AUTHORIZATION: {
        b"STLS": Command(Connection._stls, setting="stls"),
        b"USER": Command(Connection._user, "login", len("USER ") + MAX_CREDENTIAL),
        b"PASS": Command(Connection._pass, "password", len("PASS ") + MAX_CREDENTIAL),
        # RFC 5034 section 4 allows 255 octets; clients with long passwords send more.
        b"AUTH": Command(
            Connection._auth, "mechanism [response]", len("AUTH ") + MAX_CREDENTIAL, setting="mechanisms"
        ),
        b"UTF8": Command(Connection._utf8_mode, setting="utf8"),
        b"LANG": Command(Connection._lang, "[language]", setting="lang"),
        b"CAPA": Command(Connection._capa),
        b"QUIT": Command(Connection._quit_before_login),
    },
    State.TRANSACTION: {
        b"STAT": Command(Connection._stat),
        b"LIST": Command(Connection._list, "[message]"),
        b"RETR": Command(Connection._retr, "message"),
        b"DELE": Command(Connection._dele, "message"),
        b"LAST": Command(Connection._last, setting="last"),
        b"NOOP": Command(Connection._noop),
        b"RSET": Command(Connection._rset),
        b"TOP": Command(Connection._top, "message lines"),
        b"UIDL": Command(Connection._uidl, "[message]"),
        b"LANG": Command(Connection._lang, "[language]", setting="lang"),
        b"CAPA": Command(Connection._capa),
        b"QUIT": Command(Connection._quit),
    },
    State.UPDATE: {},
    State.CLOSED: {},
}
"""What a client may say, by state (RFC 1939 sections 4 to 6)."""

ANSWERS: Final[Mapping[type | None, Mapping[type, Callable[[Connection, Any], None]]]] = {
    None: {},
    StartTls: {
        TlsReady: Connection._begin_tls,
        TlsUnavailable: Connection._refuse_tls,
    },
    TlsReady: {},
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
"""What the outside may answer, by what was asked last. Two answers ask on, what next? MessageStarted the
content, TlsReady a call of `tls_started`."""

_BEFORE_LOGIN = COMMANDS[State.AUTHORIZATION]
_MISPLACED = {State.AUTHORIZATION: "log in first", State.TRANSACTION: "already logged in"}
_MAX_LINE = max(row.max_length for rows in COMMANDS.values() for row in rows.values()) + len("\r")
_CLOSED = {reason: ConnectionClosed(reason) for reason in CloseReason}
_START_TLS = StartTls()
_OPEN_MAILDROP = OpenMaildrop()
_NOTHING_TO_DELETE = Commit(())
_MESSAGE_STARTED = MessageStarted()
_MESSAGE_ENDED = MessageEnded()
_NO_MAILDROP = Maildrop((), ())
_NO_ENCODER = MultilineEncoder()
_SILENT = (MessageStarted, TlsReady)
_NO_ASCII_TEXT = re.compile(r"[^ -~]")
# Of characters beyond, no controls, no line or paragraph separators, no halves of a pair.
_NO_TEXT = re.compile("[^ -~\u00a0-\u2027\u202a-\ud7ff\ue000-\U0010ffff]")
