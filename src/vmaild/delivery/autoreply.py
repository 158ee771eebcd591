"""Answers a message with the vacation text of an account (RFC 3834); what goes wrong here hurts no delivery."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from email.headerregistry import Address as Shown
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, make_msgid

from vmaild.address import Address, AddressError, parse_address
from vmaild.core.autoreply import Vacation, reason_not_to
from vmaild.delivery.message import Message
from vmaild.store.vacation import read_vacation, take_turn

log = logging.getLogger("vmaild.delivery")

_MAX_SUBJECT = 200


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose vacation text it is."""

    address: Address
    full_name: str
    home: str
    own: frozenset[Address]
    """Every address that means the owner."""


def answer(owner: Owner, message: Message, send: Callable[[Address, bytes], object]) -> None:
    """Answer a message that was delivered to `owner`, if it is one that is answered; never raises.

    `send` takes the recipient and the reply with LF line ends; its envelope sender is to be the null sender.
    """
    try:
        vacation, _ = read_vacation(owner.home)
        if vacation is None or not vacation.is_in_force(date.today().isoformat()):  # noqa: DTZ011  the owner's day
            return
        fields = message.header_fields()
        sender = _sender(message.sender)
        reason = reason_not_to(fields, sender, owner.own)
        if (
            reason is None
            and sender is not None
            and take_turn(owner.home, f"{sender.key}@{sender.domain}", vacation.days)
        ):
            send(sender, render_reply(owner, vacation, sender, dict(reversed(fields))))
            log.info("%s: vacation text sent to %s", owner.address, sender)
        else:
            log.info(
                "%s: no vacation text to <%s>: %s", owner.address, message.sender, reason or "answered already"
            )
    except Exception:
        log.exception("%s: vacation text not sent", owner.address)


def render_reply(owner: Owner, vacation: Vacation, recipient: Address, fields: dict[str, str]) -> bytes:
    """The reply (RFC 3834 section 3.1), LF line ends; `fields` are those of the message that is answered."""
    reply = EmailMessage(policy=SMTP.clone(linesep="\n"))
    own = owner.address
    reply["From"] = Shown(_line(owner.full_name), own.local_part, own.domain)
    reply["To"] = Shown("", recipient.local_part, recipient.domain)
    reply["Subject"] = vacation.subject or f"Auto: {_decoded(fields.get('subject', ''))}"[:_MAX_SUBJECT].strip()
    reply["Date"] = formatdate(localtime=True)
    reply["Message-ID"] = make_msgid(domain=own.domain)
    answered = _line(fields.get("message-id", ""))
    if answered.startswith("<") and answered.endswith(">") and answered.isascii() and " " not in answered:
        reply["In-Reply-To"] = answered
        reply["References"] = answered
    reply["Auto-Submitted"] = "auto-replied"
    reply["X-Auto-Response-Suppress"] = "All"
    reply.set_content(vacation.text)
    return reply.as_bytes()


def _sender(text: str) -> Address | None:
    try:
        return parse_address(text) if text else None
    except AddressError:
        return None


def _decoded(text: str) -> str:
    from email.header import decode_header, make_header  # noqa: PLC0415  only where there is something to answer

    try:
        return _line(str(make_header(decode_header(text))))
    except (ValueError, LookupError, UnicodeError):
        return _line(text)


def _line(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text).strip()
