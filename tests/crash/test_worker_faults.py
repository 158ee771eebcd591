"""Each system call of a worker's delivery fails (strace(1)): nothing is lost, and our trouble refuses no message.

The calls are taken from a traced delivery, and each then fails in one of its own. The sender brings the message
until it has its 250, and then it is everywhere, once. The worker lives, and holds no more than before. Some calls
are tried each time; with VMAIL_EVERY_CALL in the environment, all are, with each error.
"""

from __future__ import annotations

import os
import re
import shutil
import smtplib
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.crash.test_every_call import (
    FILLING,
    MESSAGE,
    SENDER,
    SITUATIONS,
    Call,
    Post,
    check,
    chosen,
    post,
)
from tests.served import Served, moments, start

__all__ = ["post"]
EVERY = "VMAIL_EVERY_CALL" in os.environ
pytestmark = [
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed"),
    pytest.mark.timeout(4 * 3600 if EVERY else 120),
]

ERRORS = ("EIO", "ENOSPC", "EDQUOT", "EMFILE", "EINTR")
FAILURES = 4
"""How many calls of each situation are tried."""
CALLS = frozenset(
    """write writev pwrite64 pread64 read fsync rename link linkat unlink unlinkat openat mkdir close ftruncate
    fcntl lseek copy_file_range newfstatat fstat getdents64 access fchown fchmod chmod pipe2 vfork clone3 socket
    connect sendto recvfrom sendmsg accept4 ioctl poll getpeername getsockname""".split()  # noqa: SIM905
)
_APART = re.compile(r"eventfd|eventpoll|inotify|signalfd| close\(\d+<(?:socket:|[^>]*(?:mbox|\.lock)>)")
"""What the event loop is made of: where that fails it ends the process. And locks, which a close(2) gives up."""
_KEPT = "socket:|/unanswered/|/etc/vmail/domains$"
"""Connections, notes at hand, and definitions that are looked through a few at a time."""
_UNSURE = {"poll", "read", "recvfrom", "sendto", "close", "ioctl"}
"""Where these fail, nobody knows whether a program or a relay has taken the message."""
_LINE = re.compile(r"(?P<thread>\d+) +(?P<name>\w+)\((?P<rest>.*)")
LARGE = 300_000
"""Octets of a message that does not stay in memory."""


