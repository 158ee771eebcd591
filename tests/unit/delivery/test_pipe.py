from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.layouts import laid_out
from tests.served import unmeasured

from vmaild.outcome import Condition, Deferred
from vmaild.protocol.lmtp import Connection, Dialect
from vmaild.protocol.lmtp_client import path
from vmaild.protocol.waits import Wait
from vmaild.store.layout import Layout

MESSAGE = b"Subject: hello\n\nHello.\n"


@pytest.fixture
def here(tmp_path: Path) -> Layout:
    where = laid_out(tmp_path)
    Path(where.definition("va.test")).touch()
    Path(where.passwd("va.test")).write_text("bob:x:1:1:::\nalice:x:1:1:::\n")
    Path(where.aliases("va.test")).write_text(
        "robot: \"|/bin/sh -c 'echo no more; exit 69'\"\nlater: \"|/bin/sh -c 'exit 75'\"\n"
    )
    return where


def vdeliver(here: Layout, *arguments: str, message: bytes = MESSAGE) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "vmaild.delivery.pipe", "--root", here.root, *arguments]
    return subprocess.run(command, input=message, capture_output=True, timeout=60, check=False)


def mail(here: Layout, login: str) -> list[bytes]:
    return [path.read_bytes() for path in Path(here.spool, "va.test", login, "new").glob("*")]


def test_without_a_server_it_delivers_itself(here: Layout) -> None:
    done = vdeliver(here, "-f", "ann@example.org", "bob@va.test", "ALICE@VA.test")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert mail(here, "bob") == [b"Return-Path: <ann@example.org>\nDelivered-To: bob@va.test\n" + MESSAGE]
    assert len(mail(here, "alice")) == 1


@pytest.mark.parametrize(
    ("recipient", "status", "says"),
    [
        ("nobody@va.test", 67, b"vdeliver: <nobody@va.test>: 550 5.1.1 No such user here\n"),
        ("bob@example.org", 68, b"vdeliver: <bob@example.org>: 550 5.1.2 Not a mail domain of this server\n"),
        ("bob", 68, b"vdeliver: <bob>: 550 5.1.2 Not a mail domain of this server\n"),
        ("b@d@va.test", 67, b"vdeliver: <b@d@va.test>: 550 5.1.1 No such user here\n"),
        ("bob@", 65, b"vdeliver: <bob@>: 553 5.1.3 '' is not a domain name\n"),
        ("robot@va.test", 69, b"vdeliver: <robot@va.test>: 554 5.3.0 no more\n"),
        (
            "later@va.test",
            75,
            b"vdeliver: <later@va.test>: %s\n" % str(Deferred(Condition.COMMAND_WAITS)).encode(),
        ),
    ],
)
def test_what_is_refused_has_its_status_and_a_reason(
    here: Layout, recipient: str, status: int, says: bytes
) -> None:
    done = vdeliver(here, recipient)
    assert (done.returncode, done.stderr) == (status, says)


def test_one_refused_recipient_stops_the_message_for_all(here: Layout) -> None:
    assert vdeliver(here, "bob@va.test", "nobody@va.test").returncode == 67
    assert mail(here, "bob") == []


def test_one_that_must_wait_comes_before_one_that_is_refused(here: Layout) -> None:
    assert vdeliver(here, "robot@va.test", "later@va.test").returncode == 75


@pytest.mark.parametrize(
    ("arguments", "named", "sender"),
    [
        ((), "ann@example.org", "ann@example.org"),
        ((), "<ann@example.org>", "ann@example.org"),
        ((), "<>", ""),
        ((), "MAILER-DAEMON", ""),
        (("-f", "joe@example.org"), "ann@example.org", "joe@example.org"),
        (("-fjoe@example.org",), "ann@example.org", "joe@example.org"),
        (("-f", ""), "ann@example.org", ""),
        (("-f", "<>"), "ann@example.org", ""),
        (("-f", "MAILER-DAEMON"), "ann@example.org", ""),
    ],
)
def test_the_line_of_an_mbox_names_the_sender_and_is_no_part_of_the_message(
    here: Layout, arguments: tuple[str, ...], named: str, sender: str
) -> None:
    message = f"From {named} Sat Jan  3 01:05:34 1996\n".encode() + MESSAGE
    assert vdeliver(here, *arguments, "bob@va.test", message=message).returncode == 0
    assert mail(here, "bob") == [f"Return-Path: <{sender}>\nDelivered-To: bob@va.test\n".encode() + MESSAGE]


SENDERS = {
    b"j\xf6rg@x.example": "jörg@x.example",
    b"j\xc3\xb6rg@x.example": "jörg@x.example",
    b"j\x81rg@x.example": "j?rg@x.example",
    b"a@b c": '"a@b c"',
    b'a@b "\nc': '"a@b ??c"',
    b'<<x">>': '"<x\\">"',
    b"@": '"@"',
    b"a b": '"a b"',
    b'"a b"@x.example': '"a b"@x.example',
}


