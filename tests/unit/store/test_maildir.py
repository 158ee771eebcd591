"""The maildir store: deliveries, and mailboxes as a whole."""

from __future__ import annotations

import errno
import os
import re
import stat
import threading
from pathlib import Path

import pytest

from vmaild.core.directory import Quota
from vmaild.store.content import Content
from vmaild.store.maildir import MaildirStore, host_in_names
from vmaild.store.messages import (
    Mailbox,
    MessageStore,
    OverQuota,
    StoreFailed,
    StoreFull,
    Terms,
    Usage,
    store_failure,
)

BOB = Mailbox("va.toto.fr", "bob")
NAME = re.compile(r"\d{10}\.M\d{6}P\d+R[0-9a-f]{16}\.[^,:/]{1,40},S=\d+,W=\d+")


def deliver(
    store: MessageStore, body: bytes, mailbox: Mailbox = BOB, *, header: bytes = b"", quota: int = 0
) -> None:
    with Content("/tmp", 50_000) as content:
        content.append(body)
        content.finish()
        store.deliver(mailbox, header, content, Terms(Quota(quota)))


def files(spool: Path, mailbox: Mailbox = BOB) -> list[Path]:
    return sorted(path for path in (spool / mailbox.domain / mailbox.login).rglob("*") if path.is_file())


def test_the_first_delivery_makes_the_mailbox_and_puts_one_file_in_new(tmp_path: Path) -> None:
    store: MessageStore = MaildirStore(str(tmp_path))
    assert not store.exists(BOB)
    deliver(store, b"Subject: x\r\n\r\nhello\r\n", header=b"Return-Path: <>\n")
    assert store.exists(BOB)
    (file,) = files(tmp_path)
    assert file.parent == tmp_path / "va.toto.fr" / "bob" / "new"
    assert NAME.fullmatch(file.name)
    assert file.name.endswith(",S=34,W=38")
    assert file.read_bytes() == b"Return-Path: <>\nSubject: x\n\nhello\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for folder in ("bob", "bob/tmp", "bob/new", "bob/cur"):
        assert stat.S_IMODE((tmp_path / "va.toto.fr" / folder).stat().st_mode) == 0o700


