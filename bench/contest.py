"""Works that several servers do in turn: what is asked, one run of it, and all that was measured of a work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Generic, TypeVar

OURS, DOVECOT = "vmaild", "Dovecot"
"""The servers that are compared; a bench may have others beside them."""


class LoadFailed(Exception):
    """A server said what it should not; the text tells what."""


@dataclass(frozen=True, slots=True)
class Work:
    """What is asked of each server, as far as all benches know it."""

    key: str
    title: str
    unit: str
    """Of a rate, such as `sessions/s`."""
    connections: int
    wanted: float
    """How many times the rate of Dovecot it has to be; 0: it is only told."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one work."""

    rate: float
    """In the work's unit."""
    p50: float = 0.0
    """Seconds that a session or a message takes."""
    p99: float = 0.0
    cpu: float = 0.0
    """Seconds of CPU that one costs the server."""
    load: float = 0.0
    """Share of all cores' time that the load generator used."""
    others: float | None = None
    """Share of all cores' time that went to neither of both; None: it was not looked at."""


W = TypeVar("W", bound=Work)


@dataclass(frozen=True, slots=True)
class Measured(Generic[W]):
    """All runs of a work, by the name of the server."""

    work: W
    runs: Mapping[str, Sequence[Run]]

    def rate(self, server: str) -> float:
        """The median."""
        return self.median(server, "rate")

    def median(self, server: str, what: str) -> float:
        """The median of one attribute of the runs; 0 where there are none."""
        return float(median([getattr(run, what) for run in self.runs.get(server, ())] or [0.0]))

    def ratio(self) -> float:
        """How many times Dovecot's rate ours is; 0: it was not measured."""
        return _ratio(self.rate(OURS), self.rate(DOVECOT))

    def cpu_ratio(self) -> float:
        """How many times our CPU time Dovecot's is."""
        return _ratio(self.median(DOVECOT, "cpu"), self.median(OURS, "cpu"))

    def others(self) -> float:
        """The share of all cores' time that others had, a median over all runs."""
        return median([run.others for runs in self.runs.values() for run in runs if run.others is not None])

    def told(self) -> str:
        """The rates, for whoever waits for the end of the bench."""
        rates = ", ".join(f"{name} {self.rate(name):,.0f}" for name in self.runs)
        return f"{self.work.title}, {self.work.connections} at a time: {rates} {self.work.unit}"

    def as_json(self) -> dict[str, object]:
        """For programs: medians and every run."""
        work = self.work
        return {
            "work": work.key,
            "title": work.title,
            "connections": work.connections,
            "unit": work.unit,
            "wanted": work.wanted,
            "times": self.ratio(),
            "times_cpu": self.cpu_ratio(),
            "others": self.others(),
            "median": {
                name: {what: self.median(name, what) for what in ("rate", "p50", "p99", "cpu", "load")}
                for name in self.runs
            },
            "runs": {name: [asdict(run) for run in runs] for name, runs in self.runs.items()},
        }


def number(value: float) -> str:
    """A rate in a table; nothing where there is none."""
    if not value:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _ratio(one: float, other: float) -> float:
    return one / other if other else 0.0
