"""What stands between a message and a mailbox: size, filter, quota and its warning, folders."""

from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage
from pathlib import Path

import pytest
from tests.layouts import laid_out

from vmaild.address import parse_address
from vmaild.core.site import DeliverySettings, Relay, RelayKind, Site
from vmaild.delivery.agent import Agent
from vmaild.delivery.outside import outside
from vmaild.outcome import Condition, Deferred, Delivered, Outcome, Rejected
from vmaild.store.content import Content
from vmaild.store.directory import FileDirectory
from vmaild.store.layout import Layout
from vmaild.store.maildir import MaildirStore

BODY = b"From: ann@example.org\nTo: bob@va.test\nSubject: hi\n\nHello.\n"


@pytest.fixture
def here(tmp_path: Path) -> Layout:
    where = laid_out(tmp_path)
    define(where)
    Path(where.passwd("va.test")).write_text(
        "bob:x:1:1:::\nfew:x:1:1:,,,,quota_messages=10::\nmaker:x:1:1:,,,,folders=create::\n"
        "finder:x:1:1:,,,,quota=1M quota_messages=0 folders=existing::\n"
    )
    Path(where.aliases("va.test")).write_text("both: bob, few\n")
    return where


def define(where: Layout, **settings: str) -> None:
    text = "".join(f'{key} = "{value}"\n' for key, value in settings.items())
    Path(where.definition("va.test")).write_text(text)


def agent(where: Layout) -> Agent:
    settings = DeliverySettings(relay=Relay(RelayKind.NONE), filter_time=2)
    return Agent(
        FileDirectory(where), MaildirStore(where.spool), outside(where, Site(delivery=settings), "here.test")
    )


def deliver(where: Layout, recipient: str = "bob", body: bytes = BODY) -> Outcome:
    ours = agent(where)
    outcome, order = ours.accept(parse_address(f"{recipient}@va.test"))
    if order is None:
        return outcome
    with Content(where.incoming) as content:
        content.append(body)
        content.finish()
        return ours.deliver("ann@example.org", b"Received: x\n", [order], content)[0]


def mail(where: Layout, login: str = "bob") -> list[EmailMessage]:
    files = sorted(Path(where.spool, "va.test", login).rglob("new/*"), key=lambda path: path.name)
    return [email.message_from_bytes(path.read_bytes(), policy=email.policy.default) for path in files]


def letters(where: Layout, login: str = "bob") -> list[EmailMessage]:
    return [message for message in mail(where, login) if message["Auto-Submitted"] == "auto-generated"]


# -- quota


def test_the_owner_is_warned_once(here: Layout) -> None:
    define(here, quota="100k", language="fr")
    for _ in range(9):
        assert deliver(here, body=BODY + b"x" * 9900 + b"\n") == Delivered()
    assert letters(here) == []
    Path(here.spool, "va.test/bob/maildirsize").unlink()  # what counts it may go at any time
    for _ in range(5):
        assert deliver(here, body=BODY + b"x" * 1000 + b"\n") == Delivered()
    (letter,) = letters(here)
    assert letter["Subject"] == "Votre boîte aux lettres est presque pleine"
    assert (letter["Return-Path"], letter["To"]) == ("<>", "bob@va.test")
    assert letter["From"].addresses[0].addr_spec == "postmaster@va.test"
    assert "% de 100 ko utilisés" in letter.get_content()
    # Less full in between, it is news again.
    for path in sorted(Path(here.spool, "va.test/bob/new").iterdir())[:5]:
        path.unlink()
    Path(here.spool, "va.test/bob/maildirsize").unlink()
    for _ in range(5):
        deliver(here, body=BODY + b"x" * 9900 + b"\n")
    assert len(letters(here)) == 2


