"""The seam behind which messages are kept: mailboxes, maildrops, and what may go wrong with them.

`MessageStore` is all that delivery, POP3 and administration know of mailboxes. How a mailbox is kept is the
business of whoever implements it: `maildir.MaildirStore` today, objects in a remote store another day. Every
call may block and may come from any thread.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Protocol

from vmaild.core.directory import Quota

if TYPE_CHECKING:
    from vmaild.store.content import Content
    from vmaild.store.copies import Stored


class StoreError(Exception):
    """A mailbox could not be used; the text is for the log, not for the peer."""


class StoreFull(StoreError):
    """No space left for anybody (ENOSPC) or for this owner (EDQUOT)."""


class StoreFailed(StoreError):
    """The system reported an error other than a lack of space."""


class OverQuota(StoreError):
    """The message does not fit in what the mailbox's quota leaves."""


class MaildropBusy(StoreError):
    """Another session has the maildrop (RFC 1939 section 4, exclusive-access lock)."""


class MessageGone(StoreError):
    """Somebody else has removed the message since the maildrop was opened."""


def store_failure(doing: str, error: OSError) -> StoreFull | StoreFailed:
    """The exception that stands for an error of the system, to be raised from it."""
    kind = StoreFull if error.errno in {errno.ENOSPC, errno.EDQUOT} else StoreFailed
    return kind(f"{doing}: {error}")


@dataclass(frozen=True, slots=True)
class Mailbox:
    """Whose messages: an account's, by domain (canonical) and login (as its passwd line spells it)."""

    domain: str
    login: str

    def __str__(self) -> str:
        return f"{self.login}@{self.domain}"


