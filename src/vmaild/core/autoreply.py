"""Whether a message gets an automatic reply, and which: RFC 3834, decided from values alone.

Dates are ISO 8601 (`2026-12-20`), which sort as text; moments are seconds since 1970.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from vmaild.address import Address, AddressError, fold, parse_address

DAY = 86400
MAX_REMEMBERED = 2000
"""Senders that an account remembers; beyond it the oldest is forgotten."""
_NOT_PEOPLE = re.compile(
    # RFC 3834 2, and what vacation(1) has passed over since 4.2BSD.
    r"(?:owner-.*|.*-(?:owner|request|relay|bounces?|errors?|confirm|return)|bounces?(?:[-+].*)?"
    r"|mailer-?daemon|mailer|postmaster|listserv|majordomo|nobody|uucp|root|daemon"
    r"|(?:do-?)?no-?t?-?_?reply.*|no_reply.*|srs[01][=+-].*|prvs=.*)"
)
_BULK = re.compile(r"bulk|list|junk", re.IGNORECASE)
_BETWEEN = re.compile(r"[\s<>()\[\],;:\"]+")
"""What parts addresses in a field; to look for addresses themselves takes the square of a long word's length."""


@dataclass(frozen=True, slots=True)
class Vacation:
    """What an owner has set up: the file `vacation` of the home."""

    text: str
    subject: str = ""
    """Empty: `Re: ` and the subject of the message."""
    name: str = ""
    """Of the owner, before the address; empty: the full name of the account."""
    first_day: str = ""
    """Empty: now."""
    last_day: str = ""
    """Empty: until it is switched off."""
    days: int | None = None
    """How long a sender is not answered again; None: as the site has it."""
    addresses: tuple[Address, ...] = ()
    """Other addresses that are the owner's, too, and may stand in To or Cc."""
    any_recipient: bool = False
    """Whether to answer what names the owner neither in To nor in Cc, too."""


