"""The letter that tells the owner of a mailbox that it is nearly full."""

from __future__ import annotations

from vmaild.address import Address
from vmaild.core.directory import Quota
from vmaild.delivery.letters import letter
from vmaild.store.messages import Mailbox, Usage

_LETTERS = {
    "en": (
        "Your mailbox is nearly full",
        "Mail system",
        """\
The mailbox {mailbox} is nearly full: {used}.

When it is full, messages to you are refused and their senders get an error. Please delete
messages that you no longer need; in most mail programs the trash has to be emptied, too.

This letter was written by the mail system. It is sent once, and again only after the mailbox
has been less full in between.
""",
        "{share} % of {limit} used",
        "{used} of {limit} messages",
        ("bytes", "kB", "MB", "GB"),
    ),
    "fr": (
        "Votre boîte aux lettres est presque pleine",
        "Système de messagerie",
        """\
La boîte aux lettres {mailbox} est presque pleine : {used}.

Une fois pleine, elle refuse les messages et leurs expéditeurs reçoivent une erreur. Veuillez
supprimer les messages dont vous n'avez plus besoin ; dans la plupart des logiciels de
messagerie, il faut aussi vider la corbeille.

Cette lettre a été écrite par le système de messagerie. Elle n'est envoyée qu'une fois, et de
nouveau seulement si la boîte s'est vidée entre-temps.
""",
        "{share} % de {limit} utilisés",
        "{used} messages sur {limit}",
        ("octets", "ko", "Mo", "Go"),
    ),
}


def quota_warning(mailbox: Mailbox, usage: Usage, quota: Quota, language: str) -> bytes:
    """The letter, with LF line ends."""
    subject, name, text, of_bytes, of_messages, units = _LETTERS.get(language, _LETTERS["en"])
    used = []
    if quota.bytes:
        share = usage.bytes * 100 // quota.bytes
        used.append(of_bytes.format(share=share, limit=_in_units(quota.bytes, units)))
    if quota.messages:
        used.append(of_messages.format(used=usage.messages, limit=quota.messages))
    # RFC 3834 2: nobody's machine answers it.
    fields = {"Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All", "Precedence": "bulk"}
    return letter(
        (name, Address("postmaster", mailbox.domain)),
        Address(mailbox.login, mailbox.domain),
        subject,
        text.format(mailbox=mailbox, used=", ".join(used)),
        fields,
    )


def _in_units(size: int, units: tuple[str, ...]) -> str:
    value, unit = float(size), 0
    while value >= 1024 and unit < len(units) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.1f}".removesuffix(".0") + f" {units[unit]}"
