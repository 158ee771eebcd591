"""strace(1) kills a delivery at its system calls, and has them fail: what is brought again comes once.

The calls that matter are taken from a first, traced run of each situation: each write, rename, link, fsync and so
on, and what is said to a program or a relay. Some of them are tried each time; with VMAIL_EVERY_CALL in the
environment, all are.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import smtplib
import socket
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.relay import ScriptedRelay, running
from tests.served import COMMANDS, Root, Served, copy_root, moments, start, unmeasured

EVERY = "VMAIL_EVERY_CALL" in os.environ
pytestmark = [
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed"),
    pytest.mark.timeout(4 * 3600 if EVERY else 120),
]

CALLS = frozenset(
    """write writev pwrite64 fsync rename link unlink unlinkat openat mkdir ftruncate fcntl copy_file_range connect
    sendto recvfrom sendmsg vfork clone3 clone wait4 waitid exit_group""".split()  # noqa: SIM905
)
_LINE = re.compile(r"(?:(?P<thread>\d+) +)?(?P<name>\w+)\((?P<rest>.*)")
_OURS = {"openat": re.compile(r"O_CREAT|O_TMPFILE|\.lock|/etc/vmail/"), "fcntl": re.compile("SETLK")}
"""Of calls that Python itself makes while it begins, those that are a delivery's."""
KILLS, FAILURES = 4, 2
"""How many calls of each situation are tried."""
ERRORS = ("EIO", "ENOSPC", "EMFILE", "EINTR")
SENDER = "ann.{}@example.org"
MESSAGE = "From: carol@sender.example\nSubject: {0}\n\nFrom here on.\n{1}end of {0}\n"
FILLING = "a line of a message\n" * 60


@dataclass(frozen=True, slots=True)
class Call:
    """The nth call of its name by one thread."""

    name: str
    nth: int
    text: str = field(compare=False)

    def __str__(self) -> str:
        return f"{self.name} {self.nth}: {self.text[:60]}"


@dataclass(slots=True)
class Post:
    """A demo whose aliases lead everywhere, with its relay."""

    root: Root
    relay: ScriptedRelay
    folder: Path
    """Where programs and files write."""
    number: int = 0

    def bring(self, name: str, recipient: str, *prefix: str | Path) -> bool:
        """Have vdeliver deliver a message; whether it said that it did."""
        command = [*prefix, COMMANDS / "vdeliver", "--root", self.root.path, "-f", SENDER.format(name), recipient]
        message = MESSAGE.format(name, FILLING).encode()
        # Unmeasured: else many of its calls would be those of whoever counts the lines.
        ran = subprocess.run(
            command, input=message, capture_output=True, timeout=60, check=False, env=unmeasured()
        )
        # No other status makes an MTA keep the message.
        assert ran.returncode in {0, 75, -signal.SIGKILL}, f"{name}: {ran.returncode}, {ran.stderr.decode()}"
        return ran.returncode == 0

    def bring_to_server(self, name: str, recipient: str) -> bool:
        """The same by LMTP."""
        with (
            suppress(OSError, smtplib.SMTPException),
            smtplib.LMTP(str(self.root.socket), timeout=20) as client,
        ):
            return not client.sendmail(SENDER.format(name), [recipient], MESSAGE.format(name, FILLING))
        return False

    def found(self, name: str) -> Counter[str]:
        """How often a message is where."""
        mark = f"Subject: {name}\n".encode()
        counts = Counter[str]()
        for account in ("bob@va.toto.fr", "bob@vb.toto.fr", "alice@vb.toto.fr", "bob@vc.toto.fr"):
            stored = [content for content in self.root.stored(account) if mark in content]
            assert all(content.endswith(f"end of {name}\n".encode()) for content in stored), f"{name} is in part"
            counts[account] = len(stored)
            if account == "bob@vc.toto.fr":
                assert all(b"From now on" in content for content in stored), "it came past the filter"
        counts["file"] = self._in_mbox(name)
        counts["maildir"] = sum(mark in path.read_bytes() for path in self.folder.glob("box/new/*"))
        ran = self.folder / "ran"
        counts["program"] = ran.read_text().split().count(name) if ran.exists() else 0
        counts["relay"] = sum(mark.replace(b"\n", b"\r\n") in taken.content for taken in self.relay.taken)
        counts["reply"] = sum(SENDER.format(name) in taken.recipients for taken in self.relay.taken)
        return +counts

    def _in_mbox(self, name: str) -> int:
        path = self.folder / "mbox"
        text = path.read_text() if path.exists() else ""
        entries = re.split(r"(?:^|(?<=\n\n))From ann\.", text)[1:]
        wrong = [entry for entry in entries if not re.search(r"\n>From here on[^\0]*\nend of \S+\n\n\Z", entry)]
        assert wrong == [], "the mbox holds parts of messages"
        return sum(f"\nSubject: {name}\n" in entry for entry in entries)


