"""What the servers did, by five minutes: kept for a week, for the plots of the web."""

from __future__ import annotations

from dataclasses import astuple, dataclass

from vmaild.store.layout import Layout
from vmaild.store.state import Database

STEP = 300
"""Seconds that a row stands for."""
KEPT = 8 * 86400
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Figures:
    """How often something happened."""

    delivered: int = 0
    deferred: int = 0
    rejected: int = 0
    logins: int = 0
    failed_logins: int = 0

    def since(self, before: Figures) -> Figures:
        """The difference; where a count is lower than before, the server has begun anew."""
        pairs = zip(astuple(self), astuple(before), strict=True)
        return Figures(*(now - then if now >= then else now for now, then in pairs))

    def plus(self, other: Figures) -> Figures:
        """The sum."""
        return Figures(*map(sum, zip(astuple(self), astuple(other), strict=True)))


class FiguresLog:
    """The figures of a layout. Every call may raise StateUnusable."""

    def __init__(self, layout: Layout) -> None:
        self._database = Database(layout)

    def add(self, now: int, more: Figures) -> None:
        """Count `more` for the row of `now` (seconds since the epoch); rows that are too old go."""
        at = now - now % STEP
        with self._database.transaction("figures") as (connection, table):
            row = connection.execute(table.select().where(table.c.at == at)).mappings().first()
            if row is None:
                connection.execute(table.delete().where(table.c.at < now - KEPT))
                connection.execute(table.insert().values(at=at, **_values(more)))
            else:
                values = _values(_figures(dict(row)).plus(more))
                connection.execute(table.update().where(table.c.at == at).values(**values))

    def since(self, begin: int) -> dict[int, Figures]:
        """By the second in which a row begins, from `begin` on."""
        if not self._database.exists():
            return {}
        with self._database.transaction("figures") as (connection, table):
            rows = connection.execute(table.select().where(table.c.at >= begin).order_by(table.c.at)).mappings()
            return {int(row["at"]): _figures(dict(row)) for row in rows}


def _values(figures: Figures) -> dict[str, int]:
    return {name: getattr(figures, name) for name in Figures.__dataclass_fields__}


def _figures(row: dict[str, int]) -> Figures:
    return Figures(**{name: row[name] for name in Figures.__dataclass_fields__})
