"""What leaves the mailboxes: the relay and what it says, programs, files, what is done only once."""

from __future__ import annotations

import dataclasses
import os
import socket
import time
from contextlib import closing
from pathlib import Path

import pytest
from tests.layouts import laid_out
from tests.relay import ScriptedRelay, running

from vmaild.address import parse_address
from vmaild.core.site import DeliverySettings, Relay, RelayKind, Site
from vmaild.delivery.agent import Agent
from vmaild.delivery.outside import Outside, outside
from vmaild.outcome import Condition, Deferred, Delivered, Outcome, Rejected
from vmaild.store.content import Content
from vmaild.store.directory import FileDirectory
from vmaild.store.layout import Layout
from vmaild.store.maildir import MaildirStore

BODY = b"Subject: hello\n\n.dot\nHello.\n"


@pytest.fixture
def here(tmp_path: Path) -> Layout:
    where = laid_out(tmp_path)
    os.makedirs(where.run)
    Path(where.definition("va.test")).write_text('aliases = ["va.example"]\n')
    Path(where.passwd("va.test")).write_text("bob:x:1:1:Bob Néé::\nalice:x:1:1:,,,,quota=1::\n")
    return where


def aliases(here: Layout, text: str) -> None:
    Path(here.aliases("va.test")).write_text(text)


def agent(here: Layout, relay: Relay | None = None, *, delimiter: str = "+", **settings: object) -> Agent:
    delivery = dataclasses.replace(DeliverySettings(), relay=relay or Relay(RelayKind.NONE), **settings)  # type: ignore[arg-type]
    site = Site(delivery=delivery, recipient_delimiter=delimiter)
    directory = FileDirectory(here, delimiter, srs=delivery.srs)
    return Agent(directory, MaildirStore(here.spool), outside(here, site, "here.test"))


def smtp(relay: ScriptedRelay) -> Relay:
    return Relay(RelayKind.LMTP if relay.lmtp else RelayKind.SMTP, "127.0.0.1", relay.port)


def deliver(
    agent: Agent, here: Layout, *recipients: str, sender: str = "ann@example.org", body: bytes = BODY
) -> list[Outcome]:
    orders = []
    for recipient in recipients:
        outcome, order = agent.accept(parse_address(recipient))
        assert order is not None, outcome
        orders.append(order)
    with closing(Content(here.incoming)) as message:
        message.append(body)
        message.finish()
        return agent.deliver(sender, b"Received: x\n", orders, message)


def mail(here: Layout, login: str) -> list[bytes]:
    return [path.read_bytes() for path in Path(here.spool, "va.test", login, "new").glob("*")]


# -- the relay


@pytest.mark.parametrize("lmtp", [False, True])
def test_what_goes_outside_is_delivered_once_the_relay_has_it(here: Layout, lmtp: bool) -> None:
    aliases(here, "out: bob, Joe.X@Example.org, jim@example.net\n")
    with running(ScriptedRelay(lmtp=lmtp)) as relay:
        assert deliver(agent(here, smtp(relay)), here, "out@va.test") == [Delivered()]
    (taken,) = relay.taken
    assert (taken.sender, taken.recipients) == ("ann@example.org", ["Joe.X@example.org", "jim@example.net"])
    wired = BODY.replace(b"\n", b"\r\n").replace(b".dot", b"..dot")
    assert taken.content == b"Delivered-To: out@va.test\r\nReceived: x\r\n" + wired
    assert len(mail(here, "bob")) == 1


def test_the_relay_s_own_answers_are_passed_on(here: Layout) -> None:
    aliases(here, "a: a@example.org\nb: b@example.org\nc: c@example.org\n")
    answers = {
        "a@example.org": "250 2.1.5 ok",
        "b@example.org": "450 4.2.0 grey",
        "c@example.org": "550 5.1.1 no c",
    }
    with running(ScriptedRelay(rcpt=lambda recipient: answers[recipient])) as relay:
        outcomes = deliver(agent(here, smtp(relay)), here, "a@va.test", "b@va.test", "c@va.test")
    assert list(map(str, outcomes)) == ["250 2.0.0 Delivered", "450 4.2.0 grey", "550 5.1.1 no c"]
    assert [type(outcome) for outcome in outcomes] == [Delivered, Deferred, Rejected]
    assert len(relay.taken) == 1


