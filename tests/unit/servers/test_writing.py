"""Messages on their way from the event loop to the disk: many in a round, none held up by a large one."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.layouts import laid_out

from vmaild.address import Address
from vmaild.core.site import Site
from vmaild.delivery.agent import Agent
from vmaild.delivery.message import Message
from vmaild.delivery.outside import outside
from vmaild.outcome import Condition, Deferred, Delivered, Outcome
from vmaild.servers.writing import Letter, Writing
from vmaild.store.content import SPILL_AT, Content
from vmaild.store.directory import FileDirectory
from vmaild.store.layout import Layout
from vmaild.store.maildir import MaildirStore
from vmaild.store.messages import Mailbox

LOGINS = [f"u{number}" for number in range(30)]


@pytest.fixture
def here(tmp_path: Path) -> Layout:
    where = laid_out(tmp_path)
    Path(where.definition("va.test")).write_text("")
    Path(where.passwd("va.test")).write_text("".join(f"{login}:x:1:1:::\n" for login in LOGINS))
    store = MaildirStore(where.spool)
    for login in LOGINS:
        store.create(Mailbox("va.test", login))
    return where


@pytest.fixture
def writing(here: Layout) -> Iterator[Writing]:
    agent = Agent(FileDirectory(here), MaildirStore(here.spool), outside(here, Site(), "here.test"))
    with ThreadPoolExecutor(4) as disk, ThreadPoolExecutor(4) as elsewhere:
        yield Writing(agent, disk, elsewhere)


class Post:
    """Takes letters in an event loop, and keeps what is said of them."""

    def __init__(self, writing: Writing, here: Layout) -> None:
        self.writing = writing
        self.here = here
        self.answers: dict[str, list[Outcome]] = {}
        self.some = asyncio.Event()

    def letter(self, login: str, size: int = 100) -> Letter:
        content = Content(self.here.incoming)
        content.append(b"Subject: x\n\n" + b"x" * size + b"\n")
        content.finish()
        _, order = self.writing.agent.accept(Address(login, "va.test"))
        assert order is not None
        message = Message("carol@example.org", b"", content, self.writing.agent.attempt())
        return Letter(message, [order], lambda outcomes: self.back(login, outcomes))

    def back(self, login: str, outcomes: list[Outcome]) -> None:
        self.answers[login] = outcomes
        self.some.set()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(30):
            while len(self.answers) < count:
                await self.some.wait()
                self.some.clear()


def delivered(here: Layout) -> dict[str, int]:
    return {login: len([*Path(here.spool, "va.test", login, "new").iterdir()]) for login in LOGINS}


def test_what_comes_together_is_synced_together(
    here: Layout, writing: Writing, monkeypatch: pytest.MonkeyPatch
) -> None:
    together, fsync = threading.Barrier(5), os.fsync

    def fsync_together(descriptor: int) -> None:
        together.wait(20)  # of one message at a time none would ever be synced
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync_together)

    async def run() -> Post:
        post = Post(writing, here)
        for login in LOGINS:
            writing.deliver(post.letter(login))
        await post.until(len(LOGINS))
        return post

    assert asyncio.run(run()).answers == {login: [Delivered()] for login in LOGINS}
    assert delivered(here) == dict.fromkeys(LOGINS, 1)


def test_small_messages_do_not_wait_for_a_large_one(
    here: Layout, writing: Writing, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync, go_on = os.fsync, threading.Event()

    def fsync_slowly(descriptor: int) -> None:
        if os.fstat(descriptor).st_size > SPILL_AT:
            go_on.wait(30)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync_slowly)

    async def run() -> Post:
        post = Post(writing, here)
        for login in LOGINS:
            writing.deliver(post.letter(login, SPILL_AT + 1 if login in LOGINS[:2] else 100))
        await post.until(len(LOGINS) - 2)
        assert set(LOGINS) - set(post.answers) == set(LOGINS[:2])
        go_on.set()
        await post.until(len(LOGINS))
        return post

    assert asyncio.run(run()).answers == {login: [Delivered()] for login in LOGINS}


def test_rounds_go_on_while_messages_keep_coming(here: Layout, writing: Writing) -> None:
    async def run() -> Post:
        post = Post(writing, here)
        for login in LOGINS:
            writing.deliver(post.letter(login))
            await asyncio.sleep(0.001)
        await post.until(len(LOGINS))
        return post

    assert asyncio.run(run()).answers == {login: [Delivered()] for login in LOGINS}
    assert delivered(here) == dict.fromkeys(LOGINS, 1)


def test_whatever_happens_each_sender_has_an_answer(here: Layout, writing: Writing) -> None:
    Path(here.partial).parent.mkdir(parents=True, exist_ok=True)
    Path(here.partial).write_text("no folder")  # which delivery does not reckon with

    async def run() -> Post:
        post = Post(writing, here)
        letters = [post.letter(login) for login in LOGINS[:4]]
        for letter in letters:
            letter.message.attempt.one_answer = True
            writing.deliver(letter)
        await post.until(4)
        # What may have been done before it happened is told from what was not when they come again.
        assert all(letter.message.attempt.unnoted for letter in letters)
        for login in LOGINS[4:8]:
            writing.deliver(post.letter(login))
        await post.until(8)
        return post

    answers = asyncio.run(run()).answers
    assert [answers[login] for login in LOGINS[:4]] == [[Deferred(Condition.INTERNAL)]] * 4
    assert [answers[login] for login in LOGINS[4:8]] == [[Delivered()]] * 4


def test_where_no_more_threads_are_to_be_had_messages_wait_for_those_that_are_there(
    here: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def run() -> Post:
        with ThreadPoolExecutor(4) as disk, ThreadPoolExecutor(4) as elsewhere:
            disk.submit(int).result()
            agent = Agent(FileDirectory(here), MaildirStore(here.spool), outside(here, Site(), "here.test"))
            post = Post(Writing(agent, disk, elsewhere), here)
            with monkeypatch.context() as short:
                short.setattr(threading.Thread, "start", refuse)
                for _ in range(3):
                    for login in LOGINS:
                        post.writing.deliver(post.letter(login))
                        await asyncio.sleep(0)
                    await post.until(len(LOGINS))
                    post.answers.clear()
            for login in LOGINS:
                post.writing.deliver(post.letter(login))
            await post.until(len(LOGINS))
            return post

    assert asyncio.run(run()).answers == {login: [Delivered()] for login in LOGINS}
    assert delivered(here) == dict.fromkeys(LOGINS, 4)
