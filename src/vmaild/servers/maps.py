"""The socketmap server: a pump between an MTA's questions and `core.tables`.

Looking up takes a few stat(2) calls and is done in the event loop, as RCPT does it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field
from typing import cast

from vmaild.core.directory import Directory
from vmaild.core.tables import TABLES, Absent, Answer, CouldNotLook, Present
from vmaild.outcome import Condition
from vmaild.protocol.socketmap import Closed, Connection, Failed, Found, LookUp, NotFound, Reply
from vmaild.protocol.waits import Wait

log = logging.getLogger("vmaild.maps")

SILENCE = 3600.0
"""Seconds that an MTA may keep a connection without asking; Postfix keeps its own for as long as it likes."""


@dataclass(slots=True)
class MapService:
    """What all connections of a worker share."""

    directory: Directory
    sessions: set[MapSession] = field(default_factory=set)

    def __call__(self) -> MapSession:
        """The protocol of a new connection."""
        return MapSession(self)

    def log_out_the_silent(self) -> None:
        """Close what has been silent for too long; called every few seconds."""
        now = time.monotonic()
        for session in list(self.sessions):
            if now - session.active > SILENCE:
                session.close()

    def drain(self, *, now: bool) -> None:
        """No question takes longer than its answer: let go of everybody. MTAs connect again by themselves."""
        for session in list(self.sessions):
            session.close()

    def answer(self, asked: LookUp) -> Reply:
        """What the table says."""
        table = TABLES.get(asked.name)
        if table is None:
            log.error("an MTA asks for the table %.40r; there are %s", asked.name, ", ".join(TABLES))
            return Failed("no such table", for_good=True)
        try:
            return self._reply(table(self.directory, asked.key), asked)
        except Exception:
            log.exception("cannot look up %r", asked.key)
            return Failed(Condition.INTERNAL.text)

    @staticmethod
    def _reply(answer: Answer, asked: LookUp) -> Reply:
        match answer:
            case Present(value):
                return Found(value)
            case Absent():
                return NotFound()
            case CouldNotLook(reason, problem):
                log.warning("%s of %.300s: %s", asked.name, asked.key, problem)
                return Failed(reason.text)


class MapSession(asyncio.Protocol):
    """One connection."""

    def __init__(self, service: MapService) -> None:
        self._service = service
        self._core = Connection()
        self._transport: asyncio.Transport
        self._writable = True
        self.active = time.monotonic()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for questions."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by name
        self._service.sessions.add(self)

    def data_received(self, data: bytes) -> None:
        """Answer what is asked."""
        self.active = time.monotonic()
        self._core.receive_data(data)
        self._pump()

    def eof_received(self) -> bool:
        """Some clients (Exim's readsocket) say at once that they ask no more; they still read the answer."""
        self._core.receive_data(b"")
        self._pump()
        return True

    def pause_writing(self) -> None:
        """The MTA does not read our answers: hold nothing more for it."""
        self._writable = False
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on where pause_writing stopped."""
        self._writable = True
        self._transport.resume_reading()
        self._pump()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._service.sessions.discard(self)

    def close(self) -> None:
        """Hang up, after what is still to be sent."""
        self._transport.close()

    def _pump(self) -> None:
        while self._writable:
            match self._core.next_event():
                case LookUp() as asked:
                    self._core.send(self._service.answer(asked))
                case Closed(problem):
                    if problem:
                        log.warning("a client speaks no socketmap: %s", problem)
                    self._transport.write(self._core.data_to_send())
                    self._transport.close()
                    return
                case Wait.SEND_FIRST:
                    self._transport.write(self._core.data_to_send())
                case Wait():
                    self._transport.write(self._core.data_to_send())
                    return