def test_over_lmtp_each_recipient_has_a_last_word(here: Layout) -> None:
    aliases(here, "all: a@example.org, b@example.org\n")
    lasts = {"a@example.org": "250 2.0.0 ok", "b@example.org": "552 5.2.2 full"}
    with running(ScriptedRelay(lmtp=True, data=lambda recipient: lasts[recipient])) as relay:
        (outcome,) = deliver(agent(here, smtp(relay)), here, "all@va.test")
    assert str(outcome) == "552 5.2.2 full"


def test_a_dead_relay_defers_and_nothing_is_delivered_yet(here: Layout) -> None:
    aliases(here, "out: bob, joe@example.org\n")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    dead = Relay(RelayKind.SMTP, "127.0.0.1", port)
    assert deliver(agent(here, dead), here, "out@va.test")[0].condition is Condition.NEXT_SERVER_WAITS


def test_a_connection_lost_after_the_content_defers(here: Layout) -> None:
    aliases(here, "out: joe@example.org\n")
    with running(ScriptedRelay(drop_after_data=True)) as relay:
        (outcome,) = deliver(agent(here, smtp(relay)), here, "out@va.test")
    assert isinstance(outcome, Deferred)


def test_a_long_list_goes_out_in_batches_from_its_owner(here: Layout) -> None:
    members = [f"m{number}@example.org" for number in range(250)]
    aliases(here, f"list: {', '.join(members)}\nowner-list: bob\n")
    with running(ScriptedRelay()) as relay:
        assert deliver(agent(here, smtp(relay)), here, "list@va.test") == [Delivered()]
    assert [len(taken.recipients) for taken in relay.taken] == [100, 100, 50]
    assert [member for taken in relay.taken for member in taken.recipients] == members
    assert {taken.sender for taken in relay.taken} == {"owner-list@va.test"}


def test_a_bounce_stays_one_also_through_a_list(here: Layout) -> None:
    aliases(here, "list: joe@example.org\nowner-list: bob\n")
    with running(ScriptedRelay()) as relay:
        deliver(agent(here, smtp(relay)), here, "list@va.test", sender="")
    assert relay.taken[0].sender == ""


def test_rewritten_senders_and_the_way_back(here: Layout) -> None:
    aliases(here, "out: joe@example.org\n")
    with running(ScriptedRelay()) as relay:
        rewriting = agent(here, smtp(relay), srs=True)
        deliver(rewriting, here, "out@va.test")
        sender = relay.taken[0].sender
        assert sender.startswith("SRS0=")
        assert sender.endswith("=example.org=ann@va.test")
        assert deliver(rewriting, here, sender, sender="") == [Delivered()]
        assert relay.taken[1].recipients == ["ann@example.org"]
        forged = parse_address(sender.replace("=ann@", "=joe@"))
        assert rewriting.accept(forged)[0] == Rejected(Condition.NO_SUCH_USER)
    assert os.stat(here.srs_secret).st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "header", [b"Delivered-To: Out@VA.test\n", b"Received: from a by b\n" * 51], ids=["delivered-to", "hops"]
)
def test_mail_that_goes_round_is_refused(here: Layout, header: bytes) -> None:
    aliases(here, "out: joe@example.org\n")
    with running(ScriptedRelay()) as relay:
        assert deliver(agent(here, smtp(relay)), here, "out@va.test", body=header + BODY) == [
            Rejected(Condition.LOOP)
        ]
        assert deliver(agent(here, smtp(relay)), here, "bob@va.test", body=header + BODY) == [Delivered()]
    assert relay.taken == []


def test_a_sendmail_command(here: Layout, tmp_path: Path) -> None:
    aliases(here, "out: joe@example.org\n")
    program = tmp_path / "sendmail"
    program.write_text(
        f'#!/bin/sh\necho "$@" >{tmp_path}/arguments; cat >{tmp_path}/stdin; exit $(cat {tmp_path}/status)\n'
    )
    program.chmod(0o755)
    relay = Relay(RelayKind.SENDMAIL, path=str(program))
    for status, expected in (("0", Delivered), ("67", Rejected), ("75", Deferred), ("71", Deferred)):
        (tmp_path / "status").write_text(status)
        assert isinstance(deliver(agent(here, relay), here, "out@va.test")[0], expected)
    assert (tmp_path / "arguments").read_text() == "-i -f ann@example.org -- joe@example.org\n"
    assert (tmp_path / "stdin").read_bytes() == b"Delivered-To: out@va.test\nReceived: x\n" + BODY


def test_without_a_relay_mail_waits(here: Layout) -> None:
    aliases(here, "out: joe@example.org\n")
    assert deliver(agent(here), here, "out@va.test") == [Deferred(Condition.BAD_CONFIGURATION)]


