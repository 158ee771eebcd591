"""Listening sockets: bound once by the supervisor, before it gives up its rights, and shared by its workers.

What systemd.socket(5) listens on already is taken over instead of bound: so the server can run without root, and
while it restarts, connections wait with systemd.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import socket
from collections.abc import Mapping, MutableMapping
from contextlib import suppress

from vmaild.core.site import Listen

_BACKLOG = 1024
_FIRST_PASSED = 3
"""SD_LISTEN_FDS_START (sd_listen_fds(3))."""

Address = tuple[str, int] | str
"""Of TCP: host and port; of a Unix socket: its path."""


class BindError(Exception):
    """An address cannot be listened on; the text says which, why, and what to do."""


def passed_sockets(environment: MutableMapping[str, str]) -> dict[Address, socket.socket]:
    """The listening sockets that whoever started this process has passed (sd_listen_fds(3)), by their address.

    The variables that tell of them are removed: no child of ours is meant. What is no listening stream socket is
    left alone. Names (LISTEN_FDNAMES) do not matter: the address says which setting a socket is for. Raises
    BindError where the variables are damaged.
    """
    pid, count, _ = (environment.pop(f"LISTEN_{name}", "") for name in ("PID", "FDS", "FDNAMES"))
    if pid != str(os.getpid()):
        return {}
    if not (count.isascii() and count.isdecimal()):
        raise BindError(f"LISTEN_FDS is {count!r}, not a number; see the unit that starts vmail serve")
    passed: dict[Address, socket.socket] = {}
    for descriptor in range(_FIRST_PASSED, _FIRST_PASSED + int(count)):
        try:
            listener = socket.socket(fileno=descriptor)
        except OSError:  # not open, or no socket
            continue
        address = address_of(listener)
        if address is None or address in passed:
            listener.detach()
            continue
        listener.set_inheritable(False)
        listener.setblocking(False)
        passed[address] = listener
    return passed


def address_of(listener: socket.socket) -> Address | None:
    """Where a socket listens; None: it does not, or not for streams of TCP or a path."""
    families = (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)
    if listener.family not in families or listener.type != socket.SOCK_STREAM:
        return None
    if not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return None
    name = listener.getsockname()
    return name if isinstance(name, str) else (name[0], name[1])


def taken_over(listen: Listen, path: str, passed: Mapping[Address, socket.socket]) -> list[socket.socket]:
    """Those of the passed sockets that are for this setting, as copies; none: `bind` it. `path` as there.

    For `*` what was passed is all there is: one socket on `[::]` will do if it serves IPv4, too (BindIPv6Only=).
    """
    if listen.path:
        wanted: list[Address] = [path]
    elif listen.host == "*":
        wanted = [("0.0.0.0", listen.port), ("::", listen.port)]  # noqa: S104  what `*` asks for
    else:
        wanted = [(listen.host, listen.port)]
    return [passed[address].dup() for address in wanted if address in passed]


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


def admit(path: str, group: str, user: str = "") -> None:
    """Let the members of a group and a user connect to a Unix socket. Raises BindError.

    An empty name changes nothing; the user, who has to exist, counts only where root serves.
    """
    owner = pwd.getpwnam(user).pw_uid if user and os.geteuid() == 0 else -1
    try:
        members = grp.getgrnam(group).gr_gid if group else -1
        if (owner, members) != (-1, -1):
            os.chown(path, owner, members)
    except KeyError:
        raise BindError(
            f"there is no group {group}, which vmail.toml lets in to {path}; set site.mta_group to another"
        ) from None
    except OSError as error:
        whom = f"the group {group}" if group else user
        raise BindError(
            f"cannot give {path} to {whom}: {error.strerror}; start the servers as root or as a member"
        ) from error


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