@dataclass(frozen=True, slots=True)
class Usage:
    """What a mailbox holds; bytes as stored, with LF line ends, as a quota counts them."""

    messages: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms a mailbox takes a message."""

    quota: Quota = Quota()  # noqa: RUF009  immutable
    warning: int = 0
    """Per cent of the quota whose passing is told; 0: it is not."""
    folder: str = ""
    """The sub-address, whose folder gets the message; empty: the inbox does."""
    create_folder: bool = False
    """Whether the folder is made where it is missing; else the inbox gets the message."""


FREELY = Terms()
"""As much as the disk holds, into the inbox."""


@dataclass(slots=True)
class Once:
    """One delivery that must not be repeated where its sender was not answered."""

    key: str
    """What tells it from every other: the same when the sender brings the same message again."""
    note: str = ""
    """For the store: what it has noted of it until it is answered."""
    place: str = ""
    """Likewise: where it notes that."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """One message for one mailbox; see MessageStore.deliver."""

    mailbox: Mailbox
    header: bytes
    content: Content
    terms: Terms = FREELY
    once: Once | None = None


class Maildrop(Protocol):
    """POP3's exclusive snapshot of a mailbox: what comes later is not in it (RFC 1939 section 5).

    Messages are named by their index from 0, in the order of their arrival.
    """

    @property
    def sizes(self) -> Sequence[int]:
        """Octets of each message as POP3 transmits it, with CRLF line ends. Not to be changed."""
        ...

    @property
    def octets(self) -> int:
        """The sum of the sizes."""
        ...

    @property
    def uids(self) -> Sequence[str]:
        """A name for each message, fit for UIDL: 1 to 70 characters of 0x21 to 0x7E (RFC 1939 section 7).

        Unique in the maildrop, and the same for as long as the message exists, through new flags, restarts
        and a move of the mailbox to another machine. Not to be changed.
        """
        ...

    def forget_lists(self) -> None:
        """Let go of what can be made again: nobody has asked for anything for a while."""
        ...

    def open_message(self, index: int) -> BinaryIO:
        """Open one message, as stored (LF line ends), for reading piece by piece; the caller closes it.

        Raises MessageGone, StoreFailed; reading may raise OSError.
        """
        ...

    def delete(self, indices: Iterable[int]) -> int:
        """Remove messages for good and return how many could not be removed.

        A message that is gone already counts as removed; what arrived after the snapshot is not touched.
        """
        ...

    def close(self) -> None:
        """Let the next session in. May be called again."""
        ...


class MessageStore(Protocol):
    """All mailboxes. A mailbox need not be created before it is used; one that was never used is empty."""

    def deliver(
        self,
        mailbox: Mailbox,
        header: bytes,
        content: Content,
        terms: Terms = FREELY,
        once: Once | None = None,
    ) -> bool:
        """Put a message in a mailbox; it is durable when this returns.

        `header` is put before the content: whole header lines with LF ends, such as Return-Path. Returns
        whether it is this message that made the mailbox pass the mark at which its owner is warned.

        With `once`, what a delivery of the same key has put there is not put there again, unless that delivery
        was `answered`: its process has been killed meanwhile, or it was `abandoned`.

        Raises OverQuota, StoreFull or StoreFailed, and then nothing of the message is to be seen.
        """
        ...

    def deliver_all(self, parcels: Sequence[Parcel]) -> list[bool | Exception]:
        """As `deliver`, for many at the same time; what it would return or raise for each, in their order.

        In hardly more time than one takes. Messages for one mailbox may together pass its quota a little.
        """
        ...

    def answered(self, deliveries: Iterable[Once]) -> None:
        """The senders of these deliveries have got their answer. Never fails."""
        ...

    def abandoned(self, deliveries: Iterable[Once]) -> None:
        """The senders of these deliveries are gone, and will bring them again. Never fails."""
        ...

    def open_maildrop(self, mailbox: Mailbox) -> Maildrop:
        """Take the exclusive lock and the snapshot, or raise MaildropBusy, StoreFull or StoreFailed."""
        ...

    def is_at_hand(self, mailbox: Mailbox) -> bool:
        """Whether open_maildrop would answer from memory, quickly enough for an event loop."""
        ...

    def exists(self, mailbox: Mailbox) -> bool:
        """Whether the mailbox has been created, on purpose or by its first use."""
        ...

    def usage(self, mailbox: Mailbox) -> Usage:
        """Count what is in the mailbox now. Raises StoreFailed."""
        ...

    def create(self, mailbox: Mailbox) -> None:
        """Create a mailbox, unless it exists. Raises StoreFull, StoreFailed."""
        ...

    def archive(self, mailbox: Mailbox, stamp: str) -> str:
        """Set a mailbox with all its messages aside, so that a new account of that name starts empty.

        `stamp` tells several archived mailboxes of one login apart, such as `20250131T120000`. Returns where
        it is now, for people to read; empty where there was none. Raises StoreFull, StoreFailed.
        """
        ...

    def remove(self, mailbox: Mailbox) -> None:
        """Remove a mailbox with all its messages for good, if there is one. Raises StoreFull, StoreFailed."""
        ...

    def archive_domain(self, domain: str, stamp: str) -> str:
        """Set all mailboxes of a domain aside; see `archive`."""
        ...

    def remove_domain(self, domain: str) -> None:
        """Remove all mailboxes of a domain for good; see `remove`."""
        ...

    def logins(self, domain: str) -> list[str]:
        """The logins that have a mailbox in a domain, sorted. Raises StoreFailed."""
        ...

    def copies(self, mailbox: Mailbox) -> Iterator[Stored]:
        """Every message of a mailbox, its folders included, to be kept elsewhere. Raises StoreFailed."""
        ...

    def missing(self, mailbox: Mailbox, messages: Iterable[Stored]) -> int:
        """How many of these messages `put_back` would put there. Raises StoreFailed."""
        ...

    def put_back(self, mailbox: Mailbox, messages: Iterable[Stored]) -> int:
        """Put those messages there that are missing, durably, and return how many; none is changed or removed.

        Their quota is not asked: they were there before. Raises StoreFull, StoreFailed.
        """
        ...
