"""The board: what the workers count, and who is connected, in memory that they share.

Each worker has a row of its own: its counters and gauges, and a table of its sessions. Only the owner writes
there, so there are no locks; whoever reads (the metrics, the live view) adds the rows up, and at worst sees a
session while it is being written down. The board is made before the workers are forked. A worker that ended
leaves its row to the next one, and the counters go on from there.

Count in the event loop only: two threads of a worker would lose counts.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum, auto, unique
from struct import Struct

from vmaild.protocol.pop3 import CloseReason


@unique
class Metric(IntEnum):
    """What is counted; its value is its place in the row. See `GAUGES` for those that go up and down."""

    SESSIONS_OPENED = 0
    CONNECTIONS_REFUSED = auto()
    """Too many of one address."""
    LOGINS_GOOD = auto()
    LOGINS_FAILED = auto()
    """Wrong password, or no such account."""
    LOGINS_THROTTLED = auto()
    """Refused unseen: too many failures before."""
    LOGINS_DEFERRED = auto()
    """Right or unknown, but could not be served: mailbox in use, lookup failed, too busy."""
    LOGINS_REMEMBERED = auto()
    """Those of the good ones that needed no hash."""
    MESSAGES_RETRIEVED = auto()
    """RETR and TOP."""
    OCTETS_SENT = auto()
    """Of such messages."""
    MESSAGES_DELETED = auto()
    CLOSED_QUIT = auto()
    CLOSED_BY_CLIENT = auto()
    CLOSED_BAD_COMMANDS = auto()
    CLOSED_REFUSED_LOGINS = auto()
    CLOSED_BROKEN_MESSAGE = auto()
    CLOSED_SILENT = auto()
    """Autologout."""
    CLOSED_BY_SERVER = auto()
    DELIVERIES_DELIVERED = auto()
    """Recipients, each with an answer of its own."""
    DELIVERIES_DEFERRED = auto()
    DELIVERIES_REJECTED = auto()
    OCTETS_DELIVERED = auto()
    """Size of the message, once for each recipient delivered to."""
    OPEN_SESSIONS = auto()
    OPEN_DELIVERIES = auto()
    """Connections of LMTP and SMTP."""
    HASHING = auto()
    """Passwords being checked or waiting for it."""


GAUGES = frozenset({Metric.OPEN_SESSIONS, Metric.OPEN_DELIVERIES, Metric.HASHING})
"""Set rather than counted; they end with their worker."""

CLOSED: Mapping[CloseReason, Metric] = {
    CloseReason.QUIT: Metric.CLOSED_QUIT,
    CloseReason.PEER_CLOSED: Metric.CLOSED_BY_CLIENT,
    CloseReason.BAD_COMMANDS: Metric.CLOSED_BAD_COMMANDS,
    CloseReason.REFUSED_LOGINS: Metric.CLOSED_REFUSED_LOGINS,
    CloseReason.BROKEN_MESSAGE: Metric.CLOSED_BROKEN_MESSAGE,
    CloseReason.CLOSED_BY_US: Metric.CLOSED_BY_SERVER,
}
"""What a session that ended counts as."""


class Phase(IntEnum):
    """How far a session is."""

    LOGIN = 1
    """Connected; who it is, is not known yet."""
    MAILDROP = 2
    """Logged in."""


@dataclass(frozen=True, slots=True)
class LiveSession:
    """A session as the board shows it."""

    phase: Phase
    since: float
    """Seconds since the epoch."""
    tls: bool
    messages: int
    """Retrieved until now."""
    octets: int
    """Sent of them."""
    address: str
    """Of the client."""
    domain: str
    """Empty: not settled yet."""
    login: str
    """Empty: not logged in."""


_WORD = 8
_HEAD = Struct("qd48x")
"""Before the rows: how many have ever been used, and since when the board counts."""
_METRICS = 512
"""Octets of a row's counters and gauges: some to spare, and no cache line that two workers write."""
_SLOT = Struct("qqqqd48s104s64s")
"""A session: phase, TLS, messages, octets, since, address, domain, login. What is longer is cut."""
_TLS, _MESSAGES, _OCTETS = 1, 2, 3
_NAMES = Struct("104s64s")
_NAMES_AT = _SLOT.size - _NAMES.size
_WORDS = _SLOT.size // _WORD
_START = _METRICS // _WORD
"""Of the sessions. Number 0 is nobody's: all those share it that find no other, and it is never read."""
_HIGHEST = _START - 1
"""The word with the highest number that a session of the row has had: what is above need not be read."""


