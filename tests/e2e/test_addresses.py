"""Every kind of address: who gets a message that is sent to it, and nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.clients import Lmtp, fetch, send, without_trace
from tests.served import SHARED, Root, moments

MESSAGE = b"From: carol@sender.example\r\nSubject: To whom?\r\n\r\nHello.\r\n"


@pytest.mark.parametrize(
    ("recipient", "receivers"),
    [
        pytest.param("bob@va.toto.fr", ["bob@va.toto.fr"], id="account"),
        pytest.param("BOB@VA.Toto.FR", ["bob@va.toto.fr"], id="upper case"),
        pytest.param('"bob"@va.toto.fr', ["bob@va.toto.fr"], id="quoted"),
        pytest.param("bob@vb.toto.fr", ["bob@vb.toto.fr"], id="same login elsewhere"),
        pytest.param("bob@vc.toto.fr", ["bob@vc.toto.fr"], id="same login in the third"),
        pytest.param("team@va.toto.fr", ["alice@va.toto.fr", "bob@va.toto.fr"], id="list"),
        pytest.param("everyone@va.toto.fr", ["alice@va.toto.fr", "bob@va.toto.fr"], id="nested list"),
        pytest.param("postmaster@va.toto.fr", ["bob@va.toto.fr"], id="alias"),
        pytest.param("alice@va.example", ["alice@va.toto.fr"], id="domain alias"),
        pytest.param("team@va.example", ["alice@va.toto.fr", "bob@va.toto.fr"], id="list by domain alias"),
        pytest.param("alice.dubois@vb.toto.fr", ["alice@vb.toto.fr"], id="full name"),
        pytest.param("Bob.Lefèvre@vb.toto.fr", ["bob@vb.toto.fr"], id="full name with an accent"),
        pytest.param("bob+lists@va.toto.fr", ["bob@va.toto.fr"], id="sub-address"),
        pytest.param("team+x@va.toto.fr", ["alice@va.toto.fr", "bob@va.toto.fr"], id="sub-address of a list"),
        pytest.param("nobody@vb.toto.fr", ["alice@vb.toto.fr"], id="fallback to a name"),
        pytest.param("team@vc.toto.fr", ["alice@va.toto.fr", "bob@va.toto.fr"], id="fallback to another domain"),
        pytest.param("anybody@vd.toto.fr", ["alice@va.toto.fr"], id="fallback to an address"),
    ],
)
def test_a_message_reaches_whom_it_is_for_and_nobody_else(
    demo: Root, recipient: str, receivers: list[str]
) -> None:
    with Lmtp((SHARED, demo.lmtp)) as session:
        session.reply("LHLO client.example")
        assert session.reply("MAIL FROM:<carol@sender.example> SMTPUTF8").startswith("250")
        assert session.reply(f"RCPT TO:<{recipient}>").startswith("250 2.1.5")
        assert session.reply("DATA").startswith("354")
        session.socket.sendall(MESSAGE + b".\r\n")
        assert session.reply().startswith("250 2.0.0")
    assert demo.everything_stored() == dict.fromkeys(receivers, 1)
    for receiver in receivers:
        assert [without_trace(message) for message in fetch(demo, receiver)] == [MESSAGE]


@pytest.mark.parametrize(
    ("recipient", "answer"),
    [
        pytest.param("nobody@va.toto.fr", "550 5.1.1", id="no fallback"),
        pytest.param("nobody@vc.toto.fr", "550 5.1.1", id="the fallback's domain does not know it either"),
        pytest.param("bob.martin@va.toto.fr", "550 5.1.1", id="full name where none are matched"),
        pytest.param("nobody+x@va.toto.fr", "550 5.1.1", id="sub-address of nobody"),
        pytest.param("bob@elsewhere.example", "550 5.1.2", id="another server's domain"),
        pytest.param("bob@toto.fr", "550 5.1.2", id="the domain above"),
        pytest.param("bob@mailhost.va.toto.fr", "550 5.1.2", id="the mail host is no mail domain"),
        pytest.param("bob..@va.toto.fr", "550 5.1.1", id="dots"),
    ],
)
def test_what_cannot_be_delivered_is_told_at_rcpt(demo: Root, recipient: str, answer: str) -> None:
    (reply,) = send(demo, MESSAGE, recipient)
    assert reply.startswith(answer)
    assert demo.everything_stored() == {}


def test_each_recipient_has_an_answer_of_its_own(demo: Root) -> None:
    replies = send(demo, MESSAGE, "bob@va.toto.fr", "nobody@va.toto.fr", "accountant@vc.toto.fr", "bob@vb.toto.fr")
    assert [reply[:3] for reply in replies] == ["250", "550", "451", "250"]
    assert demo.everything_stored() == {"bob@va.toto.fr": 1, "bob@vb.toto.fr": 1}


def test_who_is_reached_by_several_recipients_gets_one_copy(demo: Root) -> None:
    replies = send(demo, MESSAGE, "bob@va.toto.fr", "team@va.toto.fr", "postmaster@va.toto.fr")
    assert [reply[:3] for reply in replies] == ["250", "250", "250"]
    assert demo.everything_stored() == {"alice@va.toto.fr": 1, "bob@va.toto.fr": 1}


def test_smtp_does_not_relay(demo: Root) -> None:
    with Lmtp((SHARED, demo.smtp)) as session:
        assert session.reply("EHLO client.example").startswith("250")
        assert session.reply("MAIL FROM:<bob@va.toto.fr>").startswith("250")
        assert session.reply("RCPT TO:<somebody@elsewhere.example>").startswith("554 5.7.1")
        assert session.reply("RCPT TO:<somebody%elsewhere.example@va.toto.fr>").startswith("550 5.1.1")
        assert session.reply("RCPT TO:<@va.toto.fr:somebody@elsewhere.example>").startswith("554 5.7.1")
        assert session.reply("RCPT TO:<somebody@elsewhere.example@va.toto.fr>")[0] == "5"
        assert session.reply("DATA").startswith("503")


@pytest.fixture
def aliases(demo: Root) -> Iterator[Path]:
    """The alias file of va.toto.fr, which is put back afterwards."""
    path = demo.etc / "aliases.va.toto.fr"
    before = path.read_text()
    yield path
    path.write_text(before)


@pytest.mark.parametrize(
    ("target", "answer"),
    [
        # Nothing listens at the demo's relay: what cannot be handed on waits, and no part is delivered yet.
        ("bob, somebody@elsewhere.example", "451 4.4.1"),
        ("bob, office@partner.example, alice", "451 4.4.1"),
        ('bob, "|/no/such/program"', "451 4.3.0"),
        ("bob, /no/such/folder/archive", "451 4.3.0"),
    ],
)
def test_a_part_that_has_to_wait_keeps_the_sender_s_copy(
    demo: Root, aliases: Path, target: str, answer: str
) -> None:
    aliases.write_text(f"{aliases.read_text()}both: {target}\n")
    for _ in range(2):  # the second try fills no mailbox again
        (reply,) = send(demo, MESSAGE, "both@va.toto.fr")
        assert reply.startswith(answer)
    done = demo.vdeliver(MESSAGE, "both@va.toto.fr")
    assert (done.returncode, answer in done.stderr) == (75, True)
    assert set(demo.everything_stored().values()) <= {1, 2}


def test_an_automatic_reply_that_cannot_be_sent_hurts_no_delivery(demo: Root) -> None:
    home = demo.path / "vhome/vc.toto.fr/alice"
    home.mkdir(parents=True)
    (home / "vacation").write_text("I am away.\n")
    (reply,) = send(demo, MESSAGE, "alice@vc.toto.fr")
    for each in home.iterdir():
        each.unlink()
    home.rmdir()
    assert reply.startswith("250")


def test_a_list_kept_in_a_file(demo: Root, aliases: Path) -> None:
    members = aliases.with_name("members")
    members.write_text("# the members\nbob\nalice@vb.toto.fr\n")
    aliases.write_text(f"{aliases.read_text()}members: :include:/etc/vmail/members\n")
    (reply,) = send(demo, MESSAGE, "members@va.toto.fr")
    members.unlink()
    assert reply.startswith("250")
    assert demo.everything_stored() == {"bob@va.toto.fr": 1, "alice@vb.toto.fr": 1}
    # A list that is not there is a fault of the set-up, not of the sender.
    for _ in moments("the list is still known", 10):  # an editor may have moved it away for a moment
        if send(demo, MESSAGE, "members@va.toto.fr")[0].startswith("451 4.3.5"):
            break
