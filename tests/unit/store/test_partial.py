"""Notes of what has been done of a message that waits: durable, whole lines, and not for ever."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from vmaild.store import partial as partial_module
from vmaild.store.partial import KEPT, Partial


@pytest.fixture
def partial(tmp_path: Path) -> Partial:
    return Partial(str(tmp_path / "state/partial"))


def test_what_is_noted_is_known_until_it_is_forgotten(partial: Partial, tmp_path: Path) -> None:
    assert partial.is_empty()
    assert partial.done("key") == set()
    partial.add("key", {"mailbox bob@va.test"})
    partial.add("key", {"mailbox bob@va.test", "file /a b\udcff"})
    partial.add("key", set())
    assert not partial.is_empty()
    assert Partial(str(tmp_path / "state/partial")).done("key") == {"mailbox bob@va.test", "file /a b\udcff"}
    assert partial.done("another key") == set()
    partial.forget("key")
    partial.forget("key")
    assert partial.is_empty()


def test_it_is_on_disk_before_anybody_is_told(partial: Partial, monkeypatch: pytest.MonkeyPatch) -> None:
    partial.add("first", {"a"})
    synced: list[tuple[bool, int]] = []
    fsync = os.fsync

    def note(fd: int) -> None:
        found = os.fstat(fd)
        synced.append((stat.S_ISDIR(found.st_mode), found.st_size))
        fsync(fd)

    monkeypatch.setattr(os, "fsync", note)
    partial.add("key", {"abc"})
    assert synced[0] == (False, 4)
    assert synced[1][0]
    synced.clear()
    partial.add("key", {"def"})
    assert synced == [(False, 8)]


def test_a_line_that_was_being_written_says_nothing(partial: Partial, tmp_path: Path) -> None:
    partial.add("key", {"mailbox bob@va.test"})
    (note,) = (tmp_path / "state/partial").iterdir()
    with note.open("a") as file:
        file.write("mailbox alice@va.te")
    assert partial.done("key") == {"mailbox bob@va.test"}


def test_notes_that_nobody_came_back_for_go(partial: Partial) -> None:
    partial.add("old", {"a"})
    partial.add("newer", {"a"})
    for key, age in (("old", KEPT + 60), ("newer", KEPT - 60)):
        os.utime(partial._path(key), (time.time() - age,) * 2)
    partial.add("new", {"a"})
    assert [bool(partial.done(key)) for key in ("old", "newer", "new")] == [False, True, True]


def test_a_note_that_does_not_fit_spoils_no_other(partial: Partial, monkeypatch: pytest.MonkeyPatch) -> None:
    partial.add("key", {"a"})

    def half(fd: int, parts: Sequence[bytes]) -> None:
        os.write(fd, b"".join(parts)[:3])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as full:
        full.setattr(partial_module, "write_fully", half)
        with pytest.raises(OSError, match="No space"):
            partial.add("key", {"file /log"})
    partial.add("key", {"b"})
    assert partial.done("key") == {"a", "b"}
