"""Real mail programs, as their users run them, against the demo."""

from __future__ import annotations

import mailbox
import poplib
import smtplib
import subprocess
from pathlib import Path

import pytest
from tests.e2e.clients import SENDER, fetch, password_of, send, without_trace
from tests.served import ADDRESSES, SHARED, Root, run

FIRST = b"From: carol@sender.example\r\nSubject: First\r\n\r\nHello Bob.\r\n.hidden\r\n.\r\n\r\nBye.\r\n"
SECOND = "From: noel@sender.example\r\nSubject: Noël\r\n\r\nÀ bientôt.\r\n".encode()
POSTFIX = Path(__file__).parents[2] / ".cache/debian"


@pytest.fixture(params=ADDRESSES)
def bob(request: pytest.FixtureRequest, demo: Root) -> str:
    """Each of the three bobs, with two messages in his mailbox."""
    address = f"bob@{request.param}"
    for message in (FIRST, SECOND):
        assert send(demo, message, address)[0].startswith("250")
    return address


def lf(message: bytes) -> bytes:
    """The message as programs keep it on disk."""
    return message.replace(b"\r\n", b"\n")


def from_maildir(path: Path) -> list[bytes]:
    """The messages that a program has put there, in no order."""
    found = [message.as_bytes() for message in mailbox.Maildir(path, create=False)]
    return sorted(lf(message) for message in found)


def test_curl_lists_fetches_and_deletes(demo: Root, bob: str) -> None:
    url = f"pop3://{ADDRESSES[bob.partition('@')[2]]}:{demo.pop3}"
    curl = ["curl", "--silent", "--show-error", "--user", f"bob:{password_of(bob)}"]
    listed = run(*curl, f"{url}/", check=True).stdout.split()
    stored = fetch(demo, bob)
    assert listed == ["1", str(len(stored[0])), "2", str(len(stored[1]))]
    assert run(*curl, f"{url}/2", check=True).stdout.encode() == stored[1]
    assert len(run(*curl, f"{url}/", "--request", "UIDL", check=True).stdout.split()) == 4
    run(*curl, f"{url}/1", "--request", "DELE", "--list-only", check=True)
    assert [without_trace(message) for message in fetch(demo, bob)] == [SECOND]


def test_curl_refuses_nothing_but_a_wrong_password(demo: Root, bob: str) -> None:
    url = f"pop3://{ADDRESSES[bob.partition('@')[2]]}:{demo.pop3}/1"
    others = {password_of(f"bob@{domain}") for domain in ADDRESSES} - {password_of(bob)}
    for password in others:
        assert run("curl", "--silent", url, "--user", f"bob:{password}").returncode == 67  # login denied
    assert run("curl", "--silent", url, "--user", f"bob:{password_of(bob)}").returncode == 0


