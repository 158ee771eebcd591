"""Failed logins are slowed, then refused, across all worker processes.

Failures are counted for the client's network, for the account, and for the pair of both. The more there were, the
longer the next login waits before its password is looked at; beyond a limit it is not looked at any more. All of
that happens before the check and for right passwords as for wrong ones, so that it tells nobody which it was; and
accounts that do not exist are counted as those that do. Failures fade: half of them are forgotten in every
half-life, so nobody is shut out for good.

A pair with a good login in the last days is judged by its own failures alone: neither guesses from all over the
world at an account, nor a neighbour behind the same address, shut out who logs in there every day. A wrong
password that is tried again and again, as by a telephone that does not know the new one, counts once for the
network and the account: it is no new guess.

The memory is shared: made before the fork, used by every worker, the same secret in all of them. In it are keyed
hashes only. Times are those of time.monotonic(), which all processes of a machine share.
"""

from __future__ import annotations

import mmap
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from struct import Struct

from vmaild.core.site import AuthSettings, is_among

Memory = mmap.mmap | bytearray | memoryview
"""What is written to; an anonymous mmap is shared with the processes forked later."""

KNOWN_FOR = 7 * 86400.0
"""Seconds after a good login in which a pair of network and account is judged by itself."""
_REFRESH = 60.0
"""Seconds in which a good login after a good login need not be written down."""
_DAY = 86400.0


# -- the decision, pure


