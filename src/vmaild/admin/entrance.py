"""How somebody comes in on the web: a password, a code where there is a second factor; and again before danger.

What is half done lives in the memory of this process, for minutes: a login whose code is awaited, the secret of a
second factor that is being set up, and that somebody has just shown again who they are.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from vmaild.admin import second_factor
from vmaild.admin.door import Door
from vmaild.admin.gate import Gate
from vmaild.admin.refusal import Code, Misused, Refused
from vmaild.core.permissions import Actor, is_simple
from vmaild.core.second_factor import enrolment_uri
from vmaild.store.layout import Layout
from vmaild.store.sessions import Sessions

Values = Mapping[str, Any]

EXPIRED = "that took too long"
SET_UP_FIRST = "a second factor must be set up first"
"""The problem of a refusal where the site wants one; see `Entrance.permit`."""
CONFIRM_FIRST = "this wants your password again"

DANGEROUS = {
    "domain.remove",
    "user.remove",
    "admin.grant",
    "address.apply",
    "check.fix",
    "backup.restore",
    "backup.remove",
    "factor.begin",
    "factor.renew",
    "factor.off",
    "token.add",
}
"""Verbs that a session may use only just after `session.confirm`."""
_WITHOUT_FACTOR = {"who", "own"}
_PATIENCE = 300.0
"""Seconds for a code, and for setting a factor up."""
_FRESH = 60.0
"""Seconds between showing who one is and what is dangerous."""
_TRIES = 5
"""Codes that may be tried before the password is asked for again."""


def _lets_programs_run(values: Values) -> bool:
    """Whether a change of a domain or an alias names a program, a file or a list, or a file that may name some."""
    settings = values.get("settings") or {}
    targets = [settings.get("fallback") or "", *(values.get("targets") or ())]
    named = any(not is_simple(str(target)) for target in targets)
    return named or bool(settings.get("filter") or settings.get("alias_files"))


@dataclass(frozen=True, slots=True)
class _Awaited:
    """A login whose password was right."""

    actor: Actor
    client: str
    agent: str
    until: float
    tries: int = _TRIES


@dataclass(slots=True)
class Entrance:
    """See the module. For all threads."""

    layout: Layout
    gate: Gate
    sessions: Sessions
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _awaited: dict[str, _Awaited] = field(default_factory=dict, repr=False)
    _beginning: dict[int, tuple[str, float]] = field(default_factory=dict, repr=False)
    _shown: dict[int, float] = field(default_factory=dict)

    def log_in(self, values: Values, client: str) -> dict[str, Any]:
        """A session's secret, or a ticket for the code. Raises Refused, StateUnusable."""
        actor = self.gate.log_in(
            str(values.get("login", "")), str(values.get("password", "")), values.get("domain"), client
        )
        agent = str(values.get("agent", ""))
        if second_factor.recovery_codes_left(self.layout, actor.principal) is None:
            return self._let_in(actor, client, agent)
        ticket, now = secrets.token_urlsafe(32), time.monotonic()
        with self._lock:
            self._awaited = {key: each for key, each in self._awaited.items() if each.until > now}
            self._awaited[ticket] = _Awaited(actor, client, agent, now + _PATIENCE)
        return {"ticket": ticket}

    def log_in_with_code(self, values: Values, client: str) -> dict[str, Any]:
        """The second step of a login. Raises Refused, StateUnusable."""
        ticket = str(values.get("ticket", ""))
        with self._lock:
            awaited = self._awaited.pop(ticket, None)
            if awaited is None or awaited.until < time.monotonic() or awaited.client != client:
                raise Refused(EXPIRED, "sign in again")
            if awaited.tries > 1:
                self._awaited[ticket] = replace(awaited, tries=awaited.tries - 1)
        self._check_code(awaited.actor.principal, str(values.get("code", "")), client)
        with self._lock:
            self._awaited.pop(ticket, None)
        return self._let_in(awaited.actor, client, awaited.agent)

    def confirm(self, actor: Actor, session: int, values: Values, client: str) -> None:
        """Show again who one is: password and, where there is a second factor, a code. Raises Refused."""
        self.gate.log_in(actor.principal, str(values.get("password", "")), None, client)
        self._check_code(actor.principal, str(values.get("code", "")), client)
        now = time.monotonic()
        with self._lock:
            self._shown = {key: at for key, at in self._shown.items() if at > now - _FRESH}
            self._shown[session] = now

    def see_signed_in(self, actor: Actor, secret: str) -> None:
        """See that who has a second factor has shown it: whoever found out a password must not lock its owner out.

        Raises Refused, StateUnusable.
        """
        if second_factor.recovery_codes_left(self.layout, actor.principal) is None:
            return
        session = self.sessions.find(secret) if secret else None
        if session is None or session.principal != actor.principal:
            raise Refused("this account has a second factor", "sign in, and change the password under My account")

    def permit(self, actor: Actor, session: int, verb: str, values: Values) -> None:
        """See that a session may use a verb now. Raises Refused, StateUnusable."""
        free = verb.startswith(("session.", "factor", "own.")) or verb in _WITHOUT_FACTOR
        if not free and self.lacks_factor(actor):
            raise Refused(SET_UP_FIRST, "do so at /account/second-factor", Code.SECOND_FACTOR_FIRST)
        if not values.get("dry_run") and (verb in DANGEROUS or _lets_programs_run(values)):
            with self._lock:
                if self._shown.pop(session, -_FRESH) <= time.monotonic() - _FRESH:
                    raise Refused(CONFIRM_FIRST, "confirm it", Code.CONFIRM_FIRST)

    def factor(self, door: Door, session: int, verb: str, values: Values) -> dict[str, Any]:
        """What somebody does with their own second factor. Raises Refused, StateUnusable."""
        principal = door.actor.principal
        match verb:
            case "factor":
                left = second_factor.recovery_codes_left(self.layout, principal)
                return {"on": left is not None, "left": left or 0, "required": self.requires(door.actor)}
            case "factor.begin":
                if second_factor.recovery_codes_left(self.layout, principal) is not None:
                    raise second_factor.there_is_one()
                with self._lock:
                    self._beginning[session] = (second_factor.new_secret(), time.monotonic() + _PATIENCE)
                return self._offer(principal, session)
            case "factor.offer":
                return self._offer(principal, session)
            case "factor.confirm":
                code = str(values.get("code", ""))
                codes = second_factor.switch_on(door, self._offer(principal, session)["secret"], code)
                with self._lock:
                    self._beginning.pop(session, None)
                # Whoever came in elsewhere did so with the password alone.
                self.sessions.revoke(principal, but=session)
                return {"recovery": codes}
            case "factor.renew":
                return {"recovery": second_factor.renew_codes(door)}
            case "factor.off":
                return {"off": second_factor.switch_off(door)}
        raise Misused(f"there is no verb {verb}", "see the documentation of the API")

    def requires(self, actor: Actor) -> bool:
        """Whether the site wants a second factor of somebody."""
        if not self.gate.site.web.require_second_factor:
            return False
        return actor.site_admin or bool(self.gate.domains_of(actor.principal))

    def lacks_factor(self, actor: Actor) -> bool:
        """Whether somebody has to set up a second factor before anything else. Raises StateUnusable."""
        return self.requires(actor) and second_factor.recovery_codes_left(self.layout, actor.principal) is None

    def _offer(self, principal: str, session: int) -> dict[str, Any]:
        with self._lock:
            secret, until = self._beginning.get(session, ("", 0.0))
        if until < time.monotonic():
            raise Refused(EXPIRED, "begin again")
        return {"secret": secret, "uri": enrolment_uri(secret, principal, "vmaild")}

    def _check_code(self, principal: str, code: str, client: str) -> None:
        self.gate.check_code(
            principal, code, client, lambda: second_factor.takes_code(self.layout, principal, code)
        )

    def _let_in(self, actor: Actor, client: str, agent: str) -> dict[str, Any]:
        secret = self.sessions.begin(actor.principal, client, agent)
        return {"secret": secret, "principal": actor.principal, "site_admin": actor.site_admin}
