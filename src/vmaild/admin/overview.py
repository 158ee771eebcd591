"""What the site is doing, for people who look rather than read: figures over time, fullest mailboxes, faults."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from typing import Any

from vmaild.admin import checks, live
from vmaild.admin.door import Door, refusals
from vmaild.admin.refusal import Refused
from vmaild.core.directory import LookupFailed
from vmaild.store.figures import STEP, Figures, FiguresLog
from vmaild.store.layout import Layout
from vmaild.store.messages import Mailbox
from vmaild.store.state import StateUnusable

log = logging.getLogger("vmaild.figures")

FULLEST = 10
_PATIENCE = 2.0
"""Seconds that looking for the fullest mailboxes may take."""
EVERY = 60.0
"""Seconds between two looks at the counters."""


def overview(door: Door, values: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of the last hours, oldest first, without gaps; and what is wrong. Raises Refused."""
    see_site(door)
    hours = max(1, min(int(values.get("hours", 24)), 168))
    now = int(time.time())
    # A plot has about a hundred points, whatever it covers.
    step = max(STEP, hours * 3600 // 96 // STEP * STEP)
    begin = (now - hours * 3600) // step * step + step
    try:
        rows = FiguresLog(door.layout).since(begin)
    except StateUnusable as error:
        raise Refused(str(error), "see to that file, then run it again") from error
    points = {at: Figures() for at in range(begin, now + 1, step)}
    for at, figures in rows.items():
        slot = begin + (at - begin) // step * step
        points[slot] = points.get(slot, Figures()).plus(figures)
    fullest, complete = _fullest(door)
    return {
        "hours": hours,
        "step": step,
        "points": [
            {"at": at} | {name: getattr(each, name) for name in Figures.__dataclass_fields__}
            for at, each in points.items()
        ],
        "fullest": fullest,
        "complete": complete,
        "faults": len(checks.check_all(door)),
        "now": _now(door.layout),
    }


def see_site(door: Door) -> None:
    """See that the actor administers the site. Raises Refused."""
    if not door.actor.site_admin:
        raise Refused("only a site administrator sees the whole site", "ask one")


def _fullest(door: Door) -> tuple[list[dict[str, Any]], bool]:
    """The mailboxes that use most of their quota, or most of all; and whether all were looked at."""
    view, found, end = door.view(), list[dict[str, Any]](), time.monotonic() + _PATIENCE
    complete = True
    for name in view.names():
        try:
            domain = view.directory.find(name)
        except LookupFailed:
            continue
        for account in domain.accounts.values() if domain else ():
            if time.monotonic() > end:
                complete = False
                break
            mailbox = Mailbox(name, account.login)
            with refusals():
                used = door.messages.usage(mailbox).bytes if door.messages.exists(mailbox) else 0
            quota = account.quota if account.quota is not None else domain.definition.quota if domain else 0
            share = used / quota if quota else 0.0
            found.append({"address": f"{account.login}@{name}", "used": used, "quota": quota, "share": share})
    found.sort(key=lambda each: (each["share"], each["used"]), reverse=True)
    return [each for each in found[:FULLEST] if each["used"]], complete


def _now(layout: Layout) -> dict[str, int]:
    """What is open at this moment; empty where nobody says."""
    try:
        totals = live.parse_live(live.read_document(layout.root)).totals
    except Refused:
        return {}
    return {name: totals.get(name, 0) for name in ("open_sessions", "open_deliveries")}


# -- the counters, written down


class Recorder:
    """Looks at the counters of the running server from time to time, and writes down what was new."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._before: Figures | None = None
        self._started = 0.0

    def start(self) -> None:
        """Do so in a thread, as long as this process lives."""
        threading.Thread(target=self._work, name="figures", daemon=True).start()

    def look(self, now: int) -> None:
        """Look once. Raises Refused, StateUnusable."""
        told = live.parse_live(live.read_document(self._layout.root))
        totals = told.totals
        figures = Figures(
            totals.get("deliveries_delivered", 0),
            totals.get("deliveries_deferred", 0),
            totals.get("deliveries_rejected", 0),
            totals.get("logins_good", 0),
            totals.get("logins_failed", 0) + totals.get("logins_throttled", 0),
        )
        # What a server has counted before we came was written down by who was here before.
        fresh = told.started != self._started and self._started > 0
        before = Figures() if fresh else self._before
        if before is not None:
            FiguresLog(self._layout).add(now, figures.since(before))
        self._before, self._started = figures, told.started

    def _work(self) -> None:
        while True:
            try:
                self.look(int(time.time()))
            except (Refused, StateUnusable) as error:
                log.debug("no figures now: %s", error)
            except Exception:
                log.exception("figures cannot be written down")
            time.sleep(EVERY)