# -- what is done only once


def test_what_was_done_is_not_done_again_when_the_rest_is_tried_anew(here: Layout) -> None:
    aliases(here, "out: bob, a@example.org, b@example.org\n")
    waiting = {"b@example.org"}
    with running(ScriptedRelay(rcpt=lambda who: "450 4.2.0 grey" if who in waiting else "250 ok")) as relay:
        ours = agent(here, smtp(relay))
        for _ in range(3):
            assert isinstance(deliver(ours, here, "out@va.test")[0], Deferred)
        waiting.clear()
        assert deliver(ours, here, "out@va.test") == [Delivered()]
        assert [taken.recipients for taken in relay.taken] == [["a@example.org"], ["b@example.org"]]
        assert len(mail(here, "bob")) == 1
        assert os.listdir(here.partial) == []
        # The same words another time are another message.
        assert deliver(ours, here, "out@va.test") == [Delivered()]
    assert len(mail(here, "bob")) == 2


def test_two_mailboxes_of_which_one_waits(here: Layout) -> None:
    aliases(here, "both: bob, alice\n")
    delivery = DeliverySettings(relay=Relay(RelayKind.NONE))
    elsewhere = Outside(here, delivery, "here.test")
    full = Agent(FileDirectory(here), MaildirStore(here.spool), elsewhere, defer_over_quota=True)
    for _ in range(2):
        assert deliver(full, here, "both@va.test") == [Deferred(Condition.OVER_QUOTA_FOR_NOW)]
    assert len(mail(here, "bob")) == 1
    Path(here.passwd("va.test")).write_text("bob:x:1:1:::\nalice:x:1:1:::\n")
    again = Agent(FileDirectory(here), MaildirStore(here.spool), elsewhere)
    assert deliver(again, here, "both@va.test") == [Delivered()]
    assert (len(mail(here, "bob")), len(mail(here, "alice"))) == (1, 1)


# -- programs


def script(tmp_path: Path, text: str) -> str:
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)
    open_to_all(tmp_path)
    return str(program)


def open_to_all(tmp_path: Path) -> None:
    """Let the mail user write there; where root runs the tests, and owns the spool, that is nobody."""
    os.chmod(tmp_path, 0o777)
    for folder in tmp_path.parents:
        if folder.name.startswith(("pytest", "popen")):
            os.chmod(folder, 0o755)


def test_a_program_has_message_tokens_and_environment(here: Layout, tmp_path: Path) -> None:
    program = script(
        tmp_path,
        f'cd {tmp_path}\nfor a; do echo "<$a>"; done >arguments\ncat >stdin\nenv | sort >environment; id -u >user',
    )
    aliases(here, f"robot: \"|{program} %d %u '%f' %% 'two words'\"\n")
    sender = "a;`touch x`@example.org"
    done = deliver(agent(here), here, "robot+new$id@va.example", sender=sender)
    assert done == [Delivered()]
    safe = "a__touch_x_@example.org"
    assert (tmp_path / "arguments").read_text().splitlines() == [
        "<va.test>",
        "<robot>",
        f"<{safe}>",
        "<%>",
        "<two words>",
    ]
    header = f"Return-Path: <{sender}>\nDelivered-To: robot+new$id@va.example\nReceived: x\n".encode()
    assert (tmp_path / "stdin").read_bytes() == header + BODY
    environment = dict(line.split("=", 1) for line in (tmp_path / "environment").read_text().splitlines())
    expected = {
        "SENDER": safe,
        "RECIPIENT": "robot@va.test",
        "ORIGINAL_RECIPIENT": "robot+new_id@va.example",
        "DOMAIN": "va.test",
        "EXTENSION": "new_id",
        "USER": "robot",
        "HOME": "/",
    }
    assert expected.items() <= environment.items()
    assert "VIRTUAL_ENV" not in environment
    if os.geteuid() == 0:
        assert (tmp_path / "user").read_text().strip() == "65534"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cat >/dev/null", Delivered()),
        ("exit 0", Delivered()),
        ("echo 'no  such\tlist'; exit 67", Rejected(Condition.NO_SUCH_USER, "no such list")),
        ("echo busy >&2; exit 75", Deferred(Condition.COMMAND_WAITS, "busy")),
        ("echo '\x1b[31mred'; exit 1", Rejected(Condition.COMMAND_FAILED, "[31mred")),
        ("kill -9 $$", Deferred(Condition.COMMAND_WAITS)),
        ("exit 127", Deferred(Condition.COMMAND_WAITS)),
        ("yes | head -c 3000000; exit 77", Rejected(Condition.COMMAND_FAILED, ("y " * 100).strip() + " ")),
        ("(sleep 60 >/dev/null) & exit 0", Delivered()),
    ],
)
def test_what_an_exit_status_means(here: Layout, tmp_path: Path, text: str, expected: Outcome) -> None:
    aliases(here, f'robot: "|{script(tmp_path, text)}"\n')
    assert deliver(agent(here), here, "robot@va.test") == [expected]


