"""`vmail top`: against the real socket of a live view, and in a real terminal."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import uvloop
from rich.console import Console

from vmaild.admin.live import Live, LiveSession, parse_live, read_document
from vmaild.admin.refusal import Refused
from vmaild.cli.top import duration_in_words, rates, view
from vmaild.servers.board import Board, Metric, Row
from vmaild.servers.metrics import live_document, live_view

PROGRAM = """
from typing import Annotated
import typer
from vmaild.cli.conventions import Verbs, VmailGroup
from vmaild.cli.top import EXAMPLES, top
app = Verbs("One verb.", VmailGroup)
@app.callback()
def vmail(root: Annotated[str | None, typer.Option()] = None) -> None: ...
app.verb(epilog=EXAMPLES)(top)
app()
"""


class Serving:
    """A live view on the socket of a root, and the row that is shown."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.path = root / "run/vmail/status.sock"
        self.path.parent.mkdir(parents=True)
        self.board = Board.create(1, time.time() - 3725)
        self.board.clear(0)
        self.row: Row = self.board.row(0)
        self._loop = uvloop.new_event_loop()
        self._ending = asyncio.Event()
        started = threading.Event()

        async def serve() -> None:
            server = await self._loop.create_unix_server(live_view(self.board), str(self.path))
            started.set()
            await self._ending.wait()
            server.close()
            await asyncio.sleep(0.05)

        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(serve(),))
        self._thread.start()
        assert started.wait(10)

    def stop(self) -> None:
        """Serve no more."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._ending.set)
            self._thread.join()
            self._loop.close()


@pytest.fixture
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    # A short name: the path of a socket has 107 bytes at most.
    serving = Serving(tmp_path_factory.mktemp("t") / "root")
    session = serving.row.enter("192.0.2.1", "va.toto.fr", time.time() - 90)
    serving.row.log_in(session, "va.toto.fr", "bob\x1b[2J")
    serving.row.retrieve(session, 5 << 20)
    yield serving
    serving.stop()


def run(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, "--root", str(root), "top", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        env=os.environ | {"COLUMNS": "100"},
        check=False,
    )


def as_text(shown: object, width: int = 80) -> str:
    console = Console(width=width, highlight=False, markup=False, emoji=False)
    with console.capture() as capture:
        console.print(shown)
    return capture.get()


def line_of(text: str, word: str) -> list[str]:
    (line,) = [line for line in text.split("\n") if line.startswith(word)]
    return line.split()


# -- what is shown


SESSIONS = (
    LiveSession("", "", "192.0.2.1", False, 2001.0, 0, 0),
    LiveSession("bob", "va.toto.fr", "2001:db8:1111:2222:3333:4444:5555:6666", True, 1940.0, 1, 25 << 20),
)


def moments() -> tuple[Live, Live]:
    """A server, and what it was two seconds later."""
    board = Board.create(1, 1000.0)
    board.clear(0)
    row = board.row(0)
    row.add(Metric.LOGINS_GOOD, 100)
    before = parse_live(live_document(board, 2000.0))
    row.add(Metric.LOGINS_GOOD, 3)
    row.add(Metric.LOGINS_FAILED, 50)
    row.add(Metric.OCTETS_SENT, 8 << 20)
    row.add(Metric.DELIVERIES_DEFERRED, 2)
    row.add(Metric.DELIVERIES_REJECTED, 4)
    return before, parse_live(live_document(board, 2002.0))


def test_rates_are_by_the_second() -> None:
    before, now = moments()
    growth = rates(before, now)
    assert (growth["logins_good"], growth["logins_failed"], growth["octets_sent"]) == (1.5, 25.0, 4 << 20)
    assert growth["messages_deleted"] == 0


def test_a_restarted_server_has_no_rates_yet() -> None:
    before, now = moments()
    assert set(rates(replace(before, started=1.0), now).values()) == {0.0}
    assert set(rates(now, now).values()) == {0.0}


def test_the_view_fits_eighty_columns() -> None:
    before, now = moments()
    text = as_text(view(before, replace(now, sessions=SESSIONS), limit=None))
    assert max(map(len, text.split("\n"))) <= 80
    assert "up 16 min 42 s" in text
    assert line_of(text, "logins")[1:3] == ["1.5", "103"]
    assert line_of(text, "failed")[1:3] == ["25", "50"]
    assert "4 MB" in text
    assert re.search(r"not delivered +3.0 +6$", text, re.MULTILINE)
    assert line_of(text, "bob")[-6:] == ["yes", "1", "min", "1", "25", "MB"]
    assert line_of(text, "-")[1:] == ["-", "192.0.2.1", "no", "1", "s", "0", "0", "bytes"]
    assert text.index("bob") < text.index("192.0.2.1")  # who is logged in comes first
    assert "more" not in text


def test_sessions_for_which_there_is_no_room_are_told_by_their_number() -> None:
    before, now = moments()
    text = as_text(view(before, replace(now, sessions=SESSIONS, totals={"open_sessions": 7}), limit=1))
    assert "bob" in text
    assert "192.0.2.1" not in text
    assert "and 6 more" in text


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-1, "0 s"),
        (0.9, "0 s"),
        (59, "59 s"),
        (60, "1 min 0 s"),
        (3725, "1 h 2 min"),
        (90000, "1 d 1 h"),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration_in_words(seconds) == words
    assert words.startswith(duration_in_words(seconds, parts=1))


# -- from a server


def test_once(serving: Serving) -> None:
    done = run(serving.root, "--once")
    assert (done.returncode, done.stderr) == (0, "")
    assert "up 1 h 2 min" in done.stdout
    assert line_of(done.stdout, "bob") == [
        "bob\\x1b[2J",
        "va.toto.fr",
        "192.0.2.1",
        "no",
        "1",
        "min",
        "1",
        "5",
        "MB",
    ]
    assert "\x1b" not in done.stdout


def test_where_the_output_is_no_terminal_it_is_printed_once(serving: Serving) -> None:
    assert "va.toto.fr" in run(serving.root).stdout


def test_one_document(serving: Serving) -> None:
    done = run(serving.root, "--json")
    document = json.loads(done.stdout)
    assert document["sessions"][0]["login"] == "bob\x1b[2J"
    assert document["totals"]["octets_sent"] == 5 << 20
    assert parse_live(document).sessions[0].octets == 5 << 20


def test_without_a_server_the_remedy_is_told(tmp_path: Path, serving: Serving) -> None:
    for arguments in ((), ("--once",), ("--json",)):
        done = run(tmp_path / "other", *arguments)
        assert done.returncode == 1
        assert done.stderr == (
            f"vmail: no server is running here: there is nobody at {tmp_path}/other/run/vmail/status.sock; "
            "start it with 'vmail serve', or name its root with --root\n"
        )
    serving.stop()  # as one that was killed: the socket is left behind, and nobody listens there
    with pytest.raises(Refused, match="no server is running here"):
        read_document(str(serving.root))


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"", "the server's answer makes no sense; run it again"),
        (b'{"version": "0', "makes no sense; run it again"),
        (b"[]", "makes no sense; restart it"),
        (b"{}", "makes no sense; restart it"),
        (b'{"version": "1", "time": 1, "started": 1, "totals": {}, "sessions": [{"login": 1}]}', "restart it"),
    ],
)
def test_an_answer_that_makes_no_sense(tmp_path: Path, answer: bytes, problem: str) -> None:
    (tmp_path / "run/vmail").mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "run/vmail/status.sock"))
        listener.listen()

        def once() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(answer)

        thread = threading.Thread(target=once)
        thread.start()
        with pytest.raises(Refused, match=problem):
            parse_live(read_document(str(tmp_path)))
        thread.join()


# -- in a terminal


class Terminal:
    """`vmail top` in a terminal of 80 columns."""

    def __init__(self, root: Path) -> None:
        self.ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (24, 80))
        self.before = termios.tcgetattr(theirs)
        self.theirs = theirs
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, "--root", str(root), "top"],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            env=os.environ | {"TERM": "xterm"},
        )
        self.shown = b""

    def wait_for(self, text: str) -> None:
        """Read until that text has been shown since the last call."""
        self.shown = b""
        end = time.monotonic() + 20
        while text.encode() not in self.shown:
            assert time.monotonic() < end, self.shown
            if select.select([self.ours], [], [], 0.1)[0]:
                self.shown += os.read(self.ours, 65536)

    def ended(self) -> int:
        """Its exit status; the terminal is as it was before."""
        while self.process.poll() is None:
            if select.select([self.ours], [], [], 0.1)[0]:
                os.read(self.ours, 65536)
        assert termios.tcgetattr(self.theirs) == self.before
        os.close(self.ours)
        os.close(self.theirs)
        return self.process.returncode


def press_q(terminal: Terminal) -> None:
    os.write(terminal.ours, b"xq")


def press_ctrl_c(terminal: Terminal) -> None:
    # Where it hits code that may not raise, as a destructor, Python drops the interrupt: people press again.
    for _ in range(4):
        terminal.process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            terminal.process.wait(5)
            return


@pytest.mark.parametrize("end", [press_q, press_ctrl_c])
def test_it_looks_again_until_it_is_told_to_end(serving: Serving, end: Callable[[Terminal], None]) -> None:
    terminal = Terminal(serving.root)
    terminal.wait_for("192.0.2.1")
    serving.row.enter("198.51.100.77", "vb.toto.fr", time.time())
    terminal.wait_for("198.51.100.77")
    if end is press_q:
        serving.stop()
        terminal.wait_for("no server is running here")
    end(terminal)
    assert terminal.ended() == 0
