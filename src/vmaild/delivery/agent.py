"""The delivery agent: routes a recipient, then carries the route out.

`accept` is asked at RCPT and is quick; `deliver` writes to disk, blocks, and belongs in a thread. Between the
two everything that was decided travels in an `Order`, so that the directory is never asked from two threads.

A recipient gets one answer, also where it has several targets. What may be refused elsewhere is done first
(the relay, programs, files), mailboxes last; where a part has to wait, what is done already is noted
(store.partial) and is not done again when the sending server comes back.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from vmaild.address import Address, fold
from vmaild.core import routing
from vmaild.core.directory import Account, Domain, Glance, LookupFailed, delimiter_of
from vmaild.delivery.autoreply import Owner
from vmaild.delivery.mailboxes import Copy, Errand, Mailboxes
from vmaild.delivery.message import Attempt, Message
from vmaild.delivery.outside import Outside, Target
from vmaild.outcome import Condition, Deferred, Delivered, Outcome, Rejected
from vmaild.store.content import Content
from vmaild.store.directory import DirectoryStore
from vmaild.store.messages import Mailbox, MessageStore
from vmaild.store.partial import Partial

log = logging.getLogger("vmaild.delivery")


@dataclass(frozen=True, slots=True)
class Order:
    """One accepted recipient: all that is to be done for it."""

    recipient: Address
    mailboxes: tuple[Copy, ...]
    outside: tuple[Target, ...] = ()
    replies: tuple[Owner, ...] = ()
    """Whose vacation texts are in force."""
    delimiter: str = ""
    """What parts a name of the recipient's domain from its sub-address; empty: nothing does."""

    @property
    def is_quick(self) -> bool:
        """Whether only this machine's disk has to be waited for."""
        if self.outside or self.replies:
            return False
        for copy in self.mailboxes:  # noqa: SIM110  asked some times for each recipient, and half as long as any()
            if copy.filter:
                return False
        return True


