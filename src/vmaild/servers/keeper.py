"""The keeper: the process that reads and writes the configuration for the web process, which has no files.

The web runs as the mail user; changes, and passwords of this machine's users (PAM), want root. So the supervisor
forks a keeper that stays who it is and answers requests from one end of a socket pair: a length (4 octets, big
endian) and JSON, each with the number of its request. What may be done is decided here, by whoever the session in
the request belongs to: the web process has no word in that.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from vmaild.admin.desk import Desk, Request
from vmaild.admin.door import Door
from vmaild.admin.gate import Gate, pam_takes
from vmaild.admin.view import file_directory
from vmaild.auth.throttle import Slots, Throttle
from vmaild.core.site import Site
from vmaild.diagnose.answers import probes
from vmaild.store.layout import Layout
from vmaild.store.sessions import Sessions
from vmaild.store.shared import SharedDirectory

log = logging.getLogger("vmaild.keeper")

LENGTH = struct.Struct("!I")
MAX_REQUEST = 16 << 20
"""Octets."""
_THREADS = 16
_WAITING = 256
"""Threads for passwords and codes, which wait where there were wrong ones: they must hold up nobody else."""
_MAY_WAIT = {"login", "login.code", "password.change", "session.confirm"}


def make_desk(layout: Layout, site: Site, failures: Slots) -> Desk:
    """The desk of a site; users of this machine can log in where this is root, who may ask PAM for anybody."""
    pam = None
    if os.geteuid() == 0:

        def pam(user: str, password: str) -> bool:
            return pam_takes(user, password, site.web.pam_service)

    domains = SharedDirectory(file_directory(layout, site))
    gate = Gate(layout, site, Throttle(failures, site.auth), domains, pam)
    return Desk(lambda actor: Door(layout, site, actor, store=domains), gate, Sessions(layout), probes())


def run(channel: socket.socket, web: int, desk: Desk) -> None:
    """Answer requests of the process `web` until it has closed the channel; SIGTERM is its business."""
    signal.signal(signal.SIGTERM, lambda *_: os.kill(web, signal.SIGTERM))
    writing = threading.Lock()
    pool, waiting = ThreadPoolExecutor(_THREADS, "keeper"), ThreadPoolExecutor(_WAITING, "keeper-login")
    with pool, waiting, suppress(EOFError, OSError):
        while True:
            number, document = receive(channel)
            chosen = waiting if isinstance(document, dict) and document.get("verb") in _MAY_WAIT else pool
            chosen.submit(_answer, channel, writing, desk, number, document)


def _answer(channel: socket.socket, writing: threading.Lock, desk: Desk, number: int, document: Any) -> None:  # noqa: ANN401
    try:
        answer = desk.answer(Request(**document))
    except TypeError:
        answer = {"problem": "this is no request", "remedy": "", "status": 400}
    with writing, suppress(OSError):
        channel.sendall(message(number, answer))


def message(number: int, document: object) -> bytes:
    """A request or an answer as it goes over the channel."""
    text = json.dumps([number, document]).encode()
    return LENGTH.pack(len(text)) + text


def receive(channel: socket.socket) -> tuple[int, Any]:
    """The next message of a blocking channel. Raises EOFError, OSError."""
    (size,) = LENGTH.unpack(_exactly(channel, LENGTH.size))
    if size > MAX_REQUEST:
        raise EOFError("a message without end")
    number, document = json.loads(_exactly(channel, size))
    return int(number), document


def _exactly(channel: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = channel.recv(size - len(data))
        if not piece:
            raise EOFError("the other end is gone")
        data += piece
    return data
