"""What the delivery bench found: tables for people, a plot, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from statistics import median
from typing import Any

from bench.contest import DOVECOT, OURS, Measured, number
from bench.delivery_load import DeliveryWork
from rich.console import Console
from rich.table import Table

LIMIT = "disk"
_ROUTING_WANTED = 50_000
_PAGE = 140


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes by which a server grows at most."""

    small: int
    """For messages of 1 MB."""
    large: int
    """For messages of 25 MB."""


@dataclass(frozen=True, slots=True)
class Routing:
    """Look-ups in one process."""

    domains: int
    accounts: int
    """Of each domain."""
    rate: float
    """Look-ups in a second of CPU, all domains known already, any account of any."""
    memory: float
    """MB that the process grew by."""


@dataclass(frozen=True, slots=True)
class Result:
    """Everything that one run of the bench found."""

    seconds: float
    """That all of it took."""
    dovecot: str
    """Its version."""
    plan: Any
    """How much was measured; see delivery.Plan."""
    works: Sequence[Measured[DeliveryWork]]
    memory: Mapping[str, Memory]
    routing: Routing
    machine: Mapping[str, str]

    def print(self, console: Console) -> None:
        """Tables for people."""
        show(self, console if console.is_terminal else Console(file=console.file, width=_PAGE))

    def write(self, folder: Path) -> list[Path]:
        """Keep it as JSON and as a plot; where."""
        folder.mkdir(parents=True, exist_ok=True)
        table, plot = folder / "delivery.json", folder / "delivery.svg"
        table.write_text(json.dumps(_as_json(self), indent=1) + "\n")
        plot.write_text(render_plot(self))
        return [table, plot]


def show(result: Result, console: Console) -> None:
    """Print the tables."""
    console.print("   ".join(f"{key}: {value}" for key, value in result.machine.items()), style="dim")
    console.print(_table(result))
    others = median([measured.others() for measured in result.works])
    routing = result.routing
    grown = ", ".join(
        f"{name} by {memory.small / 1e6:.1f} MB for 1 MB, by {memory.large / 1e6:.1f} MB for 25 MB"
        for name, memory in result.memory.items()
    )
    notes = (
        f"Dovecot {result.dovecot}; both sync message and folder before they accept. {LIMIT}: write, fsync,",
        "rename, fsync of the folder and nothing else, with as many writers as there are connections.",
        f"Medians of {result.plan.rounds} runs of {result.plan.seconds:g} s; all took {result.seconds:.0f} s.",
        f"Other programs had {others:.0%} of the cores' time.",
        f"Memory grew: {grown}.",
        (
            f"Routing, {routing.domains:,} domains of {routing.accounts} accounts: {routing.rate:,.0f} "
            f"look-ups in a second of CPU ({_ROUTING_WANTED:,} wanted), {routing.memory:.0f} MB."
        ),
    )
    console.print("\n".join(notes), markup=False, highlight=False)


def _table(result: Result) -> Table:
    table = Table(
        title="Delivery: how much in a second; CPU and p50 in ms", title_justify="left", title_style="bold"
    )
    table.add_column("work", no_wrap=True)
    for name in ("at a time", OURS, DOVECOT, "times", "wanted", LIMIT):
        table.add_column(name, justify="right")
    for name in (OURS, DOVECOT):
        table.add_column(f"CPU\n{name}", justify="right")
    for name in (OURS, DOVECOT):
        table.add_column(f"p50\n{name}", justify="right")
    for measured in result.works:
        work, ratio = measured.work, measured.ratio()
        table.add_row(
            f"{work.title}, {work.unit}",
            str(work.connections),
            number(measured.rate(OURS)),
            number(measured.rate(DOVECOT)),
            f"[{'green' if ratio >= work.wanted else 'red'}]{ratio:.1f}[/]",
            f"{work.wanted:g}",
            number(measured.rate(LIMIT)),
            *(f"{measured.median(name, what) * 1e3:.1f}" for what in ("cpu", "p50") for name in (OURS, DOVECOT)),
        )
    return table


def _as_json(result: Result) -> dict[str, object]:
    works = [
        {**measured.as_json(), "octets": measured.work.octets, "recipients": measured.work.recipients}
        for measured in result.works
    ]
    return {
        "machine": result.machine,
        "seconds": result.seconds,
        "dovecot": result.dovecot,
        "plan": asdict(result.plan),
        "works": works,
        "memory": {name: asdict(memory) for name, memory in result.memory.items()},
        "routing": asdict(result.routing),
    }


# -- the plot

_WIDTH, _PANEL, _HEIGHT, _TOP, _BAR = 900, 150, 200, 64, 42
_COLOURS = {OURS: "#1b7f5c", DOVECOT: "#b4552d", LIMIT: "#9aa3ad"}


def render_plot(result: Result) -> str:
    """A panel of bars for each work, as SVG."""
    legend = "".join(
        f'<rect x="{20 + 110 * place}" y="10" width="14" height="14" fill="{colour}"/>'
        f'<text x="{40 + 110 * place}" y="22">{name}</text>'
        for place, (name, colour) in enumerate(_COLOURS.items())
    )
    panels = "".join(_panel(20 + place * (_PANEL + 25), one) for place, one in enumerate(result.works))
    note = f"Dovecot {result.dovecot}; {', '.join(result.machine.values())}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_TOP + _HEIGHT + 60}" '
        'font-family="sans-serif" font-size="12" fill="#333" role="img">\n'
        "<title>Delivery: vmaild beside Dovecot and beside the bare disk</title>\n"
        f'<rect width="100%" height="100%" fill="#fff"/>\n{legend}\n{panels}'
        f'<text x="20" y="{_TOP + _HEIGHT + 48}" font-size="10" fill="#666">{escape(note)}</text>\n</svg>\n'
    )


def _panel(left: int, measured: Measured[DeliveryWork]) -> str:
    floor = _TOP + _HEIGHT
    top = max(measured.rate(name) for name in _COLOURS) or 1.0
    work = measured.work
    parts = [f'<text x="{left}" y="{_TOP - 22}" font-weight="bold">{escape(work.title)}</text>\n']
    parts.append(f'<text x="{left}" y="{_TOP - 8}">{work.unit}, {work.connections} at a time</text>\n')
    for place, (name, colour) in enumerate(_COLOURS.items()):
        value = measured.rate(name)
        height = (_HEIGHT - 20) * value / top
        bar = left + place * _BAR
        parts.append(
            f'<rect x="{bar}" y="{floor - height:.1f}" width="{_BAR - 6}" height="{height:.1f}" fill="{colour}">'
            f"<title>{name}: {value:,.1f}</title></rect>"
            f'<text x="{bar + _BAR / 2 - 3}" y="{floor - height - 4:.1f}" font-size="10" text-anchor="middle">'
            f"{number(value)}</text>\n"
        )
    label = f"{measured.ratio():.1f} x, {work.wanted:g} wanted"
    parts.append(f'<text x="{left}" y="{floor + 18}">{label}</text>\n')
    parts.append(f'<line x1="{left}" y1="{floor}" x2="{left + _PANEL}" y2="{floor}" stroke="#999"/>\n')
    return "".join(parts)
