"""Quota by the Maildir++ rules."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest

from vmaild.core.directory import Quota
from vmaild.store import quota as quota_module
from vmaild.store.content import Content
from vmaild.store.maildir import MaildirStore
from vmaild.store.messages import Mailbox, OverQuota, Terms, Usage
from vmaild.store.quota import Tally, counted, measure, parse_maildirsize, record, recorded


@pytest.fixture
def maildir(tmp_path: Path) -> Path:
    for name in ("tmp", "new", "cur"):
        (tmp_path / "bob" / name).mkdir(parents=True)
    return tmp_path / "bob"


def put(maildir: Path, size: int, quota: int) -> None:
    """Deliver a message of that size as far as the quota is concerned."""
    with counted(str(maildir), size, Quota(quota)):
        (maildir / "new" / f"{time.time_ns()}.a.h,S={size}").touch()


def let_the_clock_step() -> None:
    time.sleep(0.02)  # the kernel's clock for time stamps goes in steps


@pytest.mark.parametrize(
    ("text", "tally"),
    [
        (b"1000S\n10 1\n", Tally(1000, 0, Usage(1, 10), 0)),
        (b"1000S,20C\n10 1\n5 1\n-10 -1\n", Tally(1000, 20, Usage(1, 5), 2)),
        (b"20C,1000S\n0 0\n", Tally(1000, 20, Usage(0, 0), 0)),
        (b"1000S      \n         10 1\n          5 1\n", Tally(1000, 0, Usage(2, 15), 1)),  # as Courier pads
        (b"", None),
        (b"1000S\n", None),
        (b"1000S\n10 1", None),
        (b"1000S\n10 1\n5", None),
        (b"1000S\n10\n", None),
        (b"1000S\n10 1\n-20 -1\n", None),
        (b"1000S\n10 1\n5 -2\n", None),
        (b"1000S\nten 1\n", None),
        (b"much\n10 1\n", None),
        (b"\n10 1\n", None),
        (b"1000S\n\0\0\0\0\0\0\n", None),
    ],
)
def test_maildirsize(text: bytes, tally: Tally | None) -> None:
    assert parse_maildirsize(text) == tally


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("1.a.h,S=12", 12),
        ("1.a.h,S=12,W=13", 12),
        ("1.a.h,W=13,S=12:2,S", 12),
        ("1.a.h,S=12:2,FS", 12),
        ("1.a.h", None),
        ("1.a.h,S=", None),
        ("1.a.h,S=-1", None),
        ("1.a.h,S=1x", None),
        ("1.a.h:2,S", None),
    ],
)
def test_sizes_recorded_in_names(name: str, size: int | None) -> None:
    assert recorded(name, ",S=") == size


def test_measure_counts_folders_but_trash(maildir: Path) -> None:
    for folder in (".", ".Sent", ".Trash", ".Sent.2024"):
        for name in ("new", "cur"):
            (maildir / folder / name).mkdir(parents=True, exist_ok=True)
            (maildir / folder / name / "1.a.h,S=100:2,S").touch()
    (maildir / "new" / "2.a.h").write_bytes(b"12345")
    (maildir / "new" / ".hidden").write_bytes(b"12345")
    (maildir / ".subscriptions").write_bytes(b"12345")
    assert measure(str(maildir)) == Usage(messages=7, bytes=605)
    assert measure(str(maildir / "missing")) == Usage(0, 0)


def test_a_message_that_goes_while_we_count_is_not_counted(maildir: Path) -> None:
    (maildir / "new" / "2.a.h").write_bytes(b"12345")
    real = quota_module._names

    def names_of_the_past(folder: str) -> list[str]:
        return ["1.gone.h", *real(folder)]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(quota_module, "_names", names_of_the_past)
        assert measure(str(maildir)) == Usage(1, 5)


def test_the_file_starts_with_a_count_and_goes_on_with_changes(maildir: Path) -> None:
    (maildir / "cur" / "1.a.h,S=50:2,S").touch()
    put(maildir, 10, 1000)
    assert (maildir / "maildirsize").read_bytes() == b"1000S\n50 1\n10 1\n"
    put(maildir, 20, 1000)
    record(str(maildir), -50, -1)
    assert (maildir / "maildirsize").read_bytes() == b"1000S\n50 1\n10 1\n20 1\n-50 -1\n"
    assert os.listdir(maildir / "tmp") == []


def test_a_quota_may_be_filled_to_the_last_byte(maildir: Path) -> None:
    put(maildir, 60, 100)
    put(maildir, 40, 100)
    with pytest.raises(OverQuota):
        put(maildir, 1, 100)
    assert measure(str(maildir)) == Usage(2, 100)


def test_a_delivery_that_fails_is_not_counted(maildir: Path) -> None:
    put(maildir, 10, 100)
    before = (maildir / "maildirsize").read_bytes()
    with pytest.raises(KeyError), counted(str(maildir), 50, Quota(100)):
        raise KeyError
    assert (maildir / "maildirsize").read_bytes() == before


def test_another_quota_counts_anew(maildir: Path) -> None:
    (maildir / "new" / "1.a.h,S=50").touch()
    (maildir / "maildirsize").write_bytes(b"1000S\n1 1\n")
    put(maildir, 10, 2000)
    assert (maildir / "maildirsize").read_bytes() == b"2000S\n50 1\n10 1\n"
    (maildir / "maildirsize").write_bytes(b"2000S,5C\n1 1\n")
    put(maildir, 10, 2000)
    assert (maildir / "maildirsize").read_bytes() == b"2000S\n60 2\n10 1\n"


def test_a_damaged_or_a_large_file_is_counted_anew(maildir: Path) -> None:
    for content in (b"1000S\ngarbage\n", b"1000S\n0 0\n" + b"0 0\n" * 1280):
        (maildir / "maildirsize").write_bytes(content)
        put(maildir, 10, 1000)
        assert (maildir / "maildirsize").stat().st_size < 50


def test_before_a_refusal_the_mail_is_counted_unless_that_was_just_done(maildir: Path) -> None:
    path = maildir / "maildirsize"
    # Somebody removed mail and said nothing: a count with changes is not believed, one of just now is.
    path.write_bytes(b"100S\n50 1\n40 1\n")
    put(maildir, 20, 100)
    assert path.read_bytes() == b"100S\n0 0\n20 1\n"
    path.write_bytes(b"100S\n90 1\n")
    with pytest.raises(OverQuota):
        put(maildir, 20, 100)
    stale = time.time() - 16 * 60
    os.utime(path, (stale, stale))
    put(maildir, 20, 100)
    assert path.read_bytes() == b"100S\n20 1\n20 1\n"


def test_a_message_larger_than_the_whole_quota_needs_no_count(maildir: Path) -> None:
    with pytest.raises(OverQuota, match="101 bytes"):
        put(maildir, 101, 100)
    assert not (maildir / "maildirsize").exists()


def test_a_count_that_others_overtook_is_not_kept(maildir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = quota_module.measure

    def measure_while_mail_comes(path: str) -> Usage:
        usage = real(path)
        let_the_clock_step()
        (maildir / "new" / "9.late.h,S=5").touch()
        return usage

    monkeypatch.setattr(quota_module, "measure", measure_while_mail_comes)
    put(maildir, 10, 100)
    assert not (maildir / "maildirsize").exists()
    assert os.listdir(maildir / "tmp") == []


def test_a_mailbox_that_is_not_there_yet_is_empty(tmp_path: Path) -> None:
    with counted(str(tmp_path / "new"), 100, Quota(100)):
        pass
    with pytest.raises(OverQuota), counted(str(tmp_path / "new"), 101, Quota(100)):
        pass


def test_without_a_quota_only_a_count_that_is_there_is_kept(maildir: Path) -> None:
    put(maildir, 10, 0)
    assert not (maildir / "maildirsize").exists()
    (maildir / "maildirsize").write_bytes(b"100S\n10 1\n")
    put(maildir, 1000, 0)
    assert (maildir / "maildirsize").read_bytes() == b"100S\n10 1\n1000 1\n"


def test_a_count_does_not_grow_without_end(maildir: Path) -> None:
    (maildir / "maildirsize").write_bytes(b"100S\n" + b"0 0\n" * 1278)
    record(str(maildir), 0, 0)
    assert not (maildir / "maildirsize").exists()


@pytest.mark.parametrize("kind", ["fifo", "link", "dangling", "device", "folder"])
def test_what_is_no_file_in_the_place_of_the_count_holds_nobody_up(
    maildir: Path, tmp_path: Path, kind: str
) -> None:
    place, other = maildir / "maildirsize", tmp_path / "other"
    other.write_bytes(b"100S\n0 0\n")
    match kind:
        case "fifo":
            os.mkfifo(place)
        case "folder":
            place.mkdir()
        case _:
            place.symlink_to({"link": str(other), "dangling": "nowhere", "device": "/dev/zero"}[kind])
    put(maildir, 10, 0)
    put(maildir, 60, 100)
    with pytest.raises(OverQuota):
        put(maildir, 60, 100)
    assert other.read_bytes() == b"100S\n0 0\n"
    assert kind == "folder" or place.read_bytes() == b"100S\n70 2\n"


def test_a_count_that_cannot_be_written_does_not_fail_the_delivery(
    maildir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (maildir / "maildirsize").mkdir()
    record(str(maildir), 10, 1)
    assert "cannot count what changed" in caplog.text
    (maildir / "maildirsize").rmdir()
    (maildir / "maildirsize").write_bytes(b"100S\n10 1\n")

    def fail(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "write", fail)
        record(str(maildir), 10, 1)
    assert "No space left" in caplog.text
    assert not (maildir / "maildirsize").exists()  # it will be counted anew

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "rename", fail)
        put(maildir, 10, 100)
    assert "cannot keep the count" in caplog.text
    assert os.listdir(maildir / "tmp") == []


# -- the mark at which an owner is warned


def passes(maildir: Path, size: int, quota: Quota) -> bool:
    with counted(str(maildir), size, quota, 90) as count:
        (maildir / "new" / f"{time.time_ns()}.a.h,S={size}").touch()
    return count.passed


def test_one_message_passes_the_mark_and_none_after_it(maildir: Path) -> None:
    quota = Quota(1000)
    assert [passes(maildir, size, quota) for size in (500, 399, 1, 50, 50)] == [False, False, True, False, False]


def test_messages_have_a_mark_too(maildir: Path) -> None:
    quota = Quota(0, 10)
    assert [passes(maildir, 1, quota) for _ in range(10)] == [False] * 8 + [True, False]
    with pytest.raises(OverQuota, match="10 messages"):
        passes(maildir, 1, quota)
    assert (maildir / "maildirsize").read_text().startswith("10C\n")


def test_both_limits_stand_in_the_file_and_either_is_enough(maildir: Path) -> None:
    quota = Quota(100, 3)
    assert not passes(maildir, 10, quota)
    assert (maildir / "maildirsize").read_text().startswith("100S,3C\n")
    assert passes(maildir, 80, quota)
    assert not passes(maildir, 1, quota)  # the third of three messages, but the mark was passed before
    with pytest.raises(OverQuota):
        passes(maildir, 1, quota)


def test_once_less_full_it_may_be_passed_again(maildir: Path) -> None:
    quota = Quota(1000)
    assert passes(maildir, 900, quota)
    record(str(maildir), -500, 0)
    assert not passes(maildir, 100, quota)
    assert passes(maildir, 450, quota)


def test_of_deliveries_at_one_moment_exactly_one_passes(maildir: Path) -> None:
    quota = Quota(100_000)
    passes(maildir, 1, quota)
    passed: list[bool] = []
    start = threading.Barrier(8)

    def work() -> None:
        start.wait()
        passed.extend([passes(maildir, 1000, quota) for _ in range(12)])

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(passed), sum(passed)) == (96, 1)


def test_dovecot_agrees(tmp_path: Path) -> None:
    """Ours and Dovecot's deliveries in one maildir, each counted by the other."""
    doveadm = shutil.which("doveadm")
    if doveadm is None:
        pytest.skip("Dovecot is not installed")
    with tempfile.TemporaryDirectory() as name:
        here = Path(name)
        ids = ("nobody", 65534, 65534) if os.geteuid() == 0 else ("user", os.getuid(), os.getgid())
        for folder in ("tmp", "new", "cur"):
            (here / "m" / folder).mkdir(parents=True)
        for path in (here, *here.rglob("*")):
            os.chown(path, ids[1], ids[2])
        (here / "conf").write_text(
            f"base_dir = {here}/base\nlog_path = /dev/stderr\nssl = no\nfirst_valid_uid = 1\nfirst_valid_gid = 1\n"
            f"mail_uid = {ids[1]}\nmail_gid = {ids[2]}\nmail_location = maildir:{here}/m\nmail_plugins = quota\n"
            "plugin {\n  quota = maildir:User quota\n  quota_rule = *:storage=1M:messages=4\n}\n"
        )
        (here / "conf").chmod(0o644)
        (here / "letter").write_text("Subject: x\n\nhello\n")
        (here / "letter").chmod(0o644)

        def dovecot(*command: str) -> str:
            environment = {"USER": ids[0], "HOME": str(here), "PATH": os.environ["PATH"]}
            ran = subprocess.run(
                [doveadm, "-c", str(here / "conf"), "-f", "json", *command],
                env=environment,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert ran.returncode == 0, ran.stderr
            return ran.stdout

        def dovecots() -> tuple[int, int]:
            rows = {row["type"]: row for row in json.loads(dovecot("quota", "get"))}
            assert (rows["STORAGE"]["limit"], rows["MESSAGE"]["limit"]) == ("1024", "4")
            return int(rows["STORAGE"]["value"]), int(rows["MESSAGE"]["value"])

        quota = Quota(1 << 20, 4)
        store = MaildirStore(str(here.parent))
        for _ in range(2):
            with Content(name) as content:
                content.append(b"y" * 99 * 1024 + b"\n")
                content.finish()
                store.deliver(Mailbox(here.name, "m"), b"", content, Terms(quota))
        assert dovecots() == (199, 2)
        dovecot("save", "-m", "INBOX", str(here / "letter"))
        assert dovecots()[1] == 3
        assert passes(here / "m", 1, quota)  # the fourth of four
        with pytest.raises(OverQuota, match="4 messages"):
            passes(here / "m", 1, quota)
