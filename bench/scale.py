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
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench import machine, roots
from bench.report import Report
from bench.served import COMMANDS, Server, command
from bench.sessions import Idle, Recipients

from vmaild.store.layout import Layout

PROJECT = Path(__file__).parents[1]
MESSAGE = b"Subject: bench\n\nOne message\n"

Measures = list[tuple[str, float | None, str]]


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
    for count, accounts in sizes.domains:
        say(f"{count:,} domains of {accounts} accounts")
        with _root(folder, count, accounts) as root:
            report.add("domains", count, domains(root, count, accounts, sizes.touch))
    for count in sizes.accounts:
        say(f"one domain of {count:,} accounts")
        with _root(folder, 1, count) as root:
            report.add("accounts in one domain", count, accounts_in_one(root, count))
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


def domains(root: Layout, count: int, accounts: int, touch: float) -> Measures:
    """Start-up, look-ups, pauses, memory, delivery and a change by the administrator."""
    middle = roots.domain(count // 2)
    with Server(root) as server:
        first_start = server.start_up
    starts = []
    for _ in range(3):
        with Server(root) as server:
            starts.append(server.start_up)
            supervisor, workers = server.memory()
            through = [_delivery(root, middle) for _ in range(7)]
    found: Measures = [
        ("start, the first ever", first_start, "s"),
        ("start, later", statistics.median(starts), "s"),
    ]
    scan = _probe("scan", root)
    found += [("finding all definitions, index kept (CPU)", scan["cpu"], "s")]
    own = [_probe("look_up", root, f"{roots.LOGIN}@{middle}") for _ in range(3)]
    alias = [_probe("look_up", root, f"{roots.LOGIN}@{roots.domain_alias(count // 2)}") for _ in range(3)]
    found += [
        ("first look-up in a fresh process", statistics.median(each["first"] for each in own), "s"),
        (
            "first look-up by domain alias in a fresh process",
            statistics.median(each["first"] for each in alias),
            "s",
        ),
        ("look-ups again, in a second of CPU", statistics.median(each["rate"] for each in own), "/s"),
        (
            "look-ups by domain alias again, in a second of CPU",
            statistics.median(each["rate"] for each in alias),
            "/s",
        ),
    ]
    paused = _probe("pause", root, "30")
    found += [
        ("longest pause by scans", paused["longest"], "s"),
        ("address edited in place is in force after", paused.get("edited"), "s"),
        ("address in a new file is in force after", paused.get("added"), "s"),
        ("vdeliver by way of the server", statistics.median(through), "s"),
        ("vdeliver without a server", statistics.median(_delivery(root, middle) for _ in range(7)), "s"),
        ("supervisor after start, PSS", supervisor.proportional, "MB"),
        ("each worker after start, PSS", statistics.mean(worker.proportional for worker in workers), "MB"),
        ("all five after start, PSS", supervisor.proportional + sum(each.proportional for each in workers), "MB"),
    ]
    touched = _probe("touch_all", root, f"{touch}")
    found += [
        ("asking for each domain and a password, a domain", touched["wall"] / touched["domains"], "s"),
        ("memory for that, a domain", 1024 * touched["memory"] / touched["domains"], "kB"),
    ]
    found += _after_recipients(root, count, touch)
    found.append(("vmail user add", _user_add(root, middle), "s"))
    return found


def _after_recipients(root: Layout, count: int, seconds: float) -> Measures:
    """RCPT for an account of every domain, at every LMTP worker; what the server takes then."""
    with Server(root) as server, Recipients(server) as lmtp:
        rate = lmtp.ask([f"{roots.LOGIN}@{roots.domain(number)}" for number in range(count)], seconds)
        supervisor, workers = server.memory()
        total = supervisor.proportional + sum(worker.proportional for worker in workers)
        return [
            ("RCPT answers, all domains in turn, two workers", rate, "/s"),
            ("largest worker after that, PSS", max(worker.proportional for worker in workers), "MB"),
            ("all five after that, PSS", total, "MB"),
        ]


def accounts_in_one(root: Layout, count: int) -> Measures:
    """A domain's files when they are first needed, and when one line of them has changed."""
    command(COMMANDS / "vdeliver", "--root", root.root, f"{roots.LOGIN}@{roots.domain(0)}", stdin=MESSAGE)
    time.sleep(0.1)  # until its files have settled
    found = [_probe("accounts", root, f"u{count - 1:06d}") for _ in range(3)]

    def median(name: str) -> float:
        return statistics.median(each[name] for each in found)

    return [
        ("first look-up, passwd", median("passwd"), "s"),
        ("first look-up, shadow", median("shadow"), "s"),
        ("look-up after an edit by hand", median("edited"), "s"),
        ("memory, accounts", median("memory"), "MB"),
        ("memory, accounts and passwords", median("both"), "MB"),
        ("vdeliver without a server", statistics.median(_delivery(root, roots.domain(0)) for _ in range(5)), "s"),
        ("vmail user add", _user_add(root, roots.domain(0)), "s"),
    ]


def messages(root: Layout) -> Measures:
    """A mailbox opened, and delivered into."""
    time.sleep(2.1)  # a folder changed less than two seconds ago is not kept in memory
    found = _probe("maildrop", root)
    return [
        ("open the maildrop, first", found["uncached"], "s"),
        ("open the maildrop, unchanged since", found["cached"], "s"),
        ("memory for its snapshot", found["memory"], "MB"),
        ("deliver a message", found["deliver"], "s"),
        ("deliver, quota counted for the first time", found["counting"], "s"),
        ("deliver, with quota", found["deliver with quota"], "s"),
    ]


def connections(root: Layout, count: int) -> Measures:
    """Sessions that have been greeted and say nothing."""
    workers = 2 if count <= 10_000 else 16
    with Server(root, workers=workers, addresses=max(1, count // 10_000)) as server:
        before = server.memory()[1]
        with Idle(server, count) as idle:
            after = server.memory()[1]
            greeted = idle.greeted
            failure = idle.failure
        private = sum(worker.private for worker in after) - sum(worker.private for worker in before)
    if failure or greeted < count:
        return [(f"sessions greeted before {failure or 'the time was over'}", greeted, "")]
    found: Measures = [("greeting all, one after the other in each client", idle.seconds, "s")]
    if count >= 1_000:
        found += [
            ("memory of all workers for them", private, "MB"),
            ("memory for each", private * 1024 / count, "kB"),
        ]
    return found


def _delivery(root: Layout, name: str) -> float:
    return command(COMMANDS / "vdeliver", "--root", root.root, f"{roots.LOGIN}@{name}", stdin=MESSAGE)


def _user_add(root: Layout, name: str) -> float | None:
    """Seconds for a new account; None where it does not work or takes minutes."""
    times = []
    for number in range(3):
        login = f"new{number}@{name}"
        with suppress(subprocess.SubprocessError):
            times.append(
                command(
                    COMMANDS / "vmail", "--root", root.root, "user", "add", "--password-stdin", login,
                    stdin=b"long enough to be taken\n", patience=60,
                )
            )  # fmt: skip
        if not times or times[-1] > 5:
            break
    return statistics.median(times) if times else None


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
