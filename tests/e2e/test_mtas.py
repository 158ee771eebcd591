"""Our servers behind the MTAs that administrators run, each installed whole, plugged in by `vmail mta install`.

What comes by SMTP goes where routing says; who is unknown is refused while the client is there; the main domain
works as ever; and what comes while our servers are dead waits, and arrives once.
"""

from __future__ import annotations

import os
import re
import signal
import smtplib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.e2e import mtas
from tests.e2e.clients import password_of
from tests.e2e.machine import SITE, Machine
from tests.e2e.mtas import Mail
from tests.served import ADDRESSES, Root, Served, moments, processes_of, run

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="MTAs want root, and a mount namespace")

OUTSIDE = "carol@outside.example"
HERE = "dave@main.example"
"""A user of the main domain."""

Boot = Callable[[str, Path], Machine]


@pytest.fixture
def boot() -> Iterator[Boot]:
    """Call it for a machine with an MTA's packages."""
    machines: list[Machine] = []

    def make(packages: str, root: Path) -> Machine:
        machines.append(Machine(packages, root.with_name(f"{root.name}.{len(machines)}"), root))
        return machines[-1]

    yield make
    for machine in reversed(machines):  # our side first, where an output is cut off at its end
        print(machine.told("var/log/exim4/mainlog" if machine.mta == "exim" else "var/log/mail.log"))
        if machine.mta == "sendmail":
            print(machine.run("/usr/libexec/sendmail/sendmail", "-bp", check=False).stdout)
        machine.stop()


@pytest.fixture
def outside(boot: Boot, tmp_path: Path, free_port: Callable[[], int]) -> Mail:
    """The rest of the world: it takes mail for partner.example, and sends to us."""
    (tmp_path / "nothing").mkdir()
    machine = boot("postfix", tmp_path / "nothing")
    mail = mtas.postfix(machine, free_port(), 1, "outside.example, partner.example")
    mail.start()
    return mail


def subjects(messages: list[bytes]) -> list[str]:
    """What the messages are about, sorted."""
    return sorted(
        match[1].decode() for each in messages if (match := re.search(rb"^Subject: (.*)$", each, re.MULTILINE))
    )


def stored(root: Root) -> dict[str, list[str]]:
    """The subjects of all that is in mailboxes."""
    return {address: subjects(root.stored(address)) for address in root.everything_stored()}


def plugged_in(mail: Mail, root: Root, *options: str) -> Served:
    """Our servers and the MTA, set up and running."""
    root.empty()
    site = root.etc / "vmail.toml"
    site.write_text(
        re.sub(r"^# relay = .*$", f'relay = "smtp://127.0.0.1:{mail.port}"', site.read_text(), flags=re.MULTILINE)
    )
    name = mail.machine.mta
    mail.machine.vmail("mta", "install", name, *options)
    again = mail.machine.vmail("mta", "install", name, *options)
    assert "Nothing to change" in again.stdout
    server = mail.machine.serve(root)
    mail.start()
    for _ in moments(f"{name} does not answer"):
        if run("swaks", "--server", f"127.0.0.1:{mail.port}", "--quit-after", "EHLO").returncode == 0:
            return server
    raise AssertionError


def everything_goes_where_it_should(mail: Mail, outside: Mail, root: Root) -> None:
    """Account, list, sub-address at a domain alias, fallback, forward, main domain."""
    for subject, recipient in {
        "account": "bob@va.toto.fr",
        "list": "team@va.toto.fr",
        "alias": "bob+lists@va.example",
        "fallback": "anybody@vb.toto.fr",
        "forward": "accountant@vc.toto.fr",
        "main": HERE,
    }.items():
        status, said = mail.swaks(OUTSIDE, recipient, subject)
        assert status == 0, said
    wanted = {
        "bob@va.toto.fr": ["account", "alias", "list"],
        "alice@va.toto.fr": ["list"],
        "alice@vb.toto.fr": ["fallback"],
    }
    for _ in moments("not all has arrived"):
        if (
            stored(root) == wanted
            and "main" in mail.machine.inbox()
            and "forward" in outside.machine.inbox("office")
        ):
            break
    assert stored(root) == wanted
    assert mail.machine.inbox().count("\nSubject: main\n") == 1
    assert outside.machine.inbox("office").count("\nSubject: forward\n") == 1


