"""Who gets an automatic reply, and who never does (RFC 3834)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import pytest

from vmaild.address import Address, parse_address
from vmaild.core.autoreply import (
    DAY,
    MAX_REMEMBERED,
    NoReply,
    Received,
    Reply,
    Vacation,
    decide,
    is_recent,
    memory_key,
    remembered,
)

BOB = Address("bob", "va.toto.fr")
AWAY = Vacation("Away.")
HEADERS: dict[str, Sequence[str]] = {
    "to": ("Bob <Bob@va.toto.fr>",),
    "subject": ("Lunch?",),
    "message-id": ("<1@example.org>",),
}


def decided(
    vacation: Vacation = AWAY,
    sender: str = "ann@example.org",
    *,
    answered: Sequence[str] = (),
    today: str = "2026-12-24",
    **headers: str,
) -> Reply | NoReply:
    fields = HEADERS | {name.replace("_", "-"): (value,) for name, value in headers.items()}
    return decide(vacation, Received(sender, fields), [BOB], today, answered.__contains__)


def test_a_person_who_writes_to_the_owner_is_answered() -> None:
    assert decided() == Reply(Address("ann", "example.org"), "Re: Lunch?", "<1@example.org>", "<1@example.org>")


def test_the_thread_is_kept() -> None:
    reply = decided(references="<a@x>\t<b@x>", subject="RE: Lunch?")
    assert isinstance(reply, Reply)
    assert (reply.references, reply.subject) == ("<a@x> <b@x> <1@example.org>", "RE: Lunch?")
    assert decided(in_reply_to="<c@x>", message_id="none") == Reply(
        Address("ann", "example.org"), "Re: Lunch?", "", "<c@x>"
    )
    assert decided(replace(AWAY, subject="Absente")) == replace(
        Reply(Address("ann", "example.org"), "", "<1@example.org>", "<1@example.org>"), subject="Absente"
    )


@pytest.mark.parametrize(
    "sender",
    [
        "",
        "MAILER-DAEMON@example.org",
        "owner-list@example.org",
        "list-request@example.org",
        "list-owner@example.org",
        "bounces+bob=va.toto.fr@example.org",
        "list-bounces@example.org",
        "no-reply@example.org",
        "noreply@example.org",
        "do-not-reply@example.org",
        "SRS0=abcd=xy=example.org=ann@forward.example",
        "bob@va.toto.fr",
        "Bob@VA.toto.fr",
        "ann",
        "not an address",
        "ann@[192.0.2.1]",
    ],
)
def test_these_senders_never_are(sender: str) -> None:
    assert isinstance(decided(sender=sender), NoReply)


@pytest.mark.parametrize(
    "headers",
    [
        {"auto_submitted": "auto-replied"},
        {"auto_submitted": "auto-generated; x=y"},
        {"list_id": "<list.example.org>"},
        {"list_unsubscribe": "<mailto:x@example.org>"},
        {"precedence": "bulk"},
        {"precedence": "List"},
        {"precedence": " junk "},
        {"x_loop": "bob@va.toto.fr"},
        {"x_auto_response_suppress": "DR, OOF, AutoReply"},
        {"x_spam_flag": "YES"},
        {"content_type": "multipart/report; report-type=delivery-status; boundary=x"},
        {"to": "undisclosed-recipients:;"},
        {"to": "alice@va.toto.fr"},
        {"to": "bob@vb.toto.fr"},
    ],
)
def test_nor_is_what_no_person_wrote_to_the_owner(headers: dict[str, str]) -> None:
    assert isinstance(decided(AWAY, **headers), NoReply)


@pytest.mark.parametrize(
    "headers",
    [
        {"auto_submitted": "No"},
        {"precedence": "first-class"},
        {"to": "x@y.example", "cc": "ann@example.org, <bob@va.toto.fr>"},
        {"to": "bob+shop@va.toto.fr"},
        {"to": '"bob@else.example" <bob@VA.TOTO.FR>'},
    ],
)
def test_what_only_looks_so_is_answered(headers: dict[str, str]) -> None:
    assert isinstance(decided(AWAY, **headers), Reply)


def test_other_addresses_of_the_owner_and_mail_that_names_nobody() -> None:
    assert isinstance(decided(to="robert@example.com"), NoReply)
    also = replace(AWAY, addresses=(Address("Robert", "example.com"),))
    assert isinstance(decided(also, to="robert@example.com"), Reply)
    assert isinstance(decided(replace(AWAY, any_recipient=True), to="undisclosed-recipients:;"), Reply)


@pytest.mark.parametrize(
    ("first", "last", "replies"),
    [
        ("2026-12-24", "", True),
        ("2026-12-25", "", False),
        ("", "2026-12-24", True),
        ("", "2026-12-23", False),
        ("2026-12-01", "2027-01-03", True),
        ("2025-12-01", "2026-01-03", False),
    ],
)
def test_only_on_its_days(first: str, last: str, replies: bool) -> None:
    answer = decided(replace(AWAY, first_day=first, last_day=last))
    assert isinstance(answer, Reply) == replies


def test_each_sender_once() -> None:
    assert decided(answered=["ann@example.org"]) == NoReply("the sender was answered already")
    assert isinstance(decided(sender="Ann+work@example.org", answered=["ann@example.org"]), NoReply)
    assert isinstance(decided(answered=["ben@example.org"]), Reply)


def test_the_memory_is_bounded_and_forgets() -> None:
    now = 1_000_000_000
    memory = {"old@x": now - 7 * DAY, "new@x": now - 7 * DAY + 1, "clock@x": now + 5}
    assert remembered(memory, "ann@x", now, 7) == {"new@x": now - 7 * DAY + 1, "ann@x": now}
    many = {f"{number}@x": now - number for number in range(MAX_REMEMBERED + 10)}
    kept = remembered(many, "ann@x", now, 7)
    assert len(kept) == MAX_REMEMBERED
    assert "0@x" in kept
    assert f"{MAX_REMEMBERED}@x" not in kept
    assert is_recent(now, now, 1)
    assert memory_key(parse_address("A.B+c@x.example")) == "a.b@x.example"


@pytest.mark.parametrize("field", ["to", "cc", "message-id", "references", "subject", "precedence"])
@pytest.mark.parametrize("word", ["a", "<", "a@", "a,", "=?a?q?x", '"', "<a "])
def test_a_field_of_any_length_is_decided_on_in_no_time(field: str, word: str) -> None:
    began = time.process_time()
    received = Received("ann@example.org", HEADERS | {field: (word * (400_000 // len(word)),)})
    decide(AWAY, received, [BOB], "2026-12-24", lambda _: False)
    assert time.process_time() - began < 5
