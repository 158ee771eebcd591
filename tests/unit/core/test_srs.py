"""Rewritten senders: they come back as what they were, for some weeks, and nobody else can make one up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmaild.address import Address, parse_address
from vmaild.core.srs import MAX_AGE, original, rewritten

SECRET, DAY = b"a secret", 20_000
ANN = Address("Ann.Who+x=y", "sender.example")


def srs(sender: Address = ANN, day: int = DAY, secret: bytes = SECRET) -> str:
    return rewritten(sender, "forwarder.example", secret, day).local_part


@given(st.text(min_size=1, max_size=60).filter(lambda text: "\0" not in text and text.isprintable()))
def test_a_bounce_finds_its_way_back(local_part: str) -> None:
    sender = Address(local_part, "sender.example")
    there = rewritten(sender, "forwarder.example", SECRET, DAY)
    assert there.domain == "forwarder.example"
    back = original(parse_address(str(there)).local_part, SECRET, DAY)
    assert back == sender


@pytest.mark.parametrize("changed", [str.upper, str.lower])
def test_servers_on_the_way_may_change_its_case(changed: object) -> None:
    back = original(changed(srs()), SECRET, DAY)  # type: ignore[operator]
    assert back is not None
    assert (back.key, back.domain) == (ANN.key, ANN.domain)


@pytest.mark.parametrize(
    ("days", "good"), [(0, True), (1, True), (MAX_AGE, True), (MAX_AGE + 1, False), (400, False), (-1, False)]
)
@pytest.mark.parametrize("day", [DAY, 1023, 1024, 20_479])
def test_it_is_good_for_some_weeks(day: int, days: int, good: bool) -> None:
    assert (original(srs(day=day), SECRET, day + days) is not None) == good


@given(st.data())
def test_nobody_else_can_make_one_up(data: st.DataObject) -> None:
    """Whatever is changed of it is not ours any more; so we are no open relay for whoever knows one."""
    ours = srs()
    at = data.draw(st.integers(5, len(ours) - 1))
    other = data.draw(st.sampled_from("abcXYZ=0379.+-").filter(lambda c: c.lower() != ours[at].lower()))
    assert original(ours[:at] + other + ours[at + 1 :], SECRET, DAY) is None
    assert original(srs(secret=b"another"), SECRET, DAY) is None


def test_what_others_have_rewritten_goes_back_to_them() -> None:
    """SRS1 names who wrote the SRS0: the guarded way is one step long, however many forward."""
    first = Address(srs(secret=b"theirs"), "first.example")
    second = rewritten(first, "second.example", SECRET, DAY)
    assert second.local_part.startswith("SRS1=")
    assert original(second.local_part, SECRET, DAY) == first
    third = rewritten(second, "third.example", b"of the third", DAY)
    assert original(third.local_part, b"of the third", DAY) == first
    forged = second.local_part.replace("first.example", "other.example")
    assert original(forged, SECRET, DAY) is None


def test_a_sender_of_the_forwarder_itself_stays() -> None:
    own = Address("bob", "forwarder.example")
    assert rewritten(own, "forwarder.example", SECRET, DAY) == own


@pytest.mark.parametrize(
    "text", ["SRS0", "SRS0=", "SRS0=a=b", "SRS0=AAAA=!!=x.example=ann", "SRS1=a=b", "bob", ""]
)
def test_what_only_looks_like_one_is_none(text: str) -> None:
    assert original(text, SECRET, DAY) is None