def what_must_not_come_is_refused(mail: Mail) -> None:
    """At RCPT, while the client is there; and nobody uses us to relay."""
    for recipient in ("nobody@va.toto.fr", "nobody@va.example"):
        status, said = mail.swaks(OUTSIDE, recipient, "unknown")
        assert (status, bool(re.search(r"^<\*\* 550 5\.1\.1 ", said, re.MULTILINE))) == (24, True), said
    status, said = mail.swaks(OUTSIDE, "x@elsewhere.example", "relay", "--local-interface", "127.0.0.5")
    assert (status, bool(re.search(r"^<\*\* [45]", said, re.MULTILINE))) == (24, True), said


def a_full_mailbox_is_told_to_the_sender(mail: Mail) -> None:
    mail.machine.vmail("user", "set", "alice@va.toto.fr", "--quota", "1k")
    assert mail.swaks(HERE, "alice@va.toto.fr", "too much", "--body", "Words, words.\n" * 400)[0] == 0
    for _ in moments("no bounce has come"):
        if "Mailbox full" in mail.machine.inbox():
            break
    assert re.search(r"5\.2\.2", mail.machine.inbox())


def each_domain_fetches_its_own(root: Root, tmp_path: Path) -> None:
    """With fetchmail, at the address of the domain."""
    for domain, count in (("va.toto.fr", 3), ("vc.toto.fr", 0)):
        inbox, settings = tmp_path / f"{domain}.inbox", tmp_path / f"{domain}.rc"
        settings.write_text(
            f"set no syslog\npoll {ADDRESSES[domain]} protocol pop3 port {root.pop3}\n"
            f'  auth password user "bob" password "{password_of(f"bob@{domain}")}" sslproto ""\n'
            f'  fetchall no rewrite keep mda "cat >>{inbox}; echo END >>{inbox}"\n'
        )
        settings.chmod(0o600)
        files = (
            "--fetchmailrc",
            str(settings),
            "--pidfile",
            str(tmp_path / "pid"),
            "--idfile",
            str(tmp_path / "id"),
        )
        assert run("fetchmail", *files, "--invisible").returncode == (0 if count else 1)
        assert (inbox.read_text().count("\nEND\n") if count else inbox.exists()) == count


def what_comes_while_we_are_dead_arrives_once(mail: Mail, outside: Mail, root: Root, server: Served) -> None:
    server.process.kill()  # first, since it would start others for workers that die before it
    server.process.wait()
    for pid in processes_of(server.process.pid):
        with suppress(ProcessLookupError):  # they end when they are alone
            os.kill(pid, signal.SIGKILL)
    outside.machine.run("postconf", "-e", f"relayhost = [127.0.0.1]:{mail.port}")
    outside.machine.run("postfix", "reload")
    root.empty()
    assert mail.swaks(OUTSIDE, HERE, "main again")[0] == 0  # the main domain has no need of us
    wanted = []
    for number in range(3):
        mail.submit(HERE, "bob@va.toto.fr", f"here {number}")
        outside.submit(OUTSIDE, "bob@va.example", f"outside {number}")
        wanted += [f"here {number}", f"outside {number}"]
    for _ in moments("the outside has not tried"):
        if outside.machine.text(outside.log).count("status=deferred") >= 3:
            break
    assert stored(root) == {}
    again = mail.machine.serve(root)
    if mail.forget:
        mail.machine.run(*mail.forget)
    try:
        for attempt, _ in enumerate(moments("what waited does not come")):
            if stored(root).get("bob@va.toto.fr") == sorted(wanted):
                break
            if attempt % 50 == 0:
                mail.try_again()
                outside.try_again()
        mail.try_again()
        outside.try_again()
        assert stored(root) == {"bob@va.toto.fr": sorted(wanted)}
        assert "\nSubject: main again\n" in mail.machine.inbox()
    finally:
        again.stop()
    again.check_log()


def made(kind: str, machine: Machine, port: int, partner: int) -> Mail:
    """An MTA of this kind, set up."""
    match kind:
        case "postfix":
            return mtas.postfix(machine, port, partner)
        case "sendmail":
            return mtas.sendmail(machine, port, partner)
    return mtas.exim(machine, port, partner, split=True)


