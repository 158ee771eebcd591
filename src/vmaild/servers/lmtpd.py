"""The LMTP server, and its SMTP dialect: pumps between a socket and the protocol core.

Recipients are decided in the event loop; a message is written to disk in a thread (see `writing`), and answered
only then. Where there is but one connection nobody else has to wait, so a small message is written at once. The
SMTP dialect serves trying things out: it listens on loopback unless the site says otherwise, and never relays.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import lru_cache
from typing import cast

from vmaild import __version__
from vmaild.core.directory import Glance
from vmaild.delivery.agent import Agent, Order
from vmaild.delivery.message import Attempt, Message
from vmaild.outcome import Condition, Deferred, Delivered, Outcome, Rejected
from vmaild.protocol.lmtp import (
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
)
from vmaild.protocol.lmtp_client import ONE_ANSWER
from vmaild.protocol.waits import Wait
from vmaild.servers.board import Metric, Row
from vmaild.servers.heard import Heard, heard
from vmaild.servers.writing import Letter, Writing
from vmaild.store.content import Content
from vmaild.store.messages import StoreFull

log = logging.getLogger("vmaild.lmtp")

_COUNTED: dict[type[Outcome], Metric] = {
    Delivered: Metric.DELIVERIES_DELIVERED,
    Deferred: Metric.DELIVERIES_DEFERRED,
    Rejected: Metric.DELIVERIES_REJECTED,
}

_FLUSHED = 0.01
"""Seconds after which the event loop has handed an answer to the system, or knows that nobody is there."""
_UNREAD = 1.0
"""Seconds between looks at an answer that the client does not read."""
_IDLE = 60.0
"""Seconds after which a client that is there, has an answer and says nothing more, has read it."""
_PARTING = 2.0
"""Seconds that a client is given to read our last answer, and to close."""
SILENCE = 300.0
"""Seconds a client may be silent (RFC 5321 4.5.3.2 asks for five minutes)."""


@dataclass(slots=True)
class LmtpService:
    """What all connections of a worker share."""

    agent: Agent
    disk: Executor
    outside: Executor
    """For messages that go elsewhere, too: a slow relay holds up only these."""
    incoming: str
    """The folder for messages too large for memory."""
    hostname: str
    max_size: int
    row: Row
    sessions: set[LmtpSession] = field(default_factory=set)
    writing: Writing = field(init=False)

    def __post_init__(self) -> None:
        self.writing = Writing(self.agent, self.disk, self.outside)

    def protocol(self, dialect: Dialect) -> Callable[[], LmtpSession]:
        """What makes the protocol of a new connection."""
        return lambda: LmtpSession(self, dialect)

    def log_out_the_silent(self) -> None:
        """Close what has been silent for too long; called every few seconds."""
        now = time.monotonic()
        for session in list(self.sessions):
            if now - session.active > SILENCE and not session.working:
                session.close("You have been silent for too long")

    def drain(self, *, now: bool) -> None:
        """Let no transaction begin; with `now` end those that are in progress, delivering nothing of them."""
        for session in list(self.sessions):
            if now or session.state in (State.START, State.IDLE):
                session.close("Service closing, try again later")


class LmtpSession(asyncio.Protocol):
    """One connection."""

    def __init__(self, service: LmtpService, dialect: Dialect) -> None:
        self._service = service
        self._dialect = dialect
        self._core = Connection(dialect, service.hostname, max_size=service.max_size)
        self._transport: asyncio.Transport
        self._client = "local"
        self._hello = Hello("unknown", dialect.value)
        self._sender = ""
        self._size = 0
        """What the sender has announced of the message (RFC 1870)."""
        self._orders: list[Order] = []
        self._glance: Glance | None = None
        """What was seen of the directory since the client was last heard."""
        self._content: Content | None = None
        self._failure: Outcome | None = None
        """Why the content could not be kept, when that was noticed while it came."""
        self._reading = self._writable = True
        self._unsettled: list[Attempt] = []
        """Messages whose answers were written, and may not have been heard."""
        self._gone = False
        """Whether the client has closed its side."""
        self._end = 0.0
        """When nothing is waited for any more, by the event loop's time; 0: we are not closing."""
        self.active = time.monotonic()
        self.working = False
        """Whether a thread is at work for this session."""

    @property
    def state(self) -> State:
        """Where the dialogue stands."""
        return self._core.state

    @property
    def _is_vdeliver(self) -> bool:
        return self._hello.name == ONE_ANSWER

    # -- what the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by name
        peer = transport.get_extra_info("peername")
        if isinstance(peer, tuple) and peer:
            self._client = str(peer[0])
        self._service.sessions.add(self)
        self._service.row.set(Metric.OPEN_DELIVERIES, len(self._service.sessions))
        self._transport.write(self._core.data_to_send())

    def data_received(self, data: bytes) -> None:
        """Take what the client said."""
        self.active = time.monotonic()
        self._settle(answered=True)  # the client goes on, so it has heard the answer
        self._core.receive_data(data)
        self._pump()

    def eof_received(self) -> bool:
        """The client has said all it will; it may still read the answers."""
        self._gone = True
        self._core.receive_data(b"")
        self._pump()
        return True

    def pause_writing(self) -> None:
        """The client does not read our answers: hold nothing more for it."""
        self._writable = False

    def resume_writing(self) -> None:
        """Go on where pause_writing stopped."""
        self._writable = True
        self._pump()

    def connection_lost(self, exc: Exception | None) -> None:
        """Drop what has not been answered; a thread at work finishes, and closes the content itself."""
        self._core.connection_lost()
        self._settle(answered=False)
        self._service.sessions.discard(self)
        self._service.row.set(Metric.OPEN_DELIVERIES, len(self._service.sessions))
        if not self.working:
            self._reset()

    def close(self, text: str) -> None:
        """End the dialogue from our side, unless a message is being written: its answer comes first."""
        if self.working:
            return
        self._core.close(text)
        if self._writable:
            self._pump()
        else:
            self._transport.abort()

    # -- inside

    def _pump(self) -> None:
        """Carry events out until there is none, then send what there is to say."""
        core, transport = self._core, self._transport
        self._glance = None
        while self._writable:
            event = core.next_event()
            if isinstance(event, Wait):
                data = core.data_to_send()
                if data:
                    transport.write(data)
                if event is not Wait.SEND_FIRST:
                    break
            elif isinstance(event, ConnectionClosed):
                data = core.data_to_send()
                if data:
                    transport.write(data)
                self._part()
                return
            else:
                self._carry_out(event)
        reading = core.data_wanted and self._writable
        if reading != self._reading and not transport.is_closing():
            self._reading = reading
            (transport.resume_reading if reading else transport.pause_reading)()

    def _carry_out(self, event: Event) -> None:
        match event:
            case Hello():
                self._hello = event
            case MailFrom(sender, size):
                self._reset()
                self._sender, self._size = sender, size
            case Recipient():
                outcome = self._accept(event)
                if not isinstance(outcome, Delivered):
                    self._count([outcome], 0)
                self._core.send(outcome)
            case DataStarted():
                self._content = Content(self._service.incoming)
                self._core.send(Ready())
            case ContentChunk(data):
                self._keep(lambda content: content.append(data))
            case ContentEnded():
                self._deliver()
            case TransactionReset():
                self._reset()

    def _reset(self) -> None:
        if self._content is not None:
            self._content.close()
        self._content, self._failure, self._orders, self._glance = None, None, [], None

    def _accept(self, event: Recipient) -> Outcome:
        try:
            self._glance = self._glance or self._service.agent.glance()
            outcome, order = self._service.agent.accept(event.address, self._size, self._glance)
        except Exception:
            log.exception("%s: cannot be routed", event.address)
            return Deferred(Condition.INTERNAL)
        if order is not None:
            self._orders.append(order)
        elif self._dialect is Dialect.SMTP and outcome.condition is Condition.NOT_LOCAL:
            return Rejected(Condition.NO_RELAY)
        return outcome

    def _keep(self, step: Callable[[Content], None]) -> None:
        """Take a step with the content; what fails is told when the content has ended."""
        if self._failure is not None or self._content is None:
            return
        try:
            step(self._content)
        except StoreFull as full:
            log.error("%s", full)
            self._failure = Deferred(Condition.SYSTEM_FULL)
        except Exception:  # whatever it is, the sender keeps the message and is answered
            log.exception("cannot keep a message")
            self._failure = Deferred(Condition.INTERNAL)
        if self._failure is not None:
            self._content.close()

    def _deliver(self) -> None:
        self._keep(Content.finish)
        content, orders = self._content, self._orders
        if self._failure is not None or content is None:
            failed: list[Outcome] = [self._failure or Deferred(Condition.INTERNAL)] * len(orders)
            self._count(failed, 0)
            self._core.send(failed)
            self._reset()
            return
        one_answer = self._dialect is Dialect.SMTP or self._is_vdeliver
        attempt = self._service.agent.attempt(one_answer=one_answer)
        message = Message(self._sender, self._trace(orders), content, attempt)
        letter = Letter(message, orders, lambda outcomes: self._delivered(message, outcomes))
        outcomes = self._service.writing.at_once(letter) if len(self._service.sessions) == 1 else None
        if outcomes is not None:
            self._answer(message, outcomes)
            return
        self.working = True
        self._service.writing.deliver(letter)

    def _delivered(self, message: Message, outcomes: list[Outcome]) -> None:
        """Go on, when a thread has delivered the message."""
        self.working = False
        self.active = time.monotonic()
        self._answer(message, outcomes)
        self._pump()

    def _answer(self, message: Message, outcomes: list[Outcome]) -> None:
        self._count(outcomes, message.content.size)
        self._core.send(outcomes)
        self._reset()
        if self._core.state is State.CLOSED:
            self._service.agent.abandoned(message.attempt)
            return
        self._unsettled.append(message.attempt)
        loop = asyncio.get_running_loop()
        loop.call_later(_FLUSHED, self._look, message.attempt, loop.time() + _IDLE)

    def _part(self) -> None:
        """Close, once it is known whether the client has heard our last answer."""
        if not self._unsettled:
            self._transport.close()
        elif not self._end:
            loop = asyncio.get_running_loop()
            self._end = loop.time() + _PARTING
            if self._transport.can_write_eof():
                self._transport.write_eof()
            self._look(self._unsettled[-1], self._end)

    def _look(self, attempt: Attempt, end: float) -> None:
        """Look whether the client has heard an answer, if that is not known yet; at its `end` that is given up."""
        if attempt not in self._unsettled:
            return
        loop = asyncio.get_running_loop()
        state = Heard.NOT_YET
        if not self._transport.get_write_buffer_size():
            state = heard(self._transport.get_extra_info("socket").fileno())
        over = loop.time() >= (self._end or end)
        # vdeliver says QUIT when its caller is about to know; killed before, it is called again.
        says_so = self._is_vdeliver
        # Over TCP its system may have it, and the client not yet: what it does next tells.
        last = self._gone or (over and not says_so)
        if state is Heard.NEVER or (over and self._end) or (state is Heard.YES and last):
            self._settle(answered=state is Heard.YES and not says_so)
            if self._end:
                self._transport.close()
        else:
            loop.call_later(_FLUSHED if self._end else _UNREAD, self._look, attempt, end)

    def _settle(self, *, answered: bool) -> None:
        """Note whether the client has got its answers."""
        attempts, self._unsettled = self._unsettled, []
        for attempt in attempts:
            (self._service.agent.answered if answered else self._service.agent.abandoned)(attempt)

    def _count(self, outcomes: list[Outcome], size: int) -> None:
        for outcome in outcomes:
            self._service.row.add(_COUNTED[type(outcome)])
            if isinstance(outcome, Delivered):
                self._service.row.add(Metric.OCTETS_DELIVERED, size)

    def _trace(self, orders: list[Order]) -> bytes:
        """The Received field (RFC 5321 4.4); recipients are named only where there is but one."""
        recipient = f"\n\tfor <{orders[0].recipient}>" if len(orders) == 1 else ""
        return (
            f"Received: from {self._hello.name} ({self._client})\n"
            f"\tby {self._service.hostname} (vmaild {__version__}) with {self._hello.protocol}{recipient};\n"
            f"\t{_date(int(time.time()))}\n"
        ).encode("utf-8", "surrogateescape")


@lru_cache(maxsize=2)
def _date(seconds: int) -> str:
    """The time of day as header fields spell it (RFC 5322 3.3); put together once in a second."""
    return formatdate(seconds, localtime=True)
