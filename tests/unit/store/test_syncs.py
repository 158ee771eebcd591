"""Deliveries in step: nothing goes on before it is synced, and none is harmed by another."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Generator, Sequence
from pathlib import Path

import pytest

from vmaild.core.directory import Quota
from vmaild.store.content import Content
from vmaild.store.maildir import MaildirStore
from vmaild.store.messages import Mailbox, OverQuota, Parcel, StoreFailed, StoreFull, Terms
from vmaild.store.syncs import MOST, Syncs, results_of

LOGINS = [f"u{number}" for number in range(MOST + 20)]


def noted(log: list[str], name: str, *descriptors: int) -> Generator[int, None, str]:
    try:
        for descriptor in descriptors:
            log.append(f"{name} wants {descriptor}")
            yield descriptor
    finally:
        log.append(f"{name} ends")
    return name


def test_all_come_to_a_sync_before_any_goes_on() -> None:
    log: list[str] = []

    def sync(descriptors: Sequence[int]) -> list[OSError | None]:
        log.append(f"synced {[*descriptors]}")
        return [None] * len(descriptors)

    assert results_of([noted(log, "a", 1, 2), noted(log, "b", 3), noted(log, "c")], sync) == ["a", "b", "c"]
    assert log == [
        *("a wants 1", "b wants 3", "c ends", "synced [1, 3]"),
        *("a wants 2", "b ends", "synced [2]", "a ends"),
    ]


def test_a_fault_harms_one_delivery_only() -> None:
    log: list[str] = []
    full = OSError(errno.ENOSPC, "full")

    def failing() -> Generator[int, None, str]:
        yield 4
        raise ValueError("a defect")

    results = results_of([noted(log, "a", 1, 2), failing(), noted(log, "c", 3)], lambda _: [full, None, None])
    assert results[0] is full
    assert isinstance(results[1], ValueError)
    assert results[2] == "c"


def test_what_is_interrupted_is_cleaned_up() -> None:
    log: list[str] = []

    def interrupted(_: Sequence[int]) -> list[OSError | None]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        results_of([noted(log, "a", 1), noted(log, "b", 2)], interrupted)
    assert log[2:] == ["a ends", "b ends"]


def test_syncs_tell_what_could_not_be_synced(tmp_path: Path) -> None:
    files = [os.open(tmp_path / name, os.O_WRONLY | os.O_CREAT) for name in "abcdefghijklmnopqrstuvwxyz"]
    gone = files.pop(7)
    os.close(gone)
    failures = Syncs()([*files[:7], gone, *files[7:]])
    assert [number for number, failure in enumerate(failures) if failure] == [7]
    assert getattr(failures[7], "errno", None) == errno.EBADF
    for file in files:
        os.close(file)


def test_two_threads_that_sync_do_not_wait_for_each_others_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    syncs, held, begun = Syncs(), threading.Event(), threading.Semaphore(0)
    slow, quick = ([os.open(tmp_path / f"{name}{n}", os.O_CREAT) for n in range(40)] for name in "sq")
    fsync = os.fsync

    def fsync_slowly(descriptor: int) -> None:
        if descriptor in slow:
            begun.release()
            held.wait(30)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync_slowly)
    other = threading.Thread(target=syncs, args=(slow,))
    other.start()
    for _ in range(16):  # as many as there are threads: none is left for the quick ones but our own
        assert begun.acquire(timeout=20)
    assert syncs(quick) == [None] * len(quick)
    assert other.is_alive()
    held.set()
    other.join(20)
    for descriptor in (*slow, *quick):
        os.close(descriptor)


def test_many_messages_each_with_its_own_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = MaildirStore(str(tmp_path / "spool"))
    full, broken, failing = 3, 7, 11
    boxes = [Mailbox("va.test", login) for login in LOGINS]
    for box in boxes:
        store.create(box)
    new = tmp_path / "spool/va.test" / LOGINS[broken] / "new"
    new.rmdir()
    new.write_text("no folder")
    fsync = os.fsync

    def fsync_fails_for_one(descriptor: int) -> None:
        if f"/{LOGINS[failing]}/" in os.readlink(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync_fails_for_one)
    with Content("/tmp") as content:
        content.append(b"Subject: to all\r\n\r\nHello\r\n")
        content.finish()
        parcels = [
            Parcel(box, f"X-Number: {number}\n".encode(), content, Terms(Quota(10 if number == full else 0)))
            for number, box in enumerate(boxes)
        ]
        results = store.deliver_all(parcels)
    assert isinstance(results[full], OverQuota)
    assert isinstance(results[broken], StoreFailed)
    assert isinstance(results[failing], StoreFull)
    for number, box in enumerate(boxes):
        folder = tmp_path / "spool/va.test" / box.login
        assert not [*(folder / "tmp").iterdir()]
        if number not in {full, broken, failing}:
            assert results[number] is False
            (file,) = (folder / "new").iterdir()
            assert file.read_bytes() == b"X-Number: %d\nSubject: to all\n\nHello\n" % number
        elif number != broken:
            assert not [*(folder / "new").iterdir()]


@pytest.mark.parametrize("begun", [0, 3])
def test_where_no_more_threads_are_to_be_had_fewer_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begun: int
) -> None:
    descriptors = [os.open(tmp_path / f"f{number}", os.O_CREAT) for number in range(40)]
    synced: list[int] = []
    left, start = begun, threading.Thread.start

    def start_some(thread: threading.Thread) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise RuntimeError("can't start new thread")
        start(thread)

    def fsync_slowly(descriptor: int) -> None:
        time.sleep(0.001)
        synced.append(descriptor)

    monkeypatch.setattr(os, "fsync", fsync_slowly)
    with monkeypatch.context() as short:
        short.setattr(threading.Thread, "start", start_some)
        syncs = Syncs()
        assert syncs(descriptors) == [None] * len(descriptors)
        assert sorted(synced) == sorted(descriptors)
    assert syncs(descriptors) == [None] * len(descriptors)
    assert sorted(synced) == sorted(descriptors * 2)
    for descriptor in descriptors:
        os.close(descriptor)
