"""What the POP3 bench found: tables for people, a plot, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench.contest import DOVECOT, OURS, Measured, number
from bench.pop3_abuse import ALIKE, Beside, Refusals
from bench.pop3_load import Pop3Work
from bench.pop3_plot import KEPT, LIMIT, render_plot
from rich.console import Console
from rich.table import Table

_BESIDE_WANTED = 5.0
"""How many times the quiet p99 polls may take while others' wrong passwords keep all cores busy."""
_PAGE = 120
"""Columns of a table that goes to a file."""
_IDLE_WANTED = 50.0
_IDLE_BYTES = 20_000


@dataclass(frozen=True, slots=True)
class Idle:
    """The memory of sessions that are logged in and do nothing, in bytes (the sum of PSS)."""

    sessions: int
    before: int
    during: int
    processes: int
    seconds: float
    """That the logins took."""

    @property
    def each(self) -> float:
        """Bytes for one session."""
        return (self.during - self.before) / max(1, self.sessions)


@dataclass(frozen=True, slots=True)
class Result:
    """Everything that one run of the bench found."""

    seconds: float
    """That all of it took."""
    dovecot: str
    """Its version."""
    plan: Any
    """How much was measured; see pop3.Plan."""
    works: Sequence[Measured[Pop3Work]]
    idle: Mapping[str, Idle]
    big_message_growth: int
    """Bytes by which our server grew at most to send the large message."""
    beside: Beside
    refusals: Refusals
    machine: Mapping[str, str]

    def print(self, console: Console) -> None:
        """Tables for people."""
        show(self, console if console.is_terminal else Console(file=console.file, width=_PAGE))

    def write(self, folder: Path) -> list[Path]:
        """Keep it as JSON and as a plot; where."""
        return write(self, folder)


def show(result: Result, console: Console) -> None:
    """Print the tables."""
    console.print("   ".join(f"{key}: {value}" for key, value in result.machine.items()), style="dim")
    console.print(_speed(result), _cost(result))
    others = median([measured.others() for measured in result.works])
    ours = result.idle[OURS]
    notes = (
        f"Dovecot {result.dovecot} as many sites set it for speed; {KEPT} keeps its pop3 processes, too.",
        f"Medians of {result.plan.rounds} runs of {result.plan.seconds:g} s; all took {result.seconds:.0f} s.",
        f"Other programs had {others:.0%} of the cores' time.",
        f"To send 25 MB, vmaild grew by {result.big_message_growth / 1e6:.1f} MB.",
        (
            f"{ours.sessions:,} idle sessions take {ours.during / ours.sessions / 1e3:.1f} kB each in all; "
            f"one more takes {ours.each / 1e3:.1f} kB. Of 5,000, {_IDLE_BYTES / 1e3:.0f} kB each are allowed."
        ),
        _wrong_logins(result),
    )
    console.print("\n".join(notes), markup=False, highlight=False)


def _wrong_logins(result: Result) -> str:
    beside, refusals = result.beside, result.refusals
    p99 = ", ".join(
        f"{name} {beside.p99(name, quiet=True) * 1e3:.0f} and {beside.p99(name, quiet=False) * 1e3:.0f} ms"
        for name in beside.quiet
    )
    kinds = ", ".join(
        f"{kind} {refusals.tenths[kind] * 1e3:.2f} / {refusals.medians[kind] * 1e3:.2f} ms"
        for kind in refusals.medians
    )
    alike = "alike" if refusals.spread() <= ALIKE else "NOT ALIKE"
    return (
        f"p99 of polls, quiet and beside wrong passwords: {p99}.\n"
        f"Refused after (quickest tenth / median): {kinds}; {refusals.spread():.1%} apart, {alike}."
    )


def _speed(result: Result) -> Table:
    table = Table(title="POP3: how much in a second", title_justify="left", title_style="bold")
    table.add_column("work")
    for name in ("at a time", OURS, DOVECOT, "times", "wanted", KEPT, LIMIT):
        table.add_column(name, justify="right")
    for measured in result.works:
        work, ratio = measured.work, measured.ratio()
        table.add_row(
            f"{work.title}, {work.unit}",
            str(work.connections),
            number(measured.rate(OURS)),
            number(measured.rate(DOVECOT)),
            _coloured(ratio, good=ratio >= work.wanted),
            f"{work.wanted:g}" if work.wanted else "",
            number(measured.rate(KEPT)),
            number(measured.rate(LIMIT)),
        )
    beside = result.beside
    times = beside.times(OURS)
    table.add_row(
        "p99 beside wrong passwords, quiet = 1",
        str(beside.connections),
        number(times),
        number(beside.times(DOVECOT)),
        _coloured(times, good=times <= _BESIDE_WANTED),
        f"<= {_BESIDE_WANTED:g}",
        number(beside.times(KEPT)),
        "",
    )
    ours, dovecot = result.idle[OURS], result.idle[DOVECOT]
    ratio = dovecot.during / ours.during
    table.add_row(
        f"{ours.sessions:,} idle sessions, MiB",
        "",
        number(ours.during / 2**20),
        number(dovecot.during / 2**20),
        _coloured(ratio, good=ratio >= _IDLE_WANTED and ours.during < _IDLE_BYTES * ours.sessions),
        f"{_IDLE_WANTED:g}",
        "",
        "",
    )
    return table


def _cost(result: Result) -> Table:
    table = Table(title="POP3: what a session costs, in ms", title_justify="left", title_style="bold")
    table.add_column("work")
    table.add_column("at a time", justify="right")
    for name in (OURS, DOVECOT, KEPT, LIMIT):
        table.add_column(f"{name}\nCPU", justify="right")
    for name in (OURS, DOVECOT):
        table.add_column(f"{name}\np50 / p99", justify="right")
    table.add_column("others'\nCPU", justify="right")
    for measured in result.works:
        table.add_row(
            measured.work.title,
            str(measured.work.connections),
            *(f"{measured.median(name, 'cpu') * 1e3:.2f}" for name in (OURS, DOVECOT, KEPT, LIMIT)),
            *(
                f"{measured.median(name, 'p50') * 1e3:.1f} / {measured.median(name, 'p99') * 1e3:.1f}"
                for name in (OURS, DOVECOT)
            ),
            f"{measured.others():.0%}",
        )
    return table


def _coloured(ratio: float, *, good: bool) -> str:
    return f"[{'green' if good else 'red'}]{number(ratio)}[/]"


# -- files


def write(result: Result, folder: Path) -> list[Path]:
    """Write JSON and plot; where they are."""
    folder.mkdir(parents=True, exist_ok=True)
    table, plot = folder / "pop3.json", folder / "pop3.svg"
    table.write_text(json.dumps(_as_json(result), indent=1) + "\n")
    plot.write_text(render_plot(result.works, f"Dovecot {result.dovecot}; {', '.join(result.machine.values())}"))
    return [table, plot]


def _as_json(result: Result) -> dict[str, object]:
    return {
        "machine": result.machine,
        "seconds": result.seconds,
        "dovecot": result.dovecot,
        "plan": asdict(result.plan),
        "works": [measured.as_json() for measured in result.works],
        "idle": {name: asdict(idle) | {"each": idle.each} for name, idle in result.idle.items()},
        "big_message_growth": result.big_message_growth,
        "beside": asdict(result.beside),
        "refusals": asdict(result.refusals),
    }
