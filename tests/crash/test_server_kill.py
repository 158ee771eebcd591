"""Workers killed in the middle of deliveries: what was answered 250 is there, once; nothing is there in part."""

from __future__ import annotations

import os
import random
import signal
import smtplib
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path

from tests.served import Served

SENDERS, SECONDS, KILLS = 4, 6.0, 12
FILLING = "".join(
    f"line {number} of a message that takes more than one write to be whole\n" for number in range(300)
)


class Sender(threading.Thread):
    """Delivers messages, each with a number of its own, until it is told to stop."""

    def __init__(self, served: Served, name: str, stop: threading.Event) -> None:
        super().__init__(name=name)
        self.served = served
        self.stop = stop
        self.sent: list[str] = []
        self.answered: set[str] = set()

    def run(self) -> None:
        while not self.stop.is_set():
            try:
                with smtplib.LMTP("127.0.0.1", self.served.root.lmtp, timeout=10) as client:
                    while not self.stop.is_set():
                        self.send(client)
            except (OSError, smtplib.SMTPException):
                continue

    def send(self, client: smtplib.LMTP) -> None:
        number = f"{self.name}-{len(self.sent)}"
        self.sent.append(number)
        message = f"Subject: {number}\n\n{FILLING}end of {number}\n"
        if not client.sendmail("ann@example.org", ["bob@va.toto.fr"], message):
            self.answered.add(number)


def test_workers_killed_while_mail_comes_in(served: Served) -> None:
    served.root.empty()
    stop = threading.Event()
    senders = [Sender(served, f"s{number}", stop) for number in range(SENDERS)]
    for sender in senders:
        sender.start()
    dice = random.Random(7)
    for _ in range(KILLS):
        stop.wait(SECONDS / KILLS * dice.uniform(0.5, 1.5))
        with suppress(ProcessLookupError):
            os.kill(dice.choice(served.workers()), signal.SIGKILL)
    stop.set()
    for sender in senders:
        sender.join(30)
    found: Counter[str] = Counter()
    for content in served.root.stored("bob@va.toto.fr"):
        text = content.decode()
        number = text.partition("Subject: ")[2].partition("\n")[0]
        assert text.endswith(f"{FILLING}end of {number}\n"), f"{number} is there in part"
        found[number] += 1
    answered = set().union(*(sender.answered for sender in senders))
    assert len(answered) > 50, "too little was delivered for this test to tell anything"
    assert {number for number in answered if found[number] != 1} == set()
    assert max(found.values()) == 1
    assert found.keys() <= {number for sender in senders for number in sender.sent}
    leftovers = list(Path(served.root.mailbox("bob@va.toto.fr"), "tmp").iterdir())
    assert len(leftovers) <= KILLS * SENDERS