@dataclass(frozen=True, slots=True)
class Case:
    """What is delivered."""

    recipient: str
    size: int = 0
    cold: bool = False
    """Whether the files of the domain have to be read again."""

    def text(self, name: str) -> str:
        """A message of that name."""
        return MESSAGE.format(name, FILLING + "0123456789\n" * (self.size // 11))


CASES = {
    "quota": Case("bob@va.toto.fr"),
    "large": Case("bob@vb.toto.fr", LARGE),
    "filter": Case("bob@vc.toto.fr"),
    "all": Case("all@vb.toto.fr"),
    "cold": Case("bob@va.toto.fr", cold=True),
}


def open_files(pid: int) -> list[str]:
    """What a process holds open."""
    found = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):  # closed in this moment
            found.append(os.readlink(entry))
    return found


@dataclass(frozen=True, slots=True)
class Worker:
    """The worker for LMTP of a server."""

    served: Served
    post: Post
    pid: int

    def bring(self, case: Case, name: str) -> int:
        """Bring a message by LMTP; the code of the answer, 0: there was none."""
        if case.cold:
            for path in self.post.root.etc.rglob("*va.toto.fr*"):
                os.utime(path)
        try:
            with smtplib.LMTP(str(self.post.root.socket), timeout=30) as client:
                refused = client.sendmail(SENDER.format(name), [case.recipient], case.text(name))
        except smtplib.SMTPRecipientsRefused as error:
            refused = error.recipients
        except smtplib.SMTPResponseException as error:
            # -1: the connection was lost.
            return max(0, error.smtp_code)
        except (OSError, smtplib.SMTPException):
            return 0
        return next((code for code, _ in refused.values()), 250)

    def descriptors(self) -> list[str]:
        """What the worker holds open, but what it may keep."""
        return sorted(name for name in open_files(self.pid) if not re.search(_KEPT, name))

    def is_alive(self) -> bool:
        """Whether it is the same process still."""
        return self.pid in self.served.workers()

    @contextmanager
    def traced(self, path: Path) -> Iterator[None]:
        """Have strace write down what its threads do, and what the programs do that it starts."""
        with strace("-f", "-o", path, f"-p{self.pid}"):
            yield

    @contextmanager
    def struck(self, call: Call, error: str) -> Iterator[None]:
        """Have a call fail in whichever of its threads makes so many of them; in no program."""
        threads = [f"-p{thread.name}" for thread in Path(f"/proc/{self.pid}/task").iterdir()]
        inject = f"inject={call.name}:error={error}:when={call.nth}"
        with strace("-o", "/dev/null", "-e", inject, *threads):
            yield


@contextmanager
def strace(*options: str | Path) -> Iterator[None]:
    """Run strace(1) on processes, the last of its options."""
    trace = f"trace={','.join(f'?{name}' for name in sorted(CALLS))}"
    process = subprocess.Popen(["strace", "-y", "-e", trace, *options], stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        for option in options:
            if str(option).startswith("-p"):
                said = process.stderr.readline()
                assert "attached" in said, said
        yield
    finally:
        process.kill()  # the system lets go of what it traces
        process.communicate(timeout=30)


def found(served: Served, post: Post) -> Worker:
    """The worker for LMTP, which has delivered of everything already."""
    for case in CASES.values():
        for number in range(2):
            assert Worker(served, post, 0).bring(case, f"warm{number}") == 250
    notes = str(post.root.path / "run/vmail/unanswered/")
    (pid,) = (pid for pid in served.workers() if any(notes in name for name in open_files(pid)))
    return Worker(served, post, pid)


@pytest.fixture
def served(post: Post) -> Iterator[Served]:
    server = start(post.root)
    yield server
    server.stop()


def calls_in(worker: Worker, case: Case, trace: Path) -> list[Call]:
    """The calls of one delivery, but those that the event loop itself is made of."""
    threads = {thread.name for thread in Path(f"/proc/{worker.pid}/task").iterdir()}
    with worker.traced(trace):
        assert worker.bring(case, "traced") == 250
    seen = Counter[tuple[str, str]]()
    found: dict[Call, bool] = {}
    for line in trace.read_text().splitlines():
        match = _LINE.fullmatch(line)
        if match is None or match["thread"] not in threads:
            continue  # the end of a call that began above, or a program
        seen[match["thread"], match["name"]] += 1
        call = Call(match["name"], seen[match["thread"], match["name"]], match["rest"])
        # It fails in each thread that makes so many calls.
        found[call] = found.get(call, True) and not _APART.search(line)
    return [call for call, usable in found.items() if usable]


def faults_of(what: str, calls: list[Call]) -> Iterator[tuple[Call, str]]:
    """What is tried."""
    for number, call in enumerate(chosen(calls, FAILURES, f"{what} fails")):
        yield from ((call, error) for error in (ERRORS if EVERY else ERRORS[number % len(ERRORS) :][:1]))


def left_behind(root: Path) -> list[Path]:
    """Files of deliveries that are over."""
    folders = ("var/spool/vmail/*/*/tmp/*", "lists/box/tmp/*", "lists/*.lock", "var/lib/vmail/partial/*")
    return [path for folder in folders for path in root.glob(folder)]


def brought_under(worker: Worker, case: Case, name: str, call: Call, error: str) -> int:
    """Have a call fail while a message is brought, and see that all is well; the code of the first answer."""
    held = worker.descriptors()
    with worker.struck(call, error):
        first = code = worker.bring(case, name)
    for _ in range(3):
        assert code in {0, 250} or code // 100 == 4, f"it is refused: {code}"
        if code == 250:
            break
        code = worker.bring(case, name)
    assert code == 250, f"it does not come through: {code}"
    repeats = {"program", "relay"} if call.name in _UNSURE else set[str]()
    check(worker.post.found(name), SITUATIONS[case.recipient], repeats=repeats, what=f"first {first}")
    # How often the event loop reads of its own differs from time to time, and there it must not fail.
    if not worker.is_alive():
        assert call.name == "read", "the worker is dead"
        return first
    for _ in moments(f"more is held open than before: {held}, {worker.descriptors()}", 5):
        if call.name in {"close", "read"} or len(worker.descriptors()) <= len(held):
            break  # a close(2) that strace has fail is none
    return first


def test_whichever_call_fails_nothing_is_lost_and_nothing_comes_twice(
    served: Served, post: Post, tmp_path: Path
) -> None:
    worker, failed, wrong = found(served, post), 0, list[str]()
    for what, case in CASES.items():
        calls = calls_in(worker, case, tmp_path / "trace")
        assert len(calls) > 15
        for number, (call, error) in enumerate(faults_of(what, calls)):
            try:
                failed += brought_under(worker, case, f"{what}-{number}", call, error) != 250
            except AssertionError as fault:
                wrong.append(f"{what}: {error} at {call}: {fault}")
            if not worker.is_alive():
                worker = found(served, post)
    assert not wrong, "\n".join(wrong)
    assert failed > FAILURES
    for _ in moments("there is something left of what is over"):
        if left_behind(post.root.path) == []:
            break
