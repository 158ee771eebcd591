"""Whether a message is answered by itself, and by what (RFC 3834): the rules of vacation texts.

Never answered: lists and bulk, other automatic mail, bounces and daemons, oneself, and what does not name the
owner among its recipients; nobody twice in a period.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from vmaild.address import Address, fold

DEFAULT_DAYS = 7
"""Days in which one sender is answered once (RFC 3834 section 2: 7 is the usual)."""


@dataclass(frozen=True, slots=True)
class Vacation:
    """The text with which an owner's account answers."""

    text: str
    subject: str = ""
    """Empty: `Auto:` and the subject of the message (RFC 3834 section 3.1.5)."""
    first: str = ""
    """First day, as YYYY-MM-DD; empty: since ever."""
    last: str = ""
    """Last day; empty: until further notice."""
    days: int = DEFAULT_DAYS
    """Within so many days one sender is answered once."""

    def is_in_force(self, today: str) -> bool:
        """Whether it is answered on a day, YYYY-MM-DD."""
        return (
            bool(self.text.strip())
            and (not self.first or self.first <= today)
            and (not self.last or today <= self.last)
        )


_DAEMON = re.compile(
    r"mailer-daemon|postmaster|listserv|majordomo|owner-.*|.*-(request|owner|bounces?|relay)(\+.*)?"
)
_NEVER = re.compile(r"no-?reply|do-?not-?reply|bounces?([+=-].*)?|srs[01][=+-].*")


def reason_not_to(
    fields: Sequence[tuple[str, str]], sender: Address | None, own: Collection[Address]
) -> str | None:
    """Why a message gets no automatic answer, for the log; None: it may have one.

    `fields` are its header's, names in lower case; `sender` the envelope's, None for the null sender; `own` every
    address under which it may have been meant for the owner.
    """
    if sender is None or not sender.domain:
        return "the null sender"
    if _key(sender) in {_key(address) for address in own}:
        return "the owner's own message"
    if _DAEMON.fullmatch(sender.key) or _NEVER.fullmatch(sender.key):
        return f"'{sender.local_part}' is no person"
    for name, value in fields:
        if name == "auto-submitted" and value.partition(";")[0].strip().lower() != "no":
            return "automatic itself"
        if name.startswith("list-") or name in {"x-mailing-list", "mailing-list", "x-loop", "feedback-id"}:
            return f"from a list ({name})"
        if name == "precedence" and value.strip().lower() in {"bulk", "list", "junk"}:
            return f"precedence {value.strip().lower()}"
        if name == "x-auto-response-suppress" and re.search(r"\b(all|oof|autoreply)\b", value.lower()):
            return "asks for no automatic answer"
        if name == "x-spam-flag" and value.strip().lower() == "yes":
            return "spam"
    recipients = " ".join(
        fold(value)
        for name, value in fields
        if name in {"to", "cc", "bcc", "resent-to", "resent-cc", "resent-bcc"}
    )
    # Found as a whole address: after a sign that cannot be part of one.
    if not any(
        re.search(rf"(?<![\w.+-]){re.escape('@'.join(_key(address)))}(?![\w-]|\.\w)", recipients)
        for address in own
    ):
        return "does not name the owner"
    return None


def _key(address: Address) -> tuple[str, str]:
    return address.key, address.domain
