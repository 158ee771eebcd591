"""State that is not configuration, in SQLite through SQLAlchemy: `/var/lib/vmail/vmail.sqlite`.

The audit log: every change of the administration, by whom, and how it ended. A record is written before the
first file is touched and completed after the last, so a machine that stopped in between says so itself (outcome
`begun`). Web sessions and API tokens: see sessions. The write-ahead log lets readers and one writer work at once.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from vmaild.store.atomic import NEW_FILE, inherit_owner, make_folders
from vmaild.store.layout import Layout
from vmaild.store.locks import LockTimeout, exclusive

if TYPE_CHECKING:
    import sqlite3

    from sqlalchemy import Connection, Engine, MetaData, Table

SCHEMA = 3
"""PRAGMA user_version of a database as this version writes it."""
BUSY = 30.0
"""Seconds to wait for other writers: on a busy machine, or one with a slow disk, many come before us."""

BEGUN, DONE = "begun", "done"


class StateUnusable(Exception):
    """The database cannot be used; the text names it and says why."""


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One change: who did what to whom, and how it ended. Never holds a password or a hash."""

    actor: str
    verb: str
    domain: str
    subject: str
    summary: str
    at: str = ""
    """UTC, ISO 8601; given by the log."""
    outcome: str = BEGUN
    """`begun`, `done`, or `failed: why`."""


class Database:
    """The database of a layout; created when it is first written to."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._path = f"{layout.state}/vmail.sqlite"

    def exists(self) -> bool:
        """Whether anything was ever written."""
        return os.path.exists(self._path)

    @contextmanager
    def transaction(
        self, table: str, *, reads: bool = False, lasting: bool = True
    ) -> Iterator[tuple[Connection, Table]]:
        """One transaction on a table; one that only reads waits for no other. Raises StateUnusable.

        With `lasting` false nothing is synced: a power cut may undo it, but nothing that came before.
        """
        import sqlite3  # noqa: PLC0415  half a second, with the next, that most commands need not pay

        from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415  likewise

        try:
            prepared = self._prepared()
            options = {"reads": reads, "lasting": lasting}
            with prepared.engine.connect().execution_options(**options) as connection, connection.begin():
                _see_version(connection.exec_driver_sql("PRAGMA user_version").scalar_one())
                yield connection, prepared.metadata.tables[table]
        except (SQLAlchemyError, sqlite3.Error) as error:
            raise StateUnusable(f"{self._path}: {getattr(error, 'orig', None) or error}") from error
        except (OSError, LockTimeout) as error:
            raise StateUnusable(f"{self._path}: {error}") from error

    def _prepared(self) -> _Prepared:
        """The database as this process has it open, unless the file has been moved away meanwhile."""
        with _OPENING:
            known = _OPEN.get(self._path)
            if known is None or known.inode != _inode(self._path) or known.pid != os.getpid():
                # Connections of another process are left alone: to close them would be to use them.
                if known is not None and known.pid == os.getpid():
                    known.engine.dispose()
                known = _OPEN[self._path] = _Prepared(*self._prepare(), _inode(self._path), os.getpid())
                while len(_OPEN) > _MOST_OPEN:
                    _OPEN.pop(next(iter(_OPEN))).engine.dispose()
            return known

    def _prepare(self) -> tuple[Engine, MetaData]:
        """Open the database, and create or complete what is missing of it."""
        make_folders(self._layout.state, 0o755)
        make_folders(self._layout.run, 0o755)
        if not os.path.exists(self._path):
            with suppress(FileExistsError):
                fd = os.open(self._path, NEW_FILE, 0o640)
                inherit_owner(fd, self._layout.state)
                os.close(fd)
        engine, metadata = _engine(self._path)
        if _version(engine) < SCHEMA:
            # Two commands may be the first at one moment, and a change of the journal's mode waits for nobody.
            with exclusive(self._layout.lock("state"), BUSY):
                _upgrade(engine, metadata)
        return engine, metadata


@dataclass(frozen=True, slots=True)
class _Prepared:
    """An open database. To open it for each transaction, and to close it as the last, would cost some syncs."""

    engine: Engine
    metadata: MetaData
    inode: int
    pid: int


_OPEN: dict[str, _Prepared] = {}
"""By path."""
_MOST_OPEN = 4
_OPENING = threading.Lock()


class AuditLog:
    """The audit log of a layout."""

    def __init__(self, layout: Layout) -> None:
        self._database = Database(layout)

    def begin(self, record: AuditRecord) -> int:
        """Write down what is about to be done; returns the record's number. Raises StateUnusable."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        with self._database.transaction("audit") as (connection, audit):
            values = asdict(record) | {"at": at, "outcome": BEGUN}
            result = connection.execute(audit.insert().values(values))
            return int(result.lastrowid)

    def complete(self, number: int, outcome: str = DONE) -> None:
        """Write down how it ended; where a power cut undoes that, it looks begun. Raises StateUnusable."""
        with self._database.transaction("audit", lasting=False) as (connection, audit):
            connection.execute(audit.update().where(audit.c.number == number).values(outcome=outcome))

    def records(self, limit: int = 1000, *, domain: str | None = None, skip: int = 0) -> list[AuditRecord]:
        """The last records, oldest first; of one domain, or of all; the newest `skip` left out.

        Raises StateUnusable.
        """
        if not self._database.exists():
            return []
        with self._database.transaction("audit", reads=True) as (connection, audit):
            query = audit.select() if domain is None else audit.select().where(audit.c.domain == domain)
            newest = connection.execute(query.order_by(audit.c.number.desc()).limit(limit).offset(skip))
            rows = [dict(row) for row in newest.mappings()]
        for row in rows:
            del row["number"]
        return [AuditRecord(**row) for row in reversed(rows)]


