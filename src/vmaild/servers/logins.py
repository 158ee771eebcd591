"""Who may log in: looks a login up, checks its password off the event loop, counts failures.

Unknown user, wrong password, wrong domain: all of them verify some hash and end in the same refusal. A password
that was verified lately is recognised without a hash.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from vmaild.auth.cache import VerifiedPasswords
from vmaild.auth.candidate import Candidate, candidate, split_login
from vmaild.auth.passwords import verify
from vmaild.auth.throttle import Throttle
from vmaild.core.directory import LookupFailed
from vmaild.protocol.pop3_events import LoginRefused, ResponseCode
from vmaild.servers.board import Metric, Row
from vmaild.store.directory import DirectoryStore
from vmaild.store.messages import Mailbox

log = logging.getLogger("vmaild.login")

MAX_CHECKS = 256
"""Passwords waiting to be checked; beyond it a client is told to come again."""
_NICE = 10
"""What hashing adds to its nice value: next to an event loop that has work, it gets a tenth of a core."""

WRONG = LoginRefused(ResponseCode.AUTH, "wrong login or password")
TRY_LATER = LoginRefused(ResponseCode.SYS_TEMP, "cannot look you up now, try again later")
TOO_BUSY = LoginRefused(ResponseCode.SYS_TEMP, "too many logins at the moment, try again later")
TOO_MANY_FAILURES = LoginRefused(ResponseCode.SYS_TEMP, "too many failed logins, try again later")
TOO_SOON = LoginRefused(ResponseCode.LOGIN_DELAY, "you have logged in just now, try again later")
DISABLED = LoginRefused(ResponseCode.SYS_TEMP, "this domain is not in service now")
NEEDS_TLS = LoginRefused(ResponseCode.SYS_PERM, "this domain takes passwords under TLS only")

Done = Callable[[Mailbox | LoginRefused], None]


@dataclass(frozen=True, slots=True)
class Attempt:
    """Someone who wants to log in."""

    login: str
    """As sent: bare, or with its domain behind `@` or `%`."""
    password: bytes = field(repr=False)
    domain: str | None
    """That the connection is for (canonical); None: the login has to tell."""
    client: str
    """Address, empty for a local socket."""
    private: bool
    """Whether nobody can listen in: TLS, or loopback."""
    wanted: Callable[[], bool] = lambda: True
    """Whether anybody still waits for the answer."""


@dataclass(slots=True)
class Logins:
    """The logins of one worker. For one thread: results come in the event loop."""

    directory: DirectoryStore
    hashing: Executor
    """Few threads: a hash keeps a core busy."""
    throttle: Throttle
    row: Row
    cache: VerifiedPasswords | None = None
    delay: int = 0
    """Seconds between two logins of an account (RFC 2449 section 6.5)."""
    checks: int = 0

    def check(self, attempt: Attempt, done: Done) -> bool:
        """Settle an attempt, and tell `done`; whether it was told at once.

        Else it is told later, from the event loop.
        """
        return self._try(attempt, done, delayed=False)

    def in_clear(self, login: str) -> bool:
        """Whether the domain that a login names takes passwords in clear, or the login itself is to fail."""
        _, named = split_login(login.strip(" "), None)
        try:
            domain = self.directory.find(named) if named else None
        except LookupFailed:
            return True
        return domain is None or domain.definition.plain_logins

    def _try(self, attempt: Attempt, done: Done, *, delayed: bool) -> bool:
        try:
            meant = candidate(self.directory, attempt.login, attempt.domain, time.time())
        except LookupFailed as failure:
            log.error("login from %s: %s", attempt.client, failure)
            return self._refuse(done, TRY_LATER, Metric.LOGINS_DEFERRED)
        ours = meant.domain is not None and attempt.domain in (None, meant.domain.name)  # another is not told of
        if meant.domain is not None and ours and not (attempt.private or meant.domain.definition.plain_logins):
            return self._refuse(done, NEEDS_TLS, Metric.LOGINS_DEFERRED)
        verdict = self.throttle.verdict(attempt.client, meant.domain_name, meant.key, time.monotonic())
        if verdict.refused:
            log.warning("login refused after many failures: %r from %s", attempt.login, attempt.client)
            return self._refuse(done, TOO_MANY_FAILURES, Metric.LOGINS_THROTTLED)
        if verdict.delay and not delayed:
            # Asked again afterwards: others may have failed meanwhile, and the password may have changed.
            loop = asyncio.get_running_loop()
            loop.call_later(verdict.delay, lambda: attempt.wanted() and self._try(attempt, done, delayed=True))
            return False
        return self._verify(attempt, meant, done)

    def _verify(self, attempt: Attempt, meant: Candidate, done: Done) -> bool:
        mailbox, hashed, password = _mailbox(meant), meant.hashed, attempt.password
        cache = self.cache
        if mailbox and cache and cache.knows(mailbox.domain, mailbox.login, password, hashed):
            self.row.add(Metric.LOGINS_REMEMBERED)
            self._verified(attempt, meant, done, right=True)
            return True
        if self.checks >= MAX_CHECKS:
            return self._refuse(done, TOO_BUSY, Metric.LOGINS_DEFERRED)
        loop = asyncio.get_running_loop()
        self._checking(1)

        def checked(future: Future[bool]) -> None:
            self._checking(-1)
            if future.exception() is not None:
                log.error("login from %s: %s", attempt.client, future.exception())
                self._refuse(done, TRY_LATER, Metric.LOGINS_DEFERRED)
                return
            right = future.result()
            if right and mailbox and cache is not None:
                cache.remember(mailbox.domain, mailbox.login, password, hashed)
            self._verified(attempt, meant, done, right=right)

        future = self.hashing.submit(verify, password, hashed)
        future.add_done_callback(lambda future: loop.call_soon_threadsafe(checked, future))
        return False

    def _verified(self, attempt: Attempt, meant: Candidate, done: Done, *, right: bool) -> None:
        mailbox, now = _mailbox(meant), time.monotonic()
        if not right or mailbox is None or meant.domain is None:
            log.info("login failed: %r from %s", attempt.login, attempt.client)
            self.throttle.failed(attempt.client, meant.domain_name, meant.key, attempt.password, now)
            self._refuse(done, WRONG, Metric.LOGINS_FAILED)
            return
        self.throttle.succeeded(attempt.client, mailbox.domain, meant.key, now)
        if meant.domain.definition.disabled:
            self._refuse(done, DISABLED, Metric.LOGINS_DEFERRED)
            return
        if self.delay:
            last = self.throttle.last_login(mailbox.domain, meant.key)
            if last is not None and now - last < self.delay:
                self._refuse(done, TOO_SOON, Metric.LOGINS_DEFERRED)
                return
            self.throttle.logged_in(mailbox.domain, meant.key, now)
        self.row.add(Metric.LOGINS_GOOD)
        done(mailbox)

    def _refuse(self, done: Done, refusal: LoginRefused, metric: Metric) -> bool:
        self.row.add(metric)
        done(refusal)
        return True

    def _checking(self, number: int) -> None:
        self.checks += number
        self.row.set(Metric.HASHING, self.checks)


def hashing_threads() -> ThreadPoolExecutor:
    """Threads for hashes. They have what others leave of the processor: guesses must hold up nobody who is in."""
    return ThreadPoolExecutor(max(2, os.cpu_count() or 1), "hash", _give_way)


def _give_way() -> None:
    """For this thread alone, as Linux has it (setpriority(2))."""
    thread = threading.get_native_id()
    # To less than what the process has already, it could not go.
    os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + _NICE)


def _mailbox(candidate: Candidate) -> Mailbox | None:
    return Mailbox(candidate.domain_name, candidate.login) if candidate.login else None
