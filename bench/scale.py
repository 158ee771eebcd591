"""How cost grows with domains, accounts, messages and connections.

Each is made larger alone, from 1 to 100,000, and what a user or an administrator would notice is measured:
start-up, first look-up, memory, pauses, deliveries, commands. Numbers are medians where a thing can be repeated;
what is made only once, such as the first start on 100,000 new definitions, is measured once.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import machine, roots
from bench.report import Measured, Report
from bench.served import COMMANDS, Server, Took, command, median
from bench.sessions import Idle, Recipients

from vmaild.store.layout import Layout

PROJECT = Path(__file__).parents[1]
MESSAGE = b"Subject: bench\n\nOne message\n"


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large each dimension is made."""

    domains: tuple[tuple[int, int], ...]
    """(domains, accounts in each)."""
    accounts: tuple[int, ...]
    messages: tuple[int, ...]
    connections: tuple[int, ...]
    touch: float
    """Seconds that asking for every domain may take."""


WHOLE = Sizes(
    ((1, 100), (1_000, 100), (100_000, 1)),
    (1, 1_000, 100_000),
    (1, 1_000, 100_000),
    (1, 1_000, 10_000, 100_000),
    10,
)
QUICK = Sizes(((1, 100), (1_000, 100)), (1, 1_000), (1, 1_000), (1, 1_000), 3)


def measure(*, quick: bool, folder: Path | None, say: Callable[[str], None]) -> Report:
    """Everything, in a temporary folder of `folder`, which is removed again."""
    sizes = QUICK if quick else WHOLE
    report = Report("scale", "How cost grows", machine.description())
    for count, each in sizes.domains:
        say(f"{count:,} domains of {each} accounts")
        with _root(folder, count, each) as root:
            report.add("domains", count, domains(root, count, sizes.touch))
    for count in sizes.accounts:
        say(f"one domain of {count:,} accounts")
        with _root(folder, 1, count) as root:
            report.add("accounts in one domain", count, accounts(root, count))
    for count in sizes.messages:
        say(f"a mailbox of {count:,} messages")
        with _root(folder, 1, 1) as root:
            roots.fill(root, roots.domain(0), count)
            report.add("messages in one mailbox", count, messages(root))
    for count in sizes.connections:
        say(f"{count:,} idle sessions")
        with _root(folder, 10, 1) as root:
            report.add("idle POP3 sessions", count, connections(root, count))
    return report


