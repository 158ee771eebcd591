"""Brings messages that have come to the delivery agent, off the event loop, and their outcomes back to it.

What has come while others are being written goes together: the agent takes many messages to the disk in hardly
more time than one (store.syncs), and a thread is woken once for all of them. What is large goes by itself, so that
small messages need not wait for it; what leaves this machine, or waits for a program, has threads of its own.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field

from vmaild.delivery.agent import Agent, Order
from vmaild.delivery.message import Message
from vmaild.outcome import Condition, Deferred, Outcome
from vmaild.store.content import SPILL_AT

log = logging.getLogger("vmaild.lmtp")

_ROUNDS = 2
"""Rounds of messages that are written at the same time: while one waits for the disk, the next is made ready."""
_MOST = 100
"""Copies in a round, as far as whole messages allow."""
_BRIEF = 0.02
"""Seconds that a delivery may keep the event loop from new connections."""
_CAREFUL = 10.0
"""Seconds for which the event loop waits for no disk, after one that took longer."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A message that is whole, and who waits for what becomes of it."""

    message: Message
    orders: Sequence[Order]
    back: Callable[[list[Outcome]], None]
    """Called in the event loop, with one outcome for each order."""

    @property
    def copies(self) -> int:
        """How many mailboxes get one."""
        return sum(len(order.mailboxes) for order in self.orders)

    @property
    def is_quick(self) -> bool:
        """Whether only this machine's disk has to be waited for."""
        return all(order.is_quick for order in self.orders)

    @property
    def is_small(self) -> bool:
        """Whether the message is in memory, and is for few."""
        return self.message.content.size <= SPILL_AT and self.copies < _MOST


@dataclass(slots=True)
class Writing:
    """The messages of one worker that are being delivered. For its event loop."""

    agent: Agent
    disk: Executor
    outside: Executor
    _waiting: list[Letter] = field(default_factory=list)
    _rounds: int = 0
    """Under way."""
    _called: bool = False
    """Whether a round begins once all that has come just now was looked at."""
    _careful_until: float = 0.0
    """In seconds of time.monotonic()."""

    def deliver(self, letter: Letter) -> None:
        """Deliver a message; its `back` is called later."""
        if not letter.is_quick:
            self._submit(self.outside, [letter], self._answer)
        elif not letter.is_small:
            self._submit(self.disk, [letter], self._answer)
        else:
            self._waiting.append(letter)
            if not self._called:
                self._called = True
                asyncio.get_running_loop().call_soon(self._begin)

    def at_once(self, letter: Letter) -> list[Outcome] | None:
        """Deliver a message in the event loop, where that is quick; None: nothing was done, and `deliver` is to.

        For a client that nobody waits beside: to wake a thread costs as much as a quarter of a delivery
        (docs/performance.md). Whoever connects meanwhile waits for two syncs; a slow disk keeps nobody waiting so
        but once in a while.
        """
        began = time.monotonic()
        if began < self._careful_until or letter.copies != 1 or not (letter.is_quick and letter.is_small):
            return None
        (outcomes,) = self.outcomes([letter])
        now = time.monotonic()
        if now - began > _BRIEF:
            self._careful_until = now + _CAREFUL
        return outcomes

    def outcomes(self, letters: Sequence[Letter]) -> list[list[Outcome]]:
        """Deliver messages here and now. Blocks, from any thread; never raises."""
        try:
            return self.agent.deliver_all([(letter.message, letter.orders) for letter in letters])
        except Exception:
            # Each sender keeps its message, whatever it is, and is not left without an answer.
            log.exception("%d messages not delivered", len(letters))
            for letter in letters:
                letter.message.attempt.unnoted = True  # what was done of them is known when they come again
            return [[Deferred(Condition.INTERNAL)] * len(letter.orders) for letter in letters]
        finally:
            for letter in letters:
                letter.message.content.close()

    def _begin(self) -> None:
        """Begin a round with what waits, unless enough are under way."""
        self._called = False
        while self._waiting and self._rounds < _ROUNDS:
            taken, copies = 0, 0
            while taken < len(self._waiting) and (copies := copies + self._waiting[taken].copies) <= _MOST:
                taken += 1
            letters, self._waiting = self._waiting[:taken], self._waiting[taken:]
            self._rounds += 1
            self._submit(self.disk, letters, self._end)

    def _end(self, letters: Sequence[Letter], outcomes: list[list[Outcome]]) -> None:
        self._rounds -= 1
        self._answer(letters, outcomes)
        self._begin()

    def _submit(
        self,
        executor: Executor,
        letters: Sequence[Letter],
        then: Callable[[Sequence[Letter], list[list[Outcome]]], None],
    ) -> None:
        loop = asyncio.get_running_loop()
        try:
            executor.submit(lambda: loop.call_soon_threadsafe(then, letters, self.outcomes(letters)))
        except RuntimeError as error:
            # It is in the executor's queue all the same, for the threads that there are.
            log.warning("%d messages wait for a thread: %s", len(letters), error)

    @staticmethod
    def _answer(letters: Sequence[Letter], outcomes: list[list[Outcome]]) -> None:
        for letter, each in zip(letters, outcomes, strict=True):
            try:
                letter.back(each)
            except Exception:
                # A session's own fault, which is not to cost the others their answers.
                log.exception("cannot answer")
