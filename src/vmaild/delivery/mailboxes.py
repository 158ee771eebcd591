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
from vmaild.store.messages import Mailbox, MessageStore, Once, OverQuota, Parcel, StoreError, StoreFull, Terms

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

log = logging.getLogger("vmaild.delivery")

_FILTERS = 12
"""Filter programs that run for one process at the same time, where one message goes to many mailboxes."""


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


@dataclass(frozen=True, slots=True)
class Errand:
    """A message that is to be put into a mailbox."""

    message: Message
    recipient: Address
    copy: Copy

    def is_too_large(self) -> bool:
        """Whether the message is larger than the domain takes."""
        return self.copy.is_too_large(self.message.content.virtual_size)

    def parcel(self) -> Parcel:
        """For the message store, where there is no filter. Raises OSError."""
        return Parcel(self.copy.mailbox, self.header(), self.message.content, self.copy.terms, self.once())

    def header(self) -> bytes:
        """What stands above the message there: Return-Path first (RFC 5321 4.4), and the way that it came."""
        recipient, mailbox = self.recipient, self.copy.mailbox
        lines = f"Return-Path: <{self.message.sender}>\nDelivered-To: {mailbox}\n"
        if recipient.domain != mailbox.domain or recipient.key != fold(mailbox.login):
            lines = f"{lines}X-Original-To: {recipient}\n"
        return lines.encode("utf-8", "surrogateescape") + self.message.trace

    def once(self) -> Once:
        """What tells it from every other, noted with the attempt. Raises OSError."""
        once = Once(f"{self.message.key()} {self.recipient} {self.copy.mailbox}")
        self.message.attempt.once.append(once)
        return once


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

    def put_all(self, errands: Sequence[Errand]) -> list[Outcome]:
        """Put messages into mailboxes; a positive outcome means that one is on disk. Never raises.

        Those that pass no filter go together: most of a delivery is waiting for the disk, which syncs many files
        at one stroke. One outcome for each, in their order.
        """
        results: dict[int, bool | Exception] = {}
        together: dict[int, Parcel] = {}
        filtered: dict[int, Errand] = {}
        for number, errand in enumerate(errands):
            if errand.is_too_large():
                continue
            if errand.copy.filter:
                filtered[number] = errand
                continue
            try:
                together[number] = errand.parcel()
            except Exception as failure:
                results[number] = failure
        if together:
            results.update(zip(together, self._messages.deliver_all([*together.values()]), strict=True))
        if filtered:
            run = self._threads().map if len(filtered) > 1 else map
            results.update(zip(filtered, run(self._filtered, filtered.values()), strict=True))
        return [self._outcome(errand, results.get(number)) for number, errand in enumerate(errands)]

    def _filtered(self, errand: Errand) -> bool | Exception:
        """Put what the domain's filter makes of a message into its mailbox; as MessageStore.deliver_all."""
        from vmaild.delivery.filter import filtered  # noqa: PLC0415  few domains have one

        message, copy = errand.message, errand.copy
        try:
            once = errand.once()
            seconds = message.attempt.left(self._settings.filter_time)
            with filtered(copy, message, errand.recipient, errand.header(), self._incoming, seconds) as content:
                return self._messages.deliver(copy.mailbox, b"", content, copy.terms, once)
        except Exception as failure:
            return failure

    def _threads(self) -> ThreadPoolExecutor:
        """Those that wait for filters."""
        if self._pool is None:
            from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415  vdeliver has to start fast

            self._pool = ThreadPoolExecutor(_FILTERS, "filters")
        return self._pool

    def _outcome(self, errand: Errand, result: bool | Exception | None) -> Outcome:
        """What became of a delivery, told to the log and to the owner; None: it was not tried."""
        message, copy = errand.message, errand.copy
        match result:
            case None:
                return Rejected(Condition.TOO_BIG)
            case bool():
                size = message.content.size
                log.info("delivered to %s, %d bytes, from <%s>", copy.mailbox, size, message.sender)
                if result:
                    self._warn(copy)
                return Delivered()
            case OverQuota():
                return self._over_quota
            case FilterFailed():
                log.error("%s: %s", copy.mailbox, result)
                return Deferred(Condition.FILTER_WAITS)
            case StoreFull():
                log.error("%s: %s", copy.mailbox, result)
                return Deferred(Condition.SYSTEM_FULL)
            case StoreError():
                log.error("%s: %s", copy.mailbox, result)
                return Deferred(Condition.INTERNAL)
        log.error("%s: delivery failed", copy.mailbox, exc_info=result)
        return Deferred(Condition.INTERNAL)

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