def test_messages_are_counted_too_and_english_is_spoken(here: Layout) -> None:
    for _ in range(9):
        assert deliver(here, "few") == Delivered()
    (letter,) = letters(here, "few")
    assert "9 of 10 messages" in letter.get_content()
    assert letter["X-Auto-Response-Suppress"] == "All"
    # The letter itself has taken the last place.
    assert deliver(here, "few") == Rejected(Condition.OVER_QUOTA)
    assert deliver(here, "both") == Rejected(Condition.OVER_QUOTA)
    assert len(mail(here, "few")) == 10


# -- size


def test_the_largest_message_of_a_domain(here: Layout) -> None:
    define(here, max_message_size="1k")
    wired = len(BODY) + BODY.count(b"\n")
    assert deliver(here, body=BODY + b"x" * (1024 - wired - 2) + b"\n") == Delivered()
    assert deliver(here, body=BODY + b"x" * (1024 - wired - 1) + b"\n") == Rejected(Condition.TOO_BIG)
    outcome, order = agent(here).accept(parse_address("bob@va.test"), 1025)
    assert (str(outcome), order) == ("552 5.3.4 Message too big", None)
    assert agent(here).accept(parse_address("bob@va.test"), 1024)[1] is not None
    assert len(mail(here)) == 1


# -- filters


def shell(text: str) -> str:
    """A filter program in the language of the shell."""
    return f"/bin/sh -c '{text}' filter"


def test_what_a_filter_makes_of_a_message_is_stored(here: Layout) -> None:
    define(here, filter=shell("echo X-Filter: $1 $2 $3; cat") + " %u %d %f")
    assert deliver(here) == Delivered()
    (message,) = mail(here)
    assert message["X-Filter"] == "bob va.test ann@example.org"
    assert (message["Return-Path"], message["Delivered-To"], message["Received"]) == (
        "<ann@example.org>",
        "bob@va.test",
        "x",
    )
    assert message.get_content() == "Hello.\n"


def test_a_large_message_passes_whole(here: Layout) -> None:
    define(here, filter="/bin/cat")
    body = BODY + b"0123456789abcdef" * 64 * 2048 + b"\n"
    assert deliver(here, body=body) == Delivered()
    (path,) = Path(here.spool, "va.test/bob/new").iterdir()
    assert path.read_bytes().endswith(body)
    assert f",S={path.stat().st_size}," in path.name
    assert list(Path(here.incoming).iterdir()) == []


@pytest.mark.parametrize(
    "text",
    [
        "cat; exit 1",
        "cat; exit 75",
        "cat >/dev/null",
        "cat; kill -9 $$",
        "cat; exec sleep 30",
        "exec cat /dev/zero",
        "cat /dev/zero; exit 0",
    ],
)
def test_a_filter_that_fails_makes_the_message_wait(here: Layout, text: str) -> None:
    define(here, filter=shell(text))
    assert deliver(here) == Deferred(Condition.FILTER_WAITS)
    assert mail(here) == []
    define(here, filter="/bin/cat")
    assert deliver(here) == Delivered()


@pytest.mark.parametrize("command", ["/no/such/program", "/etc/passwd", "/bin/cat 'x y"])
def test_a_filter_that_is_not_there_makes_it_wait_too(here: Layout, command: str) -> None:
    if command.count("'") % 2:
        Path(here.definition("va.test")).write_text(f'filter = "{command}"\n')
        assert isinstance(deliver(here), Deferred)
        return
    define(here, filter=command)
    assert deliver(here) == Deferred(Condition.FILTER_WAITS)


# -- folders


def test_a_sub_address_finds_its_folder(here: Layout) -> None:
    for recipient in ("maker+lists", "maker+../../bob", "finder+lists", "bob+lists"):
        assert deliver(here, recipient) == Delivered()
    assert deliver(here, "maker+Lists") == Delivered()
    spool = Path(here.spool, "va.test")
    found = sorted(str(path.parent.relative_to(spool)) for path in spool.rglob("new/*"))
    assert found == ["bob/new", "finder/new", "maker/.bob/new", "maker/.lists/new", "maker/.lists/new"]