@pytest.mark.parametrize("sender", SENDERS, ids=repr)
def test_whatever_the_sender_is_called_the_message_is_not_lost(here: Layout, sender: bytes) -> None:
    """Neither refused, when there is nobody to tell, nor kept until the MTA gives it up."""
    arguments = [b"-f", sender, b"bob@va.test"]
    command = [
        os.fsencode(sys.executable),
        b"-m",
        b"vmaild.delivery.pipe",
        b"--root",
        here.root.encode(),
        *arguments,
    ]
    for _ in range(2):
        assert subprocess.run(command, input=MESSAGE, check=False).returncode == 0
    assert [each.partition(b"\n")[0].decode() for each in mail(here, "bob")] == [
        f"Return-Path: <{SENDERS[sender]}>"
    ] * 2
    assert parse_mail(SENDERS[sender])


def parse_mail(sender: str) -> bool:
    """Whether a server takes that sender."""
    connection = Connection(Dialect.LMTP, "here.test")
    connection.receive_data(b"LHLO x\r\nMAIL FROM:" + (path(sender) or b"") + b" SMTPUTF8\r\n")
    while not isinstance(connection.next_event(), Wait):
        pass
    return connection.data_to_send().endswith(b"\r\n250 2.1.0 Sender accepted\r\n")


def test_a_message_over_the_limit_is_refused(here: Layout) -> None:
    Path(here.site).write_text('[delivery]\nmax_size = "1k"\n')
    done = vdeliver(here, "bob@va.test", message=b"x\n" * 600)
    assert (done.returncode, done.stderr[:32]) == (69, b"vdeliver: <bob@va.test>: 552 5.3")
    assert mail(here, "bob") == []


def test_damaged_settings_make_the_message_wait_and_tell_the_sender_nothing(here: Layout) -> None:
    Path(here.site).write_text("[delivery\n")
    done = vdeliver(here, "bob@va.test")
    assert done.returncode == 75
    assert here.root.encode() not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [[], ["-f"], ["--root"], ["-x", "bob@va.test"], ["bob@va.test\nRCPT TO:<x>"]],
)
def test_wrong_usage_is_told_in_one_line(here: Layout, arguments: list[str]) -> None:
    done = vdeliver(here, *arguments)
    assert done.returncode == 64
    assert done.stderr.startswith(b"vdeliver: ")
    assert done.stderr.count(b"\n") == 1


def test_help_is_the_manual_page(here: Layout) -> None:
    done = vdeliver(here, "--help")
    assert done.returncode == 0
    assert b"EXIT STATUS" in done.stdout
    assert vdeliver(here, "--version").stdout.startswith(b"vdeliver ")


def test_nothing_but_built_in_modules_is_imported_before_the_server_answers() -> None:
    """What vdeliver costs is what it imports: this list may only get shorter."""
    script = (
        "import sys; import os; before = set(sys.modules); from vmaild.delivery import pipe;"
        "pipe._server('/nonexistent');"
        "print(*sorted(set(sys.modules) - before))"
    )
    # Coverage would import much at the very start.
    environment = unmeasured()
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, check=True, text=True, env=environment)
    assert done.stdout.split() == ["_socket", "vmaild", "vmaild.delivery", "vmaild.delivery.pipe"]


@pytest.mark.parametrize("brackets", ["<{}>", "{}"])
def test_addresses_may_stand_in_the_brackets_of_smtp(here: Layout, brackets: str) -> None:
    assert vdeliver(here, "-f", brackets.format("ann@example.org"), brackets.format("bob@va.test")).returncode == 0
    assert mail(here, "bob")[0].startswith(b"Return-Path: <ann@example.org>\nDelivered-To: bob@va.test\n")


@pytest.mark.parametrize(("recipient", "status"), [("bob@va.test", 0), ("nobody@va.test", 67)])
@pytest.mark.parametrize("closed", ["2>&-", "2>/dev/full", "1>&- 2>&-"])
def test_a_caller_that_does_not_listen_learns_the_status_all_the_same(
    here: Layout, closed: str, recipient: str, status: int
) -> None:
    command = [sys.executable, "-m", "vmaild.delivery.pipe", "--root", here.root, recipient]
    done = subprocess.run(["/bin/sh", "-c", f'exec "$@" {closed}', "sh", *command], input=MESSAGE, check=False)
    assert (done.returncode, len(mail(here, "bob"))) == (status, int(not status))


def test_an_installation_that_is_not_whole_makes_the_message_wait() -> None:
    """As while another version is being put there: any other status than 75 would send the message back."""
    script = Path(__file__).parents[3] / "scripts/vdeliver"
    done = subprocess.run(
        [sys.executable, "-I", "-S", script, "bob@va.test"], input=b"", capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (75, b"vdeliver: try again later: ModuleNotFoundError\n")
