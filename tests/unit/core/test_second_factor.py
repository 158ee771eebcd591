"""Codes of a second factor: RFC 6238's own values, each good once, and recovery codes."""

from __future__ import annotations

import base64

import pytest
from pyotp import TOTP

from vmaild.core.second_factor import STEP, Factor, after_code, digest

SECRET = base64.b32encode(b"12345678901234567890").decode()
"""That of the test vectors in RFC 6238, appendix B; of their eight digits the last six are ours."""


@pytest.mark.parametrize(
    ("now", "code"),
    [
        (59, "287082"),
        (1111111109, "081804"),
        (1111111111, "050471"),
        (1234567890, "005924"),
        (2000000000, "279037"),
    ],
)
def test_the_codes_of_the_rfc(now: int, code: str) -> None:
    after = after_code(Factor(SECRET), code, now)
    assert after is not None
    assert after.used == now // STEP
    assert after_code(after, code, now) is None, "a code is good once"
    assert after_code(Factor(SECRET), f" {code[:3]} {code[3:]} ", now) is not None


def test_a_clock_may_be_half_a_minute_wrong_and_not_more() -> None:
    now, code = 1111111111, "050471"
    for seconds, taken in ((-STEP, True), (STEP, True), (-2 * STEP, False), (2 * STEP, False)):
        assert (after_code(Factor(SECRET), code, now + seconds) is not None) is taken, seconds


def test_no_earlier_code_is_taken_after_a_later_one() -> None:
    totp, now = TOTP(SECRET), 1111111111
    later = after_code(Factor(SECRET), totp.at(now + STEP), now)
    assert later is not None
    assert after_code(later, totp.at(now), now) is None
    assert after_code(later, totp.at(now + 2 * STEP), now + 2 * STEP) is not None


def test_a_recovery_code_is_good_once() -> None:
    factor = Factor(SECRET, 7, (digest("abcd-efgh"), digest("wxyz-2345")))
    after = after_code(factor, " WXYZ2345 ", 0)
    assert after == Factor(SECRET, 7, (digest("abcd-efgh"),))
    assert after_code(after, "wxyz-2345", 0) is None


@pytest.mark.parametrize("code", ["", "12345", "1234567", "-", "١٢٣٤٥٦", "\ud800", "abcdef", "0" * 1000])
def test_what_is_no_code_is_not_taken(code: str) -> None:
    assert after_code(Factor(SECRET, 0, (digest("abcd-efgh"),)), code, 1111111111) is None


def test_nothing_secret_is_shown() -> None:
    assert SECRET not in repr(Factor(SECRET, 0, ("5e884898",)))
    assert "5e884898" not in repr(Factor(SECRET, 0, ("5e884898",)))
