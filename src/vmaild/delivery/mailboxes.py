"""Puts messages into mailboxes: past the domain's limit and filter, within the quota, into the right folder."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vmaild.address import Address, fold
from vmaild.core.directory import Account, DomainDefinition, SubFolders, quota_of
from vmaild.core.site import DeliverySettings
from vmaild.delivery.message import Message
from vmaild.outcome import Condition, Deferred, Delivered, Outcome, Rejected
from vmaild.store.content import Content
from vmaild.store.messages import Mailbox, MessageStore, Once, OverQuota, StoreError, StoreFull, Terms

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

log = logging.getLogger("vmaild.delivery")

_WORTH_THREADS = 3
"""Mailboxes from which on threads are quicker than one after the other."""
_THREADS = 12
"""That put copies into mailboxes, in each process."""


class FilterFailed(Exception):
    """The message did not come through the filter; the text is for the log."""


@dataclass(frozen=True, slots=True)
class Copy:
    """One mailbox that is to get a copy, and what its domain and its owner ask for."""

    mailbox: Mailbox
    terms: Terms
    filter: str = ""
    """The command line of the domain's filter program; empty: none."""
    max_size: int = 0
    """Octets of a message; 0: no limit but the site's."""
    language: str = "en"

    def is_too_large(self, size: int) -> bool:
        """Whether a message of so many octets, with CRLF line ends, is larger than the domain takes."""
        return 0 < self.max_size < size


class Mailboxes:
    """All mailboxes, as the site's settings open them."""

    def __init__(
        self, messages: MessageStore, settings: DeliverySettings, incoming: str, *, defer_over_quota: bool
    ) -> None:
        """`incoming` is the folder for messages on their way."""
        self._messages = messages
        self._settings = settings
        self._incoming = incoming
        over_quota = Deferred(Condition.OVER_QUOTA_FOR_NOW) if defer_over_quota else Rejected(Condition.OVER_QUOTA)
        self._over_quota: Outcome = over_quota
        self._pool: ThreadPoolExecutor | None = None

    def copy(self, definition: DomainDefinition, account: Account, detail: str) -> Copy:
        """What is to be done for an account; `detail` is the sub-address."""
        terms = Terms(
            quota_of(definition, account),
            self._settings.quota_warning,
            "" if account.sub_folders is SubFolders.NONE else detail,
            account.sub_folders is SubFolders.CREATE,
        )
        return Copy(
            Mailbox(definition.name, account.login),
            terms,
            definition.filter,
            definition.max_message_size,
            definition.language or self._settings.language,
        )

    def answered(self, deliveries: Iterable[Once]) -> None:
        """See MessageStore."""
        self._messages.answered(deliveries)

    def abandoned(self, deliveries: Iterable[Once]) -> None:
        """See MessageStore."""
        self._messages.abandoned(deliveries)

    def put_all(self, message: Message, parcels: Sequence[tuple[Address, Copy]]) -> dict[Mailbox, Outcome]:
        """Put one message into many mailboxes, each once; see `put`. Never raises.

        Several at a time: most of a delivery is waiting for the disk, which syncs many files at one stroke.
        """
        if len(parcels) < _WORTH_THREADS:
            return {copy.mailbox: self.put(message, recipient, copy) for recipient, copy in parcels}
        outcomes = self._threads().map(lambda parcel: self.put(message, *parcel), parcels)
        return dict(zip((copy.mailbox for _, copy in parcels), outcomes, strict=True))

    def _threads(self) -> ThreadPoolExecutor:
        """Those of `put_all`, which wait for nobody but the disk."""
        if self._pool is None:
            from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415  vdeliver has to start fast

            self._pool = ThreadPoolExecutor(_THREADS, "copies")
        return self._pool

    def put(self, message: Message, recipient: Address, copy: Copy) -> Outcome:
        """Put a message into a mailbox; a positive outcome means that it is on disk. Never raises."""
        if copy.is_too_large(message.content.virtual_size):
            return Rejected(Condition.TOO_BIG)
        mailbox = copy.mailbox
        header = _header(message, recipient, mailbox)
        try:
            passed = self._deliver(message, recipient, header, copy)
        except OverQuota:
            return self._over_quota
        except FilterFailed as failure:
            log.error("%s: %s", mailbox, failure)
            return Deferred(Condition.FILTER_WAITS)
        except StoreFull as full:
            log.error("%s: %s", mailbox, full)
            return Deferred(Condition.SYSTEM_FULL)
        except StoreError as failure:
            log.error("%s: %s", mailbox, failure)
            return Deferred(Condition.INTERNAL)
        except Exception:
            log.exception("%s: delivery failed", mailbox)
            return Deferred(Condition.INTERNAL)
        log.info("delivered to %s, %d bytes, from <%s>", mailbox, message.content.size, message.sender)
        if passed:
            self._warn(copy)
        return Delivered()

    def _deliver(self, message: Message, recipient: Address, header: bytes, copy: Copy) -> bool:
        once = Once(f"{message.key()} {recipient} {copy.mailbox}")
        message.attempt.once.append(once)
        if not copy.filter:
            return self._messages.deliver(copy.mailbox, header, message.content, copy.terms, once)
        from vmaild.delivery.filter import filtered  # noqa: PLC0415  few domains have one

        seconds = message.attempt.left(self._settings.filter_time)
        with filtered(copy, message, recipient, header, self._incoming, seconds) as content:
            return self._messages.deliver(copy.mailbox, b"", content, copy.terms, once)

    def _warn(self, copy: Copy) -> None:
        """Tell the owner that the mailbox is nearly full; the quota does not hold this letter up."""
        # The email package: longer to load than a delivery takes.
        from vmaild.delivery.warning import quota_warning  # noqa: PLC0415

        mailbox = copy.mailbox
        try:
            usage = self._messages.usage(mailbox)
            with Content(self._incoming) as content:
                content.append(quota_warning(mailbox, usage, copy.terms.quota, copy.language))
                content.finish()
                header = f"Return-Path: <>\nDelivered-To: {mailbox}\n".encode("utf-8", "surrogateescape")
                self._messages.deliver(mailbox, header, content)
        except Exception:
            log.exception("%s: quota warning not delivered", mailbox)
        else:
            log.info("%s: warned that the mailbox is nearly full", mailbox)


def _header(message: Message, recipient: Address, mailbox: Mailbox) -> bytes:
    """What stands above a message in a mailbox: Return-Path first (RFC 5321 4.4), and the way that it came."""
    lines = f"Return-Path: <{message.sender}>\nDelivered-To: {mailbox}\n"
    if recipient.domain != mailbox.domain or recipient.key != fold(mailbox.login):
        lines = f"{lines}X-Original-To: {recipient}\n"
    return lines.encode("utf-8", "surrogateescape") + message.trace
