from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from vmaild.store.content import Content
from vmaild.store.maildir import MaildirStore
from vmaild.store.messages import FREELY, Mailbox, Once
from vmaild.store.unanswered import KEPT, Unanswered

BOB = Mailbox("va.test", "bob")
BODY = b"Subject: hello\n\nHello.\n"


@pytest.fixture
def store(tmp_path: Path) -> MaildirStore:
    (tmp_path / "spool").mkdir()
    return MaildirStore(str(tmp_path / "spool"), Unanswered(str(tmp_path / "run/vmail/unanswered")))


def put(store: MaildirStore, key: str = "key") -> Once:
    once = Once(key)
    with Content("/tmp") as content:
        content.append(BODY)
        content.finish()
        store.deliver(BOB, b"", content, FREELY, once)
    return once


def notes(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "run/vmail/unanswered").iterdir() if path.name[0] != "."]


def stored(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "spool/va.test/bob").rglob("*") if path.is_file()]


def as_killed(tmp_path: Path, boot: str = "") -> None:
    """As if the process of the note had been killed."""
    (note,) = notes(tmp_path)
    old, _, _, path = note.read_text().partition("\n")[0].split(":", 3)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    note.unlink()
    note.write_text(f"{boot or old}:{gone.pid}:1:{path}\n")


def test_the_same_words_twice_are_two_messages(store: MaildirStore, tmp_path: Path) -> None:
    first, second = put(store), put(store)
    assert len(stored(tmp_path)) == 2
    assert (bool(first.note), bool(second.note)) == (True, False)
    store.answered([second])  # must not take the note of the first
    assert len(notes(tmp_path)) == 1
    store.answered([first])
    assert notes(tmp_path) == []
    store.answered([put(store)])
    assert len(stored(tmp_path)) == 3


def test_what_was_not_answered_is_there_already(store: MaildirStore, tmp_path: Path) -> None:
    put(store)
    as_killed(tmp_path)
    put(store, "another key")
    again = put(store)
    assert len(stored(tmp_path)) == 2
    store.answered([again])
    put(store)
    assert len(stored(tmp_path)) == 3


def test_it_is_there_also_when_it_was_fetched_meanwhile(store: MaildirStore, tmp_path: Path) -> None:
    put(store)
    as_killed(tmp_path)
    stored(tmp_path)[0].unlink()
    put(store)
    assert stored(tmp_path) == []


def test_a_sender_that_went_without_its_answer_brings_it_again(store: MaildirStore, tmp_path: Path) -> None:
    store.abandoned([put(store)])
    store.abandoned([put(store)])
    store.answered([put(store)])
    assert len(stored(tmp_path)) == 1
    assert notes(tmp_path) == []


def test_what_never_got_there_is_delivered_and_cleared_away(store: MaildirStore, tmp_path: Path) -> None:
    put(store)
    as_killed(tmp_path)
    (path,) = stored(tmp_path)
    left = path.rename(path.parent.parent / "tmp" / path.name)
    put(store)
    assert not left.exists()
    assert [path.parent.name for path in stored(tmp_path)] == ["new"]


@pytest.mark.parametrize("boot", ["another boot", ""])
def test_a_note_is_of_this_boot_and_not_old(store: MaildirStore, tmp_path: Path, boot: str) -> None:
    put(store)
    as_killed(tmp_path, boot)
    if not boot:
        old = time.time() - KEPT - 60
        os.utime(notes(tmp_path)[0], (old, old))
    put(store)
    assert len(stored(tmp_path)) == 2


def test_mail_comes_also_where_nothing_can_be_noted(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "file").touch()
    ours = MaildirStore(str(tmp_path / "spool"), Unanswered(str(tmp_path / "file/unanswered")))
    ours.answered([put(ours)])
    assert len(stored(tmp_path)) == 1


def test_what_could_not_be_delivered_leaves_no_note(
    store: MaildirStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.create(BOB)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", full)
        with pytest.raises(Exception, match="No space"):
            put(store)
    assert notes(tmp_path) == []
    put(store)
    assert len(stored(tmp_path)) == 1


def test_a_process_that_ends_leaves_no_files_and_clears_those_of_the_killed(tmp_path: Path) -> None:
    folder = tmp_path / "unanswered"
    program = (
        "import os, sys; from vmaild.store.unanswered import Unanswered; from vmaild.store.messages import Once\n"
        f"notes = Unanswered({str(folder)!r}); some = [Once(f'k{{n}}') for n in range(9)]\n"
        "for once in some: notes.note(once, '/nowhere')\n"
        "notes.answered(some[:3]); notes.abandoned(some[3:6])\n"
        "sys.argv[1:] and os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", program, "killed"], check=True)
    assert len(list(folder.iterdir())) == 6 + 6
    subprocess.run([sys.executable, "-c", program], check=True)
    # Three are abandoned, and three were not answered: of both processes the same.
    assert len(list(folder.iterdir())) == 6


def test_threads_that_begin_at_once(tmp_path: Path) -> None:
    for attempt in range(20):
        notes = Unanswered(str(tmp_path / f"u{attempt}"))
        each = [Once(str(number)) for number in range(16)]
        ready = threading.Barrier(len(each))

        def act(once: Once, notes: Unanswered = notes, ready: threading.Barrier = ready) -> None:
            ready.wait()
            notes.note(once, "/nowhere")

        threads = [threading.Thread(target=act, args=(once,)) for once in each]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(once.note for once in each)
        notes.answered(each)
        assert [path.name[0] for path in (tmp_path / f"u{attempt}").iterdir()] == ["."] * 16


def test_files_are_used_again(store: MaildirStore, tmp_path: Path) -> None:
    for _ in range(20):
        store.answered([put(store)])
    assert len(list((tmp_path / "run/vmail/unanswered").iterdir())) == 1
