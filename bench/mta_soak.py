"""Ten thousand messages through a real Postfix, whose LMTP server has its workers killed at random all the while.

    python -m bench.mta_soak [--messages N] [--pause SECONDS] [--seed N]

Lays out a demo, and Postfix beside it on a machine of its own (tests/e2e/machine.py), plugged in by `vmail mta
install`. Numbered messages go in by SMTP, to accounts, to a list of two and to an mbox; a worker is killed about
every `--pause` seconds until Postfix has nothing left. Then each message has to be in each of its places, once and
whole. Prints what was done and every fault; the status is 1 when there is one. Needs root.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import signal
import smtplib
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e import mtas
from tests.e2e.machine import Machine
from tests.served import COMMANDS, Ports, Root, Served, copy_root, moments, run

PLACES = {
    "bob@va.toto.fr": ("bob@va.toto.fr",),
    "alice@vb.toto.fr": ("alice@vb.toto.fr",),
    "team@va.toto.fr": ("bob@va.toto.fr", "alice@va.toto.fr"),
    "bob@vc.toto.fr": ("bob@vc.toto.fr",),
    "records@vb.toto.fr": ("mbox",),
}
"""Recipients, and where a message for each of them belongs."""
CLIENTS = 4
_PATIENCE = 900.0
"""Seconds from the last message taken by Postfix until all have to be there."""
_NUMBER = re.compile(rb"^Subject: (\d+)$", re.MULTILINE)


def recipient_of(number: int) -> str:
    """Whom a message is for."""
    return list(PLACES)[number % len(PLACES)]


def message(number: int) -> str:
    """The message of a number; some are larger than one write."""
    lines = 3000 if number % 97 == 0 else number % 40
    body = "".join(f"{number}.{line} of a message of more lines than one\n" for line in range(lines))
    return f"From: carol@outside.example\nSubject: {number}\n\n{body}end of {number}\n"


@dataclass(slots=True)
class Soak:
    """Postfix, our servers, and what is known of the messages."""

    root: Root
    mail: mtas.Mail
    served: Served
    done: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def inject(self, messages: int) -> None:
        """Send all messages by SMTP, in several connections."""
        threads = [
            threading.Thread(target=self._send, args=(range(n, messages, CLIENTS),)) for n in range(CLIENTS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _send(self, numbers: range) -> None:
        with smtplib.SMTP("127.0.0.1", self.mail.port, timeout=60) as client:
            for number in numbers:
                client.sendmail("carol@outside.example", [recipient_of(number)], message(number))
                self.done["taken by Postfix"] += 1

    def kill(self, stop: threading.Event, pause: float, dice: random.Random) -> None:
        """Kill a worker every now and then."""
        while not stop.wait(pause * dice.uniform(0.3, 1.7)):
            with suppress(ProcessLookupError, IndexError):
                os.kill(dice.choice(self.served.workers()), signal.SIGKILL)
                self.done["workers killed"] += 1

    def wait(self) -> None:
        """Until Postfix has nothing left."""
        for _ in moments("Postfix keeps messages", _PATIENCE):
            if "Mail queue is empty" in self.mail.machine.run("postqueue", "-p", check=False).stdout:
                return
            self.mail.try_again()
            time.sleep(0.5)

    def found(self) -> Iterator[tuple[str, bytes]]:
        """Every message that is anywhere, with its place."""
        for address in {place for places in PLACES.values() for place in places} - {"mbox"}:
            for content in self.root.stored(address):
                yield address, content
        text = (self.root.path / "lists/mbox").read_bytes()
        for entry in re.split(rb"(?:\A|(?<=\n\n))From carol@outside\.example  ", text)[1:]:
            yield "mbox", entry.removesuffix(b"\n")

    def check(self, messages: int) -> None:
        """Compare what is there with what has to be."""
        counts = Counter[tuple[str, int]]()
        for place, content in self.found():
            match = _NUMBER.search(content)
            number = int(match[1]) if match else -1
            if not content.endswith(message(max(number, 0)).encode().partition(b"\n\n")[2]):
                self.faults.append(f"{place}: message {number} is not whole")
            counts[place, number] += 1
        wanted = {(place, number) for number in range(messages) for place in PLACES[recipient_of(number)]}
        self.faults += [f"lost: {each}" for each in sorted(wanted - counts.keys())]
        self.faults += [f"{count} times: {each}" for each, count in counts.items() if count > 1]
        self.faults += [f"nobody sent {each}" for each in counts.keys() - wanted]
        self.done["places checked"] = len(wanted)


@contextmanager
def plugged_in(folder: Path) -> Iterator[Soak]:
    """Postfix with our servers behind it."""
    run(COMMANDS / "vmail", "--root", folder / "demo", "init", "--demo", check=True)
    ports = Ports("gw8")
    root = copy_root(folder / "demo", folder / "r", [ports.take() for _ in range(3)])
    root.empty()
    (root.path / "lists").mkdir()
    (root.path / "lists").chmod(0o777)
    with (root.etc / "aliases.vb.toto.fr").open("a") as aliases:
        aliases.write("records: /lists/mbox\n")
    machine = Machine("postfix", folder / "machine", root.path)
    try:
        mail = mtas.postfix(machine, ports.take(), 1)
        machine.vmail("mta", "install", "postfix")
        served = machine.serve(root)
        mail.start()
        for _ in moments("Postfix does not answer"):
            if run("swaks", "--server", f"127.0.0.1:{mail.port}", "--quit-after", "EHLO").returncode == 0:
                break
        yield Soak(root, mail, served)
        served.stop()
        served.check_log()
    finally:
        machine.stop()


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Kill our workers behind a Postfix that delivers.")
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--pause", type=float, default=0.5, help="seconds between kills")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with plugged_in(folder) as soak:
            started = time.monotonic()
            stop = threading.Event()
            dice = random.Random(options.seed)
            killer = threading.Thread(target=soak.kill, args=(stop, options.pause, dice))
            killer.start()
            try:
                soak.inject(options.messages)
                soak.wait()
            finally:
                stop.set()
                killer.join()
            log = soak.mail.machine.text(soak.mail.log)
            soak.done["tries that Postfix had to repeat"] = log.count("status=deferred")
            soak.check(options.messages)
            print(f"{time.monotonic() - started:.0f} s: {dict(soak.done)}")
    for fault in soak.faults[:50]:
        print(f"fault: {fault}")
    sys.exit(1 if soak.faults else 0)


if __name__ == "__main__":
    main()