def test_a_program_that_takes_too_long_is_ended_with_all_its_children(here: Layout, tmp_path: Path) -> None:
    program = script(tmp_path, f"sh -c 'echo $$ >{tmp_path}/child; sleep 60' & sleep 60")
    aliases(here, f'robot: "|{program}"\n')
    assert deliver(agent(here, command_time=1), here, "robot@va.test") == [Deferred(Condition.COMMAND_WAITS)]
    child = int((tmp_path / "child").read_text())
    deadline = time.monotonic() + 10
    while not _has_ended(child):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _has_ended(pid: int) -> bool:
    try:
        return "zombie" in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return True


@pytest.mark.parametrize("command", ["/no/such/program", "'open quote"])
def test_a_program_that_cannot_be_run_defers(here: Layout, command: str) -> None:
    aliases(here, f'robot: "|{command}"\n')
    assert deliver(agent(here), here, "robot@va.test") == [Deferred(Condition.COMMAND_WAITS)]


# -- files


def test_an_mbox_grows_message_by_message(here: Layout) -> None:
    aliases(here, "log: /var/log.mbox\n")
    open_to_all(Path(here.root))
    os.chmod(here.path("/var"), 0o777)
    ours = agent(here)
    body = b"Subject: x\n\nFrom here\n>From there\nthe end\n"
    for _ in range(2):
        assert deliver(ours, here, "log@va.test", body=body) == [Delivered()]
    written = Path(here.path("/var/log.mbox")).read_bytes()
    first, _, rest = written.partition(b"\n")
    assert first.startswith(b"From ann@example.org  ")
    head = b"Return-Path: <ann@example.org>\nDelivered-To: log@va.test\nReceived: x\n"
    entry = head + b"Subject: x\n\n>From here\n>From there\nthe end\n\n"
    assert rest.startswith(entry + b"From ann@example.org  ")
    assert written.endswith(entry)
    assert not Path(here.path("/var/log.mbox.lock")).exists()


