from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.layouts import laid_out

from vmaild.address import parse_address
from vmaild.core.site import DeliverySettings, Site
from vmaild.delivery import agent as agent_module
from vmaild.delivery.agent import Agent, Order
from vmaild.delivery.mailboxes import Copy
from vmaild.delivery.message import Message
from vmaild.delivery.outside import outside
from vmaild.outcome import Condition, Deferred, Delivered, Rejected
from vmaild.store.content import Content
from vmaild.store.directory import FileDirectory
from vmaild.store.layout import Layout
from vmaild.store.maildir import MaildirStore
from vmaild.store.messages import FREELY, Mailbox
from vmaild.store.partial import Partial
from vmaild.store.unanswered import Unanswered

BODY = b"Subject: hello\n\nHello.\n"


@pytest.fixture
def here(tmp_path: Path) -> Layout:
    where = laid_out(tmp_path)
    Path(where.definition("va.test")).write_text('quota = "1k"\n')
    Path(where.passwd("va.test")).write_text(
        "bob:x:1:1:::\nalice:x:1:1:::\nrich:x:1:1:,,,,quota=1M::\nfree:x:1:1:,,,,quota=0::\n"
    )
    Path(where.aliases("va.test")).write_text("both: bob, alice\nout: bob, joe@example.org\n")
    return where


@pytest.fixture
def agent(here: Layout) -> Agent:
    return Agent(FileDirectory(here), MaildirStore(here.spool), outside(here, Site(), "here.test"))


@pytest.fixture
def content(here: Layout) -> Iterator[Content]:
    with closing(Content(here.incoming)) as message:
        message.append(BODY)
        message.finish()
        yield message


def order(agent: Agent, recipient: str) -> Order:
    outcome, ordered = agent.accept(parse_address(recipient))
    assert outcome == Delivered(Condition.ACCEPTED)
    assert ordered is not None
    return ordered


def mail(here: Layout, login: str) -> list[bytes]:
    new = Path(here.spool, "va.test", login, "new")
    return [path.read_bytes() for path in sorted(new.glob("*"))]


def test_a_message_reaches_every_mailbox_of_its_recipient(here: Layout, agent: Agent, content: Content) -> None:
    outcomes = agent.deliver("ann@example.org", b"Received: x\n", [order(agent, "both@va.test")], content)
    assert outcomes == [Delivered()]
    for login in ("bob", "alice"):
        assert mail(here, login) == [
            b"Return-Path: <ann@example.org>\nDelivered-To: "
            + login.encode()
            + b"@va.test\nX-Original-To: both@va.test\nReceived: x\n"
            + BODY
        ]


def test_a_mailbox_that_several_recipients_lead_to_gets_one_copy(
    here: Layout, agent: Agent, content: Content
) -> None:
    orders = [order(agent, name) for name in ("bob@va.test", "both@va.test", "bob+x@va.test", "bob@va.test")]
    assert agent.deliver("", b"", orders, content) == [Delivered()] * 4
    assert len(mail(here, "bob")) == 1
    assert mail(here, "bob")[0].startswith(b"Return-Path: <>\n")


@pytest.mark.parametrize(
    ("recipient", "expected"),
    [
        ("nobody@va.test", Rejected(Condition.NO_SUCH_USER)),
        ("bob@example.org", Rejected(Condition.NOT_LOCAL)),
    ],
)
def test_who_is_not_accepted_has_no_order(agent: Agent, recipient: str, expected: object) -> None:
    assert agent.accept(parse_address(recipient)) == (expected, None)


def test_an_account_has_its_own_quota_or_its_domains(agent: Agent) -> None:
    quotas = {
        name: order(agent, f"{name}@va.test").mailboxes[0].terms.quota.bytes for name in ("bob", "rich", "free")
    }
    assert quotas == {"bob": 1024, "rich": 1024 * 1024, "free": 0}


