"""POP3: ours beside Debian's Dovecot 2.3 and beside the limit, in one run, on the same cores.

Every work is done by all servers in turn (ours, Dovecot, ..., ours, ...) and medians are told. Beside the
rates stands the CPU time that a session costs a server: it says the same, and hardly minds what else the machine
does meanwhile. How much that was is told, too.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import machine
from bench.contest import LoadFailed, Measured, Run
from bench.pop3_abuse import beside, refusals, tell
from bench.pop3_load import Load, Pop3Work
from bench.pop3_report import Idle, Result
from bench.pop3_servers import NotUp, Server, dovecot_version, start_dovecot, start_limit, start_ours
from bench.pop3_site import Account, Mail, lay_out, message

_SETTLE = 2.5
"""Seconds after which a maildir's time stamps can be relied on."""
_IDLE_NEEDS = 3 << 20
"""Bytes that an idle session of Dovecot's may need: fewer of them are measured where memory is short."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    rounds: int
    seconds: float
    """Of each run, after a warm-up of a quarter of that."""
    many: int
    """Messages of the large maildrop."""
    idle: int
    accounts: int = 200
    refusals: int = 200
    """Of each kind of wrong login."""


FULL = Plan(rounds=5, seconds=1.2, many=50_000, idle=5_000)
QUICK = Plan(rounds=1, seconds=0.8, many=50_000, idle=300, refusals=40)


def measure(*, quick: bool, folder: Path | None, say: Callable[[str], None]) -> Result:
    """Do all of it, in a temporary folder of `folder`."""
    try:
        return _measure(QUICK if quick else FULL, folder, say)
    except (LoadFailed, NotUp) as failure:
        raise SystemExit(f"POP3: {failure}") from failure


def _measure(plan: Plan, folder: Path | None, say: Callable[[str], None]) -> Result:
    began, described = time.monotonic(), machine.description()
    with _scratch(folder) as scratch, ExitStack() as servers:
        say(f"POP3: {plan.accounts + plan.idle + 2:,} mailboxes")
        mail = lay_out(scratch / "root", plan.accounts, plan.many, plan.idle)
        load = Load.build(scratch)
        time.sleep(_SETTLE)

        def up(server: Server) -> Server:
            servers.callback(server.stop)
            return server

        # Memory first, of servers that have just started.
        ours, dovecot = up(start_ours(mail, scratch)), up(start_dovecot(mail, scratch))
        idle = {server.name: _idle(load, server, _as_room_is(mail.idle), say) for server in (ours, dovecot)}
        kept = up(start_dovecot(mail, scratch, sessions=1_000))
        limits = {
            account: up(start_limit(account.messages, message(account, 0), scratch))
            for account in (mail.some[0], mail.big)
        }
        works = _works(mail)
        for server in (ours, dovecot, kept):  # every password verified, every mailbox listed, every index written
            for work in (works[1], works[3], works[5], works[-2], works[-1]):
                load.run(server, work, 2.0 if len(work.accounts) > 1 else 0.2, 0.0)
        measured = []
        for work in works:
            limit = limits.get(mail.some[0] if len(work.accounts) > 1 else work.accounts[0])
            limit = None if work.tls else limit  # it speaks none
            contestants = [ours, dovecot, kept, *([limit] if limit else [])]
            measured.append(_alternate(load, work, contestants, plan, say))
        growth = _peak(load, ours, works[-2])
        aside = beside(load, (ours, dovecot, kept), mail, plan.rounds, plan.seconds)
        wrong = refusals(ours, mail, plan.refusals)
        tell(aside, wrong, say)
    return Result(
        seconds=time.monotonic() - began,
        dovecot=dovecot_version(),
        plan=plan,
        works=measured,
        idle=idle,
        big_message_growth=growth,
        beside=aside,
        refusals=wrong,
        machine=described,
    )


def _works(mail: Mail) -> list[Pop3Work]:
    return [
        *(Pop3Work("poll", "poll", "sessions/s", number, 8, "poll", mail.some) for number in (1, 16, 64)),
        Pop3Work("light", "poll, hash at no cost", "sessions/s", 16, 0, "poll", mail.light),
        *(
            Pop3Work("tls", "poll over TLS, ECDSA", "sessions/s", number, 2, "poll", mail.some, tls=True)
            for number in (1, 16, 64)
        ),
        *(
            Pop3Work("fetch", "fetch 10 x 4 kB", "messages/s", number, 3, "fetch", mail.some)
            for number in (1, 16, 64)
        ),
        Pop3Work("big", "RETR of 25 MB", "MB/s", 1, 1, "big", [mail.big]),
        Pop3Work("many", f"poll of {mail.many.messages:,} messages", "sessions/s", 1, 20, "poll", [mail.many]),
    ]


def _alternate(
    load: Load, work: Pop3Work, servers: Sequence[Server], plan: Plan, say: Callable[[str], None]
) -> Measured[Pop3Work]:
    """The runs of one work, by all servers in turn."""
    runs: dict[str, list[Run]] = {server.name: [] for server in servers}
    for _ in range(plan.rounds):
        for server in servers:
            runs[server.name].append(load.run(server, work, plan.seconds, plan.seconds / 4))
    measured = Measured(work, runs)
    say(f"POP3: {measured.told()}")
    return measured


def _idle(load: Load, server: Server, accounts: Sequence[Account], say: Callable[[str], None]) -> Idle:
    """The memory of sessions that are logged in and do nothing."""
    before = server.memory()
    with load.idle(server, accounts) as seconds:
        during = server.memory()
        processes = len(server.pids())
    told = f"{server.name} {during / 2**20:,.0f} MiB in {processes:,} processes"
    say(f"POP3: {len(accounts):,} idle sessions: {told}")
    _until_quiet(server, processes)
    return Idle(len(accounts), before, during, processes, seconds)


def _until_quiet(server: Server, processes: int) -> None:
    """Wait until the processes of ended sessions are gone, if there was one for each."""
    end = time.monotonic() + 30
    while processes > 100 and len(server.pids()) > 50 and time.monotonic() < end:
        time.sleep(0.1)


def _as_room_is(accounts: Sequence[Account]) -> Sequence[Account]:
    """As many idle sessions as the machine has memory and descriptors for, Dovecot being what it is."""
    with open("/proc/meminfo") as source:
        free = next(int(line.split()[1]) * 1024 for line in source if line.startswith("MemAvailable"))
    return accounts[: min(len(accounts), free // _IDLE_NEEDS)]


def _peak(load: Load, server: Server, work: Pop3Work) -> int:
    """Bytes by which a work makes a server grow at most."""
    server.forget_peak()
    before = server.peak()
    load.run(server, work, 1.0, 0.0)
    return server.peak() - before


@contextmanager
def _scratch(folder: Path | None) -> Iterator[Path]:
    """A folder for everything, which the mail user may enter."""
    scratch = Path(tempfile.mkdtemp(prefix="vmaild-pop3-", dir=folder))
    scratch.chmod(0o755)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
