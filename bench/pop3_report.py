"""What the POP3 bench found: tables for people, a plot, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from statistics import median
from typing import Any

from bench.pop3_load import Run, Work
from rich.console import Console
from rich.table import Table

OURS, DOVECOT, KEPT, LIMIT = "vmaild", "Dovecot", "Dovecot+", "limit"
"""The servers; see pop3_servers and limit."""

NOT_YET = (
    ("poll over TLS, ECDSA", 16, 2.0),
    ("p99 of polls beside wrong passwords", 16, 5.0),
)
"""What is not measured yet: title, connections, and what is wanted."""
_PAGE = 120
"""Columns of a table that goes to a file."""
_IDLE_WANTED = 50.0
_IDLE_BYTES = 20_000


@dataclass(frozen=True, slots=True)
class Measured:
    """All runs of a work, by the name of the server."""

    work: Work
    runs: Mapping[str, Sequence[Run]]

    def rate(self, server: str) -> float:
        """The median."""
        return self.median(server, "rate")

    def median(self, server: str, what: str) -> float:
        """The median of one attribute of the runs; 0 where there are none."""
        return float(median([getattr(run, what) for run in self.runs.get(server, ())] or [0.0]))

    def spread(self, server: str) -> float:
        """How far the fastest run was from the slowest, as a share of the median."""
        rates = [run.rate for run in self.runs[server]]
        return (max(rates) - min(rates)) / median(rates) if median(rates) else 0.0

    def ratio(self) -> float:
        """How many times Dovecot's rate ours is."""
        return _ratio(self.rate(OURS), self.rate(DOVECOT))

    def cpu_ratio(self) -> float:
        """How many times our CPU time Dovecot's is."""
        return _ratio(self.median(DOVECOT, "cpu"), self.median(OURS, "cpu"))

    def others(self) -> float:
        """The share of all cores' time that others had, a median over all runs."""
        return median([run.others for runs in self.runs.values() for run in runs])


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
    works: Sequence[Measured]
    idle: Mapping[str, Idle]
    big_message_growth: int
    """Bytes by which our server grew at most to send the large message."""
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
    )
    console.print("\n".join(notes), markup=False, highlight=False)


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
            _number(measured.rate(OURS)),
            _number(measured.rate(DOVECOT)),
            _coloured(ratio, good=ratio >= work.wanted),
            f"{work.wanted:g}" if work.wanted else "",
            _number(measured.rate(KEPT)),
            _number(measured.rate(LIMIT)),
        )
    for title, connections, wanted in NOT_YET:
        table.add_row(title, str(connections), "not yet", "", "", f"{wanted:g}", "", "", style="dim")
    ours, dovecot = result.idle[OURS], result.idle[DOVECOT]
    ratio = dovecot.during / ours.during
    table.add_row(
        f"{ours.sessions:,} idle sessions, MiB",
        "",
        _number(ours.during / 2**20),
        _number(dovecot.during / 2**20),
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
    return f"[{'green' if good else 'red'}]{_number(ratio)}[/]"


def _number(value: float) -> str:
    if not value:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _ratio(one: float, other: float) -> float:
    return one / other if other else 0.0


# -- files


def write(result: Result, folder: Path) -> list[Path]:
    """Write JSON and plot; where they are."""
    folder.mkdir(parents=True, exist_ok=True)
    table, plot = folder / "pop3.json", folder / "pop3.svg"
    table.write_text(json.dumps(_as_json(result), indent=1) + "\n")
    plot.write_text(render_plot(result))
    return [table, plot]


def _as_json(result: Result) -> dict[str, object]:
    works = [
        {
            "work": measured.work.key,
            "title": measured.work.title,
            "connections": measured.work.connections,
            "unit": measured.work.unit,
            "wanted": measured.work.wanted,
            "times": measured.ratio(),
            "times_cpu": measured.cpu_ratio(),
            "others": measured.others(),
            "median": {
                name: {what: measured.median(name, what) for what in ("rate", "p50", "p99", "cpu", "load")}
                for name in measured.runs
            },
            "runs": {name: [asdict(run) for run in runs] for name, runs in measured.runs.items()},
        }
        for measured in result.works
    ]
    return {
        "machine": result.machine,
        "seconds": result.seconds,
        "dovecot": result.dovecot,
        "plan": asdict(result.plan),
        "works": works,
        "idle": {name: asdict(idle) | {"each": idle.each} for name, idle in result.idle.items()},
        "big_message_growth": result.big_message_growth,
        "not_yet": [title for title, _, _ in NOT_YET],
    }


# -- the plot

_WIDTH, _PANEL, _HEIGHT, _TOP, _BAR = 1020, 290, 200, 64, 21
_COLOURS = {OURS: "#1b7f5c", DOVECOT: "#b4552d", KEPT: "#dba287", LIMIT: "#9aa3ad"}


def render_plot(result: Result) -> str:
    """Three panels of bars as SVG: poll, fetch, and latency of polls (p99)."""
    polls = [measured for measured in result.works if measured.work.key == "poll"]
    fetches = [measured for measured in result.works if measured.work.key == "fetch"]
    panels = [
        _panel(0, "poll: sessions/s", polls, "rate", 1),
        _panel(1, "fetch: messages of 4 kB/s", fetches, "rate", 1),
        _panel(2, "poll: p99, ms (less is better)", polls, "p99", 1e3),
    ]
    legend = "".join(
        f'<rect x="{20 + 110 * place}" y="14" width="14" height="14" fill="{colour}"/>'
        f'<text x="{40 + 110 * place}" y="26">{name}</text>'
        for place, (name, colour) in enumerate(_COLOURS.items())
    )
    note = f"1, 16 and 64 connections; Dovecot {result.dovecot}; {', '.join(result.machine.values())}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_TOP + _HEIGHT + 70}" '
        'font-family="sans-serif" font-size="13" fill="#333" role="img">\n'
        "<title>POP3: vmaild beside Dovecot and beside a server that does nothing</title>\n"
        f'<rect width="100%" height="100%" fill="#fff"/>\n{legend}\n{"".join(panels)}'
        f'<text x="20" y="{_TOP + _HEIGHT + 58}" font-size="11" fill="#666">{escape(note)}</text>\n</svg>\n'
    )


