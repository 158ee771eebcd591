"""What a running server is doing: its totals and its sessions, read from the socket on which it tells them.

Who may see it, the mode of that socket says.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from vmaild.admin.refusal import Refused, system_refusal
from vmaild.core.site import LIVE_VIEW
from vmaild.store.layout import layout

_PATIENCE = 5.0
_PIECE = 1 << 16
_TOLD = "the server's answer makes no sense"


@dataclass(frozen=True, slots=True)
class LiveSession:
    """A POP3 session."""

    login: str
    """Empty: not logged in yet."""
    domain: str
    """Empty: not settled yet."""
    address: str
    """Of the client."""
    tls: bool
    since: float
    """Seconds since the epoch."""
    messages: int
    octets: int


@dataclass(frozen=True, slots=True)
class Live:
    """A server at one moment."""

    version: str
    time: float
    """Seconds since the epoch."""
    started: float
    """Since when the totals are counted."""
    totals: Mapping[str, int]
    """By their names: `logins_good`, `octets_sent`, ...; those of open_... and hashing are of this moment."""
    sessions: tuple[LiveSession, ...]
    """Some of them, where there are very many; `open_sessions` tells their number."""


def read_document(root: str | None = None) -> dict[str, object]:
    """What the server of the layout under `root` (None: VMAIL_ROOT, else the system's own) says, as it says it.

    Raises Refused where no server runs, or it does not answer.
    """
    path = layout(root).path(LIVE_VIEW.path)
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_PATIENCE)
            connection.connect(path)
            told = b"".join(iter(lambda: connection.recv(_PIECE), b""))
    except (FileNotFoundError, ConnectionRefusedError) as error:
        remedy = "start it with 'vmail serve', or name its root with --root"
        raise Refused(f"no server is running here: there is nobody at {path}", remedy) from error
    except PermissionError as error:
        remedy = "run it as root, or as a user whom the mode of that socket lets in"
        raise Refused(f"{path}: {error.strerror}", remedy) from error
    except TimeoutError as error:
        raise Refused(f"the server at {path} does not answer", "see its log; restart it") from error
    except OSError as error:
        raise system_refusal(error, path) from error
    try:
        document = json.loads(told)
    except ValueError as error:
        raise Refused(_TOLD, "run it again; the server may just have ended") from error
    if not isinstance(document, dict):
        raise Refused(_TOLD, "restart it: it may be of another version")
    return document


def parse_live(document: Mapping[str, object]) -> Live:
    """The document as values. Raises Refused where it is not one of this version."""
    match document:
        case {
            "version": str(version),
            "time": float() | int() as now,
            "started": float() | int() as started,
            "totals": dict(totals),
            "sessions": list(sessions),
        }:
            return Live(version, now, started, totals, tuple(map(_session, sessions)))
    raise Refused(_TOLD, "restart it: it may be of another version")


def _session(document: object) -> LiveSession:
    match document:
        case {
            "login": str(login),
            "domain": str(domain),
            "address": str(address),
            "tls": bool(tls),
            "since": float() | int() as since,
            "messages": int(messages),
            "octets": int(octets),
        }:
            return LiveSession(login, domain, address, tls, since, messages, octets)
    raise Refused(_TOLD, "restart it: it may be of another version")