@pytest.mark.parametrize("cut", range(1, 40))
def test_a_from_line_is_found_wherever_the_pieces_are_cut(
    here: Layout, cut: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vmaild.delivery.mbox import mbox_entry, mbox_head

    body = b"a\nFrom b\n\nFrom c\nFro\nFrom \n"
    with closing(Content(here.incoming)) as content:
        content.append(body)
        content.finish()
        pieces = [body[start : start + cut] for start in range(0, len(body), cut)]
        monkeypatch.setattr(Content, "chunks", lambda _: iter(pieces))
        written = b"".join(mbox_entry(mbox_head("x", time.gmtime(0), b""), content))
    assert written.partition(b"\n")[2] == b"a\n>From b\n\n>From c\nFro\n>From \n\n"


def test_a_maildir_and_the_void(here: Layout) -> None:
    aliases(here, "dir: /var/lists/all/\nvoid: /dev/null\n")
    open_to_all(Path(here.root))
    os.chmod(here.path("/var"), 0o777)
    assert deliver(agent(here), here, "dir@va.test", "void@va.test") == [Delivered()] * 2
    (path,) = Path(here.path("/var/lists/all/new")).iterdir()
    assert path.read_bytes().endswith(BODY)


@pytest.mark.parametrize("kind", ["symlink", "hard link", "folder", "fifo"])
def test_what_is_no_plain_file_takes_nothing(here: Layout, kind: str) -> None:
    aliases(here, "log: /var/x\n")
    open_to_all(Path(here.root))
    os.chmod(here.path("/var"), 0o777)
    target, path = Path(here.path("/var/target")), Path(here.path("/var/x"))
    target.write_bytes(b"")
    target.chmod(0o666)
    match kind:
        case "symlink":
            path.symlink_to(target)
        case "hard link":
            os.link(target, path)
        case "folder":
            path.mkdir()
        case _:
            os.mkfifo(path)
    assert deliver(agent(here), here, "log@va.test") == [Deferred(Condition.INTERNAL)]
    assert target.read_bytes() == b""


# -- answers


@pytest.fixture
def home(here: Layout) -> Path:
    path = Path(here.home("va.test", "bob"))
    path.mkdir(parents=True)
    (path / "vacation").write_text("Subject: Congés d'été\nEnd: 2999-12-31\n\nJe suis à la mer.\n")
    return path


TO_BOB = b"From: ann@example.org\nTo: Bob <bob@va.example>\nSubject: hi\nMessage-ID: <1@x>\n\nHello.\n"


def test_each_sender_is_answered_once(here: Layout, home: Path) -> None:
    with running(ScriptedRelay()) as relay:
        ours = agent(here, smtp(relay))
        for _ in range(2):
            assert deliver(ours, here, "bob@va.test", body=TO_BOB) == [Delivered()]
        deliver(ours, here, "bob@va.test", body=TO_BOB, sender="jim@example.org")
    assert [(taken.sender, taken.recipients) for taken in relay.taken] == [
        ("", ["ann@example.org"]),
        ("", ["jim@example.org"]),
    ]
    import email
    import email.policy

    reply = email.message_from_bytes(relay.taken[0].content, policy=email.policy.default)
    assert reply["Subject"] == "Congés d'été"
    assert reply["From"].addresses[0].addr_spec == "bob@va.test"
    assert reply["From"].addresses[0].display_name == "Bob Néé"
    assert (reply["In-Reply-To"], reply["References"], reply["Auto-Submitted"]) == (
        "<1@x>",
        "<1@x>",
        "auto-replied",
    )
    assert reply.get_content().strip() == "Je suis à la mer."
    assert len(mail(here, "bob")) == 3


@pytest.mark.parametrize(
    ("body", "sender"),
    [
        (TO_BOB, ""),
        (TO_BOB, "bob@va.test"),
        (TO_BOB, "MAILER-DAEMON@example.org"),
        (TO_BOB, "list-request@example.org"),
        (b"Precedence: bulk\n" + TO_BOB, "ann@example.org"),
        (b"List-Id: <l.example.org>\n" + TO_BOB, "ann@example.org"),
        (b"Auto-Submitted: auto-generated\n" + TO_BOB, "ann@example.org"),
        (TO_BOB.replace(b"bob@va.example", b"undisclosed:;"), "ann@example.org"),
        (TO_BOB.replace(b"bob@va.example", b"rebob@va.example"), "ann@example.org"),
    ],
)
def test_who_is_never_answered(here: Layout, home: Path, body: bytes, sender: str) -> None:
    with running(ScriptedRelay()) as relay:
        assert deliver(agent(here, smtp(relay)), here, "bob@va.test", body=body, sender=sender) == [Delivered()]
    assert relay.taken == []


def test_an_answer_that_fails_hurts_no_delivery(here: Layout, home: Path) -> None:
    assert deliver(agent(here), here, "bob@va.test", body=TO_BOB) == [Delivered()]
    assert len(mail(here, "bob")) == 1
    # It was not sent, so it does not count: the next message is answered.
    with running(ScriptedRelay()) as relay:
        deliver(agent(here, smtp(relay)), here, "bob@va.test", body=TO_BOB)
    assert [taken.recipients for taken in relay.taken] == [["ann@example.org"]]


@pytest.mark.skipif(os.geteuid() != 0, reason="makes a link of another user")
def test_whom_it_has_answered_is_written_into_no_file_of_others(here: Layout, home: Path) -> None:
    other = Path(here.root, "other")
    other.write_text("not to be touched\n")
    (home / "vacation.answered").symlink_to(other)
    os.lchown(home / "vacation.answered", 65534, 65534)
    with running(ScriptedRelay()) as relay:
        assert deliver(agent(here, smtp(relay)), here, "bob@va.test", body=TO_BOB) == [Delivered()]
    assert relay.taken == []  # nobody could say that it was
    assert other.read_text() == "not to be touched\n"


def test_a_vacation_text_that_is_a_link_is_not_sent(here: Layout, home: Path) -> None:
    """Else whoever can write in the home would be sent what only the mail user may read."""
    secret = Path(here.root, "secret")
    secret.write_text("the secret\n")
    (home / "vacation").unlink()
    (home / "vacation").symlink_to(secret)
    with running(ScriptedRelay()) as relay:
        assert deliver(agent(here, smtp(relay)), here, "bob@va.test", body=TO_BOB) == [Delivered()]
    assert relay.taken == []
