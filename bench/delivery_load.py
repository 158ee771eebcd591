"""The load of the delivery bench: lmtpload.c, disklimit.c, and delivery agents that are called one by one."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.contest import LoadFailed, Run, Work
from bench.delivery_servers import Deliverer
from bench.machine import machine_time

_HERE = Path(__file__).parent
_MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class DeliveryWork(Work):
    """Its unit is `deliveries/s`, `MB/s` or `messages/s`."""

    octets: int
    """Of each message."""
    addresses: Sequence[str]
    recipients: int = 1
    """Of each message."""
    process: bool = False
    """Whether a delivery agent is called for each message, instead of LMTP."""


@dataclass(frozen=True, slots=True)
class Load:
    """The load generators, built in a folder."""

    folder: Path

    @classmethod
    def build(cls, folder: Path) -> Load:
        """Compile them."""
        for name in ("lmtpload", "disklimit"):
            subprocess.run(["cc", "-O2", "-o", folder / name, _HERE / f"{name}.c"], check=True)
        return cls(folder)

    def run(self, server: Deliverer, work: DeliveryWork, seconds: float, warm_up: float) -> Run:
        """Do a work for some seconds, after some more that do not count. Raises LoadFailed."""
        cpu, (busy, total) = server.server.cpu(), machine_time()
        result = (self._agents if work.process else self.lmtp)(server, work, seconds, warm_up)
        cpu = server.server.cpu() - cpu + result.get("agents_cpu", 0.0)
        now_busy, now_total = machine_time()
        total = now_total - total
        return Run(
            rate=result["messages"] * _worth(work) / result["seconds"],
            p50=result["p50"],
            p99=result["p99"],
            cpu=cpu / max(1, result["in_all"]) / work.recipients,
            load=result["load_cpu"] / total,
            others=max(0.0, now_busy - busy - cpu - result["load_cpu"]) / total,
        )

    def limit(self, work: DeliveryWork, seconds: float) -> Run:
        """What the disk does with as many writers, if nothing else is done."""
        folder = Path(tempfile.mkdtemp(prefix="limit-", dir=self.folder))
        command = [self.folder / "disklimit", folder, work.connections, seconds, work.octets]
        said = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=True).stdout
        rate = int(said) / seconds * (work.octets / _MEGABYTE if work.unit == "MB/s" else 1)
        if work.unit == "MB/s":
            shutil.rmtree(folder)
        return Run(rate)

    def lmtp(self, server: Deliverer, work: DeliveryWork, seconds: float, warm_up: float) -> dict[str, float]:
        """One run of lmtpload; what it says."""
        command = [
            *(self.folder / "lmtpload", server.socket, work.connections, seconds, warm_up),
            *(work.octets, work.recipients),
        ]
        done = subprocess.run(
            [str(word) for word in command],
            input="".join(f"{address}\n" for address in work.addresses),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise LoadFailed(f"{server.name}, {work.title}: {done.stderr.strip()}")
        result: dict[str, float] = json.loads(done.stdout)
        return result

    def _agents(self, server: Deliverer, work: DeliveryWork, seconds: float, warm_up: float) -> dict[str, float]:
        """Call delivery agents, one after the other; the same as lmtpload says, and their own CPU time."""
        message = self.folder / "message"
        head = b"From: Sender <sender@sender.example>\nSubject: One\n\n"
        message.write_bytes((head + b"Nobody can tell whether there are three.\n" * work.octets)[: work.octets])
        times: list[float] = []
        in_all = 0
        used = _children()
        begin = time.perf_counter() + warm_up
        while (now := time.perf_counter()) < begin + seconds:
            address = work.addresses[in_all % len(work.addresses)]
            with message.open("rb") as source:
                status = os.posix_spawn(
                    server.agent[0],
                    [*server.agent, address],
                    os.environ,
                    file_actions=[(os.POSIX_SPAWN_DUP2, source.fileno(), 0)],
                )
                status = os.waitstatus_to_exitcode(os.waitpid(status, 0)[1])
            if status:
                raise LoadFailed(f"{server.name}, {work.title}: exit status {status}")
            in_all += 1
            if now >= begin:
                times.append(time.perf_counter() - now)
        times.sort()
        return {
            "messages": len(times),
            "seconds": sum(times),
            "p50": times[len(times) // 2],
            "p99": times[int(0.99 * (len(times) - 1))],
            "in_all": in_all,
            "load_cpu": 0.0,
            "agents_cpu": _children() - used,
        }


def _worth(work: DeliveryWork) -> float:
    """What one message counts, in the work's unit."""
    return work.octets / _MEGABYTE if work.unit == "MB/s" else work.recipients


def _children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