@pytest.mark.parametrize("defer", [False, True])
def test_a_full_mailbox_refuses_and_the_others_do_not(here: Layout, content: Content, defer: bool) -> None:
    elsewhere = outside(here, Site(delivery=DeliverySettings(quota_warning=0)), "here.test")
    agent = Agent(FileDirectory(here), MaildirStore(here.spool), elsewhere, defer_over_quota=defer)
    with closing(Content(here.incoming)) as big:
        big.append(b"x" * 900 + b"\n")
        big.finish()
        assert agent.deliver("", b"", [order(agent, "bob@va.test")], big) == [Delivered()]
        full = Deferred(Condition.OVER_QUOTA_FOR_NOW) if defer else Rejected(Condition.OVER_QUOTA)
        orders = [order(agent, "bob@va.test"), order(agent, "alice@va.test"), order(agent, "both@va.test")]
        assert agent.deliver("", b"", orders, big) == [full, Delivered(), full]
    assert (len(mail(here, "bob")), len(mail(here, "alice"))) == (1, 1)


def test_what_breaks_defers_and_tells_the_sender_nothing(here: Layout, agent: Agent, content: Content) -> None:
    ordered = order(agent, "bob@va.test")
    Path(here.spool, "va.test").write_text("not a folder")
    (outcome,) = agent.deliver("", b"", [ordered], content)
    assert outcome == Deferred(Condition.INTERNAL)
    assert str(here.spool) not in str(outcome)


def test_a_defect_of_ours_defers_too(here: Layout, agent: Agent, content: Content) -> None:
    nonsense = Order(parse_address("x@va.test"), (Copy(Mailbox("../../outside", "x"), FREELY),))
    assert agent.deliver("", b"", [nonsense], content) == [Deferred(Condition.INTERNAL)]
    assert not Path(here.root, "outside").exists()


@pytest.mark.parametrize("fails", [1, 2])
def test_notes_that_cannot_be_looked_at_have_nobody_get_a_message_twice(
    here: Layout, content: Content, monkeypatch: pytest.MonkeyPatch, fails: int
) -> None:
    """One answer for all recipients: a fault before the delivery defers it, one after it changes nothing."""
    notes = Unanswered(str(here.unanswered))
    ours = Agent(FileDirectory(here), MaildirStore(here.spool, notes), outside(here, Site(), "here.test", notes))
    calls, is_empty = 0, Partial.is_empty

    def once_not(partial: Partial) -> bool:
        nonlocal calls
        calls += 1
        if calls == fails:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return is_empty(partial)

    monkeypatch.setattr(Partial, "is_empty", once_not)
    letter = [
        (Message("ann@example.org", b"", content, ours.attempt(one_answer=True)), [order(ours, "rich@va.test")])
    ]
    if fails == 1:
        with pytest.raises(OSError, match="Too many open files"):
            ours.deliver_all(letter)
        assert mail(here, "rich") == []
    else:
        assert ours.deliver_all(letter) == [[Delivered()]]
    assert ours.deliver("ann@example.org", b"", [order(ours, "rich@va.test")], content)
    assert len(mail(here, "rich")) == fails


def test_what_was_done_before_a_defect_is_not_done_again(
    here: Layout, agent: Agent, content: Content, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = Unanswered(str(here.unanswered))
    ours = Agent(FileDirectory(here), MaildirStore(here.spool, notes), outside(here, Site(), "here.test", notes))
    recipients = [order(ours, "bob@va.test"), order(ours, "both@va.test")]
    with monkeypatch.context() as broken:
        broken.setattr(agent_module, "_worst", lambda _: 1 / 0)
        assert ours.deliver("ann@example.org", b"", recipients, content) == [
            Delivered(),
            Deferred(Condition.INTERNAL),
        ]
    assert (len(mail(here, "bob")), len(mail(here, "alice"))) == (1, 1)
    assert ours.deliver("ann@example.org", b"", recipients[1:], content) == [Delivered()]
    assert (len(mail(here, "bob")), len(mail(here, "alice"))) == (2, 1)
