"""A disk without space, without inodes, or read-only: refused for now, nothing half done, nothing lost."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from tests.e2e import clients
from tests.e2e.clients import send
from tests.served import Root, start

from vmaild.core.directory import Quota
from vmaild.store.atomic import write_atomically
from vmaild.store.content import Content
from vmaild.store.maildir import MaildirStore
from vmaild.store.messages import Mailbox, StoreFailed, StoreFull, Terms, Usage

BOB = Mailbox("va.toto.fr", "bob")
EARLIER = b"Subject: earlier\n\nsafe\n"
Mount = Callable[[str], Path]


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    """Mounts a tmpfs with the given options (tmpfs(5)) for the time of a test."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    place = tmp_path / "disk"
    place.mkdir()
    mounted = []

    def mount_tmpfs(options: str) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", options, "vmaild-test", str(place)]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        if ran.returncode:
            pytest.skip(f"no small disk can be mounted here: {ran.stderr.strip()}")
        mounted.append(place)
        return place

    yield mount_tmpfs
    for disk in mounted:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def deliver(store: MaildirStore, body: bytes, mailbox: Mailbox = BOB, quota: int = 0) -> None:
    with Content("/tmp") as content:
        content.append(body)
        content.finish()
        store.deliver(mailbox, b"", content, Terms(Quota(quota)))


def fill_space(disk: Path) -> Path:
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    assert os.statvfs(disk).f_bfree == 0
    return filler


def fill_inodes(disk: Path) -> list[Path]:
    fillers: list[Path] = []
    with suppress(OSError):
        while True:
            filler = disk / f"filler{len(fillers)}"
            filler.touch()
            fillers.append(filler)
    assert os.statvfs(disk).f_ffree == 0
    return fillers


def tree(disk: Path) -> list[str]:
    return sorted(str(path) for path in disk.rglob("*"))


def fetch(store: MaildirStore) -> list[bytes]:
    drop = store.open_maildrop(BOB)
    found = []
    for index in range(len(drop.uids)):
        with drop.open_message(index) as source:
            found.append(source.read())
    drop.close()
    return found


@pytest.mark.parametrize("quota", [0, 10_000_000])
@pytest.mark.parametrize("size", [10, 20_000, 1_000_000])
def test_no_space(mount: Mount, size: int, quota: int) -> None:
    disk = mount("size=512k")
    store = MaildirStore(str(disk))
    deliver(store, EARLIER, quota=quota)
    filler = fill_space(disk)
    before = tree(disk)
    with pytest.raises(StoreFull):
        deliver(store, b"x" * size, quota=quota)
    assert tree(disk) == before
    assert fetch(store) == [EARLIER]
    filler.unlink()
    deliver(store, b"later\n", quota=quota)
    assert fetch(store) == [EARLIER, b"later\n"]


def test_space_that_ends_in_the_middle_of_a_message(mount: Mount) -> None:
    disk = mount("size=512k")
    store = MaildirStore(str(disk))
    deliver(store, EARLIER)
    before = tree(disk)
    for size in (100_000, 200_000, 400_000, 1_000_000):
        (disk / "filler").write_bytes(b"x" * 430_000)
        with pytest.raises(StoreFull):
            deliver(store, b"x" * size)
        (disk / "filler").unlink()
        assert tree(disk) == before
    assert fetch(store) == [EARLIER]


def test_deleting_mail_makes_room_on_a_full_disk(mount: Mount) -> None:
    disk = mount("size=512k")
    store = MaildirStore(str(disk))
    deliver(store, b"x" * 50_000, quota=400_000)
    fill_space(disk)
    drop = store.open_maildrop(BOB)
    assert drop.delete([0]) == 0
    drop.close()
    deliver(store, b"y" * 30_000, quota=400_000)
    assert fetch(store) == [b"y" * 30_000 + b"\n"]
    assert store.usage(BOB) == Usage(1, 30_001)


def test_no_inodes(mount: Mount) -> None:
    disk = mount("nr_inodes=60")
    store = MaildirStore(str(disk))
    deliver(store, EARLIER)
    fillers = fill_inodes(disk)
    before = tree(disk)
    with pytest.raises(StoreFull):
        deliver(store, b"later\n")
    assert tree(disk) == before
    assert fetch(store) == [EARLIER]
    fillers.pop().unlink()
    deliver(store, b"later\n")
    assert fetch(store) == [EARLIER, b"later\n"]


