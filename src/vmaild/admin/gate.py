"""Who somebody is: passwords of accounts and of users of this machine, checked with the throttle that POP3 has.

Unknown, wrong, suspended, not an administrator: all of them end in one refusal, after the same work. Everything
here blocks, and belongs in a thread.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from vmaild.address import AddressError, canonical_domain, fold
from vmaild.admin.refusal import Code, Refused
from vmaild.auth.candidate import Candidate, candidate
from vmaild.auth.passwords import verify
from vmaild.auth.throttle import Throttle, Verdict
from vmaild.core.clients import Connection, Security, client_settings
from vmaild.core.directory import LookupFailed
from vmaild.core.permissions import UNIX, Actor, canonical_principal, same_principal
from vmaild.core.site import Site
from vmaild.store.directory import DirectoryStore
from vmaild.store.layout import Layout

log = logging.getLogger("vmaild.login")

WRONG = "wrong login or password"
WRONG_CODE = "wrong code"
TOO_MANY = "too many failed logins"
_TURNS = 64
"""Accounts that are looked at side by side, about."""


@dataclass(slots=True)
class Gate:
    """Checks passwords. For all threads."""

    layout: Layout
    site: Site
    throttle: Throttle
    directory: DirectoryStore
    """For all threads, too."""
    pam: Callable[[str, str], bool] | None = None
    """Whether PAM takes the password of a user of this machine; None: it is not asked."""
    _turns: tuple[threading.Lock, ...] = field(
        default_factory=lambda: tuple(threading.Lock() for _ in range(_TURNS)), repr=False
    )

    def domain_of(self, host: str, address: str) -> str | None:
        """The domain that a page was reached for: by the name that was asked for, else by the address."""
        try:
            return self.directory.domain_named(host) or self.directory.domain_at(address)
        except LookupFailed:
            return None

    def client_settings(self, domain: str) -> dict[str, object] | None:
        """What a mail program of a domain needs, which the DNS tells everybody; None: it is not served here."""
        try:
            found = self.directory.find(canonical_domain(domain)) or self.directory.find(
                self.directory.domain_named(domain) or "-"
            )
        except (AddressError, LookupFailed):
            return None
        if found is None:
            return None
        settings = client_settings(found.definition, self.site, "")
        return {
            "domain": found.name,
            "host": settings.host,
            "pop3": [_plain(settings.nearby)] if settings.nearby else [],
            "smtp": [_plain(settings.smtp)] if settings.smtp else [],
        }

    def log_in(self, login: str, password: str, domain: str | None, client: str) -> Actor:
        """Who that is. Raises Refused, with the same words whatever is wrong."""
        principal = login.strip()
        if principal.startswith(UNIX) or (domain is None and "@" not in principal and "%" not in principal):
            return self._user(principal.removeprefix(UNIX), password, client)
        return self._account(principal, password, domain, client)

    def check_code(self, principal: str, code: str, client: str, takes: Callable[[], bool]) -> None:
        """Have the code of a second factor looked at by `takes`. Raises Refused.

        Wrong ones are counted apart from passwords: a right password must not make further guesses free.
        """
        name = principal.removeprefix(UNIX)
        login, _, domain = name.rpartition("@") if "@" in name else (name, "", "")
        key = f"{fold(login)}\0code"
        if not self._guessed(client, domain, key, code, takes):
            log.info("wrong code of a second factor: %r from %s", principal, client)
            raise Refused(WRONG_CODE, "wait for the next code, or use a recovery code", Code.WRONG_LOGIN)

    def actor(self, principal: str) -> Actor | None:
        """A principal who is known already, as of now; None: they may not go on. Raises LookupFailed."""
        if principal.startswith(UNIX):
            actor = self._actor(principal)
            return actor if actor.site_admin or self.domains_of(principal) else None
        meant = candidate(self.directory, principal, None, time.time())
        return self._actor(principal) if _in_service(meant) else None

    def _actor(self, principal: str) -> Actor:
        return Actor(principal, any(same_principal(principal, listed) for listed in self.site.admins), "web")

    def domains_of(self, principal: str) -> list[str]:
        """The domains that a principal is a co-administrator of, sorted."""
        try:
            return self.directory.administered(canonical_principal(principal))
        except AddressError:
            return []

    def _account(self, login: str, password: str, domain: str | None, client: str) -> Actor:
        meant = candidate(self.directory, login, domain, time.time())
        secret = password.encode("utf-8", "surrogatepass")

        def is_right() -> bool:
            return verify(secret, meant.hashed) and _in_service(meant)

        if not self._guessed(client, meant.domain_name, meant.key, password, is_right):
            raise _wrong(login, client)
        return self._actor(f"{meant.login}@{meant.domain_name}")

    def _user(self, name: str, password: str, client: str) -> Actor:
        actor = self._actor(UNIX + name)

        def is_right() -> bool:
            may = actor.site_admin or bool(self.domains_of(actor.principal))
            # PAM is asked whoever it is, so that nobody learns who administers here.
            return self.pam is not None and self.pam(name, password) and may

        if not self._guessed(client, "", fold(name), password, is_right):
            raise _wrong(actor.principal, client)
        return actor

    def _guessed(self, client: str, domain: str, key: str, guess: str, is_right: Callable[[], bool]) -> bool:
        """Look at a password or a code once its time has come, and count how that ends. Raises Refused."""
        began = time.monotonic()
        while True:
            # Guesses at one account come one after the other: else of many at the same moment all would be free.
            with self._turns[hash((domain, key)) % len(self._turns)]:
                rest = began + self._verdict(client, domain, key).delay - time.monotonic()
                if rest <= 0:
                    right, now = is_right(), time.monotonic()
                    if right:
                        self.throttle.succeeded(client, domain, key, now)
                    else:
                        self.throttle.failed(client, domain, key, guess.encode("utf-8", "surrogatepass"), now)
                    return right
            time.sleep(rest)

    def _verdict(self, client: str, domain: str, key: str) -> Verdict:
        """What becomes of a guess now. Raises Refused."""
        verdict = self.throttle.verdict(client, domain, key, time.monotonic())
        if verdict.refused:
            raise Refused(TOO_MANY, "try again later", Code.TOO_MANY_TRIES)
        return verdict


def _wrong(login: str, client: str) -> Refused:
    """The refusal of a wrong password, which is the same whatever is wrong."""
    log.info("web login failed: %r from %s", login, client)
    return Refused(WRONG, "try again", Code.WRONG_LOGIN)


def _in_service(meant: Candidate) -> bool:
    return bool(meant.login) and meant.domain is not None and not meant.domain.definition.disabled


def _plain(connection: Connection) -> dict[str, object]:
    """As the files of Mozilla's autoconfiguration call it."""
    sockets = {Security.TLS: "SSL", Security.STARTTLS: "STARTTLS", Security.NONE: "plain"}
    return {"port": connection.port, "socket": sockets[connection.security]}


def pam_takes(user: str, password: str, service: str) -> bool:
    """Whether PAM takes a password; needs root for other users than oneself (pam(8))."""
    import pamela  # noqa: PLC0415  only where users of this machine log in

    if not user or "\0" in user or "\0" in password:
        return False
    try:
        pamela.authenticate(user, password, service=service)
    except pamela.PAMError:
        return False
    return True
