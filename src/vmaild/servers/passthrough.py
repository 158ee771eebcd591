"""Hands connections of the main domain, unread, to the host's own POP3 daemon.

The daemon wants root, and workers are not root any more: so a process of its own, forked before they gave it up,
takes the connections from them (SCM_RIGHTS, unix(7)) and starts the daemon for each, as inetd would.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import socket
import subprocess
from collections.abc import Sequence
from contextlib import suppress

log = logging.getLogger("vmaild.passthrough")

_MAX_DAEMONS = 200
"""At the same time; further connections wait."""


def hand_over(channel: socket.socket, connection: socket.socket) -> None:
    """Give a connection to the process that starts daemons; the caller closes its own. Raises OSError."""
    socket.send_fds(channel, [b"c"], [connection.fileno()])


def run(channel: socket.socket, lifeline: int, command: Sequence[str]) -> None:
    """Start `command` for each connection that comes, until SIGTERM or until the lifeline (a pipe) ends.

    Daemons that run go on: they have their connections for themselves.
    """
    signal.signal(signal.SIGTERM, _end)
    with suppress(_Ended):
        _serve(channel, lifeline, command)


class _Ended(Exception):
    """Told to end."""


def _end(*_: object) -> None:
    raise _Ended


def _serve(channel: socket.socket, lifeline: int, command: Sequence[str]) -> None:
    daemons: list[subprocess.Popen[bytes]] = []
    while True:
        daemons = [daemon for daemon in daemons if daemon.poll() is None]
        busy = len(daemons) >= _MAX_DAEMONS
        waiting = [lifeline] if busy else [lifeline, channel.fileno()]
        readable, _, _ = select.select(waiting, [], [], 1.0)
        if lifeline in readable:
            return
        if readable:
            _, received, _, _ = socket.recv_fds(channel, 1, 1)
            for connection in received:
                daemons += _start(connection, command)


def _start(connection: int, command: Sequence[str]) -> list[subprocess.Popen[bytes]]:
    try:
        os.set_blocking(connection, True)
        # As inetd does: the connection is standard input, output and error, the first word the program's name.
        return [
            subprocess.Popen(  # noqa: S603  the administrator's own, from vmail.toml
                [os.path.basename(command[0]), *command[1:]],
                executable=command[0],
                stdin=connection,
                stdout=connection,
                stderr=connection,
                start_new_session=True,
            )
        ]
    except OSError as error:
        log.error("%s cannot be started: %s", command[0], error)
        return []
    finally:
        os.close(connection)
