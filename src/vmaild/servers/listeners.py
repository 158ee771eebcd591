"""Listening sockets: bound once by the supervisor, before it gives up its rights, and shared by its workers."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import suppress

from vmaild.core.site import Listen

_BACKLOG = 1024


class BindError(Exception):
    """An address cannot be listened on; the text says which, why, and what to do."""


def bind(listen: Listen, path: str) -> list[socket.socket]:
    """Listen on one setting; `path` is where a Unix socket goes. Raises BindError.

    `*` gives two sockets, IPv4 and IPv6, where the machine has both.
    """
    try:
        if listen.path:
            return [_unix(path)]
        if listen.host == "*":
            return _everywhere(listen.port)
        family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
        return [_tcp(family, listen.host, listen.port)]
    except OSError as error:
        raise BindError(f"cannot listen on {listen}: {error.strerror}; {_remedy(error)}") from error


def _tcp(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family is socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _everywhere(port: int) -> list[socket.socket]:
    listeners = [_tcp(socket.AF_INET, "0.0.0.0", port)]  # noqa: S104  what `*` asks for
    with suppress(OSError):  # a machine without IPv6
        listeners.append(_tcp(socket.AF_INET6, "::", port))
    return listeners


def _unix(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        with suppress(FileNotFoundError):
            os.unlink(path)  # left by a server that was killed: the supervisor's lock says that none is alive
        listener.bind(path)
        os.chmod(path, 0o660)  # the MTA's user is let in through the group
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _remedy(error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return "another program has it: `ss -ltnp` names it"
        case errno.EACCES | errno.EPERM:
            return "ports below 1024 want root"
        case errno.EADDRNOTAVAIL:
            return "give this machine the address first, or take it out of vmail.toml"
        case errno.ENOENT:
            return "create its folder (`vmail init` does)"
        case _:
            return "see vmail.toml"