def _inode(path: str) -> int:
    """Which file it is; 0: there is none."""
    try:
        return os.stat(path).st_ino
    except FileNotFoundError:
        return 0


def _engine(path: str) -> tuple[Engine, MetaData]:
    from sqlalchemy import Column, Integer, MetaData, String, Table, create_engine, event  # noqa: PLC0415  see above

    metadata = MetaData()

    def table(name: str, texts: Iterable[str], numbers: Iterable[str] = ()) -> None:
        Table(
            name,
            metadata,
            Column("number", Integer, primary_key=True),
            *(Column(each, String, nullable=False) for each in texts),
            *(Column(each, Integer, nullable=False) for each in numbers),
            sqlite_autoincrement=True,
        )

    table("audit", AuditRecord.__dataclass_fields__)
    # A secret is kept as its digest: who reads the database cannot be somebody else.
    table("session", ("digest", "principal", "address", "agent"), ("begun", "seen"))
    table("token", ("digest", "principal", "name", "domain", "rights"), ("begun", "seen", "expires"))
    table("figures", (), ("at", "delivered", "deferred", "rejected", "logins", "failed_logins"))
    engine = create_engine(f"sqlite:///{path}", max_overflow=-1, connect_args={"timeout": BUSY})

    # sqlite3 would begin a transaction only at the first write, when another writer may have been faster.
    @event.listens_for(engine, "connect")
    def _leave_transactions_to_us(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        connection.exec_driver_sql(f"PRAGMA synchronous = {'FULL' if options.get('lasting', True) else 'NORMAL'}")
        connection.exec_driver_sql("BEGIN" if options.get("reads") else "BEGIN IMMEDIATE")

    return engine, metadata


def _version(engine: Engine) -> int:
    with closing(engine.raw_connection()) as connection:
        version = int(connection.cursor().execute("PRAGMA user_version").fetchone()[0])
    _see_version(version)
    return version


def _see_version(version: int) -> None:
    if version > SCHEMA:
        raise OSError(f"written by a newer vmaild (schema {version}, this one knows {SCHEMA})")


def _upgrade(engine: Engine, metadata: MetaData) -> None:
    with closing(engine.raw_connection()) as connection:
        connection.cursor().execute("PRAGMA journal_mode = WAL")
    with engine.begin() as connection:
        metadata.create_all(connection)
        connection.exec_driver_sql(f"PRAGMA user_version = {SCHEMA}")
