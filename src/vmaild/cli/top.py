"""`vmail top`: what a running server is doing now."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from vmaild.admin.live import Live, LiveSession, parse_live, read_document
from vmaild.admin.refusal import Refused
from vmaild.cli.conventions import Json, examples, root_of
from vmaild.cli.output import print_json
from vmaild.cli.text import safe, size_in_words

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

EXAMPLES = examples("vmail top", "vmail top --once", "vmail top --json")

PERIOD = 1.0
"""Seconds from one look to the next."""
_FIXED_LINES = 16
"""All that is not a session."""

_LEFT: Sequence[tuple[str, Sequence[str]]] = (
    ("connections", ("sessions_opened",)),
    ("and refused", ("connections_refused",)),
    ("logins", ("logins_good",)),
    ("failed", ("logins_failed",)),
    ("refused unseen", ("logins_throttled",)),
    ("put off", ("logins_deferred",)),
)
_RIGHT: Sequence[tuple[str, Sequence[str]]] = (
    ("messages sent", ("messages_retrieved",)),
    ("octets sent", ("octets_sent",)),
    ("deleted", ("messages_deleted",)),
    ("delivered", ("deliveries_delivered",)),
    ("not delivered", ("deliveries_deferred", "deliveries_rejected")),
    ("octets delivered", ("octets_delivered",)),
)
"""What is shown, and the totals that are added up for it."""


def top(
    context: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="Look for one second, print that, and end.")] = False,
    as_json: Json = False,
) -> None:
    """Show what the running server is doing.

    That is rates, totals and who is connected. Looks again every second, until q or Ctrl-C; where the output is
    no terminal, it is printed once.
    """
    root = root_of(context)
    if as_json:
        print_json(read_document(root))
        return
    before = parse_live(read_document(root))
    screen = _screen()
    if once or not screen.is_terminal:
        time.sleep(PERIOD)
        screen.print(view(before, parse_live(read_document(root)), limit=None))
        return
    try:
        _watch(root, screen, before)
    except KeyboardInterrupt:
        return  # one of the two ways to end it


def rates(before: Live, now: Live) -> dict[str, float]:
    """What the totals grew by in a second; nothing where the server was started anew in between."""
    seconds = now.time - before.time
    if seconds <= 0 or now.started != before.started:
        return dict.fromkeys(now.totals, 0.0)
    return {name: (total - before.totals.get(name, 0)) / seconds for name, total in now.totals.items()}


def view(before: Live, now: Live, *, limit: int | None) -> RenderableType:
    """What is shown; `limit` is how many sessions there is room for (None: all)."""
    from rich.console import Group  # noqa: PLC0415  what a verb needs is loaded by that verb
    from rich.text import Text  # noqa: PLC0415  likewise

    head = Text(f"vmaild {safe(now.version)}", style="bold green")
    head.append(f"  up {duration_in_words(now.time - now.started)}", style="default not bold")
    gauges = (
        f"{_total(now, 'open_sessions')} sessions, {_total(now, 'open_deliveries')} connections of LMTP and SMTP, "
        f"{_total(now, 'hashing')} passwords in check"
    )
    sessions = sorted(now.sessions, key=lambda session: (not session.login, session.since))
    shown = sessions[:limit]
    parts: list[RenderableType] = [head, Text(), _figures(rates(before, now), now), Text(), Text(gauges)]
    if shown:
        parts += [Text(), _sessions(shown, now.time)]
    more = _total(now, "open_sessions") - len(shown)
    if more > 0 and shown:
        parts.append(Text(f"and {more} more"))
    return Group(*parts)


def duration_in_words(seconds: float, parts: int = 2) -> str:
    """A time span for people, in its largest parts: `3 h 12 min`."""
    left = max(0, int(seconds))
    words: list[str] = []
    for name, unit in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        if left >= unit or words or unit == 1:
            words.append(f"{left // unit} {name}")
            left %= unit
    return " ".join(words[:parts])


def _figures(growth: Mapping[str, float], now: Live) -> Table:
    table = _table()
    for _ in range(2):
        table.add_column()
        table.add_column("a second", justify="right")
        table.add_column("in all", justify="right")
    for left, right in zip(_LEFT, _RIGHT, strict=True):
        table.add_row(*_figure(*left, growth, now), *_figure(*right, growth, now))
    return table


def _figure(name: str, totals: Sequence[str], growth: Mapping[str, float], now: Live) -> tuple[str, str, str]:
    rate = sum(growth.get(total, 0.0) for total in totals)
    total = sum(_total(now, total) for total in totals)
    if name.startswith("octets"):
        return name, size_in_words(round(rate)), size_in_words(total)
    return name, f"{rate:.1f}" if 0 < rate < 10 else f"{rate:.0f}", f"{total}"


def _sessions(sessions: list[LiveSession], now: float) -> Table:
    from rich.text import Text  # noqa: PLC0415  as above

    table = _table()
    for heading in ("who", "domain", "address"):  # where room is short, these are cut
        table.add_column(heading, overflow="ellipsis")
    table.add_column("TLS", no_wrap=True)
    for heading in ("for", "sent", "octets"):
        table.add_column(heading, justify="right", no_wrap=True)
    for each in sessions:
        table.add_row(
            Text(safe(each.login) or "-"),
            Text(safe(each.domain) or "-"),
            Text(safe(each.address)),
            "yes" if each.tls else "no",
            duration_in_words(now - each.since, parts=1),
            f"{each.messages}",
            size_in_words(each.octets),
        )
    return table


def _table() -> Table:
    from rich import box  # noqa: PLC0415  as above
    from rich.table import Table  # noqa: PLC0415  as above

    return Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")


def _total(now: Live, name: str) -> int:
    return now.totals.get(name, 0)


# -- the terminal


def _screen() -> Console:
    from rich.console import Console  # noqa: PLC0415  as above

    return Console(file=sys.stdout, highlight=False, markup=False, emoji=False)


def _watch(root: str | None, screen: Console, before: Live) -> None:
    """Look and show, until the user has seen enough. A server that is being restarted is waited for."""
    from rich.live import Live as Display  # noqa: PLC0415  as above
    from rich.text import Text  # noqa: PLC0415  as above

    now = before
    with Display(console=screen, screen=True, auto_refresh=False) as display, _keyboard() as ended:
        display.update(view(before, now, limit=_room(screen)), refresh=True)
        while not ended(PERIOD):
            try:
                before, now = now, parse_live(read_document(root))
                display.update(view(before, now, limit=_room(screen)), refresh=True)
            except Refused as refusal:
                display.update(Text(safe(f"{refusal.problem}; waiting for it (q ends)")), refresh=True)


def _room(screen: Console) -> int:
    return max(1, screen.height - _FIXED_LINES)


def _only_wait(seconds: float) -> bool:
    time.sleep(seconds)
    return False


@contextmanager
def _keyboard() -> Iterator[Callable[[float], bool]]:
    """Keys without Return; gives what waits for so many seconds and says whether it was told to end (q)."""
    import select  # noqa: PLC0415  as above
    import termios  # noqa: PLC0415  as above
    import tty  # noqa: PLC0415  as above

    if not sys.stdin.isatty():
        yield _only_wait
        return
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)

    def ended(seconds: float) -> bool:
        end = time.monotonic() + seconds
        while select.select([terminal], [], [], max(0.0, end - time.monotonic()))[0]:
            if os.read(terminal, 1) in {b"q", b"Q", b""}:
                return True
        return False

    tty.setcbreak(terminal)
    try:
        yield ended
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
