"""The limit: a bare uvloop server that says the same as a POP3 server, with no work behind it.

usage: python bench/limit.py PORT WORKERS MESSAGES FILE ADDRESS...

Nothing is looked up, checked or read: each command, told by its first two letters, has one reply, made before the
first client comes; every account is the same, with MESSAGES copies of what FILE contains (CRLF line ends). A line
comes in one piece, as it does over loopback. What is faster than this needs another language, or another kernel.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from typing import cast

import uvloop


def replies(messages: int, content: bytes) -> dict[bytes, bytes]:
    """What is said, by the first two letters of a command."""
    total = messages * len(content)
    stuffed = content.replace(b"\r\n.", b"\r\n..")
    numbers = range(1, messages + 1)
    uids = b"".join(b"%d 1795317115.M%06dP9290.bench\r\n" % (number, number) for number in numbers)
    sizes = b"".join(b"%d %d\r\n" % (number, len(content)) for number in numbers)
    return {
        b"US": b"+OK send PASS\r\n",
        b"PA": b"+OK maildrop has %d messages (%d octets)\r\n" % (messages, total),
        b"ST": b"+OK %d %d\r\n" % (messages, total),
        b"UI": b"+OK unique-id listing follows\r\n%b.\r\n" % uids,
        b"LI": b"+OK %d messages (%d octets)\r\n%b.\r\n" % (messages, total, sizes),
        b"RE": b"+OK %d octets\r\n%b.\r\n" % (len(content), stuffed),
        b"QU": b"+OK Virtual bench.example POP3 Server signing off (%d messages left)\r\n" % messages,
    }


class Session(asyncio.Protocol):
    """One connection."""

    __slots__ = ("replies", "transport")

    def __init__(self, replies: dict[bytes, bytes]) -> None:
        self.replies = replies

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(b"+OK Virtual bench.example POP3 Server (Version 0.1.0) ready.\r\n")

    def data_received(self, data: bytes) -> None:
        self.transport.write(self.replies[data[:2]])
        if data[:2] == b"QU":
            self.transport.close()


async def serve(listeners: list[socket.socket], said: dict[bytes, bytes]) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    for listener in listeners:
        await loop.create_server(lambda: Session(said), sock=listener)
    await ended.wait()


def main(port: str, workers: str, messages: str, file: str, *addresses: str) -> int:
    """Listen, fork, serve until SIGTERM."""
    with open(file, "rb") as source:
        said = replies(int(messages), source.read())
    listeners = [socket.create_server((address, int(port)), backlog=1024) for address in addresses]
    for listener in listeners:
        listener.setblocking(False)
    children: list[int] = []
    for _ in range(int(workers) - 1):
        pid = os.fork()
        if not pid:
            children = []
            break
        children.append(pid)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(listeners, said))
    for pid in children:
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