def _panel(place: int, title: str, works: Sequence[Measured], what: str, scale: float) -> str:
    left = 20 + place * (_PANEL + 50)
    floor = _TOP + _HEIGHT
    top = max((measured.median(name, what) for measured in works for name in _COLOURS), default=0) or 1.0
    parts = [f'<text x="{left}" y="{_TOP - 12}" font-weight="bold">{escape(title)}</text>\n']
    for group, measured in enumerate(works):
        x = left + group * (len(_COLOURS) * _BAR + 18)
        for number, (name, colour) in enumerate(_COLOURS.items()):
            value = measured.median(name, what)
            height = (_HEIGHT - 20) * value / top
            bar = x + number * _BAR
            parts.append(
                f'<rect x="{bar}" y="{floor - height:.1f}" width="{_BAR - 3}" height="{height:.1f}" '
                f'fill="{colour}"><title>{name}: {value * scale:,.2f}</title></rect>'
                f'<text x="{bar + _BAR / 2 - 1.5}" y="{floor - height - 4:.1f}" font-size="9" '
                f'text-anchor="middle">{_short(value * scale)}</text>\n'
            )
        label = x + len(_COLOURS) / 2 * _BAR
        parts.append(
            f'<text x="{label}" y="{floor + 18}" text-anchor="middle">{measured.work.connections}</text>\n'
        )
    parts.append(f'<line x1="{left}" y1="{floor}" x2="{left + _PANEL}" y2="{floor}" stroke="#999"/>\n')
    return "".join(parts)


def _short(value: float) -> str:
    if value >= 10_000:
        return f"{value / 1000:.0f}k"
    return f"{value / 1000:.1f}k" if value >= 1000 else f"{value:.0f}" if value >= 10 else f"{value:.1f}"
