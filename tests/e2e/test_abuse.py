"""Who guesses passwords, opens connections by the hundred or says nothing; and who suffers from it: nobody else.

All on loopback, where every address of 127.0.0.0/8 may stand for another client.
"""

from __future__ import annotations

import json
import os
import re
import socket
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Thread

import pytest
from tests import served as machinery
from tests.e2e.clients import Pop3, send
from tests.served import ADDRESSES, SHARED, Root, Served, moments, start

VA = ADDRESSES["va.toto.fr"]
GUESSER, NEIGHBOUR = "127.0.1.5", "127.0.1.6"
"""Two clients."""
WRONG = "-ERR [AUTH] wrong login or password"
REFUSED = "-ERR [SYS/TEMP] too many failed logins, try again later"
Serve = Callable[..., Served]


@pytest.fixture
def serve(root: Root) -> Iterator[Serve]:
    """Starts a server that trusts nobody, with some settings of vmail.toml."""
    with ExitStack() as stack:

        def started(**settings: object) -> Served:
            root.empty()
            site = root.etc / "vmail.toml"
            text = site.read_text()
            for key, value in {"trusted": [], **settings}.items():
                text, count = re.subn(rf"(?m)^(# )?{key} = .*", f"{key} = {json.dumps(value)}", text)
                assert count == 1, key
            site.write_text(text)
            server = start(root)
            stack.callback(server.check_log)
            stack.callback(server.stop)
            return server

        yield started


class From(Pop3):
    """A POP3 session of the client at some address."""

    def __init__(self, client: str, root: Root, address: str = VA) -> None:
        self.socket = socket.create_connection((address, root.pop3), 60, (client, 0))
        self._reader = self.socket.makefile("rb")
        self.greeting = self.line()


def log_in(root: Root, client: str, login: str, password: str, address: str = VA) -> tuple[str, float]:
    """The reply to a login, and the seconds that it took."""
    with From(client, root, address) as session:
        session.ask(f"USER {login}")
        started = time.perf_counter()
        reply = session.ask(f"PASS {password}")
        seconds = time.perf_counter() - started
        session.ask("QUIT")
    return reply, seconds


def totals(root: Root) -> dict[str, int]:
    """What `vmail top` counts."""
    counted: dict[str, int] = json.loads(root.vmail("top", "--json").stdout)["totals"]
    return counted


