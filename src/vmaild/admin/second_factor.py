"""The second factor of whoever signs in to the web: set up, used, switched off, and taken away by the site.

Secrets and codes are never logged; what was done is, in the audit log.
"""

from __future__ import annotations

import base64
import secrets
import time

import pyotp

from vmaild.admin.audit import noted, state_refusals
from vmaild.admin.door import Door, refusals
from vmaild.admin.gate import WRONG_CODE
from vmaild.admin.refusal import Code, Misused, Refused
from vmaild.core.permissions import UNIX, canonical_principal
from vmaild.core.second_factor import Factor, after_code, digest
from vmaild.store.layout import Layout
from vmaild.store.second_factor import Factors
from vmaild.store.state import StateUnusable

RECOVERY_CODES = 10
_RECOVERY_OCTETS = 10


def new_secret() -> str:
    """A secret for a telephone: 160 bits, as RFC 4226 section 4 advises."""
    return pyotp.random_base32()


def recovery_codes_left(layout: Layout, principal: str) -> int | None:
    """How many recovery codes somebody has; None: there is no second factor. Raises StateUnusable."""
    factor = Factors(layout).find(principal)
    return None if factor is None else len(factor.recovery)


def takes_code(layout: Layout, principal: str, code: str) -> bool:
    """Whether a code is taken, and worth nothing from now on; any is without a factor. Raises StateUnusable."""
    factors = Factors(layout)
    with factors.locked():
        factor = factors.find(principal)
        if factor is None:
            return True
        after = after_code(factor, code, int(time.time()))
        if after is None:
            return False
        # Before anybody is let in: a code must not be taken twice, whatever happens meanwhile.
        factors.save(principal, after)
        return True


def switch_on(door: Door, secret: str, code: str) -> list[str]:
    """Set up the actor's factor, proved by its first code; returns the recovery codes. Raises Refused."""
    factor = after_code(Factor(secret), code, int(time.time()))
    if factor is None:
        raise Misused(WRONG_CODE, "wait for the next code; see that the clock of the telephone is right")
    with state_refusals(), Factors(door.layout).locked():
        if Factors(door.layout).find(door.actor.principal) is not None:
            raise there_is_one()  # set up in another session meanwhile
        return _with_new_codes(
            door, factor, "second factor on", f"set up a second factor for {door.actor.principal}"
        )


def there_is_one() -> Refused:
    """The refusal where a second one is to be set up."""
    return Refused("there is a second factor already", "switch it off first", Code.EXISTS)


def renew_codes(door: Door) -> list[str]:
    """New recovery codes; those from before are worth nothing any more. Raises Refused."""
    with state_refusals(), Factors(door.layout).locked():
        # Within the lock: a code that is taken meanwhile must not be worth something again.
        factor = Factors(door.layout).find(door.actor.principal)
        if factor is None:
            raise Refused("there is no second factor", "set one up first")
        summary = f"make new recovery codes for {door.actor.principal}"
        return _with_new_codes(door, factor, "second factor renew", summary)


def switch_off(door: Door, principal: str = "", *, dry_run: bool = False) -> bool:
    """Switch the actor's factor off or, as a site administrator, somebody's; whether there was one.

    Raises Refused.
    """
    with refusals():
        whose = canonical_principal(principal) if principal else door.actor.principal
    if whose != door.actor.principal and not door.actor.site_admin:
        raise Refused("only a site administrator may do that for others", "ask one", Code.NOT_PERMITTED)
    factors = Factors(door.layout)
    if dry_run:
        return _is_there(door, whose)
    summary = f"switch off the second factor of {whose}"
    with noted(door, "second factor off", _domain_of(whose), whose, summary), factors.locked():
        return factors.remove(whose)


def show(door: Door, principal: str) -> int | None:
    """As recovery_codes_left, for a site administrator or of oneself. Raises Refused."""
    with refusals():
        whose = canonical_principal(principal)
    if whose != door.actor.principal and not door.actor.site_admin:
        raise Refused("only a site administrator may see that of others", "ask one", Code.NOT_PERMITTED)
    with state_refusals():
        return recovery_codes_left(door.layout, whose)


def _is_there(door: Door, principal: str) -> bool:
    try:
        return Factors(door.layout).find(principal) is not None
    except StateUnusable:
        return True  # damaged, and would be removed


def _with_new_codes(door: Door, factor: Factor, verb: str, summary: str) -> list[str]:
    """Write the factor down with new recovery codes; whoever calls holds the lock."""
    codes = [_recovery_code() for _ in range(RECOVERY_CODES)]
    whose = door.actor.principal
    factors = Factors(door.layout)
    with noted(door, verb, _domain_of(whose), whose, summary):
        factors.save(whose, Factor(factor.secret, factor.used, tuple(map(digest, codes))))
    return codes


def _recovery_code() -> str:
    letters = base64.b32encode(secrets.token_bytes(_RECOVERY_OCTETS)).decode().lower()
    return "-".join(letters[at : at + 4] for at in range(0, len(letters), 4))


def _domain_of(principal: str) -> str:
    return "" if principal.startswith(UNIX) else principal.rpartition("@")[2]
