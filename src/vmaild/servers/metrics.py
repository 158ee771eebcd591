"""What the board says, told to the outside: figures for Prometheus, and the document that the live view reads.

The figures are served over HTTP as `/metrics`, for a monitoring system on this machine: no names and no addresses
are in them. The document goes to whoever may open the socket, as soon as they do; it names who is connected.
Both are so short that the event loop of a worker answers them in between.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, cast

from vmaild import __version__
from vmaild.servers.board import GAUGES, Board, LiveSession, Metric

if TYPE_CHECKING:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
    from prometheus_client.registry import Collector

SHOWN_SESSIONS = 500
"""Sessions in the document; their number is told in any case."""
PATIENCE = 10.0
"""Seconds for a request and its answer."""
_MAX_REQUEST = 8192


@dataclass(frozen=True, slots=True)
class Family:
    """Metrics of one name, told apart by a label where there are several."""

    name: str
    help: str
    metrics: Mapping[str, Metric]
    """By the label's value; by the empty text where there is no label."""
    label: str = ""


FAMILIES = (
    Family("vmaild_pop3_sessions_opened", "POP3 connections accepted.", {"": Metric.SESSIONS_OPENED}),
    Family("vmaild_pop3_connections_refused", "POP3 connections refused.", {"": Metric.CONNECTIONS_REFUSED}),
    Family(
        "vmaild_pop3_sessions_closed",
        "POP3 sessions ended, by what ended them.",
        {
            "quit": Metric.CLOSED_QUIT,
            "client": Metric.CLOSED_BY_CLIENT,
            "bad_commands": Metric.CLOSED_BAD_COMMANDS,
            "refused_logins": Metric.CLOSED_REFUSED_LOGINS,
            "broken_message": Metric.CLOSED_BROKEN_MESSAGE,
            "silent": Metric.CLOSED_SILENT,
            "server": Metric.CLOSED_BY_SERVER,
        },
        "reason",
    ),
    Family(
        "vmaild_logins",
        "Logins, by what became of them.",
        {
            "good": Metric.LOGINS_GOOD,
            "failed": Metric.LOGINS_FAILED,
            "throttled": Metric.LOGINS_THROTTLED,
            "deferred": Metric.LOGINS_DEFERRED,
        },
        "result",
    ),
    Family("vmaild_logins_remembered", "Good logins that needed no hash.", {"": Metric.LOGINS_REMEMBERED}),
    Family("vmaild_pop3_messages_retrieved", "Messages sent to clients.", {"": Metric.MESSAGES_RETRIEVED}),
    Family("vmaild_pop3_octets_sent", "Octets of messages sent to clients.", {"": Metric.OCTETS_SENT}),
    Family("vmaild_pop3_messages_deleted", "Messages deleted by clients.", {"": Metric.MESSAGES_DELETED}),
    Family(
        "vmaild_deliveries",
        "Recipients of messages, by what they were answered.",
        {
            "delivered": Metric.DELIVERIES_DELIVERED,
            "deferred": Metric.DELIVERIES_DEFERRED,
            "rejected": Metric.DELIVERIES_REJECTED,
        },
        "outcome",
    ),
    Family("vmaild_delivered_octets", "Octets delivered, for each recipient.", {"": Metric.OCTETS_DELIVERED}),
    Family("vmaild_pop3_sessions", "POP3 sessions now.", {"": Metric.OPEN_SESSIONS}),
    Family("vmaild_delivery_connections", "Connections of LMTP and SMTP now.", {"": Metric.OPEN_DELIVERIES}),
    Family("vmaild_passwords_in_check", "Passwords being checked or waiting now.", {"": Metric.HASHING}),
)


