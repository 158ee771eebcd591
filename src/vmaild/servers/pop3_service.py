"""What all POP3 sessions of a worker share, and what ends them from outside: silence, the end of the worker."""

from __future__ import annotations

import time
from concurrent.futures import Executor
from dataclasses import dataclass, field

from vmaild.auth.connections import Connections
from vmaild.core.site import Pop3Settings
from vmaild.protocol.pop3_capabilities import Settings
from vmaild.protocol.pop3_events import State
from vmaild.servers.arrival import Arrival
from vmaild.servers.board import Metric, Row
from vmaild.servers.logins import Logins
from vmaild.servers.pop3d import Pop3Session
from vmaild.servers.tls import Certificates
from vmaild.store.directory import DirectoryStore
from vmaild.store.messages import MessageStore

AUTOLOGOUT = 600.0
"""Seconds of silence (RFC 1939 section 3: at least ten minutes)."""
AT_REST = 5.0
"""Seconds of silence after which a session keeps only what cannot be made again."""
LOGIN_TIME = 60.0
"""Seconds of silence before a login."""
LOGIN_PATIENCE = 180.0
"""Seconds in which a login has to be there, however busily its client talks."""


@dataclass(slots=True)
class Pop3Service:
    """What all connections of a worker share."""

    directory: DirectoryStore
    messages: MessageStore
    logins: Logins
    disk: Executor
    certificates: Certificates
    connections: Connections
    row: Row
    number: int
    """Of the worker's row."""
    site: Pop3Settings
    trusted: tuple[str, ...]
    """Addresses and networks whose connections are not limited."""
    sessions: set[Pop3Session] = field(default_factory=set)

    def __call__(self) -> Pop3Session:
        """The protocol of a new connection."""
        return Pop3Session(self)

    def is_ours(self, arrival: Arrival) -> bool:
        """Whether a connection is for a virtual domain, and not for the main domain of the host."""
        named = arrival.authority and self.directory.domain_named(arrival.authority)
        shared = arrival.here in self.site.shared_addresses
        return bool(named) or shared or self.directory.domain_at(arrival.here) is not None

    def log_out_the_silent(self) -> None:
        """Close what has been silent for too long, let the others rest; called every few seconds."""
        now = time.monotonic()
        for session in list(self.sessions):
            outside = session.state is State.AUTHORIZATION
            silent = now - session.active > (LOGIN_TIME if outside else AUTOLOGOUT)
            late = outside and now - session.began > LOGIN_PATIENCE
            if (silent or late) and not session.working:
                session.end(Metric.CLOSED_SILENT)
            elif now - session.active > AT_REST:
                session.rest()

    def drain(self, *, now: bool) -> None:
        """Let no session begin; with `now` end those that are in progress, deleting nothing."""
        for session in list(self.sessions):
            if now or session.state is State.AUTHORIZATION:
                session.end(Metric.CLOSED_BY_SERVER, "server is going down, try again later")

    def settings(self, *, stls: bool, plain: bool) -> Settings:
        """What the protocol is to offer."""
        return _SETTINGS[stls, plain, self.site.login_delay]


class _AllSettings(dict[tuple[bool, bool, int], Settings]):
    """One object for each combination, made when it is first needed."""

    def __missing__(self, key: tuple[bool, bool, int]) -> Settings:
        stls, plain, delay = key
        self[key] = Settings(
            stls=stls,
            plain_logins=plain,
            mechanisms=("PLAIN", "LOGIN"),
            utf8=True,
            lang=True,
            last=True,
            login_delay=delay,
        )
        return self[key]


_SETTINGS = _AllSettings()
