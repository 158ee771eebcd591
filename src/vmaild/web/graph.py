"""The way of a message, drawn: each step a box, indented as deep as it is nested, the targets at the end, as SVG.

Colours and fonts are classes of the stylesheet. What is drawn is told in words next to it, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from typing import Any

_WIDTH, _HEIGHT, _GAP, _INDENT = 560, 44, 18, 28
_CHARACTERS = 66
"""Of a text in a box that has the whole width."""


def graph(explained: Mapping[str, Any], _: Callable[[str], str]) -> str:
    """The drawing of an explanation; see admin.answers for its shape."""
    boxes = [
        (int(step["depth"]), _(str(step["rule"])), _(str(step["text"])), "step")
        for step in explained["steps"]
        if step["rule"] != "target"
    ]
    boxes += [(0, _("delivered to"), _(str(target["text"])), "goal") for target in explained["targets"]]
    if not explained["targets"]:
        code, enhanced, text = str(explained["answer"]).split(" ", 2)
        boxes.append((0, _("answer"), f"{code} {enhanced} {_(text)}", "end"))
    height = len(boxes) * (_HEIGHT + _GAP) + _GAP
    title = f"{_('Where mail for this address goes')}: {explained['address']}"
    parts = [
        f'<svg class="graph" viewBox="0 0 {_WIDTH + 240} {height}" role="img" aria-labelledby="graph-title">',
        f'<title id="graph-title">{escape(title)}</title>',
    ]
    before: tuple[int, int] | None = None
    for number, (depth, rule, text, kind) in enumerate(boxes):
        left, top = 8 + min(depth, 8) * _INDENT, _GAP + number * (_HEIGHT + _GAP)
        if before is not None:
            x, y = before[0] + 14, before[1] + _HEIGHT
            parts.append(f'<path class="edge" d="M{x} {y} V{top - 9} H{left + 14} V{top}"/>')
        before = (left, top)
        shown = text if len(text) <= _CHARACTERS else text[: _CHARACTERS - 1] + "…"
        parts.append(
            f'<g class="box {kind}"><rect x="{left}" y="{top}" width="{_WIDTH}" height="{_HEIGHT}" rx="8"/>'
            f'<text class="rule" x="{left + 12}" y="{top + 17}">{escape(rule)}</text>'
            f'<text x="{left + 12}" y="{top + 34}">{escape(shown)}</text></g>'
        )
    return "".join((*parts, "</svg>"))
