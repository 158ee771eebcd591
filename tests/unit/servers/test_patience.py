"""HTTP as strangers speak it: requests in requests, verbs of other protocols, connections that are only held."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from vmaild.servers.patience import PatientProtocol, web_config
from vmaild.web.bounds import Bounds

Address = tuple[str, int]


class Hasty(PatientProtocol):
    head_time = 0.3


async def told(scope: Scope, receive: Receive, send: Send) -> None:
    """Says what was asked for, and how much came with it."""
    body = await Request(scope, receive).body()
    await PlainTextResponse(f"{scope['method']} {scope['path']} {len(body)}")(scope, receive, send)


@pytest.fixture(scope="module")
def address() -> Iterator[Address]:
    config = web_config(Bounds(told, patience=0.3))
    config.http = Hasty
    config.load()
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
        thread.start()
        yield listener.getsockname()
        server.should_exit = True
        thread.join(10)


def answers(address: Address, *parts: bytes) -> bytes:
    """All that comes back until the end of the connection; it must come to an end by itself."""
    with socket.create_connection(address, 5) as sock:
        for part in parts:
            sock.sendall(part)
        data = b""
        while piece := sock.recv(65536):
            data += piece
    return data


HOST = b"Host: x\r\nConnection: close\r\n"
HIDDEN = b"GET /hidden HTTP/1.1\r\n" + HOST + b"\r\n"
TWO_LENGTHS = [
    b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"Content-Length: 5\r\nContent-Length: 0\r\n\r\n",
    b"Content-Length: 0, 5\r\n\r\n",
    b"Content-Length: +5\r\n\r\n",
    b"Content-Length: 0x5\r\n\r\n",
    b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
    b"X: a\rTransfer-Encoding: chunked\r\n\r\n",
    b"X: \0\r\n\r\n",
    b"X\xe9: a\r\n\r\n",
]


@pytest.mark.parametrize("head", TWO_LENGTHS)
def test_a_request_whose_end_is_in_doubt_is_refused_with_all_that_follows(address: Address, head: bytes) -> None:
    data = answers(address, b"POST /seen HTTP/1.1\r\nHost: x\r\n" + head + HIDDEN)
    assert data.count(b"HTTP/1.1 ") == 1, "no proxy and we may count requests differently"
    assert b"/hidden" not in data
    assert data.startswith(b"HTTP/1.1 400 ") or b"POST /seen" in data


def test_requests_in_a_row_are_answered_in_a_row(address: Address) -> None:
    first = b"POST /one HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    data = answers(address, first + HIDDEN)
    assert data.index(b"POST /one 3") < data.index(b"GET /hidden 0")


@pytest.mark.parametrize(
    "head",
    [
        b"GET /x HTTP/1.1\r\n\r\n",  # without Host (RFC 9112 section 3.2)
        b"GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET  /x HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"G\0T /x HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 64 + b"\r\n\r\n",  # TLS where none is spoken
    ],
)
def test_what_is_no_request_is_told_so_and_nothing_else(address: Address, head: bytes) -> None:
    data = answers(address, head)
    assert data.startswith(b"HTTP/1.1 400 ")
    assert b"server:" not in data.lower()
    assert data.endswith(b"Invalid HTTP request received.")


@pytest.mark.parametrize("head", [b"GET /x HTTP/1.1\r\nHost: x\r\nX: ", b"GET /"])
def test_a_head_without_end_is_not_kept(address: Address, head: bytes) -> None:
    with socket.create_connection(address, 5) as sock, suppress(ConnectionError):
        sock.sendall(head)
        for _ in range(64):
            sock.sendall(b"a" * 65536)
        pytest.fail("four megabytes of a head are taken")


def test_no_websocket_is_spoken(address: Address) -> None:
    upgrade = b"Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    data = answers(address, b"GET /x HTTP/1.1\r\nHost: x\r\nConnection: upgrade, close\r\n" + upgrade + b"\r\n")
    assert b"101" not in data.split(b"\r\n")[0]


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-A",
        b"GET /one HTTP/1.1\r\nHost: x\r\n\r\nGET /two",
    ],
)
def test_whoever_holds_a_connection_without_asking_loses_it(address: Address, said: bytes) -> None:
    data = answers(address, said)
    assert (b"GET /one 0" in data, b"/two" in data) == (b"/one" in said, False)


def test_content_that_does_not_come_is_not_waited_for(address: Address) -> None:
    data = answers(address, b"POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
    assert b"POST /slow" not in data
