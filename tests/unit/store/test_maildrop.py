"""The POP3 maildrop: lock, snapshot, order, sizes, uids, deletion, and what others do meanwhile."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from vmaild.store.content import transmitted_size
from vmaild.store.maildrop import LockedMaildrop, Snapshot, Snapshots, arrival, base_name, unique_id
from vmaild.store.messages import MaildropBusy, MessageGone, StoreFailed

LONG_AGO = 946684800


@pytest.fixture
def maildir(tmp_path: Path) -> Path:
    for name in ("tmp", "new", "cur"):
        (tmp_path / "bob" / name).mkdir(parents=True)
    return tmp_path / "bob"


@contextmanager
def opened(maildir: Path, snapshots: Snapshots | None = None) -> Iterator[LockedMaildrop]:
    drop = LockedMaildrop(str(maildir), snapshots or Snapshots(1000))
    try:
        yield drop
    finally:
        drop.close()


def uids(maildir: Path) -> list[str]:
    with opened(maildir) as drop:
        return list(drop.uids)


def read(drop: LockedMaildrop, index: int) -> bytes:
    with drop.open_message(index) as source:
        return source.read()


def test_one_session_at_a_time(maildir: Path) -> None:
    with opened(maildir) as drop:
        with pytest.raises(MaildropBusy), opened(maildir):
            pass
        drop.close()
        with opened(maildir):
            pass


def test_a_busy_maildrop_costs_no_descriptor(maildir: Path) -> None:
    with opened(maildir):
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            with pytest.raises(MaildropBusy), opened(maildir):
                pass
        assert len(os.listdir("/proc/self/fd")) == before


def test_messages_come_in_the_order_of_arrival(maildir: Path) -> None:
    names = [
        "new/imported,S=1,W=1",
        "cur/999999999.M5P1.old,S=1,W=1:2,S",
        "new/1700000000.25.qmail,S=1,W=1",
        "new/1700000000.M000007P1R0.a,S=1,W=1",
        "cur/1700000000.M12P99.dovecot,S=1,W=1:2,S",
        "new/1700000000.M000100P1R0.b,S=1,W=1",
        "cur/1700000000.M000100P1R0.c,S=1,W=1:2,RS",
        "new/1700000000.M9999P1.x,S=1,W=1",
        "cur/1700000001.M000000P1R0.a,S=1,W=1:2,",
    ]
    for name in reversed(names):
        (maildir / name).write_bytes(b"\n")
    assert uids(maildir) == [base_name(name[4:]) for name in names]
    assert sorted(names, key=arrival) == names


def test_what_is_not_a_message_is_left_out(maildir: Path) -> None:
    (maildir / "new" / ".hidden,S=1,W=1").touch()
    (maildir / "cur" / ".nfs0001").touch()
    (maildir / "cur" / "folder").mkdir()
    (maildir / ".Sent" / "cur").mkdir(parents=True)
    (maildir / ".Sent" / "cur" / "1.a.b:2,S").touch()
    (maildir / "new" / "link").symlink_to("/etc/passwd")
    os.mkfifo(maildir / "new" / "pipe")
    (maildir / "new" / "1.m.h").write_bytes(b"x\n")
    assert uids(maildir) == ["1.m.h"]


@pytest.mark.parametrize("name", ["1.p.h,S=1,W=1", "1.l.h,S=1,W=1", "1.d.h,S=1,W=1"])
def test_only_regular_files_are_opened(maildir: Path, name: str) -> None:
    os.mkfifo(maildir / "new" / "1.p.h,S=1,W=1")
    (maildir / "new" / "1.l.h,S=1,W=1").symlink_to("/etc/passwd")
    (maildir / "new" / "1.d.h,S=1,W=1").mkdir()
    with opened(maildir) as drop:
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(StoreFailed):
            drop.open_message(drop.uids.index(name.partition(",")[0]))
        assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    ("content", "octets"),
    [
        (b"", 0),
        (b"\n", 2),
        (b"a\nb\n", 6),
        (b"a\r\nb\n", 6),
        (b"a\nb", 6),
        (b"a\r", 4),
        (b"\r\r\n\n", 5),
        (b"x" * 262143 + b"\r\n", 262145),
        (b"x" * 262143 + b"\n\n", 262147),
    ],
)
def test_sizes_that_are_not_in_the_name_are_counted(maildir: Path, content: bytes, octets: int) -> None:
    (maildir / "new" / "1.a.h,S=3").write_bytes(content)
    with opened(maildir) as drop:
        assert list(drop.sizes) == [octets]


def test_sizes_in_the_name_are_believed_wherever_they_stand(maildir: Path) -> None:
    for name in ("cur/1.a.h,S=1,W=11:2,S", "cur/2.a.h,W=12,S=1", "new/3.a.h,W=13", "cur/4.a.h,W=14,S=1:2,"):
        (maildir / name).touch()
    (maildir / "cur/5.a.h,W=x:2,S").write_bytes(b"\n")
    with opened(maildir) as drop:
        assert list(drop.sizes) == [11, 12, 13, 14, 2]


def test_counted_sizes_are_remembered_until_the_file_changes(
    maildir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = maildir / "new" / "1.a.h"
    file.write_bytes(b"a\n")
    counted = []

    def note(chunks: Iterable[bytes]) -> int:
        counted.append(chunks)
        return transmitted_size(chunks)

    monkeypatch.setattr("vmaild.store.maildrop.transmitted_size", note)
    snapshots = Snapshots(1)
    for name, size in (("1.a.h", 3), ("1.a.h", 3), ("1.a.h:2,S", 3)):
        file = file.rename(maildir / "new" / name)
        with opened(maildir, snapshots) as drop:
            assert list(drop.sizes) == [size]
    assert len(counted) == 1
    file.write_bytes(b"a\nb\n")
    (maildir / "new" / "2.b.h").write_bytes(b"\n")
    with opened(maildir, snapshots) as drop:
        assert list(drop.sizes) == [6, 2]
    assert len(counted) == 3
    assert len(snapshots._counted) == 1  # bounded


def test_uids_stay_when_a_message_is_seen_flagged_measured_and_moved(maildir: Path, tmp_path: Path) -> None:
    file = maildir / "new" / "1700000000.M000001P1R0123456789abcdef.host"
    file.write_bytes(b"x\n")
    seen = {tuple(uids(maildir))}
    for name in (",S=2", ",S=2,W=3", ",S=2,W=3:2,", ",S=2,W=3:2,FS", ":2,S"):
        file = file.rename(maildir / "cur" / f"1700000000.M000001P1R0123456789abcdef.host{name}")
        seen.add(tuple(uids(maildir)))
    seen.add(tuple(uids(maildir.rename(tmp_path / "elsewhere"))))
    assert seen == {("1700000000.M000001P1R0123456789abcdef.host",)}


@pytest.mark.parametrize("base", ["x" * 71, "a b", "caf\u00e9", "tab\t", "\udcff", ""])
def test_a_name_that_uidl_cannot_say_is_hashed(base: str) -> None:
    uid = unique_id(base)
    assert len(uid) == 64
    assert set(uid) <= set("0123456789abcdef")
    assert uid == unique_id(base) != unique_id(base + "x")


def test_a_name_of_the_longest_kind_is_its_own_uid() -> None:
    assert unique_id("~" * 70) == "~" * 70
    assert unique_id("!") == "!"


def test_copies_of_one_message_get_different_uids_and_always_the_same(maildir: Path) -> None:
    for name in ("new/1.a.h", "cur/1.a.h:2,S", "cur/1.a.h,S=2:2,S"):
        (maildir / name).write_bytes(b"x\n")
    first = uids(maildir)
    assert len(set(first)) == 3
    assert first[0] == "1.a.h"
    assert all(len(uid) == 64 for uid in first[1:])
    assert uids(maildir) == first


def test_a_message_caught_on_its_way_to_cur_is_listed_once(maildir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = maildir / "new" / "1.a.h,S=2,W=3"
    fresh.write_bytes(b"x\n")
    (maildir / "cur" / "0.b.h:2,S").write_bytes(b"x\n")
    listdir = os.listdir

    def list_and_move(path: str) -> list[str]:
        names = listdir(path)
        if path.endswith("/new") and fresh.exists():
            fresh.rename(maildir / "cur" / f"{fresh.name}:2,")
        return names

    monkeypatch.setattr(os, "listdir", list_and_move)
    assert uids(maildir) == ["0.b.h", "1.a.h"]


def test_a_folder_that_changes_while_it_is_listed_is_listed_again(
    maildir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (maildir / "cur" / "1.a.h:2,").write_bytes(b"x\n")
    listdir = os.listdir

    def miss_what_is_renamed(path: str) -> list[str]:
        if path.endswith("/cur") and (maildir / "cur" / "1.a.h:2,").exists():
            time.sleep(0.02)  # the kernel's clock for time stamps goes in steps
            (maildir / "cur" / "1.a.h:2,").rename(maildir / "cur" / "1.a.h:2,S")
            return []
        return listdir(path)

    monkeypatch.setattr(os, "listdir", miss_what_is_renamed)
    assert uids(maildir) == ["1.a.h"]


def test_a_file_that_vanishes_before_it_is_counted_is_left_out(
    maildir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (maildir / "new" / "1.a.h").write_bytes(b"x\n")
    (maildir / "new" / "2.a.h").write_bytes(b"x\n")
    listdir = os.listdir

    def list_and_remove(path: str) -> list[str]:
        names = listdir(path)
        if path.endswith("/new"):
            (maildir / "new" / "1.a.h").unlink()
        return names

    monkeypatch.setattr(os, "listdir", list_and_remove)
    assert uids(maildir) == ["2.a.h"]


def test_a_message_is_read_where_it_is_now(maildir: Path) -> None:
    for number in (1, 2, 3):
        (maildir / "new" / f"{number}.a.h,S=2,W=3").write_bytes(b"%d\n" % number)
    with opened(maildir) as drop:
        (maildir / "new" / "1.a.h,S=2,W=3").rename(maildir / "cur" / "1.a.h,S=2,W=3:2,")
        (maildir / "new" / "2.a.h,S=2,W=3").unlink()
        assert read(drop, 0) == b"1\n"
        with pytest.raises(MessageGone, match=r"2\.a\.h"):
            drop.open_message(1)
        (maildir / "cur" / "1.a.h,S=2,W=3:2,").rename(maildir / "cur" / "1.a.h,S=2,W=3:2,S")
        assert read(drop, 0) == b"1\n"
        assert read(drop, 2) == b"3\n"
        with pytest.raises(MessageGone):
            drop.open_message(1)


def test_reading_goes_piece_by_piece(maildir: Path) -> None:
    (maildir / "new" / "1.a.h").write_bytes(b"abcdef\n")
    with opened(maildir) as drop, drop.open_message(0) as source:
        assert [source.read(4), source.read(4), source.read(4)] == [b"abcd", b"ef\n", b""]


def test_only_what_was_named_is_deleted(maildir: Path) -> None:
    for number in range(1, 6):
        (maildir / ("new" if number % 2 else "cur") / f"{number}.a.h").write_bytes(b"x\n")
    with opened(maildir) as drop:
        (maildir / "new" / "6.late.h").write_bytes(b"x\n")
        (maildir / "new" / "1.a.h").rename(maildir / "cur" / "1.a.h:2,S")
        (maildir / "cur" / "2.a.h").unlink()
        assert drop.delete([0, 1, 3]) == 0
    assert uids(maildir) == ["3.a.h", "5.a.h", "6.late.h"]


def test_a_copy_is_not_taken_for_the_message_that_is_gone(maildir: Path) -> None:
    (maildir / "new" / "1.a.h").write_bytes(b"x\n")
    (maildir / "cur" / "1.a.h:2,S").write_bytes(b"x\n")
    with opened(maildir) as drop:
        (maildir / "new" / "1.a.h").unlink()
        assert drop.delete([0]) == 0
        with pytest.raises(MessageGone):
            drop.open_message(0)
        assert read(drop, 1) == b"x\n"


def test_what_cannot_be_removed_is_counted(maildir: Path, caplog: pytest.LogCaptureFixture) -> None:
    (maildir / "new" / "1.a.h,S=1,W=1").mkdir()
    (maildir / "new" / "2.a.h").write_bytes(b"x\n")
    with opened(maildir) as drop:
        assert drop.delete([0, 1]) == 1
    assert "cannot remove a message" in caplog.text
    assert not (maildir / "new" / "2.a.h").exists()


def test_deletions_are_noted_in_maildirsize_if_there_is_one(maildir: Path) -> None:
    for name in ("1.a.h,S=10,W=11", "2.b.h", "3.c.h,S=30,W=31", "4.d.h,S=40,W=41"):
        (maildir / "new" / name).write_bytes(b"12345\n")
    with opened(maildir) as drop:
        assert drop.delete([0]) == 0
        assert not (maildir / "maildirsize").exists()
        (maildir / "maildirsize").write_bytes(b"1000S\n76 3\n")
        (maildir / "new" / "3.c.h,S=30,W=31").unlink()
        assert drop.delete([1, 2, 3]) == 0
    assert (maildir / "maildirsize").read_bytes() == b"1000S\n76 3\n-46 -2\n"


def test_old_files_in_tmp_are_swept_and_young_ones_are_not(maildir: Path) -> None:
    (maildir / "tmp" / "old").touch()
    (maildir / "tmp" / "young").touch()
    os.utime(maildir / "tmp" / "old", (time.time() - 37 * 3600,) * 2)
    uids(maildir)
    assert os.listdir(maildir / "tmp") == ["young"]


class CountedSnapshots(Snapshots):
    """Counts how often the folders are listed."""

    listed = 0

    def _list(self, path: str, stamp: bytes) -> Snapshot:
        self.listed += 1
        return super()._list(path, stamp)


def poll(maildir: Path, snapshots: Snapshots) -> list[str]:
    with opened(maildir, snapshots) as drop:
        return list(drop.uids)


def test_a_mailbox_that_has_not_changed_is_not_listed_again(
    maildir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshots = CountedSnapshots(1000)
    (maildir / "new" / "1.a.h").write_bytes(b"x\n")
    poll(maildir, snapshots)
    poll(maildir, snapshots)
    assert snapshots.listed == 2  # changed too shortly before: the next change might have the same time stamp
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now + 3_000_000_000)
    assert [poll(maildir, snapshots) for _ in range(3)] == [["1.a.h"]] * 3
    assert snapshots.listed == 3
    (maildir / "new" / "2.a.h").write_bytes(b"x\n")
    assert poll(maildir, snapshots) == ["1.a.h", "2.a.h"]
    (maildir / "new" / "1.a.h").rename(maildir / "cur" / "1.a.h:2,S")
    (maildir / "new" / "2.a.h").unlink()
    assert poll(maildir, snapshots) == ["1.a.h"]


def test_a_time_stamp_that_was_set_back_hides_nothing(maildir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshots = Snapshots(1000)
    (maildir / "new" / "1.a.h").write_bytes(b"x\n")
    os.utime(maildir / "new", (LONG_AGO, LONG_AGO))
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now + 3_000_000_000)
    poll(maildir, snapshots)
    time.sleep(0.02)  # the kernel's clock for time stamps goes in steps
    (maildir / "new" / "2.a.h").write_bytes(b"x\n")
    os.utime(maildir / "new", (LONG_AGO, LONG_AGO))
    assert poll(maildir, snapshots) == ["1.a.h", "2.a.h"]


def test_the_snapshots_kept_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    boxes = [tmp_path / f"box{number}" for number in range(4)]
    for box, messages in zip(boxes, (3, 3, 3, 50), strict=True):
        for name in ("new", "cur"):
            (box / name).mkdir(parents=True)
        for number in range(messages):
            (box / "new" / f"{number}.a.h,S=1,W=1").touch()
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now + 3_000_000_000)
    snapshots = CountedSnapshots(8)
    poll(boxes[0], snapshots)
    poll(boxes[1], snapshots)
    poll(boxes[0], snapshots)
    assert snapshots.listed == 2
    poll(boxes[2], snapshots)  # three messages and their mailbox do not fit any more: boxes[1] goes
    poll(boxes[3], snapshots)  # more than all the room there is: nothing goes
    assert snapshots.listed == 4
    poll(boxes[0], snapshots)
    poll(boxes[2], snapshots)
    assert snapshots.listed == 4
    poll(boxes[1], snapshots)
    assert snapshots.listed == 5


def test_what_is_remembered_is_at_hand(maildir: Path) -> None:
    snapshots = Snapshots(1000)
    assert not snapshots.has(str(maildir))
    time.sleep(2.1)  # until the folders' stamps are old enough to be trusted
    assert poll(maildir, snapshots) == []
    assert snapshots.has(str(maildir))
    (maildir / "new" / "1.a.h,W=1").write_bytes(b"\n")
    assert not snapshots.has(str(maildir))
    assert not snapshots.has("/nonexistent")


def test_a_hold_forgets_its_lists_and_makes_them_again(maildir: Path) -> None:
    for number in (1, 2):
        (maildir / "new" / f"{number}.a.h").write_bytes(b"%d\n" % number)
    with opened(maildir) as drop:
        before = list(drop.uids)
        assert read(drop, 0) == b"1\n"
        (maildir / "new" / "1.a.h").rename(maildir / "cur" / "1.a.h:2,S")
        assert read(drop, 0) == b"1\n"
        drop.forget_lists()
        assert (drop._entries, drop._uids) == ((), ())
        assert list(drop.uids) == before
        assert [read(drop, 0), read(drop, 1)] == [b"1\n", b"2\n"]  # where the first one went is still known
        assert drop.octets == sum(drop.sizes) == 6


@pytest.mark.parametrize("odd", [[], ["3." + "x" * 80], ["3.a b", "4.\n"], ["1.a.h:2,S"]])
def test_names_for_uidl_are_those_of_each_file_by_itself(maildir: Path, odd: list[str]) -> None:
    names = ["1.a.h,S=2,W=3", "2.b.h", *odd]
    for number, name in enumerate(names):
        (maildir / ("cur" if number else "new") / name).write_bytes(b"x\n")
    with opened(maildir) as drop:
        assert len(drop.uids) == len(drop.sizes)
        assert len(set(drop.uids)) == len(drop.uids)
        assert all(0 < len(uid) <= 70 and uid.isprintable() and " " not in uid for uid in drop.uids)
        assert {"1.a.h", "2.b.h"} <= set(drop.uids)


def test_a_message_of_more_than_four_gigabytes_has_its_size(maildir: Path) -> None:
    (maildir / "cur" / f"1.a.h,W={5 << 32}").touch()
    with opened(maildir) as drop:
        assert list(drop.sizes) == [5 << 32]