def domains(root: Layout, count: int, touch: float) -> Iterator[Measured]:
    """Start-up, look-ups, pauses, memory, delivery and a change by the administrator."""
    middle = roots.domain(count // 2)
    with Server(root) as server:
        yield _took("start, the first ever", server.start_up)
    starts, through = [], []
    for _ in range(3):
        with Server(root) as server:
            starts.append(server.start_up)
            sizes = server.sizes()
            through += [_delivery(root, middle) for _ in range(5)]
    yield _took("start, later", median(starts))
    yield from _look_ups(root, "", f"{roots.LOGIN}@{middle}")
    yield from _look_ups(root, " by domain alias", f"{roots.LOGIN}@{roots.domain_alias(count // 2)}")
    paused = _probe("pause", root, "30")
    yield Measured("longest pause by scans", paused["longest"], "s")
    yield Measured("address in a file edited in place in force after", paused.get("edited"), "s")
    yield Measured("address in a new file in force after", paused.get("added"), "s")
    yield _took("vdeliver by way of the server", median(through))
    yield _took("vdeliver without a server", median(_delivery(root, middle) for _ in range(7)))
    yield Measured("all five processes after start, PSS", sum(sizes), "MB")
    touched = _probe("touch_all", root, f"{touch}")
    yield _found("all definitions found by a process", touched, "scan")
    yield _found("a domain and a password in it looked up first", touched, "each")
    yield Measured("memory for that", 1024 * touched["memory"], "kB")
    with Server(root) as server, Recipients(server) as lmtp:
        lmtp.ask([f"{roots.LOGIN}@{roots.domain(number)}" for number in range(count)], 3 * touch)
        sizes = server.sizes()
    yield Measured("all five after mail for every domain, PSS", sum(sizes), "MB")
    yield Measured("the largest of them", max(sizes), "MB")
    yield _user_add(root, middle)


def _look_ups(root: Layout, how: str, recipient: str) -> Iterator[Measured]:
    found = _median([_probe("look_up", root, recipient) for _ in range(3)])
    yield _found(f"first look-up{how} in a process", found, "first")
    yield Measured(f"look-ups{how} after that, per second of CPU", found["rate"], "")


def accounts(root: Layout, count: int) -> Iterator[Measured]:
    """A domain's files when they are first needed, and when one line of them has changed."""
    _delivery(root, roots.domain(0))  # creates the mailbox
    found = _median([_probe("accounts", root, f"u{count - 1:06d}") for _ in range(3)])
    yield _found("first look-up, passwd", found, "passwd")
    yield _found("first look-up, shadow", found, "shadow")
    yield _found("look-up after an edit by hand", found, "edited")
    yield Measured("memory, accounts", found["memory"], "MB")
    yield Measured("memory, accounts and passwords", found["memory with passwords"], "MB")
    yield _took("vdeliver without a server", median(_delivery(root, roots.domain(0)) for _ in range(7)))
    yield _user_add(root, roots.domain(0))


def messages(root: Layout) -> Iterator[Measured]:
    """A mailbox opened, and delivered into."""
    time.sleep(2.1)  # a folder changed less than two seconds ago is not kept in memory
    found = _probe("maildrop", root)
    yield _found("open the maildrop, first", found, "first")
    yield _found("open the maildrop, unchanged since", found, "again")
    yield Measured("memory for its snapshot", found["memory"], "MB")
    yield _found("deliver a message", found, "deliver")
    yield _found("deliver, quota to be counted first", found, "counting")
    yield _found("deliver, with a quota", found, "quota")


def connections(root: Layout, count: int) -> Iterator[Measured]:
    """Sessions that have been greeted and say nothing."""
    many = count > 10_000
    with Server(root, workers=16 if many else 2, addresses=count // 10_000 if many else 1) as server:
        before = server.private()
        with Idle(server, count) as idle:
            taken = server.private() - before
    if idle.greeted < count:
        yield Measured(f"greeted before {idle.failure or 'the time was over'}", idle.greeted, "")
        return
    yield Measured("greeting all of them", idle.seconds, "s")
    if count > 1:
        yield Measured("memory of all workers for them", taken, "MB")
        yield Measured("memory for each", 1024 * taken / count, "kB")


def _took(measure: str, took: Took) -> Measured:
    return Measured(measure, took.wall, "s", took.cpu)


def _found(measure: str, found: dict[str, float], name: str) -> Measured:
    return Measured(measure, found[name], "s", found[f"{name} cpu"])


def _median(found: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(each[name] for each in found) for name in found[0]}


def _delivery(root: Layout, name: str) -> Took:
    return command(COMMANDS / "vdeliver", "--root", root.root, f"{roots.LOGIN}@{name}", stdin=MESSAGE)


def _user_add(root: Layout, name: str) -> Measured:
    """A new account, by command."""
    times: list[Took] = []
    vmail = (COMMANDS / "vmail", "--root", root.root, "user", "add", "--password-stdin")
    while len(times) < 3 and (not times or times[-1].wall < 5):
        login = f"new{len(times)}@{name}"
        times.append(command(*vmail, login, stdin=b"long enough to be taken\n"))
    return _took("vmail user add", median(times))


def _probe(name: str, root: Layout, *arguments: str) -> dict[str, float]:
    """Run a probe in a process of its own."""
    run = subprocess.run(
        [sys.executable, "-m", "bench.probe", name, root.root, *arguments],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        check=True,
        timeout=300,
    )
    found: dict[str, float] = json.loads(run.stdout)
    return found


@contextmanager
def _root(folder: Path | None, count: int, accounts: int) -> Iterator[Layout]:
    # A short name: the path of a socket has 107 bytes at most.
    where = Path(tempfile.mkdtemp(prefix="vb", dir=folder))
    try:
        root = roots.lay_out(where / "r", count, accounts)
        os.sync()  # or the writing back of all that would be measured, too
        yield root
    finally:
        shutil.rmtree(where)