@pytest.fixture
def post(_demo: Path, free_port: Callable[[], int]) -> Iterator[Post]:
    with tempfile.TemporaryDirectory(prefix="vmaild") as place:
        os.chmod(place, 0o755)  # for the mail user, whom those of pytest are closed to
        yield from set_up(copy_root(_demo, Path(place, "r"), [free_port() for _ in range(3)]))


def set_up(root: Root) -> Iterator[Post]:
    folder = root.path / "lists"
    folder.mkdir()
    folder.chmod(0o777)
    program = f"|/bin/sh -c 'sed -n s/^Subject:.//p >>{folder}/ran'"
    targets = {"program": program, "file": "/lists/mbox", "maildir": "/lists/box/", "out": "joe@outside.example"}
    targets["all"] = f"bob, alice, /lists/mbox, {targets['out']}, robot"
    targets["robot"] = program
    with (root.etc / "aliases.vb.toto.fr").open("a") as aliases:
        aliases.writelines(
            f"{name}: {f'{chr(34)}{to}{chr(34)}' if '|' in to else to}\n" for name, to in targets.items()
        )
    definition = root.etc / "domains/vc.toto.fr.toml"
    definition.write_text('filter = "/bin/sed s/here/now/"\n' + definition.read_text())
    home = root.path / "vhome/vb.toto.fr/alice"
    home.mkdir(parents=True, exist_ok=True)
    (home / "vacation").write_text("Any-Recipient: yes\n\nI am away.\n")
    with running(ScriptedRelay()) as relay:
        site = root.etc / "vmail.toml"
        text = site.read_text().replace(
            '# relay = "smtp://127.0.0.1:25"', f'relay = "smtp://127.0.0.1:{relay.port}"'
        )
        site.write_text(text.replace("[lmtp]\n", "[lmtp]\nworkers = 1\n"))
        yield Post(root, relay, folder)


SITUATIONS = {
    "bob@vb.toto.fr": {"bob@vb.toto.fr"},
    "bob@va.toto.fr": {"bob@va.toto.fr"},  # with a quota
    "bob@vc.toto.fr": {"bob@vc.toto.fr"},  # through a filter
    "alice@vb.toto.fr": {"alice@vb.toto.fr", "reply"},
    "file@vb.toto.fr": {"file"},
    "maildir@vb.toto.fr": {"maildir"},
    "program@vb.toto.fr": {"program"},
    "out@vb.toto.fr": {"relay"},
    "all@vb.toto.fr": {"bob@vb.toto.fr", "alice@vb.toto.fr", "file", "relay", "program", "reply"},
}
"""Recipients, and all places that a message for them comes to."""


def calls_of(trace: str) -> list[Call]:
    """The calls that matter, in their order, with their number among those of their name by their thread."""
    seen = Counter[tuple[str, str]]()
    found: list[Call] = []
    for line in trace.splitlines():
        match = _LINE.match(line)
        if match is None or match["name"] not in CALLS:
            continue
        seen[match["thread"], match["name"]] += 1
        ours = _OURS.get(match["name"])
        if (ours is None or ours.search(match["rest"])) and "nscd" not in match["rest"]:
            found.append(Call(match["name"], seen[match["thread"], match["name"]], match["rest"]))
    return found


def chosen(calls: list[Call], count: int, seed: str) -> list[Call]:
    """Some of the calls, spread over all of them."""
    unique = list(dict.fromkeys(calls))
    if EVERY or len(unique) <= count:
        return unique
    dice = random.Random(seed)
    step = len(unique) / count
    return [unique[int((number + dice.random()) * step)] for number in range(count)]


def faults(calls: list[Call], situation: str) -> Iterator[tuple[Call, str]]:
    """What is tried: a call, and what strace does to it."""
    # How often a program is waited for depends on how long it takes: only the first time is sure to come.
    sure = [call for call in calls if call.name not in {"wait4", "waitid"} or call.nth == 1]
    for call in chosen(sure, KILLS, situation):
        yield call, "signal=KILL"
    lasting = [call for call in calls if call.name not in {"exit_group", "vfork", "clone", "clone3", "wait4"}]
    for number, call in enumerate(chosen(lasting, FAILURES, f"{situation} fails")):
        some = ERRORS if EVERY else ERRORS[number % 2 :][:1]
        yield from ((call, f"error={error}") for error in some)


def check(found: Counter[str], places: set[str], *, repeats: set[str], what: str) -> None:
    """It is everywhere, once; in places that `repeats` names it may be twice. A reply is sent once at most."""
    assert found.keys() | {"reply"} == places | {"reply"}, what
    for place, count in found.items():
        assert count == 1 or (count == 2 and place in repeats), f"{what}: {place} has it {count} times"


