"""Deliveries in step: what several of them have to wait for, they wait for at the same time.

Most of a delivery is waiting for fsync(2), and a disk syncs many files in hardly more time than one. A thread for
each delivery would do that, too, but all of them want the one interpreter again after each system call. So one
thread takes all deliveries from sync to sync, and only the syncs are done by several.

A delivery is a generator: it yields the descriptor that has to be synced before it may go on, and returns what it
has to say. Where a sync failed, its OSError is thrown into that one.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

T = TypeVar("T")

Delivery = Generator[int, None, T]

MOST = 100
"""Deliveries that go in step: each holds two descriptors."""
_THREADS = 16
"""That sync, in each process."""
_UNSYNCED = OSError(errno.EAGAIN, "not synced yet")


def results_of(
    deliveries: Sequence[Delivery[T]], sync: Callable[[Sequence[int]], Sequence[OSError | None]]
) -> list[T | Exception]:
    """Run deliveries to their ends; what each returned or raised, in their order.

    None is harmed by another one's fault. `sync` tells of each descriptor why it could not be synced, or None.
    """
    results: list[T | Exception] = []
    for start in range(0, len(deliveries), MOST):
        results += _run(deliveries[start : start + MOST], sync)
    return results


def _run(
    deliveries: Sequence[Delivery[T]], sync: Callable[[Sequence[int]], Sequence[OSError | None]]
) -> list[T | Exception]:
    results: dict[int, T | Exception] = {}
    ready: dict[int, OSError | None] = dict.fromkeys(range(len(deliveries)))
    try:
        while ready:
            waiting: dict[int, int] = {}
            for number, error in ready.items():
                delivery = deliveries[number]
                try:
                    waiting[number] = delivery.throw(error) if error else next(delivery)
                except StopIteration as end:
                    results[number] = end.value
                except Exception as failure:
                    results[number] = failure
            ready = dict(zip(waiting, sync([*waiting.values()]) if waiting else (), strict=True))
    finally:
        for delivery in deliveries:
            delivery.close()  # of one that has ended nothing is left to close
    return [results[number] for number in range(len(deliveries))]


class Syncs:
    """Syncs descriptors, several at a time. For all threads of one process."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None

    def __call__(self, descriptors: Sequence[int]) -> Sequence[OSError | None]:
        """Sync all; of each why it could not be, or None."""
        if len(descriptors) == 1:
            return [_failure(descriptors[0])]
        failures: list[OSError | None] = [_UNSYNCED] * len(descriptors)
        turns = iter(range(len(descriptors)))  # of several threads that ask, each number goes to one

        def take_turns() -> None:
            for number in turns:
                failures[number] = _failure(descriptors[number])

        others: list[Future[None]] = []
        # No more threads may be to be had: then there are fewer to do it.
        with suppress(RuntimeError):
            for _ in range(min(len(descriptors), _THREADS) - 1):
                others.append(self._threads().submit(take_turns))  # noqa: PERF401  those before it count
        take_turns()
        for other in others:
            # One that has not come to begin, because others are being synced, is not needed any more.
            if not other.cancel():
                other.result()
        while _UNSYNCED in failures:
            time.sleep(0.001)  # a thread has a turn that was given out with an error, and so has no result
        return failures

    def _threads(self) -> ThreadPoolExecutor:
        if self._pool is None:
            from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415  vdeliver has to start fast

            self._pool = ThreadPoolExecutor(_THREADS, "syncs")
        return self._pool


def _failure(descriptor: int) -> OSError | None:
    """Sync a descriptor; why it could not be, or None."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        return error
    return None
