"""Tokens of the API: what a script shows instead of a password. They never allow more than their principal may."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from vmaild.admin.audit import noted, state_refusals
from vmaild.admin.door import Door
from vmaild.admin.refusal import Code, Misused, Refused
from vmaild.admin.token_rights import RIGHTS
from vmaild.core.permissions import canonical_principal, same_principal
from vmaild.store.sessions import Sessions, Token


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token with its secret, which cannot be had again."""

    number: int
    secret: str


def add_token(
    door: Door,
    name: str,
    *,
    principal: str = "",
    domain: str = "",
    rights: Sequence[str] = (),
    days: int = 0,
    dry_run: bool = False,
) -> NewToken | None:
    """Make a token for the actor or, as a site administrator, for somebody else; a dry run makes none.

    Raises Refused.
    """
    unknown = [right for right in rights if right not in RIGHTS]
    if unknown:
        raise Misused(f"there is no right '{unknown[0]}'", f"choose of {', '.join(RIGHTS)}")
    whose = canonical_principal(principal) if principal else door.actor.principal
    _permit(door, whose)
    if domain:
        domain = door.see(domain)[1].name
    expires = int(time.time()) + days * 86400 if days else 0
    if dry_run:
        return None
    with noted(door, "token add", domain, whose, f"make the token {name} of {whose}"):
        return NewToken(*Sessions(door.layout).add_token(whose, name, domain, tuple(rights), expires))


def list_tokens(door: Door) -> list[Token]:
    """The actor's tokens; for a site administrator those of everybody. Raises Refused."""
    with state_refusals():
        return Sessions(door.layout).tokens(None if door.actor.site_admin else door.actor.principal)


def revoke_token(door: Door, number: int, *, dry_run: bool = False) -> None:
    """Take a token back. Raises Refused."""
    found = next((token for token in list_tokens(door) if token.number == number), None)
    if found is None:
        raise Refused(f"there is no token {number}", "'vmail token list' shows which there are", Code.NOT_FOUND)
    if not dry_run:
        with noted(door, "token revoke", found.domain, found.principal, f"take back the token {found.name}"):
            Sessions(door.layout).remove_token(number)


def _permit(door: Door, principal: str) -> None:
    if not (door.actor.site_admin or same_principal(door.actor.principal, principal)):
        raise Refused(
            f"{door.actor.principal} may not make tokens for others",
            "ask a site administrator",
            Code.NOT_PERMITTED,
        )
