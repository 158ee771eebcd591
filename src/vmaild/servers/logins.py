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

from vmaild.address import AddressError, canonical_domain, fold
from vmaild.auth.cache import VerifiedPasswords
from vmaild.auth.passwords import NOBODY, verify
from vmaild.auth.throttle import Throttle
from vmaild.core.directory import Domain, LookupFailed
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

    def _try(self, attempt: Attempt, done: Done, *, delayed: bool) -> bool:
        try:
            candidate = self._look_up(attempt)
        except LookupFailed as failure:
            log.error("login from %s: %s", attempt.client, failure)
            return self._refuse(done, TRY_LATER, Metric.LOGINS_DEFERRED)
        if candidate.domain is not None and not (attempt.private or candidate.domain.definition.plain_logins):
            return self._refuse(done, NEEDS_TLS, Metric.LOGINS_DEFERRED)
        verdict = self.throttle.verdict(attempt.client, candidate.domain_name, candidate.key, time.monotonic())
        if verdict.refused:
            log.warning("login refused after many failures: %r from %s", attempt.login, attempt.client)
            return self._refuse(done, TOO_MANY_FAILURES, Metric.LOGINS_THROTTLED)
        if verdict.delay and not delayed:
            # Asked again afterwards: others may have failed meanwhile, and the password may have changed.
            loop = asyncio.get_running_loop()
            loop.call_later(verdict.delay, lambda: attempt.wanted() and self._try(attempt, done, delayed=True))
            return False
        return self._verify(attempt, candidate, done)

    def _verify(self, attempt: Attempt, candidate: _Candidate, done: Done) -> bool:
        mailbox, hashed, password = candidate.mailbox, candidate.hashed, attempt.password
        cache = self.cache
        if mailbox and cache and cache.knows(mailbox.domain, mailbox.login, password, hashed):
            self.row.add(Metric.LOGINS_REMEMBERED)
            self._verified(attempt, candidate, done, right=True)
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
            self._verified(attempt, candidate, done, right=right)

        future = self.hashing.submit(verify, password, hashed)
        future.add_done_callback(lambda future: loop.call_soon_threadsafe(checked, future))
        return False

    def _verified(self, attempt: Attempt, candidate: _Candidate, done: Done, *, right: bool) -> None:
        mailbox, now = candidate.mailbox, time.monotonic()
        if not right or mailbox is None or candidate.domain is None:
            log.info("login failed: %r from %s", attempt.login, attempt.client)
            self.throttle.failed(attempt.client, candidate.domain_name, candidate.key, attempt.password, now)
            self._refuse(done, WRONG, Metric.LOGINS_FAILED)
            return
        self.throttle.succeeded(attempt.client, mailbox.domain, candidate.key, now)
        if candidate.domain.definition.disabled:
            self._refuse(done, DISABLED, Metric.LOGINS_DEFERRED)
            return
        if self.delay:
            last = self.throttle.last_login(mailbox.domain, candidate.key)
            if last is not None and now - last < self.delay:
                self._refuse(done, TOO_SOON, Metric.LOGINS_DEFERRED)
                return
            self.throttle.logged_in(mailbox.domain, candidate.key, now)
        self.row.add(Metric.LOGINS_GOOD)
        done(mailbox)

    def _refuse(self, done: Done, refusal: LoginRefused, metric: Metric) -> bool:
        self.row.add(metric)
        done(refusal)
        return True

    def _checking(self, number: int) -> None:
        self.checks += number
        self.row.set(Metric.HASHING, self.checks)

    def _look_up(self, attempt: Attempt) -> _Candidate:
        """Whose password is to be checked. Raises LookupFailed."""
        directory = self.directory
        name, domain_name = split_login(attempt.login, attempt.domain)
        domain = directory.find(domain_name) if domain_name else None
        key = fold(name)
        if domain is not None and attempt.domain in (None, domain.name):
            account = domain.accounts.get(key)
            entry = directory.password_of(domain.name, name) if account else None
            if account is not None and entry is not None:
                expired = entry.expires is not None and entry.expires * 86400 <= time.time()
                if entry.password and not (entry.locked or expired):
                    return _Candidate(domain, Mailbox(domain.name, account.login), key, entry.password)
        # Nobody's: somebody else's hash is verified, so that the answer takes as long.
        there = attempt.domain or (domain.name if domain else "")
        hashed = (directory.any_password(there) if there else "") or NOBODY
        return _Candidate(domain, None, key, hashed)


@dataclass(frozen=True, slots=True)
class _Candidate:
    domain: Domain | None
    mailbox: Mailbox | None
    """None: there is no such login, or it may not log in; the check fails whatever the password."""
    key: str
    hashed: str = field(repr=False)

    @property
    def domain_name(self) -> str:
        return self.domain.name if self.domain else ""


def split_login(login: str, domain: str | None) -> tuple[str, str]:
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


def hashing_threads() -> ThreadPoolExecutor:
    """Threads for hashes. They have what others leave of the processor: guesses must hold up nobody who is in."""
    return ThreadPoolExecutor(max(2, os.cpu_count() or 1), "hash", _give_way)


def _give_way() -> None:
    """For this thread alone, as Linux has it (setpriority(2))."""
    thread = threading.get_native_id()
    # To less than what the process has already, it could not go.
    os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + _NICE)
