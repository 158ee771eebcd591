"""What became of one recipient: delivered, deferred or rejected.

One table pairs every condition with its exit status (sysexits(3)), its SMTP and LMTP reply code (RFC 5321
4.2) and its enhanced status code (RFC 3463). Nothing else in the project spells one of these numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

EX_OK, EX_USAGE, EX_DATAERR, EX_NOUSER, EX_NOHOST = 0, 64, 65, 67, 68
EX_UNAVAILABLE, EX_TEMPFAIL, EX_CONFIG = 69, 75, 78


class Condition(Enum):
    """Why an outcome is what it is: (exit status, reply code, enhanced status code, text for the sender)."""

    DELIVERED = (EX_OK, 250, "2.0.0", "Delivered")
    ACCEPTED = (EX_OK, 250, "2.1.5", "Recipient accepted")
    # Permanent: the sender is told, nothing of the message is kept.
    NO_SUCH_USER = (EX_NOUSER, 550, "5.1.1", "No such user here")
    NOT_LOCAL = (EX_NOHOST, 550, "5.1.2", "Not a mail domain of this server")
    NO_RELAY = (EX_NOHOST, 554, "5.7.1", "This server does not relay")
    BAD_RECIPIENT = (EX_DATAERR, 553, "5.1.3", "Not a valid recipient address")
    LOOP = (EX_UNAVAILABLE, 554, "5.4.6", "Mail forwarding loop")
    TOO_BIG = (EX_UNAVAILABLE, 552, "5.3.4", "Message too big")
    OVER_QUOTA = (EX_UNAVAILABLE, 552, "5.2.2", "Mailbox full")
    NEXT_SERVER_REFUSED = (EX_UNAVAILABLE, 554, "5.0.0", "Refused by the next server")
    COMMAND_FAILED = (EX_UNAVAILABLE, 554, "5.3.0", "The program behind this address failed")
    # Temporary: the sending server keeps the message and tries again.
    OVER_QUOTA_FOR_NOW = (EX_TEMPFAIL, 452, "4.2.2", "Mailbox full, try again later")
    DOMAIN_DISABLED = (EX_TEMPFAIL, 450, "4.2.1", "This domain is not in service now, try again later")
    LOOKUP_FAILED = (EX_TEMPFAIL, 451, "4.3.0", "Could not look up the recipient, try again later")
    SYSTEM_FULL = (EX_TEMPFAIL, 452, "4.3.1", "Not enough space, try again later")
    BAD_CONFIGURATION = (EX_TEMPFAIL, 451, "4.3.5", "The recipient is set up wrongly, try again later")
    NEXT_SERVER_WAITS = (EX_TEMPFAIL, 451, "4.4.1", "The next server cannot be reached now, try again later")
    OUT_OF_TIME = (EX_TEMPFAIL, 451, "4.4.5", "This takes too long now, try again later")
    FILTER_WAITS = (EX_TEMPFAIL, 451, "4.3.0", "The message cannot be filtered now, try again later")
    COMMAND_WAITS = (
        EX_TEMPFAIL,
        451,
        "4.3.0",
        "The program behind this address cannot be run now, try again later",
    )
    INTERNAL = (EX_TEMPFAIL, 451, "4.3.0", "Internal error, try again later")

    def __init__(self, exit_status: int, code: int, enhanced: str, text: str) -> None:
        # Attributes: a message for many asks for them thousands of times.
        self.exit_status = exit_status
        """Of `vdeliver`, of sysexits(3)."""
        self.code = code
        """SMTP and LMTP reply code (RFC 5321 4.2.3)."""
        self.enhanced = enhanced
        """Enhanced status code (RFC 3463)."""
        self.text = text
        """What the sender may read when nothing more precise is known."""


@dataclass(frozen=True, slots=True)
class _Outcome:
    condition: Condition
    detail: str = ""
    """Fit for the sender's eyes; empty: the condition's own text."""
    reply: tuple[int, str] | None = None
    """Reply code and enhanced status code of another server, which are passed on; None: the condition's own."""

    @property
    def code(self) -> int:
        """SMTP and LMTP reply code (RFC 5321 4.2.3)."""
        return self.reply[0] if self.reply else self.condition.code

    @property
    def enhanced(self) -> str:
        """Enhanced status code (RFC 3463)."""
        return self.reply[1] if self.reply else self.condition.enhanced

    @property
    def text(self) -> str:
        """One line for the sender, without the codes."""
        return self.detail or self.condition.text

    def __str__(self) -> str:
        return f"{self.code} {self.enhanced} {self.text}"


@dataclass(frozen=True, slots=True)
class Delivered(_Outcome):
    """On disk, file and folder synced; or, at RCPT, accepted."""

    condition: Condition = Condition.DELIVERED


@dataclass(frozen=True, slots=True)
class Deferred(_Outcome):
    """Refused for now: the sending server keeps the message."""


@dataclass(frozen=True, slots=True)
class Rejected(_Outcome):
    """Refused for good: the sender gets an error."""


Outcome = Delivered | Deferred | Rejected


def exit_status(code: int, enhanced: str) -> int:
    """The exit status that stands for a reply of another server: for programs that only have its numbers."""
    for condition in Condition:
        if (condition.code, condition.enhanced) == (code, enhanced):
            return condition.exit_status
    if code // 100 == 2:
        return EX_OK
    return EX_UNAVAILABLE if code // 100 == 5 else EX_TEMPFAIL