@dataclass(frozen=True, slots=True)
class Standing:
    """Failures as they count now, and whether this account logged in well from this network lately."""

    network: float = 0.0
    account: float = 0.0
    pair: float = 0.0
    known: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a login before its password is looked at."""

    delay: float = 0.0
    """Seconds to wait first."""
    refused: bool = False
    """Do not look at all: "too many failed logins, try again later", [SYS/TEMP] (RFC 3206 section 4: not the
    fault of the credentials, so no client asks its user for others)."""


GO_AHEAD = Verdict()


def verdict(standing: Standing, policy: AuthSettings) -> Verdict:
    """What becomes of a login of this standing."""
    if standing.known:
        failures = round(standing.pair)
        refused = failures >= policy.max_failures_per_account
    else:
        network, account = round(standing.network), round(max(standing.account, standing.pair))
        failures = max(network, account)
        refused = network >= policy.max_failures_per_address or account >= policy.max_failures_per_account
    if refused:
        return Verdict(refused=True)
    if failures < policy.free_failures:
        return GO_AHEAD
    # 1, 2, 4, ... seconds; the exponent is bounded because a limit may be set to anything.
    return Verdict(min(float(1 << min(failures - policy.free_failures, 30)), float(policy.max_delay)))


# -- the failures, in shared memory


@dataclass(slots=True)
class Record:
    """What is known of one network, account or pair."""

    failures: float = 0.0
    """As they counted at `stamp`."""
    stamp: float = 0.0
    good: float = 0.0
    """When a login last went well; 0: not that we know."""
    guess: int = 0
    """Keyed hash of the last wrong password."""

    def failures_at(self, now: float, half_life: float) -> float:
        """How much the failures count now."""
        return self.failures * 0.5 ** ((now - self.stamp) / half_life) if self.failures else 0.0

    def worth(self, now: float, half_life: float) -> float:
        """How much is lost with it: a good login counts as two failures, a day later as one."""
        return self.failures_at(now, half_life) + (2.0 * 0.5 ** ((now - self.good) / _DAY) if self.good else 0.0)


_KEYS_AT_HAND = 1024
"""Each takes half a kilobyte; to make one takes a few microseconds."""
_WAYS = 8
# Native format: the processor writes each word of eight octets in one go.
_KEYS = Struct(f"{_WAYS}Q")
_KEY = Struct("Q")
_RECORD = Struct("dddQ")
_BUCKET = _KEYS.size + _WAYS * _RECORD.size


class Slots:
    """A table of records in shared memory, of fixed size: buckets of eight slots, found by a key of 64 bits.

    Its front, a ninth of it, is filled first: memory that was never used costs nothing, and the few thousand
    records of most sites would be spread over all of it. A key is looked for behind only where its bucket in the
    front is full, and that stays full: in the front nothing makes room. Behind, the record of least worth does; so
    the many names that somebody tries once do not wash away what is known of the one that is tried often.

    There is no lock, because what two workers can do to each other at the same instant is bearable. Both count a
    failure of one key: one of the two is lost. Both take a slot for a new key: one of the two is lost. One counts
    in a slot that the other takes, or reads it then: a key may get the record of another. Each needs two events
    within microseconds, where a failure costs some 25 ms of hashing; the last also a slot that was both the least
    worth and just in use. Words are written whole, and a key before its record is gone and after it is there, so
    a worker that is killed leaves at worst a free slot.
    """

    __slots__ = ("_behind", "_front", "_hash", "_memory", "key")

    def __init__(self, memory: Memory, secret: bytes, front: int = 0) -> None:
        """`front`: how many buckets of the memory are in the front."""
        self._memory = memory
        self._front = front
        self._behind = len(memory) // _BUCKET - front
        self._hash = blake2b(key=secret, digest_size=8)
        self.key = lru_cache(_KEYS_AT_HAND)(self.secret_key)
        """As secret_key, at once for what was asked before; not for what must not stay in memory."""

    @classmethod
    def create(cls, slots: int = 1 << 17) -> Slots:
        """A table that processes forked from this one share: 40 bytes a slot, used as they fill."""
        behind = max(1, slots // _WAYS)
        front = behind // 8
        return cls(mmap.mmap(-1, (front + behind) * _BUCKET), os.urandom(32), front)

    def secret_key(self, kind: bytes, *parts: bytes) -> int:
        """The key of something, which nobody can foresee: else one could choose names that push out others."""
        keyed = self._hash.copy()
        keyed.update(kind)
        for part in parts:  # each with its length, so that no two lists of parts read the same
            keyed.update(b"%d:" % len(part) + part)
        return int.from_bytes(keyed.digest(), "little") or 1

    def find(self, key: int) -> Record | None:
        """What is known."""
        for start in self._starts(key):
            keys = _KEYS.unpack_from(self._memory, start)
            if key in keys:
                return self._record(start, keys.index(key))
            if 0 in keys:
                break
        return None

    def put(self, key: int, record: Record, now: float, half_life: float) -> None:
        """Note what is known."""
        start = place = 0
        for start in self._starts(key):
            keys = _KEYS.unpack_from(self._memory, start)
            if key in keys:
                self._write(start, keys.index(key), record)
                return
            if 0 in keys:
                place = keys.index(0)
                break
        else:
            worths = [self._record(start, place).worth(now, half_life) for place in range(_WAYS)]
            place = worths.index(min(worths))
        _KEY.pack_into(self._memory, start + place * _KEY.size, 0)
        self._write(start, place, record)
        _KEY.pack_into(self._memory, start + place * _KEY.size, key)

    def _starts(self, key: int) -> Iterator[int]:
        """Where the buckets of a key begin: one in the front, and one behind."""
        if self._front:
            yield (key >> 32) % self._front * _BUCKET
        yield (self._front + key % self._behind) * _BUCKET

    def _record(self, start: int, place: int) -> Record:
        return Record(*_RECORD.unpack_from(self._memory, start + _KEYS.size + place * _RECORD.size))

    def _write(self, start: int, place: int, record: Record) -> None:
        offset = start + _KEYS.size + place * _RECORD.size
        _RECORD.pack_into(self._memory, offset, record.failures, record.stamp, record.good, record.guess)


@lru_cache(4096)
def network_of(address: str) -> bytes:
    """Who stands behind an address: IPv4 one address, IPv6 a /64, which is what one customer has at least."""
    try:
        if ":" not in address:
            return socket.inet_pton(socket.AF_INET, address)
        packed = socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
    except OSError:
        return address.encode("utf-8", "surrogatepass")  # a socket with a path: everybody behind it is one
    return packed[12:] if packed.startswith(b"\0" * 10 + b"\xff\xff") else packed[:8]


@dataclass(frozen=True, slots=True)
class Throttle:
    """Who may try to log in, and when. `domain` is canonical or empty, `login` folded and without its domain."""

    slots: Slots
    policy: AuthSettings

    def verdict(self, address: str, domain: str, login: str, now: float) -> Verdict:
        """What becomes of a login before its password is looked at; ask again after a delay."""
        pair = self.slots.find(self._pair(address, domain, login))
        if pair is not None and pair.good and not pair.failures and now - pair.good < KNOWN_FOR:
            return GO_AHEAD  # who polls every minute, at the least cost
        return verdict(self.standing(address, domain, login, now), self.policy)

    def standing(self, address: str, domain: str, login: str, now: float) -> Standing:
        """What there is against a login."""
        pair = self.slots.find(self._pair(address, domain, login))
        failures = self._failures(pair, now)
        if pair is not None and pair.good and now - pair.good < KNOWN_FOR:
            return Standing(pair=failures, known=True)
        network = None if self.trusts(address) else self.slots.find(self._network(address))
        account = self.slots.find(self._account(domain, login))
        return Standing(self._failures(network, now), self._failures(account, now), failures)

    def failed(self, address: str, domain: str, login: str, password: bytes, now: float) -> None:
        """Count a wrong password, also of an account that does not exist; not a login that was refused."""
        pair = self._pair(address, domain, login)
        guess = self.slots.secret_key(b"guess", pair.to_bytes(8, "little"), password)
        before = self._count(pair, now, guess)
        if before != guess:
            self._count(self._account(domain, login), now)
            if not self.trusts(address):
                self._count(self._network(address), now)

    def succeeded(self, address: str, domain: str, login: str, now: float) -> None:
        """Note a right password: the pair is known from now on, and its own failures are forgotten.

        Those of network and account only fade: who has one account must not win guesses at others with it.
        """
        key = self._pair(address, domain, login)
        pair = self.slots.find(key)
        if pair is None or pair.failures or now - pair.good > _REFRESH:
            self._put(key, Record(good=now), now)

    def logged_in(self, domain: str, login: str, now: float) -> None:
        """Note when an account logged in, for last_login: only where the site asks for a delay between logins."""
        key = self._account(domain, login)
        record = self.slots.find(key) or Record()
        record.good = now
        self._put(key, record, now)

    def last_login(self, domain: str, login: str) -> float | None:
        """When an account last logged in, as logged_in was told (for LOGIN-DELAY, RFC 2449 section 6.5)."""
        record = self.slots.find(self._account(domain, login))
        return record.good if record is not None and record.good else None

    def trusts(self, address: str) -> bool:
        """Whether many people stand behind an address by the site's own doing, such as those of a webmail."""
        return not address or is_among(address, self.policy.trusted)

    def _count(self, key: int, now: float, guess: int = 0) -> int:
        """Count one failure; the guess that was noted with the last one."""
        record = self.slots.find(key) or Record()
        before = record.guess
        self._put(key, Record(self._failures(record, now) + 1, now, record.good, guess), now)
        return before

    def _failures(self, record: Record | None, now: float) -> float:
        return record.failures_at(now, float(self.policy.half_life)) if record else 0.0

    def _put(self, key: int, record: Record, now: float) -> None:
        self.slots.put(key, record, now, float(self.policy.half_life))

    def _network(self, address: str) -> int:
        return self.slots.key(b"network", network_of(address))

    def _account(self, domain: str, login: str) -> int:
        return self.slots.key(b"account", _octets(domain), _octets(login))

    def _pair(self, address: str, domain: str, login: str) -> int:
        return self.slots.key(b"pair", network_of(address), _octets(domain), _octets(login))


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
