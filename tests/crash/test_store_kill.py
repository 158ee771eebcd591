"""SIGKILL at every step of a delivery, and many deliveries at once.

What was answered is there exactly once and whole; what was not is there whole or not at all. This file is also
the program that is killed: it forks once per step, and each child kills itself just before its nth call
that touches the disk (in the middle of it, where it writes).
"""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from vmaild.core.directory import Quota
from vmaild.store.atomic import write_atomically
from vmaild.store.content import Content
from vmaild.store.maildir import MaildirStore
from vmaild.store.messages import Mailbox, MaildropBusy, MessageGone, Once, Terms
from vmaild.store.unanswered import Unanswered

STEPS = (
    "open",
    "mkdir",
    "chmod",
    "writev",
    "write",
    "copy_file_range",
    "fsync",
    "close",
    "rename",
    "unlink",
    "fchmod",
    "pwrite",
    "link",
)
EARLIER = b"X-Earlier: yes\n\nsafe\n"
HEADER = b"Return-Path: <>\n"
BODIES = {
    "small": b"Subject: x\n\n" + b"0123456789\n" * 300,
    "large": b"Subject: x\n\n" + b"0123456789\n" * 60_000,
}


def deliver(store: MaildirStore, mailbox: Mailbox, header: bytes, body: bytes, quota: int = 0) -> None:
    with Content("/tmp") as content:
        content.append(body)
        content.finish()
        store.deliver(mailbox, header, content, Terms(Quota(quota)))


# The program that is killed


