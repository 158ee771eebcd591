"""What the site is doing, for people who look rather than read: figures over time, fullest mailboxes, faults."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from vmaild.admin import checks, live
from vmaild.admin.door import Door, refusals
from vmaild.admin.refusal import Code, Refused
from vmaild.core.directory import LookupFailed
from vmaild.store.figures import STEP, Figures, FiguresLog
from vmaild.store.layout import Layout
from vmaild.store.messages import Mailbox
from vmaild.store.state import StateUnusable

log = logging.getLogger("vmaild.figures")

FULLEST = 10
_PATIENCE, _LONGEST = 2.0, 300.0
"""Seconds that looking for the fullest mailboxes may take: while somebody waits, and behind their back."""
_BURST, _SHARE = 0.005, 0.2
"""Seconds of work at once, and how much of the time that is, where others want an answer meanwhile."""
_PAUSE = 10.0
"""Seconds between two looks, at the least."""
EVERY = 60.0
"""Seconds between two looks at the counters."""


def overview(survey: Survey, door: Door, values: Mapping[str, Any]) -> dict[str, Any]:
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
    seen = survey.seen(door)
    return {
        "hours": hours,
        "step": step,
        "points": [
            {"at": at} | {name: getattr(each, name) for name in Figures.__dataclass_fields__}
            for at, each in points.items()
        ],
        "fullest": seen.fullest,
        "complete": seen.complete,
        "faults": seen.faults,
        "looked": seen.at,
        "now": _now(door.layout),
    }


def see_site(door: Door) -> None:
    """See that the actor administers the site. Raises Refused."""
    if not door.actor.site_admin:
        raise Refused("only a site administrator sees the whole site", "ask one", Code.NOT_PERMITTED)


# -- what takes its time to find out


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look at all domains found."""

    fullest: list[dict[str, Any]]
    complete: bool
    """Whether all mailboxes were looked at."""
    faults: int
    at: int
    """Seconds since 1970."""


class Survey:
    """Looks at every mailbox and every file behind the back of whoever asks, who is told what is known.

    Only the first has to wait. For all threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: Seen | None = None
        self._looking = False
        self._next = 0.0

    def seen(self, door: Door) -> Seen:
        """What the last look found; the next one begins where that is some time ago. Raises Refused."""
        with self._lock:
            known, due = self._known, not self._looking and time.monotonic() >= self._next
            self._looking |= known is not None and due
        if known is None:
            return self._look(door, _PATIENCE, 0.0)
        if due:
            threading.Thread(target=self._look_again, args=(door,), name="survey", daemon=True).start()
        return known

    def _look_again(self, door: Door) -> None:
        try:
            self._look(door, _LONGEST, _SHARE)
        except Refused as error:
            log.warning("no survey: %s", error)
        except Exception:
            log.exception("no survey")
        finally:
            with self._lock:
                self._looking = False

    def _look(self, door: Door, patience: float, share: float) -> Seen:
        began = time.monotonic()
        fullest, complete = _fullest(door, began + patience, share)
        found = Seen(fullest, complete, len(checks.check_all(door)), int(time.time()))
        took = time.monotonic() - began
        with self._lock:
            self._known, self._next = found, time.monotonic() + max(_PAUSE, 10 * took)
        return found


def _fullest(door: Door, end: float, share: float) -> tuple[list[dict[str, Any]], bool]:
    """The mailboxes that use most of their quota, or most of all; and whether all were looked at until `end`."""
    found, rested = list[dict[str, Any]](), time.monotonic()
    for looked in _mailboxes(door):
        if looked["used"]:
            found.append(looked)
        now = time.monotonic()
        if now > end:
            return _first(found), False
        if share and now > rested + _BURST:
            found = _first(found)
            time.sleep(_BURST / share)  # those who wait for a page come first
            rested = time.monotonic()
    return _first(found), True


def _mailboxes(door: Door) -> Iterator[dict[str, Any]]:
    view = door.view()
    for name in view.names():
        try:
            domain = view.directory.find(name)
        except LookupFailed:
            continue
        for account in domain.accounts.values() if domain else ():
            mailbox = Mailbox(name, account.login)
            with refusals():
                used = door.messages.usage(mailbox).bytes if door.messages.exists(mailbox) else 0
            quota = account.quota if account.quota is not None else domain.definition.quota if domain else 0
            share = used / quota if quota else 0.0
            yield {"address": f"{account.login}@{name}", "used": used, "quota": quota, "share": share}


def _first(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(found, key=lambda each: (each["share"], each["used"]), reverse=True)[:FULLEST]


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