def test_mpop(demo: Root, bob: str, tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    mailbox.Maildir(inbox)
    settings = tmp_path / "mpoprc"
    settings.write_text(
        f"account demo\nhost {ADDRESSES[bob.partition('@')[2]]}\nport {demo.pop3}\ntls off\nauth user\n"
        f"user bob\npassword {password_of(bob)}\nuidls_file {tmp_path}/uidls\n"
        f"delivery maildir {inbox}\nreceived_header off\nkeep on\n"
    )
    settings.chmod(0o600)
    stored = sorted(map(lf, fetch(demo, bob)))
    run("mpop", "-C", str(settings), "demo", check=True)
    assert from_maildir(inbox) == stored
    # What was fetched is known by its UIDL, and not fetched again.
    again = run("mpop", "-C", str(settings), "demo", check=True).stdout
    assert "no new messages" in again.lower() or len(from_maildir(inbox)) == 2
    settings.write_text(settings.read_text().replace("keep on", "keep off"))
    run("mpop", "-C", str(settings), "demo", check=True)
    assert fetch(demo, bob) == []


def test_fetchmail(demo: Root, bob: str, tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    settings = tmp_path / "fetchmailrc"
    settings.write_text(
        f"set no syslog\npoll {ADDRESSES[bob.partition('@')[2]]} protocol pop3 port {demo.pop3}\n"
        f'  auth password user "bob" password "{password_of(bob)}" sslproto ""\n'
        f'  fetchall no keep no rewrite mda "cat >>{inbox}; echo END >>{inbox}"\n'
    )
    settings.chmod(0o600)
    stored = fetch(demo, bob)
    command = ["fetchmail", "--fetchmailrc", str(settings), "--pidfile", str(tmp_path / "pid"), "--invisible"]
    done = run(*command)
    assert done.returncode == 0, done.stderr
    assert inbox.read_bytes().split(b"END\n")[:-1] == [lf(message) for message in stored]
    assert fetch(demo, bob) == []
    assert run(*command).returncode == 1  # nothing to be fetched


def test_getmail(demo: Root, bob: str, tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    (tmp_path / "getmailrc").write_text(
        "[retriever]\ntype = SimplePOP3Retriever\n"
        f"server = {ADDRESSES[bob.partition('@')[2]]}\nport = {demo.pop3}\n"
        f"username = bob\npassword = {password_of(bob)}\n"
        f"[destination]\ntype = MDA_external\npath = /bin/sh\nallow_root_commands = True\n"
        f'arguments = ("-c", "cat >>{inbox}; echo END >>{inbox}")\n'
        "[options]\ndelete = True\nreceived = False\ndelivered_to = False\n"
    )
    stored = fetch(demo, bob)
    done = run("getmail", "--getmaildir", str(tmp_path), "--rcfile", "getmailrc")
    assert done.returncode == 0, done.stdout + done.stderr
    assert inbox.read_bytes().split(b"END\n")[:-1] == [lf(message) for message in stored]
    assert fetch(demo, bob) == []


def test_poplib_speaks_every_command(demo: Root, bob: str) -> None:
    session = poplib.POP3(ADDRESSES[bob.partition("@")[2]], demo.pop3, timeout=60)
    assert "UIDL" in session.capa()
    session.user("bob")
    session.pass_(password_of(bob))
    count, octets = session.stat()
    sizes = [int(line.split()[1]) for line in session.list()[1]]
    assert (count, octets) == (2, sum(sizes))
    _, lines, size = session.retr(1)
    assert b"\r\n".join(lines).endswith(b"Hello Bob.\r\n.hidden\r\n.\r\n\r\nBye.")
    assert size == sizes[0]
    assert session.top(1, 1)[1][-1] == b"Hello Bob."
    uids = session.uidl()[1]
    assert len(set(uids)) == 2
    session.dele(1)
    with pytest.raises(poplib.error_proto, match="message 1 is deleted"):
        session.retr(1)
    session.noop()
    session.rset()
    assert session.stat() == (count, octets)
    session.dele(2)
    session.quit()
    session = poplib.POP3(ADDRESSES[bob.partition("@")[2]], demo.pop3, timeout=60)
    session.user("bob")
    session.pass_(password_of(bob))
    assert session.uidl()[1] == uids[:1]
    session.quit()


def test_curl_sends_by_smtp(demo: Root) -> None:
    url = f"smtp://{SHARED}:{demo.smtp}/client.example"
    command = ["curl", "--silent", "--show-error", url, "--mail-from", SENDER, "--upload-file", "-"]
    run(*command, "--mail-rcpt", "team@va.toto.fr", "--crlf", stdin=lf(FIRST), check=True)
    assert [without_trace(message) for message in fetch(demo, "alice@va.toto.fr")] == [FIRST]
    refused = run(*command, "--mail-rcpt", "nobody@va.toto.fr", stdin=FIRST)
    assert refused.returncode == 55
    assert "550" in refused.stderr


@pytest.mark.parametrize("protocol", ["LMTP", "SMTP", "ESMTP"])
def test_swaks(demo: Root, protocol: str) -> None:
    port = demo.lmtp if protocol == "LMTP" else demo.smtp
    command = ["swaks", "--protocol", protocol, "--server", SHARED, "--port", str(port), "--from", SENDER]
    body = ["--header", "Subject: By swaks", "--body", ".\nA lone dot above.\n"]
    done = run(*command, *body, "--to", "bob@va.toto.fr,alice@vb.toto.fr")
    assert done.returncode == 0, done.stdout + done.stderr
    for address in ("bob@va.toto.fr", "alice@vb.toto.fr"):
        (message,) = fetch(demo, address)
        assert b"Subject: By swaks\r\n" in message
        assert message.rstrip().endswith(b"\r\n\r\n.\r\nA lone dot above.")
    refused = run(*command, "--to", "nobody@va.toto.fr")
    assert refused.returncode == 24  # no recipient was accepted
    assert "550 5.1.1" in refused.stdout + refused.stderr


def test_swaks_over_the_local_socket(demo: Root) -> None:
    run("swaks", "--protocol", "LMTP", "--socket", str(demo.socket), "--to", "bob@vc.toto.fr", check=True)
    assert len(fetch(demo, "bob@vc.toto.fr")) == 1


def test_smtplib_sends_by_lmtp(demo: Root) -> None:
    with smtplib.LMTP(SHARED, demo.lmtp, timeout=60) as session:
        session.sendmail(SENDER, ["bob@va.toto.fr"], SECOND, ["BODY=8BITMIME"])
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            session.sendmail(SENDER, ["nobody@va.toto.fr"], SECOND)
    with smtplib.LMTP(str(demo.socket)) as session:
        session.sendmail(SENDER, ["bob@va.toto.fr"], FIRST)
    assert [without_trace(message) for message in fetch(demo, "bob@va.toto.fr")] == [SECOND, FIRST]


@pytest.fixture
def smtp_source() -> list[str]:
    """The command line of Postfix's smtp-source, as tools/debian-packages has unpacked it."""
    program = POSTFIX / "usr/sbin/smtp-source"
    if not program.exists():
        pytest.fail("smtp-source is missing: run tools/debian-packages tests")
    return ["env", f"LD_LIBRARY_PATH={POSTFIX}/usr/lib/postfix", str(program)]


@pytest.mark.parametrize("dialect", ["LMTP", "SMTP", "LMTP over the local socket"])
def test_smtp_source_in_parallel_sessions(demo: Root, smtp_source: list[str], dialect: str) -> None:
    port = demo.smtp if dialect == "SMTP" else demo.lmtp
    place = f"unix:{demo.socket}" if "socket" in dialect else f"inet:{SHARED}:{port}"
    options = [] if dialect == "SMTP" else ["-L"]
    sessions, messages = 20, 100
    done = subprocess.run(
        [*smtp_source, *options, "-s", str(sessions), "-m", str(messages), "-l", "3000", "-f", SENDER,
         "-t", "team@va.toto.fr", place],
        capture_output=True, timeout=90, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert demo.everything_stored() == {"alice@va.toto.fr": messages, "bob@va.toto.fr": messages}
    assert len({len(message) for message in demo.stored("alice@va.toto.fr")}) < 10
    assert len(fetch(demo, "bob@va.toto.fr")) == messages