def descriptors_of(pid: int) -> int:
    """How many descriptors a process has."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def at_both_workers(server: Served, client: str, sessions: list[Pop3]) -> None:
    """Connect until two workers have new sessions."""
    before = {pid: descriptors_of(pid) for pid in server.workers()}
    for _ in range(200):
        sessions.append(From(client, server.root))
        if sum(descriptors_of(pid) > number for pid, number in before.items()) == 2:
            return
    raise AssertionError("one worker gets all connections")


def test_each_failure_makes_the_next_login_wait_longer(serve: Serve) -> None:
    root = serve(free_failures=2, max_delay=2).root
    assert log_in(root, GUESSER, "bob", "bob-va")[0].startswith("+OK")
    waits = []
    for number in range(3):
        reply, seconds = log_in(root, GUESSER, f"nobody{number}", "guess")
        assert reply == WRONG
        waits.append(seconds)
    assert max(waits[:2]) < 1 <= waits[2] < 2
    # A right password waits as a wrong one does, or the wait would tell which it is.
    assert log_in(root, GUESSER, "alice", "alice-va")[1] >= 2
    # Who logs in from there every day, and everybody elsewhere, does not.
    assert log_in(root, GUESSER, "bob", "bob-va")[1] < 1
    assert log_in(root, NEIGHBOUR, "alice", "alice-va")[1] < 1


def test_after_many_failures_an_address_is_refused_by_every_worker(serve: Serve) -> None:
    server = serve(free_failures=100, max_failures_per_address=6)
    root = server.root
    assert log_in(root, GUESSER, "bob", "bob-va")[0].startswith("+OK")
    for number in range(6):
        assert log_in(root, GUESSER, f"nobody{number}", "guess")[0] == WRONG
    sessions: list[Pop3] = []
    at_both_workers(server, GUESSER, sessions)
    # By any worker, with a right password, too: it is not looked at.
    for session in sessions:
        assert session.log_in("alice", "alice-va") == REFUSED
        session.close()
    for address, login in ((VA, "alice@va.toto.fr"), (SHARED, "alice@vb.toto.fr")):
        assert log_in(root, GUESSER, login, "whatever", address)[0] == REFUSED
    # Nobody else suffers: neither who is known at this address, nor who comes from another one.
    known: list[Pop3] = []
    at_both_workers(server, GUESSER, known)
    for session in known:
        assert session.log_in("bob", "bob-va").startswith("+OK")
        session.ask("QUIT")
        session.close()
    assert log_in(root, NEIGHBOUR, "alice", "alice-va")[0].startswith("+OK")
    assert totals(root)["logins_throttled"] == len(sessions) + 2


def test_an_account_is_refused_to_strangers_only(serve: Serve) -> None:
    root = serve(free_failures=100, max_failures_per_account=4).root
    assert log_in(root, NEIGHBOUR, "bob", "bob-va")[0].startswith("+OK")
    for number in range(4):  # guesses from all over the world
        assert log_in(root, f"127.0.2.{number + 1}", "bob", f"guess{number}")[0] == WRONG
    assert log_in(root, "127.0.2.9", "bob", "bob-va")[0] == REFUSED
    assert log_in(root, "127.0.2.9", "bob@va.toto.fr", "bob-va", SHARED)[0] == REFUSED
    assert log_in(root, NEIGHBOUR, "bob", "bob-va")[0].startswith("+OK")
    # The bob of another domain is another account.
    assert log_in(root, "127.0.2.9", "bob", "bob-vb", ADDRESSES["vb.toto.fr"])[0].startswith("+OK")


def test_an_old_password_that_a_telephone_repeats_shuts_nobody_out(serve: Serve) -> None:
    root = serve(free_failures=100, max_failures_per_address=4, max_failures_per_account=8).root
    for _ in range(6):
        assert log_in(root, GUESSER, "bob", "of last year")[0] == WRONG
    assert log_in(root, GUESSER, "alice", "alice-va")[0].startswith("+OK")
    assert log_in(root, NEIGHBOUR, "bob", "bob-va")[0].startswith("+OK")


def test_connections_of_an_address_are_limited_over_all_workers(serve: Serve) -> None:
    server = serve(max_connections_per_address=5)
    root = server.root
    with ExitStack() as stack:
        for _ in range(5):
            assert stack.enter_context(From(GUESSER, root)).greeting.startswith("+OK")
        for _ in range(12):  # whichever worker it reaches
            with From(GUESSER, root) as session:
                assert session.greeting == "-ERR [SYS/TEMP] too many connections from your address"
                assert session.line() == ""
        assert stack.enter_context(From(NEIGHBOUR, root)).greeting.startswith("+OK")
        assert totals(root)["connections_refused"] == 12
    for _ in moments("the connections are still counted", 10):
        with From(GUESSER, root) as session:
            if session.greeting.startswith("+OK"):
                break


def test_every_wrong_login_takes_as_long(serve: Serve) -> None:
    root = serve(free_failures=1000, max_failures_per_address=1000, max_failures_per_account=1000).root
    wrong = {
        "wrong password": (VA, "bob", "guess"),
        "unknown user": (VA, "nobody", "bob-va"),
        "wrong domain": (VA, "bob@vb.toto.fr", "bob-vb"),
        "no such domain": (VA, "bob@nowhere.example", "bob-va"),
        "no domain": (SHARED, "bob", "bob-va"),
        "wrong password, named domain": (SHARED, "bob@vb.toto.fr", "guess"),
        "unknown user, named domain": (SHARED, "nobody@vb.toto.fr", "guess"),
    }
    for _ in range(3):  # a machine that does something else may spoil one measurement
        times: dict[str, list[float]] = {what: [] for what in wrong}
        for _ in range(15):
            for what, (address, login, password) in wrong.items():
                reply, seconds = log_in(root, GUESSER, login, password, address)
                assert reply == WRONG
                times[what].append(seconds)
        medians = {what: statistics.median(each) for what, each in times.items()}
        if max(medians.values()) < 1.5 * min(medians.values()):
            return
    raise AssertionError(f"the time tells who exists: {medians}")


def test_a_verified_password_is_remembered_until_the_shadow_entry_changes(serve: Serve) -> None:
    root = serve().root
    shadow = root.etc / "shadow.va.toto.fr"
    before = shadow.read_text()

    def bob(password: str, times: int = 8) -> tuple[set[str], int]:
        """The replies to some logins, and how many passwords were known without a hash."""
        known = totals(root)["logins_remembered"]
        replies = {log_in(root, NEIGHBOUR, "bob", password)[0].partition(" ")[0] for _ in range(times)}
        return replies, totals(root)["logins_remembered"] - known

    replies, remembered = bob("bob-va")
    assert replies == {"+OK"}
    assert remembered >= 6, "each of two workers verifies it once"
    shadow.write_text(before.replace("bob:$", "bob:!$"))  # locked, as passwd -l does
    assert bob("bob-va", 2) == ({"-ERR"}, 0)
    shadow.write_text(before)
    root.vmail("user", "passwd", "bob@va.toto.fr", "--password-stdin", stdin="another\n")
    assert bob("bob-va", 2) == ({"-ERR"}, 0)
    replies, remembered = bob("another")
    assert replies == {"+OK"}
    assert remembered >= 6


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Servers log out after 3 seconds, before a login after 1, where it is ten minutes and one."""
    script = tmp_path / "servers.py"
    script.write_text(
        "import sys\nfrom vmaild.servers import pop3_service as pop3, worker\n"
        "from vmaild.servers.__main__ import main\n"
        "pop3.LOGIN_TIME, pop3.LOGIN_PATIENCE, pop3.AUTOLOGOUT, worker._SWEEP = 1.0, 4.0, 3.0, 0.1\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    monkeypatch.setattr(machinery, "SERVERS", (sys.executable, script))


@pytest.mark.usefixtures("impatient")
def test_who_says_nothing_is_logged_out_and_nothing_is_deleted(serve: Serve) -> None:
    root = serve().root
    assert send(root, b"Subject: kept\r\n\r\n", "bob@va.toto.fr")[0].startswith("250")
    with From(GUESSER, root) as stranger, From(NEIGHBOUR, root) as session:
        assert session.log_in("bob", "bob-va").startswith("+OK")
        assert session.ask("DELE 1").startswith("+OK")
        started = time.monotonic()
        assert stranger.line() == ""  # RFC 1939 section 3: closed without a word
        for _ in range(5):
            time.sleep(0.8)
            assert session.ask("NOOP").startswith("+OK"), "who talks is not logged out"
        talked = time.monotonic()
        assert talked - started >= 4
        assert session.line() == ""
        assert 2.5 < time.monotonic() - talked < 20
    assert totals(root)["closed_silent"] == 2
    assert len(root.stored("bob@va.toto.fr")) == 1


@pytest.mark.usefixtures("impatient")
def test_who_talks_but_does_not_log_in_is_sent_away(serve: Serve) -> None:
    root = serve().root
    with From(GUESSER, root) as stranger, From(NEIGHBOUR, root) as session:
        started = time.monotonic()
        assert session.log_in("bob", "bob-va").startswith("+OK")
        while stranger.ask("USER bob").startswith("+OK"):
            assert session.ask("NOOP").startswith("+OK")
            time.sleep(0.5)
            assert time.monotonic() - started < 20
        assert time.monotonic() - started >= 3.9
        assert session.ask("NOOP").startswith("+OK"), "who has logged in may stay"


def test_a_client_that_asks_without_end_holds_up_nobody(serve: Serve) -> None:
    root = serve().root
    assert send(root, b"Subject: first\r\n\r\n", "alice@va.toto.fr")[0].startswith("250")
    mailbox = root.mailbox("alice@va.toto.fr") / "cur"
    (mailbox / "1700000000.M000000P1.x,S=3,W=4:2,S").write_bytes(b"x\n\n")
    for number in range(1, 20_000):
        os.link(
            mailbox / "1700000000.M000000P1.x,S=3,W=4:2,S", mailbox / f"1700000000.M{number:06}P1.x,S=3,W=4:2,S"
        )
    with From(GUESSER, root) as greedy, ExitStack() as stack:
        others = [stack.enter_context(From(NEIGHBOUR, root)) for _ in range(12)]  # at both workers
        assert greedy.log_in("alice", "alice-va").startswith("+OK")

        def swallow() -> None:
            with suppress(ConnectionResetError):  # the server may be writing when we hang up
                while greedy.socket.recv(1 << 20):
                    pass

        reader = Thread(target=swallow)
        reader.start()
        greedy.socket.sendall(b"LIST\r\n" * 10_000)  # a minute of work, all of it in one piece
        waits = []
        for _ in range(20):
            for other in others:
                asked = time.monotonic()
                assert other.ask("USER bob").startswith("+OK")
                waits.append(time.monotonic() - asked)
        greedy.socket.shutdown(socket.SHUT_RDWR)
        reader.join()
    assert max(waits) < 2


def test_hashing_has_only_what_others_leave_of_the_processor(serve: Serve) -> None:
    server = serve()
    assert log_in(server.root, GUESSER, "bob", "guess")[0] == WRONG
    ours = os.getpriority(os.PRIO_PROCESS, 0)
    nice = {
        os.getpriority(os.PRIO_PROCESS, int(thread.name))
        for pid in server.workers()
        for thread in Path(f"/proc/{pid}/task").iterdir()
    }
    assert nice == {ours, min(ours + 10, 19)}
    for pid in server.workers():
        assert os.getpriority(os.PRIO_PROCESS, pid) == ours, "the event loop's own thread"
