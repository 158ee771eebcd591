"""The delivery agent: routes a recipient, then carries the route out.

`accept` is asked at RCPT and is quick; `deliver` writes to disk, blocks, and belongs in a thread. Between the
two everything that was decided travels in an `Order`, so that the directory is never asked from two threads.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from vmaild.address import Address, fold
from vmaild.core import routing
from vmaild.core.directory import LookupFailed
from vmaild.outcome import Condition, Deferred, Delivered, Outcome, Rejected
from vmaild.store.content import Content
from vmaild.store.directory import DirectoryStore
from vmaild.store.messages import Mailbox, MessageStore, OverQuota, StoreError, StoreFull

log = logging.getLogger("vmaild.delivery")


@dataclass(frozen=True, slots=True)
class Order:
    """One accepted recipient: the mailboxes that are to get a copy."""

    recipient: Address
    mailboxes: tuple[tuple[Mailbox, int], ...]
    """Each with its quota in bytes (0: no limit)."""


class Agent:
    """Delivers into the mailboxes of a directory's domains."""

    def __init__(
        self, directory: DirectoryStore, messages: MessageStore, *, defer_over_quota: bool = False
    ) -> None:
        self._directory = directory
        self._messages = messages
        over_quota = Deferred(Condition.OVER_QUOTA_FOR_NOW) if defer_over_quota else Rejected(Condition.OVER_QUOTA)
        self._over_quota: Outcome = over_quota

    def accept(self, recipient: Address) -> tuple[Outcome, Order | None]:
        """Decide on a recipient: what RCPT answers and, when accepted, what is to be done."""
        decided = routing.route(self._directory, recipient)
        outcome = routing.answer(decided)
        match decided, outcome:
            case routing.Accepted(targets), Delivered():
                try:
                    return outcome, Order(recipient, tuple(map(self._mailbox, targets)))
                except LookupFailed as failure:
                    log.error("%s deferred: %s", recipient, failure)
                    return Deferred(Condition.LOOKUP_FAILED), None
            case routing.Undecided(_, problem), _:
                log.warning("%s deferred: %s", recipient, problem)
        return outcome, None

    def _mailbox(self, target: routing.Target) -> tuple[Mailbox, int]:
        """The mailbox of a target with its quota. Raises LookupFailed."""
        assert isinstance(target, routing.ToMailbox)  # what routing.answer accepts
        domain = self._directory.find(target.domain)
        account = domain.accounts.get(fold(target.login)) if domain else None
        if domain is None or account is None:
            raise LookupFailed(f"{target.login}@{target.domain} vanished while it was looked up")
        quota = domain.definition.quota if account.quota is None else account.quota
        return Mailbox(target.domain, target.login), quota

    def deliver(self, sender: str, trace: bytes, orders: Sequence[Order], content: Content) -> list[Outcome]:
        """Put one message in the mailboxes of every order; one outcome for each, in their order.

        `sender` is the envelope's, empty for the null sender; `trace` are header lines with LF ends (Received)
        that go above the content. Blocks; a positive outcome means the message is on disk. A mailbox that
        several recipients lead to gets one copy. Never raises.
        """
        done: dict[Mailbox, Outcome] = {}
        outcomes: list[Outcome] = []
        for order in orders:
            for mailbox, quota in order.mailboxes:
                if mailbox not in done:
                    done[mailbox] = self._put(sender, trace, mailbox, quota, content)
            outcomes.append(_worst([done[mailbox] for mailbox, _ in order.mailboxes]))
        return outcomes

    def _put(self, sender: str, trace: bytes, mailbox: Mailbox, quota: int, content: Content) -> Outcome:
        # Return-Path first (RFC 5321 4.4: the final delivery puts it at the beginning).
        header = f"Return-Path: <{sender}>\nDelivered-To: {mailbox}\n".encode("utf-8", "surrogateescape") + trace
        try:
            self._messages.deliver(mailbox, header, content, quota)
        except OverQuota:
            return self._over_quota
        except StoreFull as full:
            log.error("%s: %s", mailbox, full)
            return Deferred(Condition.SYSTEM_FULL)
        except StoreError as failure:
            log.error("%s: %s", mailbox, failure)
            return Deferred(Condition.INTERNAL)
        except Exception:
            # The sender learns nothing of our insides, and keeps the message.
            log.exception("%s: delivery failed", mailbox)
            return Deferred(Condition.INTERNAL)
        log.info("delivered to %s, %d bytes, from <%s>", mailbox, content.size, sender)
        return Delivered()


def _worst(outcomes: Sequence[Outcome]) -> Outcome:
    """The one answer for a recipient with several mailboxes: waiting, else refused, else delivered."""
    for kind in (Deferred, Rejected):
        for outcome in outcomes:
            if isinstance(outcome, kind):
                return outcome
    return outcomes[0]
