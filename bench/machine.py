"""The machine that measures: what it is, and what its processes take."""

from __future__ import annotations

import os
import platform
import resource
import time
from dataclasses import dataclass
from pathlib import Path

import vmaild


def description() -> dict[str, str]:
    """What a number depends on."""
    return {
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "vmaild": vmaild.__version__,
        "cores": f"{os.cpu_count()} x {_field('/proc/cpuinfo', 'model name')}",
        "memory": f"{int(_field('/proc/meminfo', 'MemTotal').split()[0]) / 2**20:.0f} GB",
        "system": f"Linux {platform.release()}, Python {platform.python_version()}",
        "load": " ".join(f"{load:.1f}" for load in os.getloadavg()),
        "descriptors": f"{resource.getrlimit(resource.RLIMIT_NOFILE)[1]} a process",
    }


def machine_time() -> tuple[float, float]:
    """Seconds of all cores up to now: when they were busy (with a hypervisor's other guests, too), and in all."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    idle, waiting = ticks[3:5]
    return (sum(ticks) - idle - waiting) / os.sysconf("SC_CLK_TCK"), sum(ticks) / os.sysconf("SC_CLK_TCK")


def _field(path: str, name: str) -> str:
    for line in Path(path).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "unknown"


@dataclass(frozen=True, slots=True)
class Memory:
    """What a process takes, in MB."""

    resident: float
    """RSS: shared pages count in full."""
    proportional: float
    """PSS: a page shared by three counts for a third."""
    private: float
    """What would be free if it ended."""


def memory(pid: int | str = "self") -> Memory:
    """See proc(5), smaps_rollup."""
    sizes: dict[str, int] = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        key, value = line.split()[:2]
        sizes[key.rstrip(":")] = int(value)
    private = sizes["Private_Clean"] + sizes["Private_Dirty"]
    return Memory(sizes["Rss"] / 1024, sizes["Pss"] / 1024, private / 1024)
