"""Failed logins are slowed, then refused, and open connections counted, across all worker processes.

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
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from struct import Struct
from typing import Any

from vmaild.core.site import AuthSettings, is_among

Buffer = Any
"""Writable memory: an mmap, a bytearray; collections.abc.Buffer came with Python 3.12."""

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
class _Record:
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


_WAYS = 8
_KEYS = Struct(f"={_WAYS}Q")
_KEY = Struct("=Q")
_RECORD = Struct("=dddQ")
_BUCKET = _KEYS.size + _WAYS * _RECORD.size


class Slots:
    """A table of records in shared memory, of fixed size: buckets of eight slots, found by a key of 64 bits.

    Where a bucket is full, the record of least worth makes room; so the many names that somebody tries once do
    not wash away what is known of the one that is tried often.

    There is no lock, because what two workers can do to each other at the same instant is bearable. Both count a
    failure of one key: one of the two is lost. Both take a slot for a new key: one of the two is lost. One counts
    in a slot that the other takes: the new key may inherit a record. Each needs two events within a microsecond,
    where a failure costs some 25 ms of hashing; the last also a slot that was both the least worth and just in
    use. A key is written after its record, so a reader never sees a record that is not of its key. A worker that
    is killed leaves at worst a free slot.
    """

    __slots__ = ("_buckets", "_hash", "_memory")

    def __init__(self, memory: Buffer, secret: bytes) -> None:
        self._memory = memory
        self._buckets = len(memory) // _BUCKET
        self._hash = blake2b(key=secret, digest_size=8)

    @classmethod
    def create(cls, slots: int = 1 << 17) -> Slots:
        """A table that processes forked from this one share: 40 bytes a slot, used as they fill."""
        return cls(mmap.mmap(-1, max(1, slots // _WAYS) * _BUCKET), os.urandom(32))

    def key(self, kind: bytes, *parts: bytes) -> int:
        """The key of something, which nobody can foresee: else one could choose names that push out others."""
        keyed = self._hash.copy()
        # Each with its length, so that no two lists of parts read the same.
        keyed.update(kind + b"".join(len(part).to_bytes(4, "little") + part for part in parts))
        return int.from_bytes(keyed.digest(), "little") or 1

    def find(self, key: int) -> _Record | None:
        """What is known."""
        start = key % self._buckets * _BUCKET
        keys = _KEYS.unpack_from(self._memory, start)
        return self._record(start, keys.index(key)) if key in keys else None

    def put(self, key: int, record: _Record, now: float, half_life: float) -> None:
        """Note what is known."""
        start = key % self._buckets * _BUCKET
        keys = _KEYS.unpack_from(self._memory, start)
        if key in keys:
            self._write(start, keys.index(key), record)
            return
        if 0 in keys:
            place = keys.index(0)
        else:
            worths = [self._record(start, place).worth(now, half_life) for place in range(_WAYS)]
            place = worths.index(min(worths))
        _KEY.pack_into(self._memory, start + place * _KEY.size, 0)
        self._write(start, place, record)
        _KEY.pack_into(self._memory, start + place * _KEY.size, key)

    def _record(self, start: int, place: int) -> _Record:
        return _Record(*_RECORD.unpack_from(self._memory, start + _KEYS.size + place * _RECORD.size))

    def _write(self, start: int, place: int, record: _Record) -> None:
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
    """Who may try to log in, and when. `domain` is canonical or empty, `login` folded, without the domain."""

    slots: Slots
    policy: AuthSettings = AuthSettings()

    def verdict(self, address: str, domain: str, login: str, now: float) -> Verdict:
        """What becomes of a login before its password is looked at; ask again after a delay."""
        return verdict(self.standing(address, domain, login, now), self.policy)

    def standing(self, address: str, domain: str, login: str, now: float) -> Standing:
        """What there is against a login; the network counts only where nothing speaks for the pair."""
        find, half_life = self.slots.find, float(self.policy.half_life)
        network, account, pair = self._keys(address, domain, login)
        record = find(pair)
        failures = record.failures_at(now, half_life) if record else 0.0
        if record and record.good and now - record.good < KNOWN_FOR:
            return Standing(pair=failures, known=True)
        of_network, of_account = None if self.trusts(address) else find(network), find(account)
        return Standing(
            of_network.failures_at(now, half_life) if of_network else 0.0,
            of_account.failures_at(now, half_life) if of_account else 0.0,
            failures,
        )

    def failed(self, address: str, domain: str, login: str, password: bytes, now: float) -> None:
        """Count a login with a wrong password, or of an account that does not exist; not one that was refused."""
        network, account, pair = self._keys(address, domain, login)
        guess = self.slots.key(b"g", pair.to_bytes(8, "little"), password)
        record = self.slots.find(pair)
        repeated = record is not None and record.guess == guess
        self._count(pair, now, guess)
        if not repeated:
            self._count(account, now, 0)
            if not self.trusts(address):
                self._count(network, now, 0)

    def succeeded(self, address: str, domain: str, login: str, now: float) -> None:
        """Note a good login: the pair is known from now on, its own failures are forgotten.

        Those of network and account only fade: who has one account there must not win guesses at others with it.
        """
        _, account, pair = self._keys(address, domain, login)
        record = self.slots.find(pair)
        if record is None or record.failures or now - record.good > _REFRESH:
            self.slots.put(pair, _Record(good=now), now, float(self.policy.half_life))
        if self.policy.login_delay:
            record = self.slots.find(account) or _Record()
            record.good = now
            self.slots.put(account, record, now, float(self.policy.half_life))

    def too_soon(self, domain: str, login: str, now: float) -> bool:
        """Whether the account logged in less than `login_delay` seconds ago (RFC 2449 section 6.5)."""
        if not self.policy.login_delay:
            return False
        record = self.slots.find(self._account(domain, login))
        return record is not None and bool(record.good) and now - record.good < self.policy.login_delay

    def trusts(self, address: str) -> bool:
        """Whether many people stand behind the address by the site's own doing, such as those of a webmail."""
        return is_among(address, self.policy.trusted)
