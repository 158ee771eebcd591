"""The POP3 server: pumps between a socket and the protocol core.

The domain of a connection is settled before a byte is read: by the address that it came to, or that a named
proxy says it came to; then by the name that the client asks for in its TLS handshake. On a shared address the
login names the domain (`bob@va.toto.fr`, `bob%va.toto.fr`). A login that names another domain than the
connection's fails exactly as a wrong password does.

One object for each connection, no coroutine but for the TLS handshake: what can be answered at once is answered
within `data_received`; hashing a password, and listing or clearing out a large mailbox, happens in threads.

It is more than 300 lines because one object has all that goes on between a socket and the core: who reads, who
waits and who has a turn is only understood together. What does not is beside it: arrival, logins, secured, tls,
pop3_service.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, BinaryIO, TypeVar, cast, overload

from vmaild import __version__
from vmaild.core.directory import LookupFailed
from vmaild.core.site import is_among
from vmaild.protocol.pop3 import Connection
from vmaild.protocol.pop3_capabilities import Settings
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
from vmaild.protocol.waits import Wait
from vmaild.servers.arrival import Arrival, is_loopback, local_host
from vmaild.servers.board import CLOSED, Metric
from vmaild.servers.logins import Attempt
from vmaild.servers.secured import DESCRIPTOR, Secured
from vmaild.store.messages import Mailbox, Maildrop, MaildropBusy, MessageGone, StoreError

if TYPE_CHECKING:
    from vmaild.servers.pop3_service import Pop3Service

log = logging.getLogger("vmaild.pop3")

HANDSHAKE_TIME = 30.0
"""Seconds for a TLS handshake."""
_WHOLE = 256 * 1024
"""Octets up to which a message is read and sent in one piece; also the piece of a larger one."""
TURN = 0.005
"""Seconds that a session may keep the event loop for what its client has asked; then others have their turn."""
_FEW = 64
"""Deletions that are carried out at once rather than in a thread."""

T = TypeVar("T")

_IN_USE = LoginRefused(ResponseCode.IN_USE, "another session has this mailbox")
_NO_MAILBOX = LoginRefused(ResponseCode.SYS_TEMP, "cannot open your mailbox now, try again later")


class Pop3Session(asyncio.Protocol):
    """One connection."""

    __slots__ = (
        "_arrival", "_client", "_core", "_deleted", "_domain", "_file", "_gone", "_mailbox",
        "_maildrop", "_messages", "_octets", "_private", "_queued", "_reading", "_slot", "_tls", "_transport",
        "_why", "_writable", "active", "began", "service", "working",
    )  # fmt: skip

    def __init__(self, service: Pop3Service, arrival: Arrival | None = None) -> None:
        """`arrival`: what is known already; None: the socket tells."""
        self.service = service
        self._core: Connection
        self._transport: asyncio.Transport
        self._arrival = arrival
        self._client = ""
        self._domain: str | None = None
        self._tls = self._private = False
        self._mailbox: Mailbox | None = None
        self._maildrop: Maildrop | None = None
        self._file: BinaryIO | None = None
        self._slot = -1
        self._why: Metric | None = None
        self._messages = self._octets = self._deleted = 0
        self._reading = self._writable = True
        self._gone = False
        self._queued = False  # our turn is over, and the next one is to come
        self.active = self.began = time.monotonic()
        self.working = False
        """Whether a thread, a delay or a handshake is to be waited for."""

    @property
    def state(self) -> State:
        """Where the dialogue stands."""
        return self._core.state

    # -- what the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Settle the domain, greet."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by name
        arrival = self._arrival
        if arrival is None:
            client, here = (local_host(transport.get_extra_info(name)) for name in ("peername", "sockname"))
            if here and not client:  # gone already: nobody knows who it was, and what it said does not count
                self._gone = True
                self._transport.abort()
                return
            arrival = Arrival(client, here)
        under_tls = transport.get_extra_info("ssl_object")
        self._tls = arrival.tls or under_tls is not None
        self._client = arrival.client
        self._private = self._tls or is_loopback(self._client)
        self._domain = self._domain_of(arrival, under_tls)
        self.service.sessions.add(self)
        self._begin()

    def data_received(self, data: bytes) -> None:
        """Take what the client said."""
        self.active = time.monotonic()
        self._core.receive_data(data)
        self._pump()

    def eof_received(self) -> bool:
        """The client has said all it will; it may still read."""
        self._core.receive_data(b"")
        self._pump()
        return not self._tls  # TLS has no half-closed connections

    def pause_writing(self) -> None:
        """The client reads more slowly than we write: wait, hold nothing more for it."""
        self._writable = False

    def resume_writing(self) -> None:
        """Go on where pause_writing stopped."""
        self._writable = True
        self.active = time.monotonic()
        self._go_on()

    def connection_lost(self, exc: Exception | None) -> None:
        """Delete nothing, let the next session in."""
        if self._gone:
            return
        self._gone = True
        if isinstance(under_tls := self._transport.get_extra_info("ssl_object"), Secured):
            under_tls.on_close = None  # which leads to us, and we to it: a ring that only a collection would free
        self._core.connection_lost()
        service = self.service
        service.sessions.discard(self)
        service.connections.closed(service.number, self._client)
        why = self._why or Metric.CLOSED_BY_CLIENT
        service.row.leave(self._slot, why)
        log.info(
            "session user=%s domain=%s client=%s tls=%s messages=%d octets=%d deleted=%d end=%s",
            self._mailbox or "-", self._domain or "-", self._client or "local", "yes" if self._tls else "no",
            self._messages, self._octets, self._deleted, why.name.lower().removeprefix("closed_"),
        )  # fmt: skip
        if not self.working:
            self._release()

    def end(self, why: Metric, text: str = "") -> None:
        """End the session from our side (no text: without a word), deleting nothing."""
        self._why = why
        if not self._writable:
            self._transport.abort()  # a client that does not read would keep us for ever
            return
        self._core.close(text, ResponseCode.SYS_TEMP)
        self._queued = False
        self._pump()

    def rest(self) -> None:
        """Nobody has asked for anything for a while: keep no more than has to be kept."""
        if self._maildrop is not None and not self.working:
            self._maildrop.forget_lists()

    # -- the beginning

    def _domain_of(self, arrival: Arrival, under_tls: ssl.SSLObject | None) -> str | None:
        """The domain of a connection: by its address, else by the name that its client asked for."""
        service = self.service
        domain = service.directory.domain_at(arrival.here) if arrival.here else None
        named = self._heed(under_tls) if under_tls is not None else None
        domain = domain or named
        if domain is None and arrival.authority:
            domain = service.directory.domain_named(arrival.authority)
        return domain

    def _heed(self, under_tls: ssl.SSLObject) -> str | None:
        """Be told by TLS when the client has said all; the domain that the client asked for."""
        if not isinstance(under_tls, Secured):
            return None
        loop = asyncio.get_running_loop()
        # Later: what came ahead of it is still to be received.
        under_tls.on_close = lambda: loop.call_soon(self._said_all)
        return under_tls.domain

    def _said_all(self) -> None:
        """For the event loop, TLS has no half-closed connections: it must not even see that this one is closed."""
        if not self._transport.is_closing():
            self._transport.set_read_buffer_limits(0)  # type: ignore[attr-defined]  # stops reading at once
            self.eof_received()

    def _begin(self) -> None:
        service = self.service
        self._slot = service.row.enter(self._client, self._domain or "", time.time(), tls=self._tls)
        limit = service.site.max_connections_per_address
        count = service.connections.opened(service.number, self._client)
        if limit and count > limit and not is_among(self._client, service.trusted):
            service.row.add(Metric.CONNECTIONS_REFUSED)
            self._greet(b"-ERR [SYS/TEMP] too many connections from your address\r\n")
            self.end(Metric.CLOSED_BY_SERVER)
        else:
            self._greet()

    def _greet(self, instead: bytes = b"") -> None:
        in_clear = None if self._private or self._domain else self.service.logins.in_clear
        self._core = Connection(self._domain, __version__, self._settings(), tls=self._tls, in_clear=in_clear)
        greeting = self._core.data_to_send()
        self._transport.write(instead or greeting)

    def _settings(self) -> Settings:
        """What is offered: STLS where there is a certificate, passwords in clear where they are allowed."""
        service = self.service
        stls = not self._tls and service.certificates.offered(self._domain)
        plain = self._private or self._domain is None  # the login tells which domain decides
        if not plain and self._domain is not None:
            try:
                domain = service.directory.find(self._domain)
                plain = domain is not None and domain.definition.plain_logins
            except LookupFailed as failure:
                log.error("%s: %s", self._client, failure)
        return service.settings(stls=stls, plain=plain)

    def _upgrade(self, context: ssl.SSLContext) -> None:
        """Begin TLS after STLS."""
        self.working = True
        self._transport.pause_reading()
        DESCRIPTOR.set(self._transport.get_extra_info("socket").fileno())  # here the context is the transport's
        loop = asyncio.get_running_loop()

        async def handshake() -> None:
            upgraded = None
            try:
                upgraded = await loop.start_tls(
                    self._transport, self, context, server_side=True, ssl_handshake_timeout=HANDSHAKE_TIME
                )
            except (OSError, asyncio.CancelledError) as error:
                log.info("TLS with %s failed: %s", self._client, error)
            self.working = False
            self.active = time.monotonic()
            under_tls = upgraded.get_extra_info("ssl_object") if upgraded else None
            if upgraded is None or under_tls is None:
                self._transport.abort()
                self.connection_lost(None)
                return
            self._transport = upgraded
            named = self._heed(under_tls)
            self._domain = self._domain or named
            self._tls = self._private = self._reading = True
            self.service.row.secure(self._slot, self._domain or "")
            self._core.tls_started(self._domain)
            self._pump()

        task = loop.create_task(handshake())
        _HANDSHAKES.add(task)
        task.add_done_callback(_HANDSHAKES.discard)

    # -- inside

    def _pump(self) -> None:
        """Carry events out until there is none or the turn is over, then send what there is to say."""
        core, transport = self._core, self._transport
        over = time.monotonic() + TURN
        while self._writable and not self._queued:
            event = core.next_event()
            if isinstance(event, Wait):
                data = core.data_to_send()
                if data:
                    transport.write(data)
                if event is not Wait.SEND_FIRST:
                    break
            elif isinstance(event, ConnectionClosed):
                self._end(core, event)
                return
            elif isinstance(event, StartTls):
                if not self._start_tls(core):
                    return
            else:
                self._carry_out(core, event)
            if time.monotonic() > over:
                self._queue()
        reading = core.data_wanted and self._writable
        if reading != self._reading and not transport.is_closing():
            self._reading = reading
            (transport.resume_reading if reading else transport.pause_reading)()

    def _queue(self) -> None:
        """Let others have their turn first: a client that reads as fast as we write is never waited for."""
        if not self._queued:
            self._queued = True
            asyncio.get_running_loop().call_soon(self._next_turn)

    def _next_turn(self) -> None:
        if self._queued and not self._gone:
            self._queued = False
            self.active = time.monotonic()
            self._go_on()

    def _go_on(self) -> None:
        """Go on where there was no room to write, or no time."""
        if self._file is not None and not self._queued:
            self._send_more()
        self._pump()

    def _start_tls(self, core: Connection) -> bool:
        """Answer STLS; whether the dialogue goes on in clear."""
        context = self.service.certificates.context(self._domain)
        if context is None:
            core.send(TlsUnavailable())
            return True
        core.send(TlsReady())
        self._transport.write(core.data_to_send())
        self._upgrade(context)
        return False

    def _carry_out(self, core: Connection, event: Event) -> None:
        match event:
            case CheckPassword(login, password):
                self._check_password(core, login, password)
            case OpenMaildrop():
                assert self._mailbox is not None
                if self.service.messages.is_at_hand(self._mailbox):
                    self._maildrop_opened(self._open_maildrop(self._mailbox))
                else:
                    mailbox = self._mailbox
                    self._in_thread(lambda: self._open_maildrop(mailbox), self._maildrop_opened)
            case ReadMessage(index, lines):
                self._read(core, index, lines)
            case Commit(deleted):
                self._commit(deleted)

    def _end(self, core: Connection, event: ConnectionClosed) -> None:
        data = core.data_to_send()
        if data:
            self._transport.write(data)
        self._why = self._why or CLOSED[event.reason]
        if event.reason is CloseReason.BROKEN_MESSAGE:
            # Bytes still on their way would look like a whole message to a client that does not count.
            self._transport.abort()
        else:
            self._transport.close()

    def _release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        if self._maildrop is not None:
            self._maildrop.close()
            self._maildrop = None

    def _in_thread(self, work: Callable[[], T], then: Callable[[T], None]) -> None:
        """Do what blocks in a thread, and go on with its result in the event loop."""
        loop = asyncio.get_running_loop()
        self.working = True
        future = self.service.disk.submit(work)
        future.add_done_callback(lambda future: loop.call_soon_threadsafe(self._back, future, then))

    def _back(self, future: Future[T], then: Callable[[T], None]) -> None:
        self.working = False
        self.active = time.monotonic()
        try:
            then(future.result())
        except Exception:
            log.exception("%s: session failed", self._mailbox or self._client)
            self.end(Metric.CLOSED_BY_SERVER, "internal error, try again later")
        if self._gone:
            self._release()
        else:
            self._pump()

    # -- login

    def _check_password(self, core: Connection, login: str, password: bytes) -> None:
        attempt = Attempt(login, password, self._domain, self._client, self._private, lambda: not self._gone)

        def done(result: Mailbox | LoginRefused) -> None:
            if isinstance(result, LoginRefused):
                core.send(result)
            else:
                self._mailbox = result
                core.send(PasswordAccepted())
            if self.working:  # told later than at once: nobody pumps
                self.working = False
                self.active = time.monotonic()
                if not self._gone:
                    self._pump()

        if not self.service.logins.check(attempt, done):
            self.working = True

    def _open_maildrop(self, mailbox: Mailbox) -> Maildrop | LoginRefused:
        try:
            return self.service.messages.open_maildrop(mailbox)
        except MaildropBusy:
            return _IN_USE
        except StoreError as failure:
            log.error("%s: %s", mailbox, failure)
            return _NO_MAILBOX

    def _maildrop_opened(self, opened: Maildrop | LoginRefused) -> None:
        assert self._mailbox is not None
        if isinstance(opened, LoginRefused):
            self.service.row.add(Metric.LOGINS_DEFERRED)
            self._core.send(opened)
            return
        self._maildrop = opened
        if not self._gone:
            self.service.row.log_in(self._slot, self._mailbox.domain, self._mailbox.login)
        self._core.send(MaildropOpened(opened.sizes, _Uids(opened), opened.octets))

    # -- messages

    def _read(self, core: Connection, index: int, lines: int | None) -> None:
        maildrop = self._maildrop
        assert maildrop is not None
        try:
            file = maildrop.open_message(index)
        except MessageGone:
            core.send(MessageUnreadable("this message has been removed meanwhile"))
            return
        except (StoreError, OSError) as failure:
            log.error("%s: %s", self._mailbox, failure)
            core.send(MessageUnreadable("cannot read this message now", ResponseCode.SYS_TEMP))
            return
        self._messages += 1
        octets = 0 if lines is not None else maildrop.sizes[index]
        self._octets += octets
        self.service.row.retrieve(self._slot, octets)
        if maildrop.sizes[index] <= _WHOLE:
            with file:
                core.send(_read_whole(file, f"{self._mailbox}"))
            return
        self._file = file
        core.send(MessageStarted())
        self._send_more()

    def _send_more(self) -> None:
        """Send a large message as fast as the client takes it, a piece in memory at a time."""
        core, file = self._core, self._file
        assert file is not None
        over = time.monotonic() + TURN
        while self._writable and core.content_wanted:
            if time.monotonic() > over:
                self._queue()
                return
            try:
                piece = file.read(_WHOLE)
            except OSError as failure:
                log.error("%s: %s", self._mailbox, failure)
                self._end_of_file(MessageBroken())
                return
            if not piece:
                break
            core.send_content(piece)
            self._transport.write(core.data_to_send())
        else:
            if core.content_wanted:
                return  # not writable: resume_writing goes on
        self._end_of_file(MessageEnded())

    def _end_of_file(self, answer: Answer) -> None:
        assert self._file is not None
        self._file.close()
        self._file = None
        self._core.send(answer)

    # -- the end

    def _commit(self, deleted: tuple[int, ...]) -> None:
        maildrop = self._maildrop
        assert maildrop is not None
        self._deleted = len(deleted)
        if len(deleted) > _FEW:
            self._in_thread(lambda: maildrop.delete(deleted), self._committed)
        else:
            self._committed(maildrop.delete(deleted) if deleted else 0)

    def _committed(self, failed: int) -> None:
        # Before the answer: a client that has read it may log in again at once.
        self._release()
        self._deleted -= failed
        self.service.row.add(Metric.MESSAGES_DELETED, self._deleted)
        self._core.send(Committed(failed))


class _Uids(Sequence[str]):
    """The unique-ids of a maildrop, made when a client asks for them: most only poll."""

    __slots__ = ("_maildrop",)

    def __init__(self, maildrop: Maildrop) -> None:
        self._maildrop = maildrop

    def __len__(self) -> int:
        return len(self._maildrop.sizes)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...

    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        return self._maildrop.uids[index]

    def __iter__(self) -> Iterator[str]:
        return iter(self._maildrop.uids)


def _read_whole(file: BinaryIO, name: str) -> Answer:
    try:
        return WholeMessage(file.read())
    except OSError as failure:
        log.error("%s: %s", name, failure)
        return MessageUnreadable("cannot read this message now", ResponseCode.SYS_TEMP)


_HANDSHAKES: set[asyncio.Task[None]] = set()
"""Under way: the event loop itself holds tasks only weakly."""
