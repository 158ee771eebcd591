"""One message for many: its copies are written at the same time, and each recipient has an answer of its own."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.layouts import laid_out

from vmaild.address import Address
from vmaild.core.site import Site
from vmaild.delivery.agent import Agent, Order
from vmaild.delivery.outside import outside
from vmaild.outcome import Condition, Deferred, Delivered, Outcome, Rejected
from vmaild.store.content import Content
from vmaild.store.directory import FileDirectory
from vmaild.store.layout import Layout
from vmaild.store.maildir import MaildirStore
from vmaild.store.messages import Mailbox

LOGINS = [f"u{number}" for number in range(40)]


@pytest.fixture
def here(tmp_path: Path) -> Layout:
    where = laid_out(tmp_path)
    Path(where.definition("va.test")).write_text("")
    Path(where.passwd("va.test")).write_text("".join(f"{login}:x:1:1:,,,,quota=1k::\n" for login in LOGINS))
    Path(where.aliases("va.test")).write_text(f"all: {', '.join(LOGINS)}\nsome: u1, u2\n")
    return where


@pytest.fixture
def content(here: Layout) -> Iterator[Content]:
    with closing(Content(here.incoming)) as message:
        message.append(b"Subject: to all\n\n" + b"Hello.\n" * 40)
        message.finish()
        yield message


def deliver(here: Layout, content: Content, names: list[str]) -> list[Outcome]:
    agent = Agent(FileDirectory(here), MaildirStore(here.spool), outside(here, Site(), "here.test"))
    orders: list[Order] = []
    for name in names:
        _, order = agent.accept(Address(name, "va.test"))
        assert order is not None
        orders.append(order)
    return agent.deliver("carol@example.org", b"", orders, content)


def copies(here: Layout) -> dict[str, int]:
    return {login: len(list(Path(here.spool, "va.test", login).glob("new/*"))) for login in LOGINS}


@pytest.mark.parametrize("names", [LOGINS, ["all"]])
def test_copies_are_synced_at_the_same_time(
    here: Layout, content: Content, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MaildirStore(here.spool)
    for login in LOGINS:
        store.create(Mailbox("va.test", login))
    several, fsync = threading.Barrier(4), os.fsync

    def fsync_together(descriptor: int) -> None:
        several.wait(20)  # nothing is synced before several are about to be
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync_together)
    outcomes = deliver(here, content, names)
    assert outcomes == [Delivered()] * len(names)
    assert copies(here) == dict.fromkeys(LOGINS, 1)


def test_whoever_is_named_by_several_recipients_gets_one_copy(here: Layout, content: Content) -> None:
    outcomes = deliver(here, content, [*LOGINS, "some", "u1", "all", *LOGINS])
    assert outcomes == [Delivered()] * (2 * len(LOGINS) + 3)
    assert copies(here) == dict.fromkeys(LOGINS, 1)


def test_each_recipient_has_its_own_answer_in_their_order(here: Layout, content: Content) -> None:
    full, broken = LOGINS[3], LOGINS[17]
    for name in ("tmp", "new", "cur"):
        Path(here.spool, "va.test", full, name).mkdir(parents=True)
    Path(here.spool, "va.test", full, "cur", "1.a.here,S=900:2,").write_bytes(b"x" * 900)
    Path(here.spool, "va.test", broken).write_text("no folder")
    outcomes = deliver(here, content, LOGINS)
    wanted: list[Outcome] = [Delivered()] * len(LOGINS)
    wanted[3], wanted[17] = Rejected(Condition.OVER_QUOTA), Deferred(Condition.INTERNAL)
    assert outcomes == wanted
    assert copies(here) == dict.fromkeys(LOGINS, 1) | {full: 0, broken: 0}
