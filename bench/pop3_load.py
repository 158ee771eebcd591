"""The load of the POP3 bench: pop3load.c, built and run, and what it measured."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.contest import LoadFailed, Run, Work
from bench.machine import machine_time
from bench.pop3_servers import Server
from bench.pop3_site import ADDRESSES, Account

_SOURCE = Path(__file__).parent / "pop3load.c"
_MEGABYTE = 1_000_000
_LOGIN_TIME = 300.0
"""Seconds within which all idle sessions have to be logged in."""


@dataclass(frozen=True, slots=True)
class Pop3Work(Work):
    """Its unit is `sessions/s`, `messages/s` or `MB/s`."""

    script: str = ""
    """Of pop3load."""
    accounts: Sequence[Account] = field(default=(), repr=False)
    tls: bool = False
    """Whether all of it is under TLS."""


@dataclass(frozen=True, slots=True)
class Load:
    """The load generator, built in a folder."""

    folder: Path

    @classmethod
    def build(cls, folder: Path) -> Load:
        """Compile it."""
        subprocess.run(["cc", "-O2", "-o", folder / "pop3load", _SOURCE, "-lssl", "-lcrypto"], check=True)
        return cls(folder)

    def run(self, server: Server, work: Pop3Work, seconds: float, warm_up: float) -> Run:
        """Do a work for some seconds, after some more that do not count. Raises LoadFailed."""
        cpu, (busy, total) = server.cpu(), machine_time()
        with self._start(server, work, seconds, warm_up) as process:
            said, complaint = process.communicate()
        if process.returncode:
            raise LoadFailed(f"{server.name}, {work.title}: {complaint.strip()}")
        result = json.loads(said)
        cpu = server.cpu() - cpu
        now_busy, now_total = machine_time()
        total = now_total - total
        done = {
            "sessions/s": result["sessions"],
            "messages/s": result["messages"],
            "MB/s": result["octets"] / _MEGABYTE,
        }
        return Run(
            rate=done[work.unit] / seconds,
            p50=result["p50"],
            p99=result["p99"],
            cpu=cpu / max(1, result["sessions_in_all"]),
            load=result["load_cpu"] / total,
            others=max(0.0, now_busy - busy - cpu - result["load_cpu"]) / total,
        )

    @contextmanager
    def idle(self, server: Server, accounts: Sequence[Account]) -> Iterator[float]:
        """Keep a session of each account logged in; yields the seconds that the logins took. Raises LoadFailed."""
        work = Pop3Work("idle", "idle", "sessions/s", len(accounts), 0, "idle", accounts)
        with self._start(server, work, _LOGIN_TIME, 0.0) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            try:
                line = process.stdout.readline()
                if not line:
                    raise LoadFailed(f"{server.name}, idle: {process.stderr.read().strip()}")
                yield float(json.loads(line)["seconds"])
            finally:
                process.stdout.close()  # which is how it is told to end

    @contextmanager
    def under_way(self, server: Server, work: Pop3Work, seconds: float) -> Iterator[None]:
        """Do a work beside what is done meanwhile, for so many seconds at most. Raises LoadFailed."""
        with self._start(server, work, seconds, 0.0) as process:
            yield
            if process.poll():
                raise LoadFailed(f"{server.name}, {work.title}: {process.communicate()[1].strip()}")
            process.terminate()

    def _start(self, server: Server, work: Pop3Work, seconds: float, warm_up: float) -> subprocess.Popen[str]:
        accounts = work.accounts
        users = self.folder / f"accounts-{work.script}"
        users.write_text("".join(f"{one.login} {one.password} {one.messages} {one.octets}\n" for one in accounts))
        address = ADDRESSES[accounts[0].domain]
        port = server.tls_port if work.tls else server.port
        command = [self.folder / "pop3load", work.script, address, port, work.connections, seconds, warm_up]
        command += ["tls"] if work.tls else []
        with users.open() as source:
            return subprocess.Popen(
                [str(word) for word in command],
                stdin=source,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
