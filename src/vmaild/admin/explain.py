"""Where mail for an address goes, step by step, and what a sender would be told."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from vmaild.address import Address, fold
from vmaild.admin.door import Door
from vmaild.admin.view import View
from vmaild.core.clients import ClientSettings, client_settings
from vmaild.core.directory import quota_of
from vmaild.core.routing import Accepted, NotLocal, Step, Target, ToMailbox, Undecided, answer, route
from vmaild.core.site import OverQuota
from vmaild.outcome import Condition, Deferred, Outcome, Rejected
from vmaild.store.messages import Mailbox, StoreError, Usage

MAX_COUNTED = 100
"""Mailboxes of one address up to which is told what each holds: that may take a look at every message."""


@dataclass(frozen=True, slots=True)
class Destination:
    """A target, and for a mailbox what its owner has."""

    target: Target
    quota: int | None = None
    """Bytes in force, 0: no limit; None: not a mailbox."""
    quota_messages: int = 0
    """Messages, likewise."""
    usage: Usage | None = None
    """What the mailbox holds; None: not a mailbox, or not to be known."""

    @property
    def full(self) -> bool:
        """Whether the next message is over the quota, whatever its size."""
        usage = self.usage
        if usage is None:
            return False
        return 0 < (self.quota or 0) <= usage.bytes or 0 < self.quota_messages <= usage.messages


@dataclass(frozen=True, slots=True)
class Explanation:
    """All about one address."""

    address: Address
    answer: Outcome
    """To RCPT."""
    destinations: tuple[Destination, ...]
    steps: tuple[Step, ...]
    problem: str = ""
    """Why mail has to wait, for the administrator only."""
    local: bool = True
    """Whether the domain is one of this machine's, as far as the actor may see."""
    clients: ClientSettings | None = None
    """What the owner types into a mail program, where all mail goes into one mailbox."""
    when_full: Outcome | None = None
    """What a sender hears of the message itself; None: no mailbox is full."""


def explain(door: Door, address: Address) -> Explanation:
    """Explain an address of a domain that the actor may see. Raises Refused.

    A co-administrator sees other domains of this server as any outside domain; the answer is the real one,
    which every sender can get.
    """
    view = door.view()
    if not door.actor.site_admin:
        view, _ = door.see(address.domain)
    decided = route(view.visible, address, explain=True)
    whole = decided if door.actor.site_admin else route(view.directory, address)
    targets = decided.targets if isinstance(decided, Accepted) else ()
    count = len(targets) <= MAX_COUNTED
    destinations = tuple(_destination(door, view, target, count=count) for target in targets)
    return Explanation(
        address,
        answer(whole),
        destinations,
        decided.steps,
        decided.problem if isinstance(decided, Undecided) else "",
        not isinstance(decided, NotLocal),
        _clients(view, targets),
        _when_full(view) if any(each.full for each in destinations) else None,
    )


def _destination(door: Door, view: View, target: Target, *, count: bool) -> Destination:
    if not isinstance(target, ToMailbox):
        return Destination(target)
    domain = view.domain(target.domain)
    account = domain.accounts[fold(target.login)]
    quota = quota_of(domain.definition, account)
    mailbox = Mailbox(domain.name, account.login)
    usage = None
    if count:
        # Who may explain an address may not be allowed to look into every mailbox.
        with suppress(StoreError, OSError):
            usage = door.messages.usage(mailbox) if door.messages.exists(mailbox) else Usage(0, 0)
    return Destination(target, quota.bytes, quota.messages, usage)


def _clients(view: View, targets: Sequence[Target]) -> ClientSettings | None:
    match [target for target in targets if isinstance(target, ToMailbox)]:
        case [ToMailbox(domain, login)]:
            return client_settings(view.domain(domain).definition, view.site, login)
    return None


def _when_full(view: View) -> Outcome:
    if view.site.delivery.over_quota is OverQuota.DEFER:
        return Deferred(Condition.OVER_QUOTA_FOR_NOW)
    return Rejected(Condition.OVER_QUOTA)
