"""Soak a POP3 server: sessions that are cut at random points, then workers that are killed at random.

    python -m bench.soak [--sessions N] [--kills N] [--seed N]

Lays out a demo of its own and serves it. Each client has an account to itself, puts messages into its maildir as
a delivery agent does, and fetches and deletes them in sessions of which half are cut off after a random number of
octets. It keeps a ledger of what has to be there: a message goes by a QUIT that was answered +OK and by nothing
else; where the answer did not come, it is there whole or gone. Prints what it did, the descriptors and the memory
of the workers before and after, and every fault; the status is 1 when there is one.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import socket
import struct
import sys
import tempfile
import threading
import time
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.served import ADDRESSES, COMMANDS, Ports, Root, Served, copy_root, run, start

ACCOUNTS = tuple(f"{login}@{domain}" for domain in ADDRESSES for login in ("bob", "alice"))
_FEW = 6
"""Messages that an account has at most before more are put there."""
_NO_LINGER = struct.pack("ii", 1, 0)


class Fault(Exception):
    """The server did what it must not do."""


class Cut(Exception):
    """The session has read as many octets as it was to read."""


def message(number: int) -> bytes:
    """The message of a number, with LF line ends; some are larger than what the server reads in one piece."""
    dice = zlib.crc32(b"%d" % number)
    lines = 6000 if dice % 60 == 0 else dice % 50
    body = b"".join(b".%d.%d of a message of more lines than one\n" % (number, line) for line in range(lines))
    return b"Subject: %d\n\n%s.\nend of %d\n" % (number, body, number)


@dataclass(slots=True)
class Ledger:
    """What has to be in one mailbox."""

    present: set[int] = field(default_factory=set)
    uncertain: set[int] = field(default_factory=set)
    """To be deleted by a QUIT whose answer did not come."""
    numbers: dict[str, int] = field(default_factory=dict)
    """Of messages by their unique-ids, as far as they were fetched."""

    def check(self, found: Sequence[int]) -> None:
        """Compare with what is there; what was uncertain is settled. Raises Fault."""
        there = set(found)
        if len(there) != len(found):
            raise Fault(f"doubled: {[number for number, times in Counter(found).items() if times > 1]}")
        if lost := self.present - there:
            raise Fault(f"lost: {sorted(lost)}")
        if risen := there - self.present - self.uncertain:
            raise Fault(f"deleted and there again: {sorted(risen)}")
        self.present, self.uncertain = there, set()


class Line:
    """A connection of which so many octets are read at most."""

    def __init__(self, place: tuple[str, int], octets: int) -> None:
        self._left = octets
        self._held = b""
        self.socket = socket.create_connection(place, 60)

    def ask(self, command: bytes) -> bytes:
        """Say a command; its reply line. Raises Cut, OSError."""
        self.socket.sendall(command + b"\r\n")
        return self.line()

    def line(self) -> bytes:
        """The next line, without its end."""
        while b"\n" not in self._held:
            self._read()
        line, _, self._held = self._held.partition(b"\n")
        return line.removesuffix(b"\r")

    def block(self, command: bytes) -> list[bytes]:
        """The lines of a reply of many, without stuffed dots. Raises Fault where it is refused."""
        reply = self.ask(command)
        if not reply.startswith(b"+OK"):
            raise Fault(f"{command.decode()}: {reply.decode()}")
        while not (self._held.startswith(b".\r\n") or b"\r\n.\r\n" in self._held):
            self._read()
        text, _, self._held = (b"\r\n" + self._held).partition(b"\r\n.\r\n")
        return [line.removeprefix(b".") for line in text.split(b"\r\n")[1:]]

    def _read(self) -> None:
        if self._left <= 0:
            raise Cut
        data = self.socket.recv(min(self._left, 1 << 18))
        if not data:
            raise ConnectionResetError("the server hung up")
        self._left -= len(data)
        self._held += data


class Client(threading.Thread):
    """Has one account, and session after session until it is told to stop or has found a fault."""

    def __init__(self, root: Root, account: str, number: int, seed: int, stop: threading.Event) -> None:
        super().__init__(name=account, daemon=True)
        self._root = root
        self._account = account
        self._login, _, self._domain = account.partition("@")
        self._dice = random.Random(seed * 1000 + number)
        self.next_number = number
        self._stop_asked = stop
        self.ledger = Ledger()
        self.done: Counter[str] = Counter()
        self.fault = ""

    def run(self) -> None:
        """The sessions."""
        try:
            while not self._stop_asked.is_set():
                if len(self.ledger.present) < _FEW:
                    self._put(self._dice.randint(1, _FEW))
                self._session()
        except Fault as fault:
            self.fault = f"{self._account}: {fault}"
            self._stop_asked.set()

    def check_stored(self) -> None:
        """Compare the ledger with the files. Raises Fault."""
        numbers = []
        for content in self._root.stored(self._account):
            numbers.append(int(content.partition(b"\n")[0].removeprefix(b"Subject: ")))
            if content != message(numbers[-1]):
                raise Fault(f"message {numbers[-1]} is not whole on disk")
        self.ledger.check(numbers)

    def _put(self, count: int) -> None:
        """Deliver messages, as maildir(5) says."""
        folder = self._root.mailbox(self._account)
        for _ in range(count):
            number = self.next_number
            self.next_number += len(ACCOUNTS)
            content = message(number)
            octets = len(content) + content.count(b"\n")
            # Most agents write the size into the name; where it is missing it is counted, and remembered.
            name = f"{time.time_ns()}.{number}.soak" + (f",W={octets}" if number % 16 else "")
            (folder / "tmp" / name).write_bytes(content)
            os.rename(folder / "tmp" / name, folder / "new" / name)
            self.ledger.present.add(number)
            self.done["delivered"] += 1

    def _session(self) -> None:
        dice = self._dice
        octets = sys.maxsize if dice.random() < 0.5 else int(2 ** dice.uniform(0, 16))
        self.done["sessions"] += 1
        line = None
        try:
            line = Line((ADDRESSES[self._domain], self._root.pop3), octets)
            self._talk(line)
        except Cut:
            self.done["cut"] += 1
        except TimeoutError as late:
            raise Fault("no answer within a minute") from late
        except OSError:
            self.done["cut by the server"] += 1  # its worker was killed
        finally:
            if line is not None:
                if dice.random() < 0.5:  # RST instead of FIN
                    line.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
                line.socket.close()

    def _talk(self, line: Line) -> None:
        dice, ledger = self._dice, self.ledger
        line.line()
        line.ask(b"USER " + self._login.encode())
        reply = line.ask(f"PASS {self._login}-{self._domain.partition('.')[0]}".encode())
        if reply.startswith(b"-ERR [IN-USE]"):
            self.done["in use"] += 1  # by the session that we have just cut
            time.sleep(0.002)
            return
        if not reply.startswith(b"+OK"):
            raise Fault(f"login: {reply.decode()}")
        places = self._look(line)
        if dice.random() < 0.3:
            self._put(1)  # not to be seen in this session
        for place in dice.sample(sorted(places), min(2, len(places))):
            self._fetch(line, place, places[place])
        chosen = [place for place in places if dice.random() < 0.5]
        for place in chosen:
            if not (reply := line.ask(b"DELE %d" % place)).startswith(b"+OK"):
                raise Fault(f"DELE: {reply.decode()}")
        match dice.randrange(10):
            case 0:
                return  # hangs up: nothing is deleted
            case 1:
                line.socket.sendall(b"QUIT"[: dice.randint(1, 4)])  # no whole command: likewise
                return
            case 2:
                line.ask(b"RSET")
                chosen = []
        deleted = {places[place] for place in chosen}
        ledger.present -= deleted
        ledger.uncertain |= deleted
        if not (reply := line.ask(b"QUIT")).startswith(b"+OK"):
            raise Fault(f"QUIT: {reply.decode()}")
        ledger.uncertain -= deleted
        self.done["deleted"] += len(deleted)
        self.done["ended by QUIT"] += 1

    def _look(self, line: Line) -> Mapping[int, int]:
        """The numbers of all messages by their places in this session, compared with the ledger."""
        listed = [entry.decode().split() for entry in line.block(b"UIDL")]
        for place, uid in listed:
            if uid not in self.ledger.numbers:
                self.ledger.numbers[uid] = self._fetch(line, int(place))
        places = {int(place): self.ledger.numbers[uid] for place, uid in listed}
        self.ledger.check(list(places.values()))
        return places

    def _fetch(self, line: Line, place: int, expected: int | None = None) -> int:
        """Fetch a message and see that it is whole; its number."""
        content = b"".join(each + b"\n" for each in line.block(b"RETR %d" % place))
        number = int(content.partition(b"\n")[0].removeprefix(b"Subject: "))
        if content != message(number) or expected not in (None, number):
            raise Fault(f"message {number} is not itself")
        self.done["fetched"] += 1
        return number


@dataclass(frozen=True, slots=True)
class Load:
    """What a process takes."""

    descriptors: int
    memory: int
    """Resident, kB."""

    @classmethod
    def of(cls, pid: int) -> Load:
        """As /proc says."""
        status = Path(f"/proc/{pid}/status").read_text()
        memory = int(status.partition("VmRSS:")[2].split()[0])
        return cls(len(os.listdir(f"/proc/{pid}/fd")), memory)


@dataclass(slots=True)
class Soak:
    """One server with its clients; their ledgers go on from one phase to the next."""

    served: Served
    seed: int = 1
    done: Counter[str] = field(default_factory=Counter)
    _ledgers: dict[str, tuple[Ledger, int]] = field(default_factory=dict)
    _phases: int = 0

    def loads(self) -> dict[int, Load]:
        """What each worker takes now that nobody is connected."""
        time.sleep(0.5)  # what was cut last is noticed
        return {pid: Load.of(pid) for pid in self.served.workers()}

    def run(self, seconds: float, sessions: int = sys.maxsize, kills: int = 0) -> None:
        """Have sessions for so long or so many, with `kills` workers killed meanwhile. Raises Fault."""
        stop = threading.Event()
        self._phases += 1
        clients = [
            Client(self.served.root, account, number, self.seed + self._phases, stop)
            for number, account in enumerate(ACCOUNTS)
        ]
        for client in clients:
            if client.name in self._ledgers:
                client.ledger, client.next_number = self._ledgers[client.name]
            client.start()
        self._wait(clients, stop, time.monotonic() + seconds, sessions, kills)
        stop.set()
        for client in clients:
            client.join(90)
            self.done += client.done
            self._ledgers[client.name] = client.ledger, client.next_number
        if faults := [client.fault for client in clients if client.fault]:
            raise Fault("; ".join(faults))
        if stuck := [client.name for client in clients if client.is_alive()]:
            raise Fault(f"stuck: {stuck}")
        time.sleep(0.5)  # a QUIT that nobody waited for may be under way
        for client in clients:
            client.check_stored()

    def _wait(
        self, clients: Sequence[Client], stop: threading.Event, end: float, sessions: int, kills: int
    ) -> None:
        dice = random.Random(self.seed)
        pause = (end - time.monotonic()) / (kills + 1) if kills else 0.5
        while not stop.wait(min(pause, max(0.0, end - time.monotonic()))) and time.monotonic() < end:
            if sum(client.done["sessions"] for client in clients) >= sessions:
                return
            if kills:
                with suppress(ProcessLookupError):
                    os.kill(dice.choice(self.served.workers()), signal.SIGKILL)
                self.done["workers killed"] += 1


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Soak a POP3 server of our own.")
    parser.add_argument("--sessions", type=int, default=100_000, help="that are cut at random points")
    parser.add_argument("--kills", type=int, default=100, help="workers killed afterwards, one a second")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak") as folder:
        template = Path(folder, "demo")
        run(COMMANDS / "vmail", "--root", template, "init", "--demo", check=True)
        ports = Ports("gw9")
        root = copy_root(template, Path(folder, "r"), [ports.take() for _ in range(3)])
        root.empty()
        shutil.rmtree(template)
        served = start(root)
        soak = Soak(served, options.seed)
        try:
            soak.run(10.0)  # what is loaded and remembered once is no growth
            before = soak.loads()
            started = time.monotonic()
            soak.run(86400.0, options.sessions)
            print(f"{time.monotonic() - started:.0f} s without kills: {dict(soak.done)}")
            for pid, load in soak.loads().items():
                print(f"worker {pid}: {before[pid]} -> {load}")
            soak.run(float(options.kills), kills=options.kills)
            print(f"in all: {dict(soak.done)}")
            print(f"{soak.loads()}")
        except Fault as fault:
            sys.exit(f"fault: {fault}")
        finally:
            served.stop()
        served.check_log()


if __name__ == "__main__":
    main()
