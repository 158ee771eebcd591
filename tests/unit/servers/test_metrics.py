"""What the board tells the outside: over HTTP for Prometheus, on a socket for the live view."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop
from prometheus_client.parser import text_string_to_metric_families

from vmaild import __version__
from vmaild.servers import metrics
from vmaild.servers.board import GAUGES, Board, Metric
from vmaild.servers.metrics import FAMILIES, live_document, live_view, metrics_page

NOW = 1_700_000_000.0


@pytest.fixture
def board() -> Board:
    board = Board.create(2, NOW)
    board.clear(0)
    return board


@pytest.fixture
def places(board: Board, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Where both are served, in an event loop as a worker has it: a URL without path, and a socket's path."""
    listener = socket.create_server(("127.0.0.1", 0))
    path = str(tmp_path / "status.sock")
    started, ending = threading.Event(), asyncio.Event()
    loop = uvloop.new_event_loop()

    async def serve() -> None:
        servers = [
            await loop.create_server(metrics_page(board), sock=listener),
            await loop.create_unix_server(live_view(board), path),
        ]
        started.set()
        await ending.wait()
        for server in servers:
            server.close()
        await asyncio.sleep(0.05)

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert started.wait(10)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}", path
    loop.call_soon_threadsafe(ending.set)
    thread.join()
    loop.close()


def said(place: str, request: bytes) -> bytes:
    """What comes back for a request, to the end of the connection."""
    host, _, port = place.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), 5) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_every_metric_is_told_exactly_once() -> None:
    told = [metric for family in FAMILIES for metric in family.metrics.values()]
    assert sorted(told) == list(Metric)
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)
    for family in FAMILIES:
        assert bool(family.label) == ("" not in family.metrics)
        assert len(GAUGES.intersection(family.metrics.values())) in {0, len(family.metrics)}


def test_a_monitoring_system_reads_the_figures(board: Board, places: tuple[str, str]) -> None:
    row = board.row(0)
    row.add(Metric.LOGINS_FAILED, 7)
    row.add(Metric.DELIVERIES_DEFERRED, 2)
    row.enter("192.0.2.1", "va.toto.fr", NOW)
    with urllib.request.urlopen(f"{places[0]}/metrics", timeout=5) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        text = answer.read().decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    values = {
        (sample.name, *sample.labels.values()): sample.value
        for family in families.values()
        for sample in family.samples
    }
    assert values["vmaild_logins_total", "failed"] == 7
    assert values["vmaild_logins_total", "good"] == 0
    assert values["vmaild_deliveries_total", "deferred"] == 2
    assert values["vmaild_pop3_sessions_opened_total",] == 1
    assert values["vmaild_pop3_sessions",] == 1
    assert values["vmaild_start_time_seconds",] == NOW
    assert values["vmaild_build_info", __version__] == 1
    assert families["vmaild_pop3_sessions"].type == "gauge"
    assert families["vmaild_logins"].type == "counter"
    assert "192.0.2.1" not in text
    assert "toto" not in text


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", b"200 OK"),
        (b"GET /metrics?x=1 HTTP/1.0\r\n\r\n", b"200 OK"),
        (b"GET / HTTP/1.1\r\n\r\n", b"404 Not Found"),
        (b"POST /metrics HTTP/1.1\r\n\r\n", b"405 Method Not Allowed"),
        (b"GET /metrics\r\n\r\n", b"400 Bad Request"),
        (b"USER bob\r\nPASS bob-va\r\n\r\n", b"400 Bad Request"),
        (b"GET /metrics HTTP/1.1\r\n" + b"X: " + b"x" * 9000, b"431 Request"),
    ],
)
def test_requests_and_their_status(places: tuple[str, str], request_: bytes, status: bytes) -> None:
    head, _, body = said(places[0], request_).partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0].startswith(b"HTTP/1.1 " + status)
    assert b"Connection: close" in lines
    assert b"Content-Length: %d" % len(body) in lines
    assert b"x" * 9000 not in body


def test_the_head_alone_and_a_request_in_pieces(places: tuple[str, str]) -> None:
    head = said(places[0], b"HEAD /metrics HTTP/1.1\r\n\r\n")
    assert head.endswith(b"\r\n\r\n")
    assert b"Content-Length: 0" not in head
    host, _, port = places[0].removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), 5) as connection:
        for octet in b"GET /metrics HTTP/1.1\r\n\r\n":
            connection.sendall(bytes([octet]))
        assert connection.recv(12) == b"HTTP/1.1 200"


def test_whoever_says_nothing_is_not_waited_for(places: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "PATIENCE", 0.1)
    host, _, port = places[0].removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), 5) as connection:
        assert connection.recv(1) == b""


def test_the_live_view_names_who_is_connected(board: Board, places: tuple[str, str]) -> None:
    row = board.row(0)
    session = row.enter("192.0.2.1", "va.toto.fr", NOW + 5, tls=True)
    row.log_in(session, "va.toto.fr", "bob\udce9")
    row.retrieve(session, 4000)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(places[1])
        document: dict[str, Any] = json.loads(b"".join(iter(lambda: connection.recv(65536), b"")))
    assert document["sessions"] == [
        {
            "login": "bob\\udce9",
            "domain": "va.toto.fr",
            "address": "192.0.2.1",
            "tls": True,
            "phase": "maildrop",
            "since": NOW + 5,
            "messages": 1,
            "octets": 4000,
        }
    ]
    assert document["totals"].keys() == {metric.name.lower() for metric in Metric}
    assert document["totals"]["messages_retrieved"] == 1
    assert (document["version"], document["started"]) == (__version__, NOW)
    assert document["time"] > NOW


def test_of_very_many_sessions_some_are_shown(board: Board) -> None:
    row = board.row(0)
    for number in range(600):
        row.enter(f"10.0.{number >> 8}.{number & 255}", "", NOW)
    document: dict[str, Any] = live_document(board, NOW)
    assert len(document["sessions"]) == 500
    assert document["totals"]["open_sessions"] == 600


def test_a_page_that_does_not_exist(places: tuple[str, str]) -> None:
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{places[0]}/", timeout=5)
