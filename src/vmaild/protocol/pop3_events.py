"""What the POP3 core (pop3.py) and its outside say to each other: states, events, answers.

An event is a question to the outside, an answer is what the outside sends back; `pop3.ANSWERS` pairs them. All
are values. Whatever holds a secret keeps it out of its repr.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum


class State(Enum):
    """States of a session (RFC 1939 section 3)."""

    AUTHORIZATION = "AUTHORIZATION"
    TRANSACTION = "TRANSACTION"
    UPDATE = "UPDATE"
    CLOSED = "CLOSED"

    __hash__ = object.__hash__  # Enum's own runs in Python and is felt at every change of state


class ResponseCode(Enum):
    """Why an -ERR is what it is, for the client's program (RFC 2449 section 8, RFC 3206); never translated."""

    NONE = ""
    AUTH = "AUTH"
    """The credentials are wrong: ask the user for others."""
    SYS_TEMP = "SYS/TEMP"
    SYS_PERM = "SYS/PERM"
    """It will not get better by itself: tell the user."""
    IN_USE = "IN-USE"
    """The credentials are right, another session has the maildrop."""
    LOGIN_DELAY = "LOGIN-DELAY"
    UTF8 = "UTF8"
    """The message can be read only in UTF-8 mode (RFC 6856 section 5)."""


class CloseReason(Enum):
    """What ended a connection, in words for the log."""

    QUIT = "QUIT"
    PEER_CLOSED = "the client closed the connection"
    BAD_COMMANDS = "too many bad commands"
    REFUSED_LOGINS = "too many refused logins"
    BROKEN_MESSAGE = "a message could not be read to its end"
    CLOSED_BY_US = "closed by the server"


# Events: what the core asks of the outside.


@dataclass(frozen=True, slots=True)
class StartTls:
    """The client said STLS: whether TLS can begin. What it says in clear from here on is never obeyed."""


@dataclass(frozen=True, slots=True)
class CheckPassword:
    """Whether this is the login's password. What a login means, bare or qualified, the outside knows."""

    login: str
    """Octets that are not UTF-8 are surrogate escapes."""
    password: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class OpenMaildrop:
    """Lock the maildrop of the login just accepted, and take its snapshot."""


@dataclass(frozen=True, slots=True)
class ReadMessage:
    """The content of a message."""

    index: int
    """From 0, in the order of MaildropOpened."""
    lines: int | None
    """None: all (RETR). Else (TOP) the header and so many lines of the body; more is passed over."""


@dataclass(frozen=True, slots=True)
class Commit:
    """The client said QUIT: delete these for good. Asked even when there is none."""

    deleted: tuple[int, ...]
    """Indices from 0, ascending."""


@dataclass(frozen=True, slots=True)
class ConnectionClosed:
    """The dialogue is over; repeated for whoever asks again."""

    reason: CloseReason


Event = StartTls | CheckPassword | OpenMaildrop | ReadMessage | Commit | ConnectionClosed


# Answers: what the outside tells the core. A `text` is one line in English for the user's eyes; it is translated
# where pop3_texts knows it, and characters outside ASCII reach only a client that asked for UTF-8.


@dataclass(frozen=True, slots=True)
class TlsReady:
    """Say +OK; as soon as that is sent the handshake begins, and its end is told by `tls_started`."""


@dataclass(frozen=True, slots=True)
class TlsUnavailable:
    """No TLS now; the dialogue goes on in clear."""

    text: str = "TLS is not available now, try again later"
    code: ResponseCode = ResponseCode.SYS_TEMP


@dataclass(frozen=True, slots=True)
class PasswordAccepted:
    """The password is the login's."""


@dataclass(frozen=True, slots=True)
class LoginRefused:
    """No login."""

    code: ResponseCode
    text: str


@dataclass(frozen=True, slots=True)
class MaildropOpened:
    """The snapshot that this session sees. It is kept as it is, not copied: let it not change."""

    sizes: Sequence[int]
    """Octets as transmitted; see multiline.wire_size."""
    uids: Sequence[str]
    """As many, each of 1 to 70 characters from 0x21 to 0x7E (RFC 1939 section 7). Read only for UIDL."""
    octets: int | None = None
    """The sum of the sizes, where the outside has it: adding up a large maildrop is felt."""


@dataclass(frozen=True, slots=True)
class MessageStarted:
    """The message can be read; `send_content` follows."""


@dataclass(frozen=True, slots=True)
class WholeMessage:
    """A message in one piece, as it is on disk: the fast way for small ones."""

    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class MessageEnded:
    """The content is complete, or no more of it is wanted."""


@dataclass(frozen=True, slots=True)
class MessageUnreadable:
    """The message cannot be read; nothing of it was sent."""

    text: str
    code: ResponseCode = ResponseCode.NONE


@dataclass(frozen=True, slots=True)
class MessageBroken:
    """The rest of the content cannot be read: the connection is closed before the terminating line.

    Nothing else would keep the client from taking a piece for the whole.
    """


@dataclass(frozen=True, slots=True)
class Committed:
    """The deletions are done, but for `failed` of them."""

    failed: int = 0


Answer = (
    TlsReady
    | TlsUnavailable
    | PasswordAccepted
    | LoginRefused
    | MaildropOpened
    | MessageStarted
    | WholeMessage
    | MessageEnded
    | MessageUnreadable
    | MessageBroken
    | Committed
)
