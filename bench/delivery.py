"""Delivery: ours beside Debian's Dovecot 2.3, LMTP and dovecot-lda, and beside the limit of the disk, in one run.

Every work is done by all in turn (ours, Dovecot, the bare disk, ours, ...) and medians are told. Both servers sync
the message and its folder before they accept it. Before anything is measured it is counted whether what was
accepted is there.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bench import machine, roots
from bench.contest import LoadFailed, Measured, Run
from bench.delivery_load import DeliveryWork, Load
from bench.delivery_report import LIMIT, Memory, Result, Routing
from bench.delivery_servers import BIG, Deliverer, accounts, laid_out, start_dovecot, start_ours
from bench.pop3_servers import NotUp, dovecot_version

OCTETS = 4096
_SMALL, _LARGE = 1_000_000, 25_000_000


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    rounds: int
    seconds: float
    """Of each run, after a warm-up of a quarter of that."""
    domains: int
    """That routing is asked for."""
    accounts: int = 200


FULL = Plan(rounds=5, seconds=3.0, domains=1_000)
QUICK = Plan(rounds=1, seconds=1.0, domains=100)


def measure(*, quick: bool, folder: Path | None, say: Callable[[str], None]) -> Result:
    """Do all of it, in a temporary folder of `folder`."""
    try:
        return _measure(QUICK if quick else FULL, folder, say)
    except (LoadFailed, NotUp) as failure:
        raise SystemExit(f"delivery: {failure}") from failure


def _measure(plan: Plan, folder: Path | None, say: Callable[[str], None]) -> Result:
    began, described = time.monotonic(), machine.description()
    with _scratch(folder) as scratch, ExitStack() as servers:
        root = servers.enter_context(laid_out(scratch, plan.accounts))
        load = Load.build(scratch)
        both = []
        for start in (start_ours, start_dovecot):
            both.append(start(root, scratch))
            servers.callback(both[-1].server.stop)
        works = _works(accounts(plan.accounts))
        for server in both:
            _count_what_was_accepted(load, server, works[0])
        measured = [_alternate(load, work, both, plan, say) for work in works]
        memory = {server.name: _grown(load, server, works[3]) for server in both}
        servers.close()
        say("delivery: routing")
        routing = _routing(scratch, plan.domains)
    return Result(
        seconds=time.monotonic() - began,
        dovecot=dovecot_version(),
        plan=plan,
        works=measured,
        memory=memory,
        routing=routing,
        machine=described,
    )


def _works(some: Sequence[str]) -> list[DeliveryWork]:
    unit = "deliveries/s"
    return [
        DeliveryWork("many", "LMTP, 4 kB", unit, 40, 2.5, OCTETS, some),
        DeliveryWork("one", "LMTP, 4 kB", unit, 1, 1.5, OCTETS, some),
        DeliveryWork("list", "one message to 100", unit, 1, 2.5, OCTETS, some, recipients=100),
        DeliveryWork("big", "LMTP, 25 MB", "MB/s", 1, 1.0, _LARGE, [BIG]),
        DeliveryWork("process", "delivery agent as a process", "messages/s", 1, 0.5, 512, some, process=True),
    ]


def _count_what_was_accepted(load: Load, server: Deliverer, work: DeliveryWork) -> None:
    """Deliver for a moment; which also makes every mailbox. Raises LoadFailed where something is missing."""
    each = replace(work, connections=1, recipients=len(work.addresses))
    result = load.lmtp(server, each, 0.1, 0.0)
    wanted = int(result["in_all"])
    for address in work.addresses:
        if (found := server.holds(address)) != wanted:
            raise LoadFailed(f"{server.name}: {address} has {found} messages instead of {wanted}")
    load.run(server, replace(work, addresses=[BIG]), 0.1, 0.0)


def _alternate(
    load: Load, work: DeliveryWork, servers: Sequence[Deliverer], plan: Plan, say: Callable[[str], None]
) -> Measured[DeliveryWork]:
    """The runs of one work, by all in turn.

    Small messages stay where they are: ext4 without a journal takes some tenths of a millisecond more for a new
    file while it steps over the inodes of thousands that were removed in the last minutes.
    """
    runs: dict[str, list[Run]] = {server.name: [] for server in servers}
    if not work.process:
        runs[LIMIT] = []
    for _ in range(plan.rounds):
        for server in servers:
            runs[server.name].append(load.run(server, work, plan.seconds, plan.seconds / 4))
            if work.octets > _SMALL:
                for address in work.addresses:
                    server.forget(address)
        if not work.process:
            runs[LIMIT].append(load.limit(work, plan.seconds))
    measured = Measured(work, runs)
    say(f"delivery: {measured.told()}")
    return measured


def _grown(load: Load, server: Deliverer, work: DeliveryWork) -> Memory:
    """Bytes by which a server grows at most, for a message of 1 MB and for a large one."""
    grown = []
    for octets in (_SMALL, _LARGE):
        server.server.forget_peak()
        before = server.server.peak()
        load.run(server, replace(work, octets=octets), 1.0, 0.0)
        grown.append(server.server.peak() - before)
        server.forget(BIG)
    return Memory(*grown)


def _routing(scratch: Path, domains: int) -> Routing:
    """Look-ups in a process of its own."""
    root = roots.lay_out(scratch / "routing", domains, 100)
    command = [sys.executable, "-m", "bench.probe", "routing", root.root, str(domains), "100"]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    return Routing(domains, 100, found["rate"], found["memory"])


@contextmanager
def _scratch(folder: Path | None) -> Iterator[Path]:
    """A folder for everything, which the mail user may enter."""
    scratch = Path(tempfile.mkdtemp(prefix="vmaild-delivery-", dir=folder))
    scratch.chmod(0o755)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
