"""Who is signed in on the web, or has a token, as an account: it ends with the account, or with its password."""

from __future__ import annotations

from vmaild.admin.door import Door
from vmaild.admin.refusal import Refused
from vmaild.store.sessions import Sessions
from vmaild.store.state import StateUnusable


def end_sessions(door: Door, principal: str) -> None:
    """Sign an account out everywhere: a new password may be there because somebody else knew the old one.

    Raises Refused.
    """
    try:
        Sessions(door.layout).revoke(principal)
    except StateUnusable as error:
        raise _too_late("set, but who is signed in with the old one stays so", error) from error


def end_access(door: Door, principal: str) -> None:
    """End all sessions and tokens of an account: who gets its name next is somebody else. Raises Refused."""
    try:
        sessions = Sessions(door.layout)
        sessions.revoke(principal)
        for token in sessions.tokens(principal):
            sessions.remove_token(token.number)
    except StateUnusable as error:
        raise _too_late("done, but sessions and tokens are left", error) from error


def tokens_of(door: Door, principal: str) -> int:
    """How many tokens an account has. Raises Refused."""
    try:
        return len(Sessions(door.layout).tokens(principal))
    except StateUnusable as error:
        raise Refused(str(error), "see to that file, then run it again") from error


def _too_late(what: str, error: StateUnusable) -> Refused:
    return Refused(f"{what}: {error}", "mend the database, then do it again")