class BoardCollector:
    """The board as prometheus-client wants it."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        """Every family with its values."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily  # noqa: PLC0415  as below

        totals = self._board.totals()
        for family in FAMILIES:
            is_gauge = not GAUGES.isdisjoint(family.metrics.values())
            kind = GaugeMetricFamily if is_gauge else CounterMetricFamily
            samples = kind(family.name, family.help, labels=[family.label] if family.label else [])
            for value, metric in family.metrics.items():
                samples.add_metric([value] if family.label else [], totals[metric])
            yield samples
        yield GaugeMetricFamily(
            "vmaild_start_time_seconds", "When the server began to count.", value=self._board.started
        )
        info = GaugeMetricFamily("vmaild_build_info", "The version that runs.", labels=["version"])
        info.add_metric([__version__], 1)
        yield info


def live_document(board: Board, now: float) -> dict[str, object]:
    """What `vmail top` shows: totals by the names of the metrics, and sessions. Times are seconds of the epoch."""
    return {
        "version": __version__,
        "time": now,
        "started": board.started,
        "totals": {metric.name.lower(): value for metric, value in board.totals().items()},
        "sessions": [_session(session) for session in islice(board.sessions(), SHOWN_SESSIONS)],
    }


def _session(session: LiveSession) -> dict[str, object]:
    return {
        "login": session.login,
        "domain": session.domain,
        "address": session.address,
        "tls": session.tls,
        "phase": session.phase.name.lower(),
        "since": session.since,
        "messages": session.messages,
        "octets": session.octets,
    }


class _Answering(asyncio.Protocol):
    """A connection that gets one answer."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._transport: asyncio.Transport
        self._limit: asyncio.TimerHandle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait, but not for ever."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by name
        self._limit = asyncio.get_running_loop().call_later(PATIENCE, self._transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._limit.cancel()

    def _answer(self, data: bytes) -> None:
        self._transport.write(data)
        self._transport.close()


class LiveView(_Answering):
    """Tells the document to whoever connects."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Tell it."""
        super().connection_made(transport)
        self._answer(json.dumps(live_document(self._board, time.time())).encode())


class MetricsPage(_Answering):
    """Serves `/metrics` in HTTP/1, one request a connection (RFC 9112 section 9.6)."""

    def __init__(self, board: Board) -> None:
        super().__init__(board)
        self._request = b""

    def data_received(self, data: bytes) -> None:
        """Answer when the head of the request is complete."""
        if self._transport.is_closing():
            return
        self._request += data
        head, complete, _ = self._request.partition(b"\r\n\r\n")
        if complete:
            self._answer(self._page(head.partition(b"\r\n")[0]))
        elif len(self._request) > _MAX_REQUEST:
            self._answer(_page("431 Request Header Fields Too Large"))

    def _page(self, line: bytes) -> bytes:
        match line.split(b" "):
            case [b"GET" | b"HEAD" as method, target, version] if version.startswith(b"HTTP/1."):
                if target.partition(b"?")[0] != b"/metrics":
                    return _page("404 Not Found", b"The figures are at /metrics\n")
                page = _figures(self._board)
                return page if method == b"GET" else page.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
            case [_, _, version] if version.startswith(b"HTTP/1."):
                return _page("405 Method Not Allowed", more="Allow: GET, HEAD\r\n")
            case _:
                return _page("400 Bad Request")


def _figures(board: Board) -> bytes:
    # Three megabytes, with the HTTP server that comes with it: only where somebody asks for the figures.
    from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest  # noqa: PLC0415

    collector = cast("Collector", BoardCollector(board))
    return _page("200 OK", generate_latest(collector), CONTENT_TYPE_LATEST)


def _page(status: str, body: bytes = b"", kind: str = "text/plain; charset=utf-8", more: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{more}"
    return head.encode() + b"Connection: close\r\n\r\n" + body


def metrics_page(board: Board) -> Callable[[], asyncio.Protocol]:
    """What makes the protocol of a connection to one of `metrics.listen`."""
    return lambda: MetricsPage(board)


def live_view(board: Board) -> Callable[[], asyncio.Protocol]:
    """What makes the protocol of a connection to the socket of the live view."""
    return lambda: LiveView(board)