def die_at(step: int) -> None:
    """Have this process kill itself at its nth call that touches the disk."""
    calls = [0]

    def fatal(call: Callable[..., Any], name: str, *args: Any, **options: Any) -> Any:
        calls[0] += 1
        if calls[0] == step:
            if name in {"write", "writev"}:
                data = b"".join(args[1]) if name == "writev" else bytes(args[1])
                real_write(args[0], data[: len(data) // 2])
            if name == "copy_file_range":
                call(args[0], args[1], args[2] // 2, *args[3:])
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **options)

    real_write = os.write
    for name in STEPS:
        setattr(os, name, functools.partial(fatal, getattr(os, name), name))


def survives(step: int, act: Callable[[], None]) -> tuple[bool, bool]:
    """Act in a child that dies at a step; whether it survived, and whether it said that it was done."""
    reader, writer = os.pipe()
    answer = os.write
    pid = os.fork()
    if pid == 0:
        die_at(step)
        act()
        answer(writer, b"250")
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as pipe:
        answered = pipe.read() == b"250"
    status = os.waitpid(pid, 0)[1]
    if status not in {0, signal.SIGKILL}:
        raise SystemExit(f"the child at step {step} failed by itself: {status}")
    return status == 0, answered


def kill_delivery(spool: str, situation: str, size: str, quota: str) -> None:
    """Deliver to one mailbox per step, dying there; print for each step whether the delivery was answered."""
    store = MaildirStore(spool)
    answers: list[bool] = []
    survived = False
    while not survived:
        step = len(answers) + 1
        mailbox = Mailbox("va.toto.fr", f"box{step}")
        if situation == "used":
            deliver(store, mailbox, b"", EARLIER, int(quota))
        act = functools.partial(deliver, store, mailbox, HEADER, BODIES[size], int(quota))
        survived, answered = survives(step, act)
        answers.append(answered)
    print(json.dumps(answers))


def deliver_once(store: MaildirStore, mailbox: Mailbox, body: bytes) -> Once:
    once = Once(f"{mailbox} {body!r}")
    with Content("/tmp") as content:
        content.append(body)
        content.finish()
        store.deliver(mailbox, HEADER, content, Terms(Quota(10_000_000)), once)
    return once


def kill_once(folder: str, size: str) -> None:
    """As kill_delivery, with a key; then bring again what was not answered, from this process."""
    store = MaildirStore(f"{folder}/spool", Unanswered(f"{folder}/run/unanswered"))
    os.makedirs(f"{folder}/spool")
    answers: list[bool] = []
    survived = False
    while not survived:
        mailbox = Mailbox("va.toto.fr", f"box{len(answers) + 1}")
        act = functools.partial(deliver_once, store, mailbox, BODIES[size])
        survived, answered = survives(len(answers) + 1, act)  # type: ignore[arg-type]
        answers.append(answered)
        if not answered:
            store.answered([deliver_once(store, mailbox, BODIES[size])])
    print(json.dumps(answers))


def write_new(path: Path) -> None:
    write_atomically(str(path), b"new" * 10_000)


def kill_write(folder: str) -> None:
    """Replace one file per step, dying there."""
    answers: list[bool] = []
    survived = False
    while not survived:
        path = Path(folder, f"file{len(answers) + 1}")
        path.write_bytes(b"old")
        survived, answered = survives(len(answers) + 1, functools.partial(write_new, path))
        answers.append(answered)
    print(json.dumps(answers))


def deliver_many(spool: str, name: str, count: str) -> None:
    """Deliver numbered messages and print the number of each that was accepted."""
    store = MaildirStore(spool)
    for number in range(int(count)):
        deliver(store, Mailbox("va.toto.fr", "bob"), b"", f"{name} {number}\n".encode() * 200)
        print(f"{name} {number}", flush=True)


def run_self(*arguments: str) -> list[str]:
    return [sys.executable, __file__, *arguments]


# The tests


def messages_in(store: MaildirStore, mailbox: Mailbox) -> list[bytes]:
    drop = store.open_maildrop(mailbox)
    found = []
    for index, size in enumerate(drop.sizes):
        with drop.open_message(index) as source:
            found.append(source.read())
        assert size == len(found[-1]) + found[-1].count(b"\n")
    drop.close()
    return found


@pytest.mark.parametrize(
    ("situation", "size", "quota"),
    [("new", "small", 0), ("used", "small", 0), ("used", "large", 0), ("used", "small", 1_000_000)],
)
def test_a_delivery_killed_at_any_step(tmp_path: Path, situation: str, size: str, quota: int) -> None:
    ran = subprocess.run(
        run_self("kill-delivery", str(tmp_path), situation, size, str(quota)), capture_output=True, check=True
    )
    answers = json.loads(ran.stdout)
    assert len(answers) > 6
    store = MaildirStore(str(tmp_path))
    outcomes = set()
    earlier = [EARLIER] if situation == "used" else []
    for step, answered in enumerate(answers, start=1):
        mailbox = Mailbox("va.toto.fr", f"box{step}")
        found = messages_in(store, mailbox)
        assert found in (earlier, [*earlier, HEADER + BODIES[size]])
        outcomes.add((answered, len(found) - len(earlier)))
        # The next delivery finds all as it should be.
        deliver(store, mailbox, b"", b"next\n", quota)
        assert messages_in(store, mailbox) == [*found, b"next\n"]
    assert outcomes == {(False, 0), (False, 1), (True, 1)}
    assert answers[-1]


@pytest.mark.parametrize("size", ["small", "large"])
def test_what_a_killed_delivery_has_put_there_is_not_put_there_again(tmp_path: Path, size: str) -> None:
    ran = subprocess.run(run_self("kill-once", str(tmp_path), size), capture_output=True, check=True)
    answers = json.loads(ran.stdout)
    store = MaildirStore(f"{tmp_path}/spool", Unanswered(f"{tmp_path}/run/unanswered"))
    assert answers.count(False) > 6
    for step in range(1, len(answers) + 1):
        mailbox = Mailbox("va.toto.fr", f"box{step}")
        assert messages_in(store, mailbox) == [HEADER + BODIES[size]], f"killed at step {step}"
    # Each was answered in the end, but for the one of the last process, which did not come to say so.
    left = [name for name in os.listdir(tmp_path / "run/unanswered") if name[0] != "."]
    assert len(left) == answers.count(True)
    # What was answered is another message the next time.
    mailbox = Mailbox("va.toto.fr", "box1")
    for _ in range(2):
        store.answered([deliver_once(store, mailbox, BODIES[size])])
    assert len(messages_in(store, mailbox)) == 3


def test_an_atomic_write_killed_at_any_step(tmp_path: Path) -> None:
    ran = subprocess.run(run_self("kill-write", str(tmp_path)), capture_output=True, check=True)
    answers = json.loads(ran.stdout)
    contents = [(tmp_path / f"file{step}").read_bytes() for step in range(1, len(answers) + 1)]
    assert set(contents) == {b"old", b"new" * 10_000}
    assert all(content != b"old" for content, answered in zip(contents, answers, strict=True) if answered)
    assert answers[-1]


def fetch_and_delete(store: MaildirStore, mailbox: Mailbox, seen: list[bytes]) -> None:
    """One POP3 session that takes all there is."""
    drop = store.open_maildrop(mailbox)
    for index in range(len(drop.uids)):
        with drop.open_message(index) as source:
            seen.append(source.read())
    assert drop.delete(range(len(drop.uids))) == 0
    drop.close()


def test_deliveries_sessions_and_an_imap_server_at_once(tmp_path: Path) -> None:
    store, mailbox = MaildirStore(str(tmp_path)), Mailbox("va.toto.fr", "bob")
    store.create(mailbox)
    seen: list[bytes] = []
    faults: list[BaseException] = []
    over = threading.Event()

    def poll() -> None:
        while not over.is_set():
            try:
                fetch_and_delete(store, mailbox, seen)
            except MaildropBusy:
                time.sleep(0.001)
            except (AssertionError, MessageGone) as fault:
                faults.append(fault)

    def mark_as_seen() -> None:
        folder = tmp_path / "va.toto.fr" / "bob"
        while not over.is_set():
            for name in os.listdir(folder / "new"):
                with suppress(FileNotFoundError):
                    (folder / "new" / name).rename(folder / "cur" / f"{name}:2,S")
            time.sleep(0.002)

    threads = [threading.Thread(target=target) for target in (poll, poll, mark_as_seen)]
    for thread in threads:
        thread.start()
    deliveries = [
        subprocess.Popen(run_self("deliver", str(tmp_path), name, "60"), stdout=subprocess.PIPE) for name in "abc"
    ]
    accepted = [delivery.communicate()[0] for delivery in deliveries]
    over.set()
    for thread in threads:
        thread.join()
    fetch_and_delete(store, mailbox, seen)
    assert faults == []
    lines = b"".join(accepted).splitlines(keepends=True)
    assert len(lines) == 180
    assert Counter(seen) == Counter(line * 200 for line in lines)
    assert store.usage(mailbox).messages == 0


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["kill-delivery", *arguments]:
            kill_delivery(*arguments)
        case ["kill-once", *arguments]:
            kill_once(*arguments)
        case ["kill-write", folder]:
            kill_write(folder)
        case ["deliver", *arguments]:
            deliver_many(*arguments)
