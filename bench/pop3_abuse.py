"""What guessing at passwords does to others, and what it tells: the POP3 bench's rows about wrong logins.

`beside` has polls of accounts whose passwords are remembered while a second load sends wrong passwords as fast as
they are refused, which keeps all cores hashing: what counts is how much longer a good session takes then. The
limits that would refuse those guesses unseen are off, in all servers.

`refusals` times the refusal of every kind of wrong login: who is there must not be told by the time that it takes.
"""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.contest import Run
from bench.pop3_load import Load, Pop3Work
from bench.pop3_servers import Server
from bench.pop3_site import ADDRESSES, BENCH, LIGHT, Mail

GUESSERS = 8
"""Connections that send wrong passwords: more than all cores and threads that hash."""
ALIKE = 0.10
"""How far the medians of two kinds of refusal may be apart, as a share of the larger."""


@dataclass(frozen=True, slots=True)
class Beside:
    """Polls without and with wrong passwords beside them, by the name of the server."""

    connections: int
    quiet: Mapping[str, Sequence[Run]]
    beside: Mapping[str, Sequence[Run]]

    def p99(self, server: str, *, quiet: bool) -> float:
        """The median of the runs' p99, seconds."""
        return median(run.p99 for run in (self.quiet if quiet else self.beside)[server])

    def times(self, server: str) -> float:
        """How many times the quiet p99 that of polls beside wrong passwords is."""
        return self.p99(server, quiet=False) / self.p99(server, quiet=True)


@dataclass(frozen=True, slots=True)
class Refusals:
    """Seconds from PASS to its refusal, by kind, many of each in turn."""

    medians: Mapping[str, float]
    tenths: Mapping[str, float]
    """What the quickest tenth stays below. Whatever else the machine does only ever adds, so this says it best, to
    those who want to find out who exists, too."""

    def spread(self) -> float:
        """How far the quickest kind is from the slowest, as a share of that."""
        return 1 - min(self.tenths.values()) / max(self.tenths.values())


def beside(load: Load, servers: Sequence[Server], mail: Mail, rounds: int, seconds: float) -> Beside:
    """Measure polls without and with wrong passwords in turn. Raises LoadFailed."""
    good = Pop3Work("beside", "poll", "sessions/s", 16, 0, "poll", mail.some)
    wrong = Pop3Work("wrong", "wrong passwords", "sessions/s", GUESSERS, 0, "wrong", mail.guessed)
    quiet: dict[str, list[Run]] = {server.name: [] for server in servers}
    loud: dict[str, list[Run]] = {server.name: [] for server in servers}
    for _ in range(rounds):
        for server in servers:
            quiet[server.name].append(load.run(server, good, seconds, seconds / 4))
            with load.under_way(server, wrong, seconds * 2):
                loud[server.name].append(load.run(server, good, seconds, seconds / 4))
    return Beside(good.connections, quiet, loud)


def refusals(server: Server, mail: Mail, rounds: int) -> Refusals:
    """Time every kind of wrong login, in turn."""
    known = mail.some[0].name
    kinds = {
        "wrong password": known,
        "no such login": "nobody-of-that-name",
        "a login of another domain": f"{known}@{LIGHT}",
        "a domain that is not here": f"{known}@elsewhere.example",
    }
    taken: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(rounds):
        # In another order each time, so that none always follows the same one.
        for kind in random.sample(sorted(kinds), len(kinds)):
            taken[kind].append(_refused(server, kinds[kind]))
    return Refusals(
        {kind: median(times) for kind, times in taken.items()},
        {kind: sorted(times)[len(times) // 10] for kind, times in taken.items()},
    )


def tell(found: Beside, wrong: Refusals, say: Callable[[str], None]) -> None:
    """Say what was found as it is found."""
    p99 = ", ".join(
        f"{name} {found.p99(name, quiet=True) * 1e3:.0f} -> {found.p99(name, quiet=False) * 1e3:.0f} ms"
        for name in found.quiet
    )
    say(f"POP3: p99 of polls beside wrong passwords: {p99}")
    kinds = ", ".join(
        f"{kind} {wrong.tenths[kind] * 1e3:.2f}/{wrong.medians[kind] * 1e3:.2f} ms" for kind in wrong.medians
    )
    say(f"POP3: refusals: {kinds}")


def _refused(server: Server, login: str) -> float:
    """Seconds that the refusal of a login takes."""
    with socket.create_connection((ADDRESSES[BENCH], server.port), 30) as client:
        replies = client.makefile("rb")
        replies.readline()
        client.sendall(f"USER {login}\r\n".encode())
        replies.readline()
        began = time.perf_counter()
        client.sendall(f"PASS wrong-{time.perf_counter_ns()}\r\n".encode())
        reply = replies.readline()
        taken = time.perf_counter() - began
        if not reply.startswith(b"-ERR [AUTH]"):
            raise AssertionError(f"{server.name} said {reply!r} to a wrong login")
    return taken
