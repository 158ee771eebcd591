"""Answers a message with the vacation text of an account (RFC 3834); what goes wrong here hurts no delivery."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from vmaild.address import Address
from vmaild.core.autoreply import NoReply, Received, Vacation, decide, memory_key
from vmaild.delivery.message import Message
from vmaild.outcome import Delivered, Outcome
from vmaild.store.vacation import give_turn_back, is_answered, read_vacation, take_turn

log = logging.getLogger("vmaild.delivery")

_MAX_SUBJECT = 200
_MAX_ENCODED = 2000
"""Characters of it as it came: to decode what somebody has made up for it takes the square of its length."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose vacation text it is."""

    address: Address
    full_name: str
    home: str
    own: frozenset[Address]
    """Every address that means the owner."""


def answer(owner: Owner, message: Message, days: int, send: Callable[[Address, bytes], Outcome]) -> None:
    """Answer a message that was delivered to `owner`, if it is one that is answered; never raises.

    `days` is how long a sender is not answered again where the owner has set nothing else. `send` takes the
    recipient and the reply with LF line ends; its envelope sender is to be the null sender.
    """
    try:
        vacation, findings = read_vacation(owner.home)
        for finding in findings:
            log.warning("%s", finding)
        if vacation is not None:
            _answer(owner, message, vacation, days if vacation.days is None else vacation.days, send)
    except Exception:
        log.exception("%s: vacation text not sent", owner.address)


def _answer(
    owner: Owner, message: Message, vacation: Vacation, days: int, send: Callable[[Address, bytes], Outcome]
) -> None:
    headers: dict[str, list[str]] = {}
    for name, value in message.header_fields():
        headers.setdefault(name, []).append(value)
    received = Received(message.sender, headers)
    today = date.today().isoformat()  # noqa: DTZ011  the owner's day is that of this machine
    decided = decide(vacation, received, owner.own, today, lambda sender: is_answered(owner.home, sender, days))
    if isinstance(decided, NoReply):
        log.info("%s: no vacation text to <%s>: %s", owner.address, message.sender, decided.reason)
        return
    # The email package: longer to load than a delivery takes.
    from vmaild.delivery.letters import decoded, letter  # noqa: PLC0415

    sender = memory_key(decided.recipient)
    if not take_turn(owner.home, sender, days):
        return  # another message of the same sender was faster
    fields = {
        "In-Reply-To": decided.in_reply_to,
        "References": decided.references,
        "Auto-Submitted": "auto-replied",
        "X-Auto-Response-Suppress": "All",
    }
    name, subject = vacation.name or owner.full_name, decoded(decided.subject[:_MAX_ENCODED])[:_MAX_SUBJECT]
    outcome = send(
        decided.recipient, letter((name, owner.address), decided.recipient, subject, vacation.text, fields)
    )
    if isinstance(outcome, Delivered):
        log.info("%s: vacation text sent to %s", owner.address, decided.recipient)
    else:
        log.warning("%s: vacation text not sent to %s: %s", owner.address, decided.recipient, outcome)
        give_turn_back(owner.home, sender)
