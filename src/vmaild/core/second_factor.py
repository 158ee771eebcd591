"""The second factor of somebody who signs in: codes that change every 30 seconds (TOTP, RFC 6238).

A code is worth something once: the time step of the last one that was taken is kept, and only later ones count
(RFC 6238 section 5.2). For who has lost the telephone there are recovery codes, each good once, kept as digests.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from hmac import compare_digest

from pyotp import TOTP

STEP = 30
"""Seconds that a code is shown."""
_WINDOW = 1
"""Steps that the clock of a telephone may be wrong, either way."""
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Factor:
    """What somebody's codes are checked against."""

    secret: str = field(repr=False)
    """Shared with the telephone, in Base32."""
    used: int = 0
    """The time step of the last code that was taken."""
    recovery: tuple[str, ...] = field(default=(), repr=False)
    """Digests of the recovery codes that are left."""


def after_code(factor: Factor, code: str, now: int) -> Factor | None:
    """The factor once `code` was taken at `now` (seconds since the epoch); None: it is not taken."""
    digits = "".join(code.split())
    if len(digits) == _DIGITS and digits.isascii() and digits.isdecimal():
        totp = TOTP(factor.secret)
        first = max(now // STEP - _WINDOW, factor.used + 1)
        for step in range(first, now // STEP + _WINDOW + 1):
            if compare_digest(totp.generate_otp(step), digits):
                return replace(factor, used=step)
        return None
    given = digest(code)
    left = tuple(each for each in factor.recovery if not compare_digest(each, given))
    return replace(factor, recovery=left) if len(left) < len(factor.recovery) else None


def digest(recovery_code: str) -> str:
    """How a recovery code is kept: it is random enough (80 bits) that a plain SHA-256 cannot be turned back."""
    letters = "".join(each for each in recovery_code.upper() if each.isalnum())
    return hashlib.sha256(letters.encode("utf-8", "surrogatepass")).hexdigest()


def enrolment_uri(secret: str, principal: str, issuer: str) -> str:
    """What the QR code says to the telephone: `otpauth://totp/...`."""
    return str(TOTP(secret).provisioning_uri(name=principal, issuer_name=issuer))
