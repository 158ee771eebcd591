"""What a bench found: rows, a table for people, JSON for programs, a plot for both."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from html import escape
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.table import Table


class Findings(Protocol):
    """What a bench hands back."""

    def print(self, console: Console) -> None:
        """Show it to people."""
        ...

    def write(self, folder: Path) -> list[Path]:
        """Keep it, as JSON and as a plot; where."""
        ...


@dataclass(frozen=True, slots=True)
class Measured:
    """One measured number."""

    measure: str
    """What was measured."""
    value: float | None
    """None: it could not be."""
    unit: str
    cpu: float | None = None
    """Seconds of CPU in seconds of time: what other programs on the machine disturb less."""


@dataclass(frozen=True, slots=True)
class Row:
    """A number and where it stands."""

    dimension: str
    """What was made larger, such as `domains`."""
    size: int
    """How large."""
    found: Measured


@dataclass(slots=True)
class Report:
    """What one bench found, and where: rows of numbers."""

    bench: str
    title: str
    machine: dict[str, str]
    rows: list[Row] = field(default_factory=list)

    def add(self, dimension: str, size: int, measured: Iterable[Measured]) -> None:
        """Add what was measured at one size."""
        self.rows += [Row(dimension, size, found) for found in measured]

    def print(self, console: Console) -> None:
        """A table for each dimension, sizes side by side."""
        console.print("   ".join(f"{key}: {value}" for key, value in self.machine.items()), style="dim")
        console.print("Seconds of CPU stand in parentheses.", style="dim")
        for dimension in dict.fromkeys(row.dimension for row in self.rows):
            rows = [row for row in self.rows if row.dimension == dimension]
            sizes = sorted({row.size for row in rows})
            table = Table(title=f"{self.title}: {dimension}", title_justify="left", title_style="bold")
            table.add_column(dimension)
            for size in sizes:
                table.add_column(f"{size:,}", justify="right")
            for measure in dict.fromkeys(row.found.measure for row in rows):
                found = {row.size: row.found for row in rows if row.found.measure == measure}
                table.add_row(measure, *(shown(found[size]) if size in found else "" for size in sizes))
            console.print(table)

    def write(self, folder: Path) -> list[Path]:
        """Keep it as JSON and as a plot; where."""
        folder.mkdir(parents=True, exist_ok=True)
        data, plot = folder / f"{self.bench}.json", folder / f"{self.bench}.svg"
        data.write_text(json.dumps(asdict(self), indent=1) + "\n")
        plot.write_text(svg(self.title, self.rows))
        return [data, plot]


def shown(found: Measured) -> str:
    """A number with its unit, three digits of it."""
    if found.value is None:
        return "-"
    if found.unit == "s":
        return _seconds(found.value) + (f" ({_seconds(found.cpu)})" if found.cpu is not None else "")
    return f"{_digits(found.value)} {found.unit}"


def _seconds(value: float) -> str:
    """0.0123 is 12.3 ms."""
    for factor, unit in ((1, "s"), (1e3, "ms")):
        if value * factor >= 1:
            return f"{_digits(value * factor)} {unit}"
    return f"{_digits(value * 1e6)} µs"


def _digits(value: float) -> str:
    digits = 0 if value >= 100 or value == int(value) else 1 if value >= 10 else 2
    return f"{value:,.{digits}f}"


_COLOURS = ("#1b6ca8", "#c8553d", "#588b3a", "#8a4f9e", "#b8860b", "#3a8f8f", "#a04060", "#606060")
_WIDTH, _HEIGHT, _LEFT, _ROOM = 460, 260, 60, 250
"""Of one plot, of its left margin, and of the legend beside it, in pixels."""


def svg(title: str, rows: Sequence[Row]) -> str:
    """Plots on logarithmic axes, one for each dimension and unit that was measured at several sizes."""
    lines: dict[tuple[str, str], dict[str, list[tuple[int, float]]]] = {}
    for row in rows:
        found = row.found
        if found.value:
            curves = lines.setdefault((row.dimension, found.unit), {})
            curves.setdefault(found.measure, []).append((row.size, found.value))
    plots: list[str] = []
    for (dimension, unit), measures in lines.items():
        several = {name: sorted(points) for name, points in measures.items() if len(points) > 1}
        if several:
            plots.append(_plot(f"{dimension}: {unit}", several, (_HEIGHT + 60) * len(plots) + 40))
    height = (_HEIGHT + 60) * len(plots) + 50
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LEFT + _WIDTH + _ROOM}" height="{height}" '
        f'font-family="sans-serif" font-size="11">\n<rect width="100%" height="100%" fill="white"/>\n'
        f'<text x="{_LEFT}" y="22" font-size="15">{escape(title)}</text>\n{"".join(plots)}</svg>\n'
    )


def _plot(title: str, curves: dict[str, list[tuple[int, float]]], top: int) -> str:
    points = [point for curve in curves.values() for point in curve]
    left, right = _decades([size for size, _ in points])
    bottom, high = _decades([value for _, value in points])

    def x(size: float) -> float:
        return _LEFT + _WIDTH * (math.log10(size) - left) / (right - left)

    def y(value: float) -> float:
        return top + _HEIGHT * (high - math.log10(value)) / (high - bottom)

    parts = [f'<text x="{_LEFT}" y="{top - 6}" font-weight="bold">{escape(title)}</text>\n']
    for power in range(left, right + 1):
        parts.append(_line(x(10.0**power), top, x(10.0**power), top + _HEIGHT))
        parts.append(
            f'<text x="{x(10.0**power)}" y="{top + _HEIGHT + 15}" text-anchor="middle">1e{power}</text>\n'
        )
    for power in range(bottom, high + 1):
        parts.append(_line(_LEFT, y(10.0**power), _LEFT + _WIDTH, y(10.0**power)))
        parts.append(f'<text x="{_LEFT - 5}" y="{y(10.0**power) + 4}" text-anchor="end">1e{power}</text>\n')
    for number, (name, curve) in enumerate(curves.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        path = " ".join(f"{x(size):.1f},{y(value):.1f}" for size, value in curve)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>\n')
        parts += [f'<circle cx="{x(s):.1f}" cy="{y(v):.1f}" r="3" fill="{colour}"/>\n' for s, v in curve]
        parts.append(
            f'<text x="{_LEFT + _WIDTH + 12}" y="{top + 12 + 15 * number}" fill="{colour}">{escape(name)}</text>\n'
        )
    return "".join(parts)


def _decades(values: Sequence[float]) -> tuple[int, int]:
    """The powers of ten that enclose some values."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return low, max(high, low + 1)


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="#ddd"/>\n'
