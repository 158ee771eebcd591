"""Clients that hold many connections or ask many questions."""

from __future__ import annotations

import os
import resource
import socket
import struct
import time
from collections.abc import Sequence
from typing import Self

from bench.served import Server, connections_of

_A_TIME = 100
"""Recipients of one transaction."""
_CLIENT = 10_000
"""Sessions that one client process holds."""


class Recipients:
    """A connection to each of a server's LMTP workers."""

    def __init__(self, server: Server) -> None:
        """Connect until every worker that takes LMTP has one; which took it shows in its descriptors."""
        self._connections: dict[int, socket.socket] = {}
        pids = server.workers()
        spare = []
        for _ in range(100):
            before = {pid: connections_of(pid) for pid in pids}
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(60)
            connection.connect(server.lmtp)
            connection.recv(1000)
            took = next(pid for pid in pids if connections_of(pid) > before[pid])
            if took in self._connections:
                spare.append(connection)
            self._connections.setdefault(took, connection)
            if len(self._connections) == 2:
                break
        for connection in spare:
            connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        for connection in self._connections.values():
            connection.close()

    def ask(self, recipients: Sequence[str], seconds: float) -> float:
        """RCPT for each at every worker, for so long at most; answers in a second, of all together."""
        started, answers = time.perf_counter(), 0
        for first in range(0, len(recipients), _A_TIME):
            some = recipients[first : first + _A_TIME]
            lines = ["LHLO bench", "MAIL FROM:<>", *(f"RCPT TO:<{each}>" for each in some), "RSET"]
            for connection in self._connections.values():
                connection.sendall("".join(f"{line}\r\n" for line in lines).encode())
            for connection in self._connections.values():
                answers += _replies(connection, len(lines))
            if time.perf_counter() - started > seconds:
                break
        return answers / (time.perf_counter() - started)


def _replies(connection: socket.socket, number: int) -> int:
    """Read so many replies; how many of them accept a recipient."""
    text, final, accepted = b"", 0, 0
    while final < number:
        data = connection.recv(65536)
        if not data:
            raise ConnectionError("the server closed the connection")
        lines = (text + data).split(b"\n")
        text = lines.pop()
        final += sum(line[3:4] == b" " for line in lines)
        accepted += sum(line.startswith(b"250 2.1.5") for line in lines)
    return accepted


class Idle:
    """Sessions that read the greeting and then are silent; held by processes of their own."""

    def __init__(self, server: Server, count: int, seconds: float = 60) -> None:
        """Connect so many, spread over the server's addresses, in so many seconds at most."""
        started = time.perf_counter()
        self._clients: list[tuple[int, int]] = []
        for first in range(0, count, _CLIENT):
            place = server.pop3[first // _CLIENT % len(server.pop3)]
            self._clients.append(_client(place, min(_CLIENT, count - first), seconds))
        self.greeted, failures = 0, set()
        for _, pipe in self._clients:
            number, code = struct.unpack("ii", os.read(pipe, 8))
            self.greeted += number
            if code:
                failures.add(os.strerror(code))
        self.failure = ", ".join(sorted(failures))
        self.seconds = time.perf_counter() - started

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        for _, pipe in self._clients:
            os.close(pipe)
        # Only now: each holds the pipes of those before it, and ends when its own is closed everywhere.
        for pid, _ in self._clients:
            os.waitpid(pid, 0)


def _client(place: tuple[str, int], count: int, seconds: float) -> tuple[int, int]:
    """A process that holds connections until its pipe is closed: (pid, pipe on which it reports)."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        ours.close()
        _hold(place, count, time.perf_counter() + seconds, theirs)
        os._exit(0)
    theirs.close()
    return pid, ours.detach()


def _hold(place: tuple[str, int], count: int, deadline: float, report: socket.socket) -> None:
    held, code = [], 0
    try:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        for _ in range(count):
            connection = socket.create_connection(place, 20)
            held.append(connection)
            if not connection.recv(200).startswith(b"+OK") or time.perf_counter() > deadline:
                break
    except OSError as error:
        code = error.errno or 0
    report.sendall(struct.pack("ii", len(held), code))
    report.recv(1)