class Row:
    """One worker's part of the board, for its event loop."""

    __slots__ = ("_free", "_memory", "_next", "_sessions", "_words")

    def __init__(self, memory: memoryview, sessions: int) -> None:
        self._memory = memory
        self._words = memory.cast("q")
        self._free: list[int] = []
        """Numbers that sessions have had; those above the highest were never needed."""
        self._next = 1
        self._sessions = sessions

    def add(self, metric: Metric, number: int = 1) -> None:
        """Count something."""
        self._words[metric] += number

    def set(self, metric: Metric, value: int) -> None:
        """Say what a gauge stands at."""
        self._words[metric] = value

    def enter(self, address: str, domain: str, now: float, *, tls: bool = False) -> int:
        """Note a new session (`now`: seconds since the epoch); the number by which it is told from now on."""
        self._words[Metric.SESSIONS_OPENED] += 1
        self._words[Metric.OPEN_SESSIONS] += 1
        session = self._number()
        self._words[_HIGHEST] = max(self._words[_HIGHEST], session)
        offset = _METRICS + session * _SLOT.size
        _SLOT.pack_into(self._memory, offset, 0, tls, 0, 0, now, _octets(address), _octets(domain), b"")
        self._words[offset // _WORD] = Phase.LOGIN  # last: now it is all there to be read
        return session

    def _number(self) -> int:
        """A number that no session has; 0 where there is none."""
        if self._free:
            return self._free.pop()
        if self._next > self._sessions:
            return 0
        self._next += 1
        return self._next - 1

    def secure(self, session: int, domain: str) -> None:
        """Note that a session, not logged in yet, speaks TLS from now on; and the domain that its name settled."""
        self._words[_START + session * _WORDS + _TLS] = True
        _NAMES.pack_into(self._memory, _METRICS + session * _SLOT.size + _NAMES_AT, _octets(domain), b"")

    def log_in(self, session: int, domain: str, login: str) -> None:
        """Note whose session it is. Count LOGINS_GOOD apart: in the moment that the password was found right."""
        offset = _METRICS + session * _SLOT.size
        _NAMES.pack_into(self._memory, offset + _NAMES_AT, _octets(domain), _octets(login))
        self._words[offset // _WORD] = Phase.MAILDROP

    def retrieve(self, session: int, octets: int) -> None:
        """Note a message sent."""
        words, start = self._words, _START + session * _WORDS
        words[Metric.MESSAGES_RETRIEVED] += 1
        words[Metric.OCTETS_SENT] += octets
        words[start + _MESSAGES] += 1
        words[start + _OCTETS] += octets

    def leave(self, session: int, why: Metric) -> None:
        """Note the end of a session; `why` is one of the CLOSED metrics."""
        self._words[why] += 1
        self._words[Metric.OPEN_SESSIONS] -= 1
        self._words[_START + session * _WORDS] = 0
        if session:
            self._free.append(session)


class Board:
    """All rows."""

    __slots__ = ("_memory", "_row", "_sessions", "_used", "rows")

    def __init__(self, memory: mmap.mmap | bytearray, rows: int, sessions: int) -> None:
        self._memory = memoryview(memory)
        self._used = self._memory[:_WORD].cast("q")
        self._sessions = sessions
        self._row = _METRICS + (sessions + 1) * _SLOT.size
        self.rows = rows

    @classmethod
    def create(cls, rows: int, now: float, sessions: int = 4096) -> Board:
        """For as many workers at the same time, forked from this process, and so many sessions shown of each.

        It counts from `now` on (seconds since the epoch).
        A row takes 256 octets for each session, but memory only for as many as there have been at once.
        """
        memory = mmap.mmap(-1, _HEAD.size + rows * (_METRICS + (sessions + 1) * _SLOT.size))
        _HEAD.pack_into(memory, 0, 0, now)
        return cls(memory, rows, sessions)

    @property
    def started(self) -> float:
        """Since when it counts, in seconds since the epoch."""
        since: float = _HEAD.unpack_from(self._memory)[1]
        return since

    def clear(self, row: int) -> None:
        """Take gauges and sessions from a row, but no counter: before a worker gets it, and after one died."""
        words = self._of(row).cast("q")
        for gauge in GAUGES:
            words[gauge] = 0
        for session in range(words[_HIGHEST] + 1):
            words[_START + session * _WORDS] = 0
        self._used[0] = max(self._used[0], row + 1)

    def row(self, number: int) -> Row:
        """A worker's row, for this worker; the supervisor has cleared it."""
        return Row(self._of(number), self._sessions)

    def totals(self) -> dict[Metric, int]:
        """All metrics, over all workers since the board was made."""
        rows = [self._of(row).cast("q") for row in range(self._used[0])]
        return {metric: sum(words[metric] for words in rows) for metric in Metric}

    def sessions(self) -> Iterator[LiveSession]:
        """The sessions of all workers, as far as there was room to note them."""
        for row in range(self._used[0]):
            memory = self._of(row)
            words = memory.cast("q")
            for start in range(_START + _WORDS, _START + (words[_HIGHEST] + 1) * _WORDS, _WORDS):
                session = _session(_SLOT.unpack_from(memory, start * _WORD)) if words[start] else None
                if session is not None:
                    yield session

    def _of(self, row: int) -> memoryview:
        start = _HEAD.size + row * self._row
        return self._memory[start : start + self._row]


def _session(fields: tuple[int, int, int, int, float, bytes, bytes, bytes]) -> LiveSession | None:
    """The session of a slot; None where it ended meanwhile."""
    phase, tls, messages, octets, since, address, domain, login = fields
    if not phase:
        return None
    return LiveSession(
        Phase(phase), since, bool(tls), messages, octets, _text(address), _text(domain), _text(login)
    )


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")


def _text(octets: bytes) -> str:
    # Cut in the middle of a character, or being written just now: what can be read of it will do.
    return octets.rstrip(b"\0").decode("utf-8", "replace")
