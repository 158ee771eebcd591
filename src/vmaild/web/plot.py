"""Figures over time, drawn as SVG: bars that stand on each other, one for each moment, with an axis on two sides.

Colours and fonts are classes of the stylesheet. Beside a drawing stands a table that tells the same.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 440, 170
"""About as wide as it is shown, so that numbers are as large as other text."""
_LEFT, _BOTTOM, _TOP = 48, 26, 10
_LONG = 3600
"""Seconds from one point to the next above which the axis tells the day, too."""
_HOURS, _DAYS = 5, 3
"""Labels of the axis of time, about; a day's is longer."""


def plot(title: str, points: Sequence[Mapping[str, int]], series: Mapping[str, str], step: int) -> str:
    """A drawing of `series` (key -> name, the lowest first) of points with `at`, seconds since the epoch."""
    labels = _DAYS if step > _LONG else _HOURS
    most = nice_ceiling(max((sum(point[key] for key in series) for point in points), default=0))
    scale = (HEIGHT - _BOTTOM - _TOP) / most
    each = (WIDTH - _LEFT) / max(len(points), 1)
    parts = [f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"><title>{escape(title)}</title>']
    for mark in (0, most // 2, most) if most > 1 else (0, most):
        y = HEIGHT - _BOTTOM - mark * scale
        parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{WIDTH}"/>')
        parts.append(f'<text class="tick end" x="{_LEFT - 6}" y="{y + 4:.1f}">{mark}</text>')
    for number, point in enumerate(points):
        y = float(HEIGHT - _BOTTOM)
        for place, key in enumerate(series):
            height = point[key] * scale
            if height:
                y -= height
                parts.append(
                    f'<rect class="s{place}" x="{_LEFT + number * each:.1f}" y="{y:.1f}" '
                    f'width="{max(each - 1, 1):.1f}" height="{height:.1f}"/>'
                )
        if number % max(len(points) // labels, 1) == 0 and number + 2 < len(points):
            x = _LEFT + number * each
            parts.append(f'<text class="tick" x="{x:.1f}" y="{HEIGHT - 6}">{moment(point["at"], step)}</text>')
    return "".join((*parts, "</svg>"))


def moment(at: int, step: int) -> str:
    """A moment of the axis: an hour, or a day where the steps are long."""
    return time.strftime("%d.%m. %Hh" if step > _LONG else "%H:%M", time.localtime(at))


def nice_ceiling(most: int) -> int:
    """The end of the axis: the next number of 1, 2, 5, 10, 20, ... that is not lower."""
    end = 1
    while end < most:
        end = end * 5 // 2 if str(end).startswith("2") else end * 2
    return end
