"""Web sessions and API tokens: who may go on as whom, for how long. Only digests of their secrets are kept."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vmaild.store.layout import Layout
from vmaild.store.state import Database

IDLE = 2 * 3600
"""Seconds without a request after which a session ends."""
LONGEST = 12 * 3600
"""Seconds after which it ends in any case."""
_NOTED = 60
"""Seconds between two notes of when it was last used."""
TOKEN_MARK = "vmail_"  # noqa: S105  what tells a token of ours from other secrets


@dataclass(frozen=True, slots=True)
class Session:
    """A web session. Times are seconds since the epoch."""

    number: int
    principal: str
    address: str
    agent: str
    begun: int
    seen: int


@dataclass(frozen=True, slots=True)
class Token:
    """What a script shows instead of a password."""

    number: int
    principal: str
    """On whose behalf: it may never do more than they."""
    name: str
    domain: str
    """The only one that it is for; empty: every one of its principal."""
    rights: tuple[str, ...]
    """What it may do; empty: whatever its principal may."""
    begun: int
    seen: int
    """0: never used."""
    expires: int
    """0: never."""


class Sessions:
    """The sessions and tokens of a layout. Every call may raise StateUnusable."""

    def __init__(self, layout: Layout) -> None:
        self._database = Database(layout)

    def begin(self, principal: str, address: str, agent: str) -> str:
        """Begin a session; returns its secret. Those that have ended are cleared away."""
        secret = secrets.token_urlsafe(32)
        now = int(time.time())
        with self._database.transaction("session") as (connection, table):
            connection.execute(table.delete().where((table.c.seen < now - IDLE) | (table.c.begun < now - LONGEST)))
            values = {"principal": principal, "address": address, "agent": agent[:200], "begun": now, "seen": now}
            connection.execute(table.insert().values(digest=_digest(secret), **values))
        return secret

    def find(self, secret: str) -> Session | None:
        """The session of a secret, unless it has ended."""
        now, row = int(time.time()), self._row("session", secret)
        if row is None or row["seen"] < now - IDLE or row["begun"] < now - LONGEST:
            return None
        self._note("session", row, now)
        return Session(**{name: row[name] for name in Session.__dataclass_fields__})

    def of(self, principal: str) -> list[Session]:
        """The sessions of somebody, the newest first."""
        limit = int(time.time()) - IDLE
        with self._database.transaction("session", reads=True) as (connection, table):
            query = table.select().where((table.c.principal == principal) & (table.c.seen >= limit))
            rows = connection.execute(query.order_by(table.c.number.desc())).mappings().all()
        return [Session(**{name: row[name] for name in Session.__dataclass_fields__}) for row in rows]

    def end(self, secret: str) -> None:
        """End the session of a secret."""
        with self._database.transaction("session") as (connection, table):
            connection.execute(table.delete().where(table.c.digest == _digest(secret)))

    def revoke(self, principal: str, number: int | None = None, *, but: int | None = None) -> None:
        """End a session of somebody, or all of them, or all but one."""
        if not self._database.exists():
            return
        with self._database.transaction("session") as (connection, table):
            chosen = table.c.principal == principal
            if number is not None:
                chosen &= table.c.number == number
            if but is not None:
                chosen &= table.c.number != but
            connection.execute(table.delete().where(chosen))

    # -- tokens

    def add_token(
        self, principal: str, name: str, domain: str, rights: tuple[str, ...], expires: int
    ) -> tuple[int, str]:
        """Make a token; returns its number and its secret, which nobody can see again."""
        secret = TOKEN_MARK + secrets.token_urlsafe(32)
        values = {"principal": principal, "name": name, "domain": domain, "rights": " ".join(rights)}
        times = {"begun": int(time.time()), "seen": 0, "expires": expires}
        with self._database.transaction("token") as (connection, table):
            done = connection.execute(table.insert().values(digest=_digest(secret), **values, **times))
            return int(done.lastrowid), secret

    def token(self, secret: str) -> Token | None:
        """The token of a secret, unless it has expired; its use is noted."""
        if not secret.startswith(TOKEN_MARK):
            return None
        now, row = int(time.time()), self._row("token", secret)
        if row is None or 0 < row["expires"] <= now:
            return None
        self._note("token", row, now)
        return _token(row)

    def tokens(self, principal: str | None = None) -> list[Token]:
        """The tokens of somebody, or of everybody, the newest first."""
        if not self._database.exists():
            return []
        with self._database.transaction("token", reads=True) as (connection, table):
            query = table.select() if principal is None else table.select().where(table.c.principal == principal)
            rows = connection.execute(query.order_by(table.c.number.desc())).mappings().all()
        return [_token(dict(row)) for row in rows]

    def remove_token(self, number: int, principal: str | None = None) -> bool:
        """Remove a token, of somebody or whoever; whether there was one."""
        with self._database.transaction("token") as (connection, table):
            chosen = table.c.number == number
            if principal is not None:
                chosen &= table.c.principal == principal
            return bool(connection.execute(table.delete().where(chosen)).rowcount)

    def _row(self, name: str, secret: str) -> dict[str, Any] | None:
        """What is known by a secret."""
        with self._database.transaction(name, reads=True) as (connection, table):
            row = connection.execute(table.select().where(table.c.digest == _digest(secret))).mappings().first()
        return None if row is None else dict(row)

    def _note(self, name: str, row: Mapping[str, Any], now: int) -> None:
        """Note from time to time that something is in use."""
        if row["seen"] < now - _NOTED:
            with self._database.transaction(name) as (connection, table):
                connection.execute(table.update().where(table.c.number == row["number"]).values(seen=now))


def _token(row: dict[str, object]) -> Token:
    values = {name: row[name] for name in Token.__dataclass_fields__}
    return Token(**(values | {"rights": tuple(str(row["rights"]).split())}))  # type: ignore[arg-type]


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
