"""What a sender brings again, because it had no answer or because another recipient waits, comes once."""

from __future__ import annotations

import os
import random
import signal
import smtplib
import socket
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from tests.served import Root, Served, moments

SENDERS, SECONDS, KILLS = 4, 8.0, 25
FILLING = "".join(f"line {number} of a message that takes more than one write\n" for number in range(200))
MESSAGE = b"From: carol@sender.example\nSubject: Piped\n\nHello.\n"


@pytest.fixture(params=["through the server", "on its own"])
def where(request: pytest.FixtureRequest) -> Root:
    """A demo with a running server, and one without; of this test's own."""
    root: Root = (
        request.getfixturevalue("served").root
        if request.param == "through the server"
        else (request.getfixturevalue("root"))
    )
    root.empty()
    return root


def test_one_exit_status_for_all_delivers_to_nobody_twice(where: Root) -> None:
    """75 makes the MTA bring the message again for every recipient, also those who have it."""
    recipients = ["bob@va.toto.fr", "team@va.toto.fr", "accountant@vc.toto.fr"]  # whose relay is not there
    for _ in range(3):
        assert where.vdeliver(MESSAGE, *recipients).returncode == 75
        assert len(where.stored("bob@va.toto.fr")) == 1
    first = where.everything_stored()
    aliases = where.etc / "aliases.vc.toto.fr"
    aliases.write_text("accountant: bob@vb.toto.fr\n")
    for _ in moments("the alias is not in force"):
        if where.vdeliver(MESSAGE, *recipients).returncode == 0:
            break
    after = where.everything_stored()
    assert {address: count for address, count in after.items() if address in first} == first
    # The last word was said: the same words are another message now.
    assert where.vdeliver(MESSAGE, *recipients).returncode == 0
    assert len(where.stored("bob@va.toto.fr")) == 2


class Sender(threading.Thread):
    """Brings each of its messages until it is answered 250, as an MTA does."""

    def __init__(self, served: Served, name: str, stop: threading.Event) -> None:
        super().__init__(name=name)
        self.served = served
        self.stop = stop
        self.answered: list[str] = []
        self.again = 0

    def run(self) -> None:
        number = 0
        while not self.stop.is_set():
            name = f"{self.name}-{number}"
            message = f"Subject: {name}\n\n{FILLING}end of {name}\n"
            while not self._bring(message):
                self.again += 1
            self.answered.append(name)
            number += 1

    def _bring(self, message: str) -> bool:
        with (
            suppress(OSError, smtplib.SMTPException),
            smtplib.LMTP("127.0.0.1", self.served.root.lmtp, timeout=20) as client,
        ):
            return not client.sendmail("ann@example.org", ["bob@va.toto.fr"], message)
        time.sleep(0.01)
        return False


def test_workers_killed_and_senders_that_insist(served: Served) -> None:
    served.root.empty()
    stop = threading.Event()
    senders = [Sender(served, f"s{number}", stop) for number in range(SENDERS)]
    for sender in senders:
        sender.start()
    dice = random.Random(11)
    for _ in range(KILLS):
        stop.wait(SECONDS / KILLS * dice.uniform(0.5, 1.5))
        with suppress(ProcessLookupError):
            os.kill(dice.choice(served.workers()), signal.SIGKILL)
    stop.set()
    for sender in senders:
        sender.join(60)
        assert not sender.is_alive()
    found = Counter(
        content.decode().partition("Subject: ")[2].partition("\n")[0]
        for content in served.root.stored("bob@va.toto.fr")
    )
    answered = [name for sender in senders for name in sender.answered]
    assert sum(sender.again for sender in senders) > 5, "too few were killed for this test to tell anything"
    assert found == Counter(answered)


ENVELOPE = b"LHLO x\r\nMAIL FROM:<ann@example.org>\r\nRCPT TO:<bob@va.toto.fr>\r\n"
DIALOGUE = ENVELOPE + b"DATA\r\nSubject: x\r\n\r\nx\r\n.\r\n"


@pytest.fixture
def slow(served: Served) -> Root:
    """A server that takes a second for a message to bob@va.toto.fr, so that a client may lose its patience."""
    definition = served.root.etc / "domains/va.toto.fr.toml"
    definition.write_text(f"filter = \"/bin/sh -c 'sleep 1; cat'\"\n{definition.read_text()}")
    served.root.empty()
    return served.root


@pytest.mark.parametrize("way", ["unix", "tcp"])
@pytest.mark.parametrize("end", ["before it comes", "with a reset", "without reading it", "after QUIT"])
def test_a_client_that_goes_without_its_answer_brings_it_again(slow: Root, way: str, end: str) -> None:
    with open_to(slow, way) as client:
        client.sendall(DIALOGUE + (b"QUIT\r\n" if end == "after QUIT" else b""))
        time.sleep(0.4)
        if end == "with a reset":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        for _ in moments("there is no answer") if end == "without reading it" else ():
            if b"250 2.0.0 " in client.recv(65536, socket.MSG_PEEK):
                break
    for _ in moments("the message did not arrive"):
        if slow.stored("bob@va.toto.fr"):
            break
    time.sleep(0.3)
    for expected in (1, 2):  # again, and then another message with the same words
        answered(slow, way, expected)


@pytest.mark.parametrize("way", ["unix", "tcp"])
def test_a_client_that_has_closed_its_side_may_read_its_answer(slow: Root, way: str) -> None:
    with open_to(slow, way) as client, client.makefile("rb") as answers:
        client.sendall(DIALOGUE)
        client.shutdown(socket.SHUT_WR)
        assert b"\r\n250 2.0.0 " in answers.read()
    time.sleep(0.3)
    answered(slow, way, 2)


def answered(root: Root, way: str, expected: int) -> None:
    """Bring the message, read the answer, and see how often it is there."""
    with open_to(root, way) as client, client.makefile("rb") as answers:
        client.sendall(DIALOGUE + b"QUIT\r\n")
        said = answers.read()
        assert b"\r\n250 2.0.0 " in said, said
    assert len(root.stored("bob@va.toto.fr")) == expected
    for _ in moments("the note is still there"):
        if list(Path(root.path, "run/vmail/unanswered").glob("[!.]*")) == []:
            break


def open_to(root: Root, way: str) -> socket.socket:
    if way == "tcp":
        return socket.create_connection(("127.0.0.1", root.lmtp), 30)
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(30)
    client.connect(str(root.socket))
    return client