def repeated_after(calls: list[Call], call: Call) -> set[str]:
    """Where a message comes twice if vdeliver is killed at a call.

    That is a program or a relay, between its beginning and the note of its success; and everything, between what
    takes the notes away and the exit status.
    """
    texts = [f"{each.name} {each.text}" for each in calls]
    here = calls.index(call)
    found = set()
    for place, begins in (("program", r"(vfork|clone\d?) "), ("relay", r"connect .*127\.0\.0\.1")):
        first = next((i for i, text in enumerate(texts) if re.match(begins, text)), len(texts))
        noted = next((i for i, text in enumerate(texts) if i > first and text.startswith("link ")), -1)
        if first < here <= noted:
            found.add(place)
    answered = next(i for i, text in enumerate(texts) if re.match(r'unlink ".*/unanswered/[0-9a-f]{64}"', text))
    return found | ({"program", "relay", "file", "maildir", *SITUATIONS} if here > answered else set())


@pytest.mark.parametrize("situation", SITUATIONS)
def test_vdeliver_at_its_calls(post: Post, tmp_path: Path, situation: str) -> None:
    """Killed, or with a call that fails, and called again until it says 0: all is there, once."""
    trace = tmp_path / "trace"
    strace = ("strace", "-qq", "-e", f"trace={','.join(sorted(CALLS))}")
    assert post.bring("warm", situation)
    assert post.bring("traced", situation, *strace, "-o", trace)
    check(post.found("traced"), SITUATIONS[situation], repeats=set(), what="traced")
    calls = calls_of(trace.read_text())
    assert len(calls) > 8
    again = 0
    for number, (call, fault) in enumerate(faults(calls, situation)):
        name = f"m{number}"
        inject = f"inject={call.name}:{fault}:when={call.nth}"
        done = post.bring(name, situation, *strace, "-o", "/dev/null", "-e", inject)
        again += not done
        for _ in range(3):
            done = done or post.bring(name, situation)
        assert done, f"{fault} at {call}"
        unheard = {"relay"} if call.name == "recvfrom" else set[str]()  # it has taken the message, or not
        repeats = repeated_after(calls, call) if fault == "signal=KILL" else unheard
        check(post.found(name), SITUATIONS[situation], repeats=repeats, what=f"{fault} at {call}")
    assert again >= KILLS - 1


def test_vdeliver_killed_while_the_server_delivers(post: Post, tmp_path: Path) -> None:
    """It may have its answer already: only from its farewell on the server takes it for one that knows."""
    served = start(post.root)
    strace = ("strace", "-qq", "-e", "trace=connect,sendto,recvfrom,exit_group")
    try:
        assert post.bring("traced", "bob@vb.toto.fr", *strace, "-o", tmp_path / "trace")
        calls = calls_of((tmp_path / "trace").read_text())
        assert any("QUIT" in call.text for call in calls)
        for number, call in enumerate(calls):
            name = f"m{number}"
            inject = f"inject={call.name}:signal=KILL:when={call.nth}"
            assert not post.bring(name, "bob@vb.toto.fr", *strace, "-o", "/dev/null", "-e", inject)
            assert post.bring(name, "bob@vb.toto.fr")
            found = post.found(name)["bob@vb.toto.fr"]
            assert found == 1 or (found == 2 and call.name == "exit_group"), f"{call}: {found}"
    finally:
        served.stop()


WORKER = ("write", "writev", "pwrite64", "fsync", "rename", "link", "unlink", "ftruncate", "connect", "sendto")


@pytest.mark.parametrize("situation", ["bob@va.toto.fr", "all@vb.toto.fr"])
def test_a_worker_killed_at_its_calls(post: Post, situation: str) -> None:
    """A client that brings the message until it hears 250 has it delivered once."""
    served = start(post.root)
    killed = 0
    try:
        assert post.bring_to_server("warm", situation)
        points = [(name, nth) for name in WORKER for nth in (1, 2, 3)]
        for name, nth in points if EVERY else points[:: 3 if "all" in situation else 5]:
            subject = f"m-{name}-{nth}"
            with struck(served, f"inject={name}:signal=KILL:when={nth}"):
                done = post.bring_to_server(subject, situation)
                killed += not done
            for _ in moments(f"{subject} is not taken"):
                if done or (done := post.bring_to_server(subject, situation)):
                    break
            check(post.found(subject), SITUATIONS[situation], repeats={"program", "relay"}, what=subject)
    finally:
        served.stop()
    assert killed > 2


@contextmanager
def struck(served: Served, inject: str) -> Iterator[None]:
    """Have strace do something to the worker for LMTP, each of its threads counted by itself."""
    command = ["strace", "-f", "-o", "/dev/null", "-e", f"trace={','.join(WORKER)}", "-e", inject]
    for _ in moments("there is no worker for LMTP"):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(served.root.socket))
            client.recv(100)
        pids = [f"-p{pid}" for pid in served.workers()]
        if pids:
            break
    strace = subprocess.Popen([*command, *pids], stderr=subprocess.PIPE, text=True)
    try:
        assert strace.stderr is not None
        for _ in pids:
            assert "attached" in strace.stderr.readline()
        yield
    finally:
        strace.kill()  # the system lets go of what it traces; asked to end, it waits for threads that do not run
        strace.communicate(timeout=30)
