"""Verified passwords, remembered: who polls every minute costs one hash an hour.

Kept is a keyed hash of the password and of the shadow hash that it was verified against, with a key that never
leaves this process: never the password, and nothing that is of use in another process. A new password, or a
shadow entry that was locked or removed, differs in its shadow hash, so what was remembered of the old one is no
longer known.
"""

from __future__ import annotations

import hmac
import os
import time
from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b

_DIGEST = 16
"""Octets: nobody can try passwords against it without the key, so it need not be slow, nor long."""


class VerifiedPasswords:
    """The passwords that were last verified: at most `limit` (0: none), each for `age` seconds (None: always).

    Not for use by several threads at once.
    """

    __slots__ = ("_age", "_clock", "_key", "_limit", "_verified")

    def __init__(
        self, limit: int = 100_000, age: float | None = 3600.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._key = os.urandom(32)
        self._limit = limit
        self._age = age
        self._clock = clock
        self._verified: OrderedDict[tuple[str, str], tuple[bytes, float]] = OrderedDict()

    def __repr__(self) -> str:
        return f"<VerifiedPasswords: {len(self)} of at most {self._limit}>"

    def __len__(self) -> int:
        return len(self._verified)

    def knows(self, domain: str, login: str, password: bytes, hashed: str) -> bool:
        """Whether this password was verified against `hashed` lately; if not, that says nothing about it.

        `domain` is canonical, `login` as the passwd file has it, `hashed` what shadow(5) says now.
        """
        name = (domain, login)
        known = self._verified.get(name)
        if known is None:
            return False
        digest, until = known
        if until < self._clock():
            del self._verified[name]
            return False
        if not hmac.compare_digest(digest, self._digest(password, hashed)):
            return False
        self._verified.move_to_end(name)
        return True

    def remember(self, domain: str, login: str, password: bytes, hashed: str) -> None:
        """Note that the password was verified against `hashed`, instead of what was known of this login."""
        until = float("inf") if self._age is None else self._clock() + self._age
        self._verified[domain, login] = (self._digest(password, hashed), until)
        self._verified.move_to_end((domain, login))
        if len(self._verified) > self._limit:
            self._verified.popitem(last=False)

    def forget(self, domain: str, login: str) -> None:
        """Know nothing of this login any more."""
        self._verified.pop((domain, login), None)

    def _digest(self, password: bytes, hashed: str) -> bytes:
        # No shadow hash contains a NUL, so where it ends is clear.
        text = hashed.encode("utf-8", "surrogatepass") + b"\0" + password
        return blake2b(text, key=self._key, digest_size=_DIGEST).digest()
