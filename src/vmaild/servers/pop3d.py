"""The POP3 server: pumps between a socket and the protocol core.

The domain of a connection is settled by the address that it came to, before a byte is read. On a shared address
the login names the domain (`bob@va.toto.fr`, `bob%va.toto.fr`). A login that names another domain than the
connection's fails exactly as a wrong password does.

One object for each connection, no coroutine: what can be answered at once is answered within `data_received`;
hashing a password, and listing or clearing out a large mailbox, happens in threads.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import BinaryIO, TypeVar, cast

from vmaild import __version__
from vmaild.address import AddressError, canonical_domain, fold
from vmaild.auth.passwords import NOBODY, verify
from vmaild.core.directory import LookupFailed
from vmaild.protocol.pop3 import (
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
    State,
    Wait,
    WholeMessage,
)
from vmaild.store.directory import DirectoryStore, canonical_address
from vmaild.store.messages import Mailbox, Maildrop, MaildropBusy, MessageGone, MessageStore, StoreError

log = logging.getLogger("vmaild.pop3")

AUTOLOGOUT = 600.0
"""Seconds of silence (RFC 1939 section 3: at least ten minutes)."""
LOGIN_TIME = 60.0
"""Seconds of silence before a login."""
_WHOLE = 256 * 1024
"""Octets up to which a message is read and sent in one piece; also the piece of a larger one."""
_MAX_CHECKS = 256
"""Passwords waiting to be checked; beyond it a client is told to come again."""
_FEW = 64
"""Deletions that are carried out at once rather than in a thread."""

T = TypeVar("T")

_WRONG = LoginRefused(ResponseCode.AUTH, "wrong login or password")
_TRY_LATER = LoginRefused(ResponseCode.SYS_TEMP, "cannot look you up now, try again later")
_TOO_BUSY = LoginRefused(ResponseCode.SYS_TEMP, "too many logins at the moment, try again later")
_DISABLED = LoginRefused(ResponseCode.SYS_TEMP, "this domain is not in service now")
_IN_USE = LoginRefused(ResponseCode.IN_USE, "another session has this mailbox")
_NO_MAILBOX = LoginRefused(ResponseCode.SYS_TEMP, "cannot open your mailbox now, try again later")


@dataclass(slots=True)
class Pop3Service:
    """What all connections of a worker share."""

    directory: DirectoryStore
    messages: MessageStore
    hashing: Executor
    """Few threads: a hash keeps a core busy."""
    disk: Executor
    sessions: set[Pop3Session] = field(default_factory=set)
    checks: int = 0
    """Passwords being checked or waiting for it."""
    counts: Counter[str] = field(default_factory=Counter)

    def __call__(self) -> Pop3Session:
        """The protocol of a new connection."""
        return Pop3Session(self)

    def log_out_the_silent(self) -> None:
        """Close what has been silent for too long; called every few seconds."""
        now = time.monotonic()
        for session in list(self.sessions):
            limit = LOGIN_TIME if session.state is State.AUTHORIZATION else AUTOLOGOUT
            if now - session.active > limit and not session.working:
                session.close("")

    def drain(self, *, now: bool) -> None:
        """Let no session begin; with `now` end those that are in progress, deleting nothing."""
        for session in list(self.sessions):
            if now or session.state is State.AUTHORIZATION:
                session.close("server is going down, try again later")


class Pop3Session(asyncio.Protocol):
    """One connection."""

    __slots__ = (
        "_client",
        "_core",
        "_domain",
        "_file",
        "_gone",
        "_mailbox",
        "_maildrop",
        "_reading",
        "_transport",
        "_writable",
        "active",
        "service",
        "working",
    )  # fmt: skip

    def __init__(self, service: Pop3Service) -> None:
        self.service = service
        self._core: Connection
        self._transport: asyncio.Transport
        self._domain: str | None = None
        self._client = ""
        self._mailbox: Mailbox | None = None
        self._maildrop: Maildrop | None = None
        self._file: BinaryIO | None = None
        self._reading = self._writable = True
        self._gone = False
        self.active = time.monotonic()
        self.working = False
        """Whether a thread is at work for this session."""

    @property
    def state(self) -> State:
        """Where the dialogue stands."""
        return self._core.state

    # -- what the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Settle the domain, greet."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by name
        self._client = local_host(transport.get_extra_info("peername"))
        here = local_host(transport.get_extra_info("sockname"))
        self._domain = self.service.directory.domain_at(here) if here else None
        self._core = Connection(self._domain, __version__)
        self.service.sessions.add(self)
        self._transport.write(self._core.data_to_send())

    def data_received(self, data: bytes) -> None:
        """Take what the client said."""
        self.active = time.monotonic()
        self._core.receive_data(data)
        self._pump()

    def eof_received(self) -> bool:
        """The client has said all it will; it may still read."""
        self._core.receive_data(b"")
        self._pump()
        return True

    def pause_writing(self) -> None:
        """The client reads more slowly than we write: wait, hold nothing more for it."""
        self._writable = False

    def resume_writing(self) -> None:
        """Go on where pause_writing stopped."""
        self._writable = True
        self.active = time.monotonic()
        if self._file is not None:
            self._send_more()
        self._pump()

    def connection_lost(self, exc: Exception | None) -> None:
        """Delete nothing, let the next session in."""
        self._gone = True
        self._core.connection_lost()
        self.service.sessions.discard(self)
        if not self.working:
            self._release()

    def close(self, text: str) -> None:
        """End the session from our side (empty: without a word), deleting nothing."""
        self._core.close(text, ResponseCode.SYS_TEMP)
        if self._writable:
            self._pump()
        else:
            self._transport.abort()  # a client that does not read would keep us for ever

    # -- inside

    def _pump(self) -> None:
        """Carry events out until there is none, then send what there is to say."""
        core, transport = self._core, self._transport
        while self._writable:
            event = core.next_event()
            if isinstance(event, Wait):
                data = core.data_to_send()
                if data:
                    transport.write(data)
                if event is not Wait.SEND_FIRST:
                    break
            elif isinstance(event, ConnectionClosed):
                self._end(event)
                return
            else:
                self._carry_out(event)
        reading = core.data_wanted and self._writable
        if reading != self._reading and not transport.is_closing():
            self._reading = reading
            (transport.resume_reading if reading else transport.pause_reading)()

    def _carry_out(self, event: Event) -> None:
        match event:
            case CheckPassword(login, password):
                self._check_password(login, password)
            case OpenMaildrop():
                assert self._mailbox is not None
                if self.service.messages.is_at_hand(self._mailbox):
                    self._maildrop_opened(self._open_maildrop())
                else:
                    self._in_thread(self.service.disk, self._open_maildrop, self._maildrop_opened)
            case ReadMessage(index, lines):
                self._read(index, lines)
            case Commit(deleted):
                self._commit(deleted)

    def _end(self, event: ConnectionClosed) -> None:
        data = self._core.data_to_send()
        if data:
            self._transport.write(data)
        self.service.counts[event.reason.name] += 1
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

    def _in_thread(self, executor: Executor, work: Callable[[], T], then: Callable[[T], None]) -> None:
        """Do what blocks in a thread, and go on with its result in the event loop."""
        loop = asyncio.get_running_loop()
        self.working = True

        def back(future: Future[T]) -> None:
            self.working = False
            self.active = time.monotonic()
            try:
                then(future.result())
            except Exception:
                log.exception("%s: session failed", self._mailbox or self._client)
                self._core.close("internal error, try again later", ResponseCode.SYS_TEMP)
            if self._gone:
                self._release()
            else:
                self._pump()

        executor.submit(work).add_done_callback(lambda future: loop.call_soon_threadsafe(back, future))

    # -- login

    def _check_password(self, login: str, password: bytes) -> None:
        service = self.service
        if service.checks >= _MAX_CHECKS:
            self._core.send(_TOO_BUSY)
            return
        try:
            mailbox, hashed, serves = self._look_up(login)
        except LookupFailed as failure:
            log.error("login from %s: %s", self._client, failure)
            self._core.send(_TRY_LATER)
            return
        service.checks += 1

        def checked(right: bool) -> None:
            service.checks -= 1
            if not right or mailbox is None:
                log.info("login failed: %r from %s", login, self._client)
                self._core.send(_WRONG)
            elif not serves:
                self._core.send(_DISABLED)
            else:
                self._mailbox = mailbox
                self._core.send(PasswordAccepted())

        self._in_thread(service.hashing, lambda: verify(password, hashed), checked)

    def _look_up(self, login: str) -> tuple[Mailbox | None, str, bool]:
        """The mailbox of a login (None: there is none), the hash to check, whether its domain serves.

        Where there is no such login the hash is somebody else's, so that the answer takes as long.
        Raises LookupFailed.
        """
        directory = self.service.directory
        name, domain_name = _split_login(login, self._domain)
        domain = directory.find(domain_name) if domain_name else None
        if domain is not None and self._domain in (None, domain.name):
            account = domain.accounts.get(fold(name))
            entry = directory.password_of(domain.name, name) if account else None
            if account is not None and entry is not None:
                expired = entry.expires is not None and entry.expires * 86400 <= time.time()
                if entry.password and not (entry.locked or expired):
                    return Mailbox(domain.name, account.login), entry.password, not domain.definition.disabled
        there = self._domain or (domain.name if domain else "")
        return None, (directory.any_password(there) if there else "") or NOBODY, False

    def _open_maildrop(self) -> Maildrop | LoginRefused:
        assert self._mailbox is not None
        try:
            return self.service.messages.open_maildrop(self._mailbox)
        except MaildropBusy:
            return _IN_USE
        except StoreError as failure:
            log.error("%s: %s", self._mailbox, failure)
            return _NO_MAILBOX

    def _maildrop_opened(self, opened: Maildrop | LoginRefused) -> None:
        if isinstance(opened, LoginRefused):
            self._core.send(opened)
            return
        self._maildrop = opened
        self._core.send(MaildropOpened(opened.sizes, opened.uids))

    # -- messages

    def _read(self, index: int, lines: int | None) -> None:
        maildrop = self._maildrop
        assert maildrop is not None
        try:
            file = maildrop.open_message(index)
        except MessageGone:
            self._core.send(MessageUnreadable("this message has been removed meanwhile"))
            return
        except (StoreError, OSError) as failure:
            log.error("%s: %s", self._mailbox, failure)
            self._core.send(MessageUnreadable("cannot read this message now", ResponseCode.SYS_TEMP))
            return
        if maildrop.sizes[index] <= _WHOLE:
            with file:
                self._core.send(_read_whole(file, f"{self._mailbox}"))
            return
        self._file = file
        self._core.send(MessageStarted())
        self._send_more()

    def _send_more(self) -> None:
        """Send a large message as fast as the client takes it, a piece in memory at a time."""
        core, file = self._core, self._file
        assert file is not None
        while self._writable and core.content_wanted:
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
        if len(deleted) > _FEW:
            self._in_thread(self.service.disk, lambda: maildrop.delete(deleted), self._committed)
        else:
            self._committed(maildrop.delete(deleted) if deleted else 0)

    def _committed(self, failed: int) -> None:
        # Before the answer: a client that has read it may log in again at once.
        self._release()
        self._core.send(Committed(failed))


def _read_whole(file: BinaryIO, name: str) -> Answer:
    try:
        return WholeMessage(file.read())
    except OSError as failure:
        log.error("%s: %s", name, failure)
        return MessageUnreadable("cannot read this message now", ResponseCode.SYS_TEMP)


def local_host(name: object) -> str:
    """The address of a socket's name, as definitions spell it; empty for a socket that has none."""
    if isinstance(name, tuple) and name:
        host = str(name[0])
        return canonical_address(host.partition("%")[0]) if ":" in host else host
    return ""


def _split_login(login: str, domain: str | None) -> tuple[str, str]:
    """A login as (name, canonical domain); the domain is empty where neither login nor connection tells it."""
    name, mark, named = login.rpartition("@")
    if not mark:
        name, mark, named = login.rpartition("%")
    if not mark:
        return login, domain or ""
    try:
        return name, canonical_domain(named)
    except AddressError:
        return name, ""