@pytest.mark.parametrize("left", range(4))
def test_a_mailbox_that_cannot_be_made_is_made_later(mount: Mount, left: int) -> None:
    disk = mount("nr_inodes=60")
    store = MaildirStore(str(disk))
    fillers = fill_inodes(disk)
    for _ in range(left):  # the domain, the mailbox, cur, new: one is always missing
        fillers.pop().unlink()
    with pytest.raises(StoreFull):
        deliver(store, b"x\n")
    with pytest.raises(StoreFull):
        store.open_maildrop(BOB)
    with pytest.raises(StoreFull):
        store.create(BOB)
    for filler in fillers:
        filler.unlink()
    deliver(store, b"x\n")
    assert fetch(store) == [b"x\n"]


def test_content_that_does_not_fit_on_disk_is_refused_when_it_comes(mount: Mount) -> None:
    disk = mount("size=512k")
    fill_space(disk)
    with Content(str(disk), spill_at=1000) as content, pytest.raises(StoreFull):
        content.append(b"x" * 1001)
    assert tree(disk) == [str(disk / "filler")]


def test_an_atomic_write_without_space_leaves_the_old_file(mount: Mount) -> None:
    disk = mount("size=512k")
    write_atomically(str(disk / "passwd"), b"old")
    filler = fill_space(disk)
    with pytest.raises(OSError, match="No space"):
        write_atomically(str(disk / "passwd"), b"new" * 10_000)
    assert tree(disk) == [str(filler), str(disk / "passwd")]
    assert (disk / "passwd").read_bytes() == b"old"


def test_a_spool_that_is_read_only_can_still_be_read(mount: Mount) -> None:
    disk = mount("size=512k")
    store = MaildirStore(str(disk))
    deliver(store, EARLIER)
    before = tree(disk)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    for quota in (0, 1000):
        with pytest.raises(StoreFailed, match="Read-only"):
            deliver(store, b"later\n", quota=quota)
    with pytest.raises(StoreFailed, match="Read-only"):
        store.create(Mailbox("va.toto.fr", "alice"))
    with pytest.raises(StoreFailed, match="Read-only"):
        store.archive(BOB, "now")
    with pytest.raises(StoreFailed, match="Read-only"):
        store.remove(BOB)
    assert fetch(store) == [EARLIER]
    drop = store.open_maildrop(BOB)
    assert drop.delete([0]) == 1
    drop.close()
    assert tree(disk) == before


SMALL, LARGE = b"Subject: small\r\n\r\nHello.\r\n", b"Subject: large\r\n\r\n" + b"0123456789abcdef\r\n" * 40_000
EVERYWHERE = ("bob@va.toto.fr", "team@va.toto.fr", "bob+x@vb.toto.fr", "anybody@vb.toto.fr")
"""A mailbox with a quota, a list, a sub-address, the fallback."""


def test_served(mount: Mount, root: Root) -> None:
    """The disk of the root fills up, log included, and then the spool is read-only: mail waits, and is read."""
    disk = mount("size=8m")
    shutil.move(root.path, disk / "r")
    root = replace(root, path=disk / "r")
    root.empty()
    spool = str(root.path / "var/spool/vmail")
    subprocess.run(["mount", "--bind", spool, spool], check=True)  # goes with the disk
    served = start(root)
    try:
        workers = served.workers()
        assert all(answer.startswith("250") for answer in send(root, SMALL, *EVERYWHERE))
        before = root.everything_stored()
        filler = fill_space(disk)
        for content in (SMALL, LARGE):
            answers = send(root, content, *EVERYWHERE)
            assert [answer[:3] for answer in answers] == ["452"] * len(EVERYWHERE), answers
        assert root.vdeliver(SMALL, "bob@va.toto.fr").returncode == 75
        assert root.everything_stored() == before
        assert len(clients.fetch(root, "bob@va.toto.fr")) == before["bob@va.toto.fr"]
        filler.unlink()
        assert all(answer.startswith("250") for answer in send(root, LARGE, "bob@vb.toto.fr", "alice@vb.toto.fr"))
        subprocess.run(["mount", "-o", "remount,bind,ro", spool], check=True)
        for content in (SMALL, LARGE):
            answers = send(root, content, *EVERYWHERE)
            assert [answer[:3] for answer in answers] == ["451"] * len(EVERYWHERE), answers
        assert root.vdeliver(SMALL, "bob@va.toto.fr").returncode == 75
        assert len(clients.fetch(root, "bob@va.toto.fr")) == before["bob@va.toto.fr"]
        subprocess.run(["mount", "-o", "remount,bind,rw", spool], check=True)
        assert all(answer.startswith("250") for answer in send(root, SMALL, *EVERYWHERE))
        assert root.everything_stored() == {
            account: count * 2 + account.endswith("@vb.toto.fr") for account, count in before.items()
        }
        assert served.workers() == workers
    finally:
        served.stop()
