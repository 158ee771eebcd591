"""What is measured inside a process of its own, so that its memory and its first times are its own.

`python -m bench.probe NAME ARGUMENT...` prints one JSON object: what was found, seconds and MB, by name. Only
what servers ask of the directory and of the message store is asked here, so that other stores can be compared.
"""

from __future__ import annotations

import json
import logging
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from bench import roots
from bench.machine import memory

from vmaild.address import parse_address
from vmaild.core.directory import Quota
from vmaild.core.routing import Accepted, route
from vmaild.store.content import Content
from vmaild.store.directory import FileDirectory
from vmaild.store.layout import Layout
from vmaild.store.maildir import MaildirStore
from vmaild.store.messages import Mailbox, Terms

Found = dict[str, float]


def look_up(root: str, recipient: str) -> Found:
    """Route a recipient in a fresh process, and again for half a second."""
    directory = FileDirectory(Layout(root))
    address = parse_address(recipient)
    first, cpu = _timed(lambda: _routed(directory, address))
    count, started, used = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - started < 0.5:
        _routed(directory, address)
        count += 1
    return {"first": first, "first cpu": cpu, "rate": count / (time.process_time() - used)}


def _routed(directory: FileDirectory, address: object) -> None:
    decided = route(directory, address)  # type: ignore[arg-type]
    assert isinstance(decided, Accepted), decided


def routing(root: str, domains: str, accounts: str) -> Found:
    """Route every account of every domain, and then, all being known, any of them for two seconds."""
    directory = FileDirectory(Layout(root))
    before = memory().private
    addresses = [
        parse_address(f"u{account:06d}@{roots.domain(number)}")
        for number in range(int(domains))
        for account in range(int(accounts))
    ]
    random.Random(1).shuffle(addresses)
    for address in addresses:
        _routed(directory, address)
    count, started, used = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - started < 2:
        for address in addresses[count % len(addresses) : count % len(addresses) + 1000]:
            _routed(directory, address)
            count += 1
    return {"rate": count / (time.process_time() - used), "memory": memory().private - before}


def touch_all(root: str, seconds: str) -> Found:
    """Find all domains, then ask for each and for a password in it, as a POP3 worker does; for so long at most."""
    directory = FileDirectory(Layout(root))
    scanned, scanned_cpu = _timed(directory.names)
    names = directory.names()
    before = memory().private
    started, cpu = time.perf_counter(), time.process_time()
    count = 0
    for name in names:
        found = directory.find(name)
        assert found is not None
        assert directory.password_of(name, roots.LOGIN) is not None
        count += 1
        if time.perf_counter() - started > float(seconds):
            break
    return {
        "scan": scanned,
        "scan cpu": scanned_cpu,
        "each": (time.perf_counter() - started) / count,
        "each cpu": (time.process_time() - cpu) / count,
        "memory": (memory().private - before) / count,
    }


def pause(root: str, seconds: str) -> Found:
    """How long the scans of a running server hold others up, and when they see an alias added by hand.

    Look-ups every few milliseconds, as the event loop of a busy worker makes them; meanwhile one definition is
    edited in place, and another is replaced as `vmail` does it.
    """
    layout = Layout(root)
    directory = FileDirectory(layout)
    count = len(directory.names())
    longest = 0.0
    found: Found = {}
    started = time.perf_counter()
    wanted: dict[str, float] = {}
    while (now := time.perf_counter()) - started < float(seconds) and len(found) < 2:
        if now - started > 1 and not wanted:
            Path(layout.definition(roots.domain(0))).write_text('addresses = ["fd01::1"]\n')
            fresh = Path(layout.definition(roots.domain(count)))
            fresh.with_suffix(".tmp").write_text('addresses = ["fd01::2"]\n')
            fresh.with_suffix(".tmp").rename(fresh)
            wanted = {"fd01::1": now, "fd01::2": now}
        for address, name in (("fd01::1", "edited"), ("fd01::2", "added")):
            asked = time.perf_counter()
            answer = directory.domain_at(address)
            longest = max(longest, time.perf_counter() - asked)
            if answer is not None and name not in found:
                found[name] = time.perf_counter() - wanted[address]
        time.sleep(0.002)
    fresh.unlink()
    Path(layout.definition(roots.domain(0))).write_text(f'aliases = ["{roots.domain_alias(0)}"]\n')
    return {**found, "longest": longest}


def accounts(root: str, login: str) -> Found:
    """Look a domain's accounts and passwords up first, then after one line was added by hand."""
    name = roots.domain(0)
    layout = Layout(root)
    directory = FileDirectory(layout)
    directory.names()
    before = memory().private
    passwd = _timed(lambda: _routed(directory, parse_address(f"{login}@{name}")))
    routed = memory().private
    shadow = _timed(lambda: directory.password_of(name, login))
    held = memory().private
    extra = f"extra{time.time_ns()}"
    with open(layout.passwd(name), "a") as file:
        file.write(f"{extra}:x:60000:60000::/:/bin/false\n")
    edited = _timed(lambda: _routed(directory, parse_address(f"{extra}@{name}")))
    return {
        **_both("passwd", passwd),
        **_both("shadow", shadow),
        **_both("edited", edited),
        "memory": routed - before,
        "memory with passwords": held - before,
    }


def maildrop(root: str) -> Found:
    """Open a mailbox as POP3 does, uncached and cached, and deliver into it."""
    mailbox = Mailbox(roots.domain(0), roots.LOGIN)
    layout = Layout(root)
    before = memory().private
    store = MaildirStore(layout.spool)

    def opened() -> tuple[float, float]:
        return _timed(lambda: store.open_maildrop(mailbox).close())

    def delivered(quota: int) -> tuple[float, float]:
        with Content(layout.incoming) as content:
            content.append(b"Subject: bench\r\n\r\nOne more\r\n")
            content.finish()
            return _timed(lambda: store.deliver(mailbox, b"", content, Terms(Quota(quota))))

    first = opened()
    held = memory().private - before
    return {
        **_both("first", first),
        "memory": held,
        **_both("again", _median(opened() for _ in range(9))),
        **_both("deliver", _median(delivered(0) for _ in range(15))),
        **_both("counting", delivered(1 << 40)),
        **_both("quota", _median(delivered(1 << 40) for _ in range(15))),
    }


def _both(name: str, times: tuple[float, float]) -> Found:
    return {name: times[0], f"{name} cpu": times[1]}


def _median(times: Iterable[tuple[float, float]]) -> tuple[float, float]:
    walls, cpus = zip(*times, strict=True)
    return statistics.median(walls), statistics.median(cpus)


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds of time and of CPU."""
    started, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - started, time.process_time() - cpu


PROBES: dict[str, Callable[..., Found]] = {
    probe.__name__: probe for probe in (look_up, routing, touch_all, pause, accounts, maildrop)
}

if __name__ == "__main__":
    logging.disable()
    print(json.dumps(PROBES[sys.argv[1]](*sys.argv[2:])))