@pytest.mark.parametrize("size", [0, 100, 49_999, 50_001, 3_000_000])
def test_content_of_any_size_is_stored_whole(tmp_path: Path, size: int) -> None:
    body = (b"0123456789abcde\n" * (size // 16 + 1))[:size]
    deliver(MaildirStore(str(tmp_path)), body, header=b"X: y\n")
    (file,) = files(tmp_path)
    whole = b"X: y\n" + body + (b"" if body.endswith(b"\n") or not body else b"\n")
    assert file.read_bytes() == whole
    octets = len(whole.replace(b"\n", b"\r\n"))
    assert file.name.endswith(f",S={len(whole)},W={octets}")


def test_the_message_is_synced_then_moved_then_the_folder_is_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MaildirStore(str(tmp_path))
    store.create(BOB)
    steps = []
    fsync, rename = os.fsync, os.rename

    def note_sync(fd: int) -> None:
        steps.append(
            Path(os.readlink(f"/proc/self/fd/{fd}")).relative_to(tmp_path / "va.toto.fr" / "bob").parts[0]
        )
        fsync(fd)

    def note_rename(source: str, target: str) -> None:
        steps.append("rename")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(os, "rename", note_rename)
    deliver(store, b"x")
    assert steps == ["tmp", "rename", "new"]


@pytest.mark.parametrize("made_by_another", [(), ("va.toto.fr/bob/cur", "va.toto.fr/bob/new")])
def test_a_new_mailbox_is_synced_before_tmp_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made_by_another: tuple[str, ...]
) -> None:
    for folder in made_by_another:
        (tmp_path / folder).mkdir(parents=True)
    synced = []
    fsync = os.fsync

    def note_sync(fd: int) -> None:
        folder = Path(os.readlink(f"/proc/self/fd/{fd}"))
        synced.append((str(folder.relative_to(tmp_path)), (tmp_path / "va.toto.fr/bob/tmp").exists()))
        fsync(fd)

    monkeypatch.setattr(os, "fsync", note_sync)
    MaildirStore(str(tmp_path)).create(BOB)
    assert {folder for folder, tmp_exists in synced if not tmp_exists} == {".", "va.toto.fr", "va.toto.fr/bob"}
    assert synced[-1] == ("va.toto.fr/bob", True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_makes_belongs_to_whom_the_domain_belongs(tmp_path: Path) -> None:
    (tmp_path / "va.toto.fr").mkdir()
    os.chown(tmp_path / "va.toto.fr", 12345, 23456)
    deliver(MaildirStore(str(tmp_path)), b"x", quota=1000)
    deliver(MaildirStore(str(tmp_path)), b"x", quota=1000)
    made = list((tmp_path / "va.toto.fr").rglob("*"))
    assert {path.name for path in made} >= {"bob", "new", "maildirsize"}
    assert {(path.stat().st_uid, path.stat().st_gid) for path in made} == {(12345, 23456)}


@pytest.mark.parametrize("failing", ["fsync", "rename", "writev"])
@pytest.mark.parametrize(
    ("code", "kind"), [(errno.ENOSPC, StoreFull), (errno.EDQUOT, StoreFull), (errno.EIO, StoreFailed)]
)
def test_a_failure_leaves_nothing_to_be_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str, code: int, kind: type[Exception]
) -> None:
    store = MaildirStore(str(tmp_path))
    deliver(store, b"earlier")
    before = files(tmp_path)

    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patched:
        patched.setattr(os, failing, fail)
        with pytest.raises(kind, match=r"cannot deliver to bob@va\.toto\.fr"):
            deliver(store, b"later")
    assert files(tmp_path) == before
    deliver(store, b"later")
    assert len(files(tmp_path)) == 2


def test_a_failure_of_the_last_sync_takes_the_message_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MaildirStore(str(tmp_path))
    store.create(BOB)
    fsync = os.fsync

    def fail_on_folder(fd: int) -> None:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(errno.EIO, "Input/output error")
        fsync(fd)

    monkeypatch.setattr(os, "fsync", fail_on_folder)
    with pytest.raises(StoreFailed):
        deliver(store, b"x")
    assert files(tmp_path) == []


def test_what_is_missing_of_a_maildir_is_made_again(tmp_path: Path) -> None:
    store = MaildirStore(str(tmp_path))
    for missing in ("tmp", "new"):
        store.create(BOB)
        (tmp_path / "va.toto.fr" / "bob" / missing).rmdir()
        deliver(store, b"x")
        for file in files(tmp_path):
            file.unlink()


def test_many_threads_deliver_to_a_mailbox_that_is_not_there_yet(tmp_path: Path) -> None:
    store = MaildirStore(str(tmp_path))
    bodies = [b"%d\n" % number for number in range(40)]
    threads = [threading.Thread(target=deliver, args=(store, body)) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(file.read_bytes() for file in files(tmp_path)) == sorted(bodies)


def test_a_delivery_that_does_not_fit_the_quota_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    store = MaildirStore(str(tmp_path))
    deliver(store, b"x" * 99, quota=300)
    deliver(store, b"x" * 99, header=b"y" * 99 + b"\n", quota=300)
    with pytest.raises(OverQuota, match="300 bytes of a quota of 300"):
        deliver(store, b"x", quota=300)
    assert len([file for file in files(tmp_path) if file.parent.name == "new"]) == 2
    assert [file.name for file in files(tmp_path) if file.parent.name != "new"] == ["maildirsize"]
    deliver(store, b"x", quota=302)


def test_without_a_quota_nothing_is_counted(tmp_path: Path) -> None:
    deliver(MaildirStore(str(tmp_path)), b"x")
    assert [file.parent.name for file in files(tmp_path)] == ["new"]


def test_usage_counts_what_is_there(tmp_path: Path) -> None:
    store = MaildirStore(str(tmp_path))
    assert store.usage(BOB) == Usage(0, 0)
    deliver(store, b"12345\r\n")
    deliver(store, b"123\r\n", header=b"x\n")
    assert store.usage(BOB) == Usage(messages=2, bytes=12)


def test_create_may_be_repeated(tmp_path: Path) -> None:
    store = MaildirStore(str(tmp_path))
    store.create(BOB)
    deliver(store, b"x")
    store.create(BOB)
    assert store.usage(BOB).messages == 1


def test_an_archived_mailbox_keeps_its_mail_and_its_place_is_empty(tmp_path: Path) -> None:
    store = MaildirStore(str(tmp_path))
    for number in (1, 2):
        deliver(store, b"%d" % number)
        place = store.archive(BOB, "20250131")
        assert place == str(tmp_path / ".archive/va.toto.fr/bob.20250131") + (".2" if number == 2 else "")
        (message,) = (Path(place) / "new").iterdir()
        assert message.read_bytes() == b"%d\n" % number
        assert not store.exists(BOB)
    assert stat.S_IMODE((tmp_path / ".archive").stat().st_mode) == 0o700
    assert store.archive(BOB, "20250131") == ""


def test_an_archived_domain_takes_all_its_mailboxes_and_no_others(tmp_path: Path) -> None:
    store = MaildirStore(str(tmp_path))
    others = Mailbox("vb.toto.fr", "bob")
    for mailbox in (BOB, Mailbox("va.toto.fr", "alice"), others):
        deliver(store, b"x", mailbox)
    place = store.archive_domain("va.toto.fr", "20250131")
    assert sorted(os.listdir(place)) == ["alice", "bob"]
    assert not store.exists(BOB)
    assert store.usage(others).messages == 1


def test_removed_is_removed(tmp_path: Path) -> None:
    store = MaildirStore(str(tmp_path))
    alice = Mailbox("va.toto.fr", "alice")
    deliver(store, b"x")
    deliver(store, b"x", alice)
    store.remove(BOB)
    store.remove(BOB)
    assert not store.exists(BOB)
    assert store.usage(alice).messages == 1
    store.remove_domain("va.toto.fr")
    assert not store.exists(alice)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert list((tmp_path / ".archive" / ".removed").iterdir()) == []


def test_a_session_on_a_mailbox_that_is_set_aside_does_not_touch_it(tmp_path: Path) -> None:
    store = MaildirStore(str(tmp_path))
    deliver(store, b"x")
    drop = store.open_maildrop(BOB)
    place = store.archive(BOB, "now")
    assert drop.delete([0]) == 0
    drop.close()
    assert len(os.listdir(f"{place}/new")) == 1


@pytest.mark.parametrize("login", ["", ".", "..", "a/b", "../alice", "a\0b"])
def test_a_login_that_would_leave_its_folder_is_refused(tmp_path: Path, login: str) -> None:
    store = MaildirStore(str(tmp_path))
    deliver(store, b"x", Mailbox("va.toto.fr", "alice"))
    mailbox = Mailbox("va.toto.fr", login)
    with pytest.raises(StoreFailed, match="cannot name a mailbox"):
        deliver(store, b"x", mailbox)
    with pytest.raises(StoreFailed):
        store.open_maildrop(mailbox)
    with pytest.raises(StoreFailed):
        store.remove(mailbox)
    assert store.usage(Mailbox("va.toto.fr", "alice")).messages == 1


@pytest.mark.parametrize("domain", ["", ".archive", "..", "a/b"])
def test_a_domain_that_would_leave_the_spool_is_refused(tmp_path: Path, domain: str) -> None:
    store = MaildirStore(str(tmp_path))
    with pytest.raises(StoreFailed):
        store.remove_domain(domain)
    with pytest.raises(StoreFailed):
        store.create(Mailbox(domain, "bob"))


@pytest.mark.parametrize("stamp", ["", "../..", "a/b"])
def test_a_stamp_is_part_of_one_name(tmp_path: Path, stamp: str) -> None:
    with pytest.raises(StoreFailed):
        MaildirStore(str(tmp_path)).archive(BOB, stamp)


def test_a_file_in_the_place_of_a_mailbox_is_a_failure_everywhere(tmp_path: Path) -> None:
    store = MaildirStore(str(tmp_path))
    (tmp_path / "va.toto.fr").mkdir()
    (tmp_path / "va.toto.fr" / "bob").touch()
    with pytest.raises(StoreFailed, match="cannot deliver"):
        deliver(store, b"x")
    with pytest.raises(StoreFailed, match="cannot open the maildrop"):
        store.open_maildrop(BOB)
    with pytest.raises(StoreFailed, match="cannot create"):
        store.create(BOB)
    with pytest.raises(StoreFailed, match="cannot count"):
        store.usage(BOB)
    (tmp_path / ".archive").touch()
    with pytest.raises(StoreFailed, match="cannot archive"):
        store.archive(BOB, "now")


def test_hosts_in_file_names() -> None:
    assert host_in_names("mx.toto.fr") == "mx.toto.fr"
    assert host_in_names("a/b:c,d") == r"a\057b\072c\054d"
    assert host_in_names("x" * 64) == "x" * 40


def test_errors_of_the_system_are_full_or_failed() -> None:
    assert isinstance(store_failure("x", OSError(errno.ENOSPC, "")), StoreFull)
    assert isinstance(store_failure("x", OSError(errno.EDQUOT, "")), StoreFull)
    assert isinstance(store_failure("x", OSError(errno.EROFS, "")), StoreFailed)