@dataclass(frozen=True, slots=True)
class Received:
    """What is known of the message: its envelope, and the fields of its header."""

    sender: str
    """Of the envelope; empty: the null sender."""
    headers: Mapping[str, Sequence[str]]
    """By name in lower case; each value on one line."""

    def field(self, name: str) -> str:
        """The first field of that name; empty where there is none."""
        return next(iter(self.headers.get(name, ())), "")


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer this sender."""

    recipient: Address
    subject: str
    in_reply_to: str
    """The Message-ID of the message; empty: it has none."""
    references: str


@dataclass(frozen=True, slots=True)
class NoReply:
    """Leave it unanswered, and why."""

    reason: str


def decide(
    vacation: Vacation, received: Received, own: Collection[Address], today: str, answered: Callable[[str], bool]
) -> Reply | NoReply:
    """Reply, or the reason not to.

    `own` are the addresses that mean the account; `answered` says of a sender (see `memory_key`) whether it was
    answered so recently that it is not answered again.
    """
    reason = (
        _out_of_season(vacation, today)
        or _automatic(received)
        or _not_a_person(received.sender)
        or _not_addressed(vacation, received, own)
    )
    if reason:
        return NoReply(reason)
    sender = parse_address(received.sender)
    if _key(sender) in {_key(address) for address in own}:
        return NoReply("it is the account's own")
    if answered(memory_key(sender)):
        return NoReply("the sender was answered already")
    message_id = _message_id(received)
    return Reply(sender, _subject(vacation, received), message_id, _references(received, message_id))


def is_in_force(vacation: Vacation, today: str) -> bool:
    """Whether today is one of its days."""
    return not _out_of_season(vacation, today)


def memory_key(sender: Address) -> str:
    """How a sender is remembered: without case, and without a tag behind a plus sign."""
    return f"{sender.key.partition('+')[0] or sender.key}@{sender.domain}"


def remembered(memory: Mapping[str, int], sender: str, now: int, days: int) -> dict[str, int]:
    """The memory (when each sender was answered last) with one more: old ones out, and bounded."""
    kept = {key: at for key, at in memory.items() if key != sender and is_recent(at, now, days)}
    newest = sorted(kept.items(), key=lambda each: each[1])[-(MAX_REMEMBERED - 1) :]
    return dict(newest) | {sender: now}


def is_recent(at: int, now: int, days: int) -> bool:
    """Whether an answer given then still counts; one of the future, by a clock that was wrong, does not."""
    return now - days * DAY < at <= now


def _out_of_season(vacation: Vacation, today: str) -> str:
    if vacation.first_day and today < vacation.first_day:
        return f"it begins on {vacation.first_day}"
    if vacation.last_day and today > vacation.last_day:
        return f"it ended on {vacation.last_day}"
    return ""


def _automatic(received: Received) -> str:
    """RFC 3834 2: not to what no person has written to one person."""
    kind = received.field("auto-submitted").partition(";")[0].strip().lower()
    if kind not in {"", "no"}:
        return f"it is automatic itself (Auto-Submitted: {kind})"
    listed = next((name for name in received.headers if name.startswith("list-")), "")
    if listed or "mailing-list" in received.headers:
        return "it came by a mailing list"
    if _BULK.fullmatch(received.field("precedence").strip()):
        return f"it is bulk mail (Precedence: {received.field('precedence').strip().lower()})"
    if any(name in received.headers for name in ("x-autoreply", "x-autorespond", "x-autoresponse", "x-loop")):
        return "it is automatic itself"
    suppressed = received.field("x-auto-response-suppress").lower()
    if any(word in suppressed for word in ("all", "oof", "autoreply")):
        return "its sender wants no automatic reply"
    if "yes" in received.field("x-spam-flag").lower():
        return "it is marked as spam"
    if received.field("content-type").partition(";")[0].strip().lower() == "multipart/report":
        return "it is a report"
    return ""


def _not_a_person(sender: str) -> str:
    if not sender:
        return "it has no sender to answer"
    try:
        address = parse_address(sender)
    except AddressError:
        address = Address("")
    if not address.domain or address.domain.startswith("["):
        return "its sender is no address"
    return f"{address.local_part} is no person" if _NOT_PEOPLE.fullmatch(address.key) else ""


def _not_addressed(vacation: Vacation, received: Received, own: Collection[Address]) -> str:
    """RFC 3834 2: only what names the owner among its recipients."""
    if vacation.any_recipient:
        return ""
    wanted = {_key(address) for address in (*own, *vacation.addresses)}
    fields = [
        value
        for name in ("to", "cc", "bcc", "resent-to", "resent-cc", "resent-bcc")
        for value in received.headers.get(name, ())
    ]
    named = any(address in wanted for address in _addresses(fields))
    return "" if named else "it names the owner neither in To nor in Cc"


def _addresses(fields: Iterable[str]) -> Iterable[str]:
    for field in fields:
        for found in _BETWEEN.split(field):
            if "@" not in found:
                continue
            try:
                address = parse_address(found)
            except AddressError:
                continue
            yield _key(address)
            plain = address.local_part.partition("+")[0]
            if plain:
                yield _key(Address(plain, address.domain))


def _key(address: Address) -> str:
    return f"{fold(address.local_part)}@{address.domain}"


def _message_id(received: Received) -> str:
    found = re.search(r"<[^<>\s]{1,500}>", received.field("message-id"))
    return found[0] if found else ""


def _references(received: Received, message_id: str) -> str:
    """RFC 5322 3.6.4: those of the message, else what it answers, and the message itself; the last twenty."""
    before = received.field("references") or received.field("in-reply-to")
    return " ".join([*re.findall(r"<[^<>\s]{1,500}>", before)[-20:], *([message_id] if message_id else [])])


def _subject(vacation: Vacation, received: Received) -> str:
    """RFC 3834 3.1.5: the owner's, else that of the message, marked as an answer to it."""
    if vacation.subject:
        return vacation.subject
    subject = received.field("subject").strip()
    return subject if re.match(r"re\s*:", subject, re.IGNORECASE) else f"Re: {subject}".strip()
