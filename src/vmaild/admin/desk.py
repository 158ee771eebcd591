"""What the web asks for, as verbs with plain values, each on behalf of somebody: the web process has no files.

`Desk` sits with whoever may read and write the configuration. A request names a session or a token, a verb and its
arguments; the answer is plain values again, or a refusal. What a verb may do is decided by the door, as for the
command line. Everything here blocks, and belongs in a thread.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from vmaild.admin.answers import VERBS
from vmaild.admin.answers.own import set_own_password
from vmaild.admin.answers.values import Verb, plain
from vmaild.admin.backup_work import BackupWork
from vmaild.admin.door import Door
from vmaild.admin.entrance import Entrance
from vmaild.admin.gate import Gate
from vmaild.admin.imports import Imports
from vmaild.admin.overview import Survey, overview
from vmaild.admin.plan import Plan
from vmaild.admin.refusal import Code, Misused, Refused, not_now
from vmaild.admin.reroute import takes_mail
from vmaild.admin.token_rights import RIGHTS
from vmaild.core.directory import LookupFailed
from vmaild.core.permissions import Actor
from vmaild.store.sessions import Sessions, Token
from vmaild.store.state import StateUnusable

log = logging.getLogger("vmaild.desk")

Values = Mapping[str, Any]
Answer = dict[str, Any]

SIGNED_OUT = "signed out"
"""The problem of a refusal where nobody is known by that secret."""
_STATUS = {
    Code.INVALID: 422,
    Code.NOT_FOUND: 404,
    Code.NOT_PERMITTED: 403,
    Code.SIGNED_OUT: 401,
    Code.CHANGED: 412,
    Code.TOO_MANY_TRIES: 429,
    Code.SECOND_FACTOR_FIRST: 428,
    Code.CONFIRM_FIRST: 403,
    Code.UNAVAILABLE: 503,
}
"""As RFC 9110 section 15.5 has them, and RFC 6585; of all others 409."""

_HELD: Mapping[str, Callable[[Plan], bool]] = {
    "rerouting": lambda plan: bool(plan.rerouted or plan.warnings),
    "taking": lambda plan: bool(takes_mail(plan) or plan.warnings),
}
"""Of which changes somebody wants to see first what they do, by the word in `hold`: those that send any mail
elsewhere, or only those that take it from where it came before; and those with a warning."""


@dataclass(frozen=True, slots=True)
class Request:
    """Somebody wants something."""

    verb: str
    values: Values = field(default_factory=dict)
    secret: str = field(default="", repr=False)
    """Of a session or a token; empty: nobody in particular."""
    client: str = ""
    """The address of whoever asks."""


class Desk:
    """See the module."""

    def __init__(
        self,
        door: Callable[[Actor], Door],
        gate: Gate,
        sessions: Sessions,
        more: Mapping[str, Verb] | None = None,
    ) -> None:
        """`more`: verbs of rooms above, which ask others."""
        self._verbs: dict[str, Verb] = {
            **VERBS,
            "overview": partial(overview, Survey()),
            **BackupWork().verbs(),
            **(more or {}),
        }
        self._door = door
        self._gate = gate
        self._sessions = sessions
        self._imports = Imports()
        self._entrance = Entrance(gate.layout, gate, sessions)

    def answer(self, request: Request) -> Answer:
        """Carry a request out: `{"ok": ...}`, or a problem with `remedy` and `status`. Never raises."""
        try:
            return {"ok": self._carry_out(request)}
        except Refused as refusal:
            return _told(refusal)
        except (StateUnusable, LookupFailed) as error:
            log.error("%s", error)
        except Exception:
            log.exception("%s failed", request.verb)
        return _told(not_now())

    def _carry_out(self, request: Request) -> Any:  # noqa: ANN401  plain values, as JSON has them
        match request.verb:
            case "domain.at":
                values = request.values
                return self._gate.domain_of(str(values.get("host", "")), str(values.get("address", "")))
            case "client.settings":
                return self._gate.client_settings(str(request.values.get("domain", "")))
            case "login":
                return self._entrance.log_in(request.values, request.client)
            case "login.code":
                return self._entrance.log_in_with_code(request.values, request.client)
            case "logout":
                self._sessions.end(request.secret)
                return None
            case "password.change":
                return self._change_password(request)
        actor, session = self._who(request)
        if session:
            self._entrance.permit(actor, session, request.verb, request.values)
        return self._of_somebody(request, actor, session)

    def _of_somebody(self, request: Request, actor: Actor, session: int) -> Any:  # noqa: ANN401  likewise
        if request.verb == "who":
            return {
                "principal": actor.principal,
                "site_admin": actor.site_admin,
                "domains": self._gate.domains_of(actor.principal),
                "session": session,
                "set_up_first": bool(session) and self._entrance.lacks_factor(actor),
            }
        if request.verb.startswith("session."):
            return self._session(request, actor, session)
        door = self._door(actor)
        held = _HELD.get(str(request.values.get("hold", "")))
        door = door.holding(held) if held else door
        if request.verb.partition(".")[0] == "factor":
            return self._entrance.factor(door, session, request.verb, request.values)
        if request.verb.startswith("import."):
            return self._imports.answer(door, request.verb, request.values)
        verb = self._verbs.get(request.verb)
        if verb is None:
            raise Misused(f"there is no verb {request.verb}", "see the documentation of the API")
        return verb(door, request.values)

    def _who(self, request: Request) -> tuple[Actor, int]:
        """On whose behalf, and the number of the session. Raises Refused."""
        token = self._sessions.token(request.secret)
        session = self._sessions.find(request.secret) if request.secret and token is None else None
        known = token or session
        actor = self._gate.actor(known.principal) if known else None
        if known is None or actor is None:
            raise Refused(SIGNED_OUT, "sign in again", Code.SIGNED_OUT)
        if token is not None:
            _within(token, request)
        way = f"token {token.name}" if token else "web"
        return replace(actor, via=f"{way}, {request.client}"), session.number if session else 0

    def _change_password(self, request: Request) -> Answer:
        """The page for everybody: login, old password, new password."""
        values = request.values
        old, new = str(values.get("old", "")), str(values.get("new", ""))
        actor = self._gate.log_in(str(values.get("login", "")), old, values.get("domain"), request.client)
        self._entrance.see_signed_in(actor, request.secret)
        door = self._door(replace(actor, via=f"web, {request.client}"))
        set_own_password(door, new)
        self._sessions.revoke(actor.principal)
        return {"principal": actor.principal}

    def _session(self, request: Request, actor: Actor, number: int) -> Any:  # noqa: ANN401  likewise
        if request.verb == "session.confirm":
            self._entrance.confirm(actor, number, request.values, request.client)
            return None
        if request.verb == "session.revoke":
            self._sessions.revoke(actor.principal, int(request.values["number"]))
            return None
        return [
            {**plain(session), "current": session.number == number}
            for session in self._sessions.of(actor.principal)
        ]


def _told(refusal: Refused) -> Answer:
    status = _STATUS.get(refusal.code, 409)
    return {
        "code": refusal.code.value,
        "problem": refusal.problem,
        "remedy": refusal.remedy,
        "status": status,
    }


def _within(token: Token, request: Request) -> None:
    """See that a token is for this. Raises Refused, which does not tell what is there beyond it."""
    verb, values = request.verb, request.values
    if token.rights and not any(verb in RIGHTS[right] for right in token.rights if right in RIGHTS):
        raise Refused(
            "this token is not for that",
            "make one with the right for it: 'vmail token add --help'",
            Code.NOT_PERMITTED,
        )
    if verb.startswith(("session.", "own", "factor", "token")):
        raise Refused("this is for people, not for tokens", "sign in on the web", Code.NOT_PERMITTED)
    if not token.domain or verb == "who":
        return
    named = str(values.get("domain") or str(values.get("address", "")).rpartition("@")[2]).strip().lower()
    if named != token.domain:
        raise Refused("this token is for one domain only", f"ask for {token.domain}", Code.NOT_FOUND)
