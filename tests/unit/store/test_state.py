"""The audit log: what it keeps, who may read it, and what it does when it cannot be used."""

from __future__ import annotations

import multiprocessing
import sqlite3
import stat
import time
from pathlib import Path

import pytest

from vmaild.store.layout import Layout
from vmaild.store.state import BEGUN, BUSY, DONE, AuditLog, AuditRecord, Database, StateUnusable

RECORD = AuditRecord("unix:root", "user add", "va.toto.fr", "bob@va.toto.fr", "add account bob@va.toto.fr")


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(str(tmp_path))


def test_a_record_says_how_it_began_and_how_it_ended(layout: Layout) -> None:
    log = AuditLog(layout)
    first, second = log.begin(RECORD), log.begin(RECORD)
    log.complete(second, "failed: no space left")
    assert [record.outcome for record in log.records()] == [BEGUN, "failed: no space left"]
    log.complete(first)
    kept = AuditLog(layout).records()
    assert [record.outcome for record in kept] == [DONE, "failed: no space left"]
    assert (kept[0].actor, kept[0].verb, kept[0].domain) == ("unix:root", "user add", "va.toto.fr")
    assert (kept[0].subject, kept[0].summary) == ("bob@va.toto.fr", "add account bob@va.toto.fr")


def test_the_last_records_come_oldest_first(layout: Layout) -> None:
    log = AuditLog(layout)
    for _ in range(5):
        log.complete(log.begin(RECORD))
    times = [record.at for record in log.records()]
    assert times == sorted(times)
    assert [record.at for record in log.records(limit=2)] == times[-2:]


def test_reading_creates_nothing(layout: Layout) -> None:
    assert AuditLog(layout).records() == []
    assert list(Path(layout.root).iterdir()) == []


def test_only_its_owner_and_group_may_read_it_and_readers_do_not_wait_for_writers(layout: Layout) -> None:
    log = AuditLog(layout)
    log.begin(RECORD)
    database = Path(layout.state, "vmail.sqlite")
    assert stat.S_IMODE(database.stat().st_mode) == 0o640
    connection = sqlite3.connect(database)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA user_version").fetchone() == (3,)
    connection.close()


def test_a_database_of_a_newer_version_is_left_alone(layout: Layout) -> None:
    AuditLog(layout).begin(RECORD)
    connection = sqlite3.connect(Path(layout.state, "vmail.sqlite"))
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StateUnusable, match=r"vmail.sqlite: written by a newer vmaild"):
        AuditLog(layout).begin(RECORD)


def test_what_is_no_database_is_named_and_left_alone(layout: Layout) -> None:
    database = Path(layout.state, "vmail.sqlite")
    database.parent.mkdir(parents=True)
    database.write_text("something else altogether, and long enough to be looked at")
    with pytest.raises(StateUnusable, match=r"vmail.sqlite: .*not a database"):
        AuditLog(layout).begin(RECORD)
    assert database.read_text().startswith("something else")


def test_a_folder_that_cannot_be_made_is_named(layout: Layout) -> None:
    Path(layout.root, "var").write_text("a file")
    with pytest.raises(StateUnusable, match=r"vmail.sqlite"):
        AuditLog(layout).begin(RECORD)


def _write(layout: Layout, records: int) -> None:
    log = AuditLog(layout)
    for _ in range(records):
        log.complete(log.begin(RECORD))


def test_processes_that_are_the_first_at_the_same_moment_lose_nothing(layout: Layout) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write, args=(layout, 10)) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert [record.outcome for record in AuditLog(layout).records()] == [DONE] * 30


def test_a_database_that_was_moved_aside_is_not_written_to_any_more(layout: Layout) -> None:
    AuditLog(layout).begin(RECORD)
    path = Path(layout.state, "vmail.sqlite")
    for end in ("", "-wal", "-shm"):
        if Path(f"{path}{end}").exists():
            Path(f"{path}{end}").rename(f"{path}.old{end}")
    AuditLog(layout).begin(RECORD)
    assert path.exists()
    assert len(AuditLog(layout).records()) == 1


def test_who_reads_waits_for_nobody_who_writes(layout: Layout) -> None:
    log = AuditLog(layout)
    log.begin(RECORD)
    started = time.monotonic()
    with Database(layout).transaction("audit") as (connection, audit):
        connection.execute(audit.delete())
        assert len(log.records()) == 1, "what is not committed is not seen"
    assert log.records() == []
    assert time.monotonic() - started < BUSY