@pytest.mark.parametrize("kind", ["postfix", "exim", "sendmail"])
def test_the_whole_story(
    kind: str, boot: Boot, outside: Mail, root: Root, free_port: Callable[[], int], tmp_path: Path
) -> None:
    mail = made(kind, boot(kind, root.path), free_port(), outside.port)
    server = plugged_in(mail, root)
    try:
        everything_goes_where_it_should(mail, outside, root)
        what_must_not_come_is_refused(mail)
        each_domain_fetches_its_own(root, tmp_path)
        a_full_mailbox_is_told_to_the_sender(mail)
        checked = mail.machine.vmail("mta", "check", "--server", f"127.0.0.1:{mail.port}", check=False)
        assert checked.returncode == 0, checked.stdout
    finally:
        if server.process.poll() is None:
            server.check_log()
    what_comes_while_we_are_dead_arrives_once(mail, outside, root, server)
    dead = mail.machine.vmail("mta", "check", "va.toto.fr", "--server", f"127.0.0.1:{mail.port}", check=False)
    assert (dead.returncode, "start the servers" in dead.stdout) == (1, True)
    assert SITE.is_absolute()


def test_sendmail_calls_vdeliver_which_needs_no_server(
    boot: Boot, outside: Mail, root: Root, free_port: Callable[[], int]
) -> None:
    mail = made("sendmail", boot("sendmail", root.path), free_port(), outside.port)
    site = root.etc / "vmail.toml"
    site.write_text(site.read_text().replace("[site]\n", '[site]\nuser = "office"\n', 1))
    mail.machine.run("chown", "-R", "office:", f"{SITE}/var", f"{SITE}/vhome", f"{SITE}/run")
    mail.machine.run("chmod", "a+x", "/root")  # where this Python may be, which that user has to start
    server = plugged_in(mail, root, "--vdeliver")
    try:
        everything_goes_where_it_should(mail, outside, root)
        what_must_not_come_is_refused(mail)
        a_full_mailbox_is_told_to_the_sender(mail)
        root.empty()
        with smtplib.SMTP("127.0.0.1", mail.port, timeout=30) as client:
            client.sendmail(OUTSIDE, "--root=/tmp@vb.toto.fr", "Subject: no option\n\nHello.\n")
        for _ in moments("a dash is taken for an option"):
            if stored(root) == {"alice@vb.toto.fr": ["no option"]}:
                break
    finally:
        server.stop()
    server.check_log()
    # While there is a server, vdeliver may open its socket as the mail user.
    assert "delivered to alice@vb.toto.fr" in server.log.read_text()
    root.empty()
    mail.submit(HERE, "team@va.toto.fr", "alone")
    for attempt, _ in enumerate(moments("without a server nothing comes")):
        if "alone" in stored(root).get("bob@va.toto.fr", ()):
            break
        if attempt % 50 == 0:
            mail.try_again()
    # Whom nobody can look up now is asked to come again, not taken and not sent away.
    status, said = mail.swaks(OUTSIDE, "nobody@va.toto.fr", "unknown")
    assert (status, bool(re.search(r"^<\*\* 451 4\.3\.0 ", said, re.MULTILINE))) == (24, True), said


def test_postfix_reads_files_and_refuses_without_a_server(
    boot: Boot, root: Root, free_port: Callable[[], int]
) -> None:
    mail = mtas.postfix(boot("postfix", root.path), free_port(), 1, more="recipient_delimiter = +\n")
    plugged_in(mail, root, "--maps", "lmdb").stop()
    what_must_not_come_is_refused(mail)
    assert mail.swaks(OUTSIDE, "newcomer@va.toto.fr", "too early")[0] == 24
    mail.machine.vmail("user", "add", "newcomer@va.toto.fr", "--no-password")
    wanted = {"bob@va.toto.fr": ["account"], "alice@vb.toto.fr": ["fallback"], "newcomer@va.toto.fr": ["new"]}
    for recipient, subject in {
        "bob+lists@va.example": "account",
        "anybody@vb.toto.fr": "fallback",
        "newcomer@va.toto.fr": "new",
    }.items():
        assert mail.swaks(OUTSIDE, recipient, subject)[0] == 0
    assert stored(root) == {}
    server = mail.machine.serve(root)
    for attempt, _ in enumerate(moments("what waited does not come")):
        if stored(root) == wanted:
            break
        if attempt % 50 == 0:
            mail.try_again()
    server.stop()
    server.check_log()
