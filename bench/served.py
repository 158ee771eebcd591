"""A `vmail serve` to measure: started on a root, on free ports of 127.0.0.1, and stopped by its own pid."""

from __future__ import annotations

import os
import resource
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bench import roots
from bench.machine import memory

from vmaild.store.layout import Layout

COMMANDS = Path(sys.executable).parent
"""Where the installed vmail and vdeliver are."""
PATIENCE = 120.0
"""Seconds that a server may take to come up, or a command to end."""


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds that something took: of time, and of CPU."""

    wall: float
    cpu: float


def median(times: Iterable[Took]) -> Took:
    """The median of each."""
    several = list(times)
    return Took(statistics.median(each.wall for each in several), statistics.median(each.cpu for each in several))


def command(*arguments: str | Path, stdin: bytes = b"", patience: float = PATIENCE) -> Took:
    """Run a command to its end. Raises CalledProcessError, TimeoutExpired."""
    started, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(arguments, input=stdin, stdout=subprocess.DEVNULL, check=True, timeout=patience)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    return Took(time.perf_counter() - started, cpu)


class Server:
    """A running server."""

    def __init__(self, root: Layout, *, workers: int = 2, addresses: int = 1, web: str = "") -> None:
        """Start it and wait until it serves; POP3 is served on so many addresses from 127.0.0.1 on.

        `web`: who administers the site by way of the web; empty: it is not served.
        """
        self.pop3 = [(f"127.0.0.{number}", _free_port()) for number in range(1, addresses + 1)]
        self.lmtp = f"{root.run}/lmtp.sock"
        self.web = _free_port() if web else 0
        listen = tuple(f"{host}:{port}" for host, port in self.pop3)
        roots.configure(root, workers=workers, listen=listen, web=(web, self.web) if web else None)
        started = time.perf_counter()
        self._log = open(f"{root.root}/serve.log", "ab")  # noqa: SIM115  closed by stop
        self._logged = self._log.tell()
        self.process = subprocess.Popen(
            [COMMANDS / "vmail", "--root", root.root, "serve"],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        try:
            self._await(started + PATIENCE)
        except BaseException:
            self.stop()
            raise
        self.start_up = Took(time.perf_counter() - started, sum(map(_cpu, (self.process.pid, *self.workers()))))
        """From its start until all workers serve."""

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *raised: object) -> None:
        self.stop()

    def _await(self, deadline: float) -> None:
        """Wait until it says that all workers serve, and one greets."""
        while b"serving " not in Path(self._log.name).read_bytes()[self._logged :]:
            if self.process.poll() is not None:
                raise RuntimeError(f"vmail serve ended with {self.process.returncode}: see {self._log.name}")
            if time.perf_counter() > deadline:
                raise TimeoutError("vmail serve did not come up")
            time.sleep(0.002)
        with socket.create_connection(self.pop3[-1], 30) as connection:
            connection.recv(1)

    def workers(self) -> list[int]:
        """Pids of the worker processes: those of POP3, then those of LMTP."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return sorted(map(int, children.split()))

    def cpu(self) -> float:
        """Seconds of CPU that all processes have used until now."""
        pids, seen = [self.process.pid], []
        while pids:
            seen.append(pid := pids.pop())
            pids += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        return sum(map(_cpu, seen))

    def sizes(self) -> list[float]:
        """PSS of the supervisor and of each worker, in MB; the sum is what all take."""
        return [memory(pid).proportional for pid in (self.process.pid, *self.workers())]

    def private(self) -> float:
        """What the workers have for themselves, in MB."""
        return sum(memory(pid).private for pid in self.workers())

    def stop(self) -> None:
        """Let it end."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(40)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._log.close()


def connections_of(pid: int) -> int:
    """How many sockets a process has open."""
    count = 0
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        try:
            count += os.readlink(fd).startswith("socket:")
        except OSError:
            continue
    return count


def _cpu(pid: int) -> float:
    """Seconds of CPU that a process has used; proc(5), fields 14 and 15 of stat."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _free_port() -> int:
    with socket.socket() as attempt:
        attempt.bind(("127.0.0.1", 0))
        port: int = attempt.getsockname()[1]
        return port
