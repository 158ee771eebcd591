"""Atomic writes: what a file is before, after, and when something fails in between."""

from __future__ import annotations

import os
import signal
import stat
import threading
from pathlib import Path

import pytest

from vmaild.store.atomic import (
    fsync_folder,
    inherit_owner,
    make_folders,
    remove_durably,
    write_atomically,
    write_fully,
)

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


def permissions(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid


def test_a_new_file_has_the_mode_asked_for_whatever_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        write_atomically(str(tmp_path / "plain"), b"x")
        write_atomically(str(tmp_path / "secret"), b"x", mode=0o600)
        write_atomically(str(tmp_path / "public"), b"x", mode=0o644)
    finally:
        os.umask(old)
    assert [permissions(tmp_path / name)[0] for name in ("plain", "secret", "public")] == [0o640, 0o600, 0o644]


def test_an_existing_file_keeps_its_mode_and_gets_the_new_content(tmp_path: Path) -> None:
    path = tmp_path / "shadow.va.toto.fr"
    path.write_bytes(b"old")
    path.chmod(0o4604)
    write_atomically(str(path), b"new" * 100_000, mode=0o666)
    assert path.read_bytes() == b"new" * 100_000
    assert permissions(path)[0] == 0o4604
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@as_root
def test_an_existing_file_keeps_owner_and_group(tmp_path: Path) -> None:
    path = tmp_path / "aliases"
    path.write_bytes(b"")
    os.chown(path, 12345, 23456)
    write_atomically(str(path), b"x", durable=False)
    assert permissions(path)[1:] == (12345, 23456)


@as_root
def test_new_files_and_folders_of_root_belong_to_whom_their_folder_belongs(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, 23456)
    write_atomically(str(tmp_path / "file"), b"x")
    make_folders(str(tmp_path / "a" / "b"), 0o750)
    for name in ("file", "a", "a/b"):
        assert permissions(tmp_path / name)[1:] == (12345, 23456)


def test_a_symbolic_link_stays_and_the_file_behind_it_changes(tmp_path: Path) -> None:
    real = tmp_path / "real" / "file"
    make_folders(str(real.parent), 0o755)
    real.write_bytes(b"old")
    link = tmp_path / "link"
    link.symlink_to("real/file")
    write_atomically(str(link), b"new")
    assert link.is_symlink()
    assert real.read_bytes() == b"new"
    assert sorted(entry.name for entry in real.parent.iterdir()) == ["file"]


@as_root
@pytest.mark.parametrize("way", ["file", "new", "folder"])
def test_nobody_leads_root_to_files_of_others(tmp_path: Path, way: str) -> None:
    """A home may be its user's to write in, and root writes there, too."""
    home, secret = tmp_path / "home", tmp_path / "secret"
    secret.mkdir()
    there = secret / "forward"
    if way != "new":
        there.write_bytes(b"root's")
    if way == "folder":
        home.symlink_to(secret)
    else:
        home.mkdir()
        (home / "forward").symlink_to(there)
    link = home if way == "folder" else home / "forward"
    os.lchown(link, 12345, 12345)
    with pytest.raises(PermissionError, match="a symbolic link of somebody else leads there"):
        write_atomically(str(home / "forward"), b"x")
    assert [path.read_bytes() for path in secret.iterdir()] == ([] if way == "new" else [b"root's"])
    # Whose the file is, or the folder that it is to be made in, may lead there.
    os.chown(secret if way == "new" else there, 12345, 12345)
    write_atomically(str(home / "forward"), b"x")
    assert there.read_bytes() == b"x"
    assert permissions(there)[1] == 12345
    assert link.is_symlink()


def test_a_failure_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="file") as failed:
        write_atomically(str(tmp_path / ("file" * 70)), b"x")
    assert failed.value.filename == str(tmp_path / ("file" * 70))
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError, match=str(tmp_path / "folder")):
        write_atomically(str(tmp_path / "folder"), b"x")


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "taken"
    folder.mkdir()
    (folder / "inside").touch()
    with pytest.raises(IsADirectoryError):
        write_atomically(str(folder), b"x")
    assert [entry.name for entry in tmp_path.iterdir()] == ["taken"]
    with pytest.raises(FileNotFoundError):
        write_atomically(str(tmp_path / "missing" / "file"), b"x")


def test_a_failure_while_writing_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail(_fd: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output"):
        write_atomically(str(path), b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_file_and_folder_are_synced_in_this_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    fsync, rename = os.fsync, os.rename

    def note_sync(fd: int) -> None:
        synced.append("folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file")
        fsync(fd)

    def note_rename(source: str, target: str) -> None:
        synced.append("rename")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(os, "rename", note_rename)
    write_atomically(str(tmp_path / "file"), b"x")
    assert synced == ["file", "rename", "folder"]
    synced.clear()
    write_atomically(str(tmp_path / "file"), b"x", durable=False)
    assert synced == ["rename"]
    synced.clear()
    remove_durably(str(tmp_path / "file"))
    assert synced == ["folder"]
    assert not (tmp_path / "file").exists()


def test_make_folders_gives_each_folder_the_mode_and_leaves_those_that_exist(tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir(mode=0o711)
    old = os.umask(0o077)
    try:
        make_folders(str(top / "a" / "b"), 0o755)
    finally:
        os.umask(old)
    make_folders(str(top / "a" / "b"), 0o700)
    assert [permissions(path)[0] for path in (top, top / "a", top / "a" / "b")] == [0o711, 0o755, 0o755]


def test_make_folders_says_when_a_file_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        make_folders(str(tmp_path / "file"), 0o755)
    with pytest.raises(OSError, match="file"):
        make_folders(str(tmp_path / "file" / "below"), 0o755)


def test_fsync_folder_takes_folders_only(tmp_path: Path) -> None:
    fsync_folder(str(tmp_path))
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        fsync_folder(str(tmp_path / "file"))


def test_who_is_not_root_gives_nothing_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    before = permissions(tmp_path)
    inherit_owner(str(tmp_path), "/does/not/matter")
    assert permissions(tmp_path) == before


def test_write_fully_goes_on_where_the_system_stopped() -> None:
    reader, writer = os.pipe()
    parts = [b"a" * 300_000, b"", b"b" * 300_000]  # more than a pipe holds
    received: list[bytes] = []

    def read() -> None:
        with open(reader, "rb") as pipe:
            received.append(pipe.read())

    thread = threading.Thread(target=read)
    thread.start()
    # A signal handler that runs while writev(2) waits makes it return early.
    old = signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        write_fully(writer, parts)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
        os.close(writer)
    thread.join()
    assert received == [b"".join(parts)]
