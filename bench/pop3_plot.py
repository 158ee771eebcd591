"""The plot of what the POP3 bench found."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from bench.contest import DOVECOT, OURS, Measured
from bench.pop3_load import Pop3Work

KEPT, LIMIT = "Dovecot+", "limit"
"""The other servers; see pop3_servers and limit."""

_WIDTH, _PANEL, _HEIGHT, _TOP, _BAR = 1020, 290, 200, 64, 21
_COLOURS = {OURS: "#1b7f5c", DOVECOT: "#b4552d", KEPT: "#dba287", LIMIT: "#9aa3ad"}


def render_plot(measured_works: Sequence[Measured[Pop3Work]], of: str) -> str:
    """Three panels of bars as SVG: poll, fetch, and latency of polls (p99)."""
    polls = [measured for measured in measured_works if measured.work.key == "poll"]
    fetches = [measured for measured in measured_works if measured.work.key == "fetch"]
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
    note = f"1, 16 and 64 connections; {of}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_TOP + _HEIGHT + 70}" '
        'font-family="sans-serif" font-size="13" fill="#333" role="img">\n'
        "<title>POP3: vmaild beside Dovecot and beside a server that does nothing</title>\n"
        f'<rect width="100%" height="100%" fill="#fff"/>\n{legend}\n{"".join(panels)}'
        f'<text x="20" y="{_TOP + _HEIGHT + 58}" font-size="11" fill="#666">{escape(note)}</text>\n</svg>\n'
    )


def _panel(place: int, title: str, works: Sequence[Measured[Pop3Work]], what: str, scale: float) -> str:
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