class Agent:
    """Delivers what comes for a directory's domains."""

    def __init__(
        self,
        directory: DirectoryStore,
        messages: MessageStore,
        outside: Outside,
        *,
        defer_over_quota: bool = False,
    ) -> None:
        self._directory = directory
        self._mailboxes = Mailboxes(
            messages, outside.settings, outside.layout.incoming, defer_over_quota=defer_over_quota
        )
        self._outside = outside
        self._partial = Partial(outside.layout.partial)

    def glance(self) -> Glance:
        """The directory as it is now, for recipients that were named together."""
        return Glance(self._directory)

    def accept(
        self, recipient: Address, size: int = 0, glance: Glance | None = None
    ) -> tuple[Outcome, Order | None]:
        """Decide on a recipient: what RCPT answers and, when accepted, what is to be done.

        `size` is what the sender has announced (RFC 1870), 0: nothing. Without a `glance` it is looked anew.
        """
        decided = routing.route(glance or self._directory, recipient)
        outcome = routing.answer(decided)
        match decided, outcome:
            case routing.Accepted(targets), Delivered():
                try:
                    order = self._order(recipient, targets)
                    if size and any(copy.is_too_large(size) for copy in order.mailboxes):
                        return Rejected(Condition.TOO_BIG), None
                    return outcome, order
                except LookupFailed as failure:
                    log.error("%s deferred: %s", recipient, failure)
                    return Deferred(Condition.LOOKUP_FAILED), None
            case routing.Undecided(_, problem), _:
                log.warning("%s deferred: %s", recipient, problem)
        return outcome, None

    def _order(self, recipient: Address, targets: Sequence[routing.Target]) -> Order:
        """All that an accepted recipient asks for. Raises LookupFailed."""
        mailboxes: list[Copy] = []
        outside: list[Target] = []
        replies: list[Owner] = []
        for target in targets:
            match target:
                case routing.ToMailbox(name, login, detail, seen):
                    found, account = seen or self._account(name, login)
                    mailboxes.append(self._mailboxes.copy(found.definition, account, detail))
                case routing.AutoReply(name, login):
                    replies.append(self._owner(recipient, *self._account(name, login)))
                case _:
                    outside.append(target)
        delimiter = ""
        if outside:
            domain = self._directory.find(recipient.domain)
            delimiter = delimiter_of(domain.definition, self._directory) if domain else ""
        return Order(recipient, tuple(mailboxes), tuple(outside), tuple(replies), delimiter)

    def _account(self, name: str, login: str) -> tuple[Domain, Account]:
        """The account of a target. Raises LookupFailed."""
        domain = self._directory.find(name)
        account = domain.accounts.get(fold(login)) if domain else None
        if domain is None or account is None:
            raise LookupFailed(f"{login}@{name} vanished while it was looked up")
        return domain, account

    def _owner(self, recipient: Address, domain: Domain, account: Account) -> Owner:
        names = (domain.name, *domain.definition.aliases)
        full_name = ".".join(fold(account.full_name).split())
        own_names = (account.login, full_name) if full_name in domain.full_names else (account.login,)
        own = frozenset(Address(local_part, name) for local_part in own_names for name in names)
        delimiter = delimiter_of(domain.definition, self._directory)
        if recipient.key.partition(delimiter or "\0")[0] == fold(account.login):
            own |= {recipient}  # with a sub-address
        home = self._outside.layout.home(domain.name, account.login)
        return Owner(Address(account.login, domain.name), account.full_name, home, own)

    def attempt(self, *, one_answer: bool = False) -> Attempt:
        """Begin to deliver a message, whose sender waits from now on; see Attempt for `one_answer`."""
        return Attempt(time.monotonic() + self._outside.settings.message_time, one_answer)

    def answered(self, attempt: Attempt) -> None:
        """The sender has got its answer. Never fails."""
        if attempt.unnoted:
            self.abandoned(attempt)  # it comes again
            return
        self._outside.answered(attempt)
        self._mailboxes.answered(attempt.once)

    def abandoned(self, attempt: Attempt) -> None:
        """The sender is gone without the answer: what was delivered is not delivered again. Never fails."""
        self._outside.abandoned(attempt)
        self._mailboxes.abandoned(attempt.once)

    def deliver(
        self,
        sender: str,
        trace: bytes,
        orders: Sequence[Order],
        content: Content,
        attempt: Attempt | None = None,
    ) -> list[Outcome]:
        """Do for one message what every order asks for; one outcome for each, in their order.

        `sender` is the envelope's, empty for the null sender; `trace` are header lines with LF ends (Received)
        that go above the content. With an `attempt`, say later what became of the answer. Blocks; a positive
        outcome means that the message is on disk, or was taken by whoever it was for. A mailbox or address that
        several recipients lead to gets one copy. Never raises.
        """
        message = Message(sender, trace, content, attempt or self.attempt())
        (outcomes,) = self.deliver_all([(message, orders)])
        if attempt is None:
            self.answered(message.attempt)
        return outcomes

    def deliver_all(self, letters: Sequence[tuple[Message, Sequence[Order]]]) -> list[list[Outcome]]:
        """As `deliver`, for several messages, which wait for the disk together. Say later what became of each."""
        first = [self._first(message, orders) for message, orders in letters]
        outcomes = iter(self._mailboxes.put_all([errand for errands in first for errand in errands]))
        return [
            self._rest(message, orders, {errand.copy.mailbox: next(outcomes) for errand in errands})
            for (message, orders), errands in zip(letters, first, strict=True)
        ]

    def _first(self, message: Message, orders: Sequence[Order]) -> list[Errand]:
        """What needs no thought: recipients that lead to one mailbox and nowhere else, each mailbox once."""
        ours = message.attempt
        if not ours.left() or (ours.one_answer and not self._partial.is_empty()):
            return []
        errands: dict[Mailbox, Errand] = {}
        for order in orders:
            if order.is_quick and len(order.mailboxes) == 1:
                (copy,) = order.mailboxes
                errands.setdefault(copy.mailbox, Errand(message, order.recipient, copy))
        return list(errands.values())

    def _rest(
        self, message: Message, orders: Sequence[Order], done: dict[Mailbox | Target, Outcome]
    ) -> list[Outcome]:
        """Do what is not done yet; one outcome for each order."""
        outcomes: list[Outcome] = []
        for order in orders:
            try:
                outcomes.append(self._carry_out(message, order, done))
            except Exception:
                # The sender learns nothing of our insides, and keeps the message.
                log.exception("%s: delivery failed", order.recipient)
                outcomes.append(Deferred(Condition.INTERNAL))
                message.attempt.unnoted = True
        if message.attempt.one_answer:
            try:
                self._note_all(message, orders, outcomes)
            except OSError as error:
                message.attempt.unnoted = True
                log.error("cannot note what was delivered: %s", error)
        message.attempt.unnoted &= any(isinstance(outcome, Deferred) for outcome in outcomes)
        return outcomes

    def _carry_out(self, message: Message, order: Order, done: dict[Mailbox | Target, Outcome]) -> Outcome:
        if len(order.mailboxes) == 1 and order.is_quick:
            known = done.get(order.mailboxes[0].mailbox)
            if known is not None:
                return known
        to_do = [copy for copy in order.mailboxes if copy.mailbox not in done]
        if (to_do or not order.is_quick) and not message.attempt.left():
            return Deferred(Condition.OUT_OF_TIME)
        several = len(order.mailboxes) + len(order.outside) > 1
        one_answer = message.attempt.one_answer
        key = ""
        before: set[str] = set()
        if (several and order.outside) or ((several or one_answer) and not self._partial.is_empty()):
            key = _key(message, order)
            before = self._partial.done(key)
        if order.outside and message.has_been_through(order.recipient):
            return Rejected(Condition.LOOP)
        outcomes: dict[Mailbox | Target, Outcome] = {}
        asked = [target for target in order.outside if target not in done and str(target) not in before]
        if asked:
            done.update((*self._outside.carry_out(message, order.recipient, asked, order.delimiter).items(),))
        outcomes |= {target: done.get(target, Delivered()) for target in order.outside}
        if order.mailboxes and order.outside:
            self._note(message, key, asked, outcomes)
        errands = [Errand(message, order.recipient, copy) for copy in to_do if str(copy.mailbox) not in before]
        done.update(zip((each.copy.mailbox for each in errands), self._mailboxes.put_all(errands), strict=True))
        outcomes |= {copy.mailbox: done.get(copy.mailbox, Delivered()) for copy in order.mailboxes}
        outcome = _worst(list(outcomes.values()))
        if several and isinstance(outcome, Deferred):
            self._note(message, key or _key(message, order), outcomes, outcomes)
        elif key and not one_answer:
            self._partial.forget(key)
        for owner in order.replies:
            if isinstance(outcome, Delivered):
                self._outside.answer(owner, message)
        return outcome

    def _note_all(self, message: Message, orders: Sequence[Order], outcomes: Sequence[Outcome]) -> None:
        """Note what is done, where one recipient makes the message come again for all; else forget it."""
        again = any(isinstance(outcome, Deferred) for outcome in outcomes)
        if not again and self._partial.is_empty():
            return
        for order, outcome in zip(orders, outcomes, strict=True):
            if not again:
                self._partial.forget(_key(message, order))
            elif isinstance(outcome, Delivered):
                targets = (*(copy.mailbox for copy in order.mailboxes), *order.outside)
                self._note(message, _key(message, order), targets, dict.fromkeys(targets, outcome))

    def _note(
        self,
        message: Message,
        key: str,
        targets: Iterable[Mailbox | Target],
        outcomes: Mapping[Mailbox | Target, Outcome],
    ) -> None:
        """Note which of these targets have got their copy."""
        try:
            self._partial.add(key, {str(target) for target in targets if isinstance(outcomes[target], Delivered)})
        except OSError as error:
            message.attempt.unnoted = True  # what was noted for the time until the answer has to last longer
            log.error("cannot note what was delivered, it may come twice after a day or a restart: %s", error)


def _key(message: Message, order: Order) -> str:
    return f"{message.digest()} {order.recipient}"


def _worst(outcomes: Sequence[Outcome]) -> Outcome:
    """The one answer for a recipient with several targets: waiting, else refused, else delivered."""
    for kind in (Deferred, Rejected):
        for outcome in outcomes:
            if isinstance(outcome, kind):
                return outcome
    return outcomes[0]
