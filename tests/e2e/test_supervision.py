"""`vmail serve` under signals, and with workers that die: who is served goes on being served."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from tests.e2e.clients import SENDER, Lmtp, Pop3, send
from tests.served import (
    ADDRESSES,
    COMMANDS,
    PATIENCE,
    SHARED,
    Root,
    Served,
    is_free,
    moments,
    processes_of,
    run,
    start,
)

MESSAGE = b"Subject: Supervised\r\n\r\nHello.\r\n"
VA = ADDRESSES["va.toto.fr"]


def bob_of(root: Root, address: str = VA, password: str = "bob-va") -> Pop3:
    """A session of bob that has begun."""
    session = Pop3((address, root.pop3))
    assert session.log_in("bob", password).startswith("+OK")
    return session


def in_proc(host: str, port: int) -> str:
    """An address as /proc/net/tcp spells it."""
    return f"{int.from_bytes(socket.inet_aton(host), 'little'):08X}:{port:04X}"


def worker_of(server: Served, session: Pop3) -> int:
    """The worker process that serves a session: the one that has the other end of its socket."""
    ours, theirs = session.socket.getsockname(), session.socket.getpeername()
    wanted = [
        f"{int.from_bytes(bytes(map(int, host.split('.'))), 'little'):08X}:{port:04X}"
        for host, port in (theirs, ours)
    ]
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1:3] == wanted:
            inode = f"socket:[{fields[9]}]"
            for pid in server.workers():
                descriptors = Path(f"/proc/{pid}/fd").iterdir()
                if any(os.path.islink(each) and os.readlink(each) == inode for each in descriptors):
                    return pid
    raise AssertionError("no worker has the connection")


def sessions_of_two_workers(server: Served) -> tuple[Pop3, Pop3]:
    """Sessions of two bobs, each served by another worker."""
    first = bob_of(server.root)
    for _ in range(200):
        second = bob_of(server.root, ADDRESSES["vb.toto.fr"], "bob-vb")
        if worker_of(server, second) != worker_of(server, first):
            return first, second
        second.ask("QUIT")
        second.close()
    raise AssertionError("one worker gets all connections")


def all_ports(root: Root) -> list[tuple[str, int]]:
    places = [(address, root.pop3) for address in (SHARED, *ADDRESSES.values())]
    return [*places, (SHARED, root.lmtp), (SHARED, root.smtp)]


def nothing_is_left(server: Served) -> None:
    """No process of it is alive, nobody listens, the socket is gone."""
    for _ in moments("processes are left behind", 10):
        if not processes_of(server.process.pid):
            break
    assert all(is_free(*place) for place in all_ports(server.root))
    assert not server.root.socket.exists()


def test_sigterm_lets_a_session_finish(served: Served) -> None:
    with bob_of(served.root) as session:
        before = session.count()
        assert session.ask("DELE 1").startswith("+OK")
        served.signal(signal.SIGTERM)
        for _ in moments("it still listens"):
            if all(is_free(*place) for place in all_ports(served.root)):
                break
        assert session.block("RETR 2")
        assert session.ask("QUIT").startswith("+OK")
    assert served.process.wait(PATIENCE) == 0
    assert len(served.root.stored("bob@va.toto.fr")) == before - 1
    nothing_is_left(served)


def test_sigterm_lets_a_delivery_finish(served: Served) -> None:
    served.root.empty()
    with Lmtp((SHARED, served.root.lmtp)) as session:
        session.reply("LHLO client.example")
        for command in (f"MAIL FROM:<{SENDER}>", "RCPT TO:<bob@va.toto.fr>", "DATA"):
            assert session.reply(command)[0] in "23"
        session.socket.sendall(MESSAGE)
        served.signal(signal.SIGTERM)
        time.sleep(0.3)
        session.socket.sendall(b".\r\n")
        assert session.reply().startswith("250 2.0.0")
    assert served.process.wait(PATIENCE) == 0
    assert served.root.everything_stored() == {"bob@va.toto.fr": 1}


def test_sigterm_sends_away_who_waits(served: Served) -> None:
    with Pop3((VA, served.root.pop3)) as reader, Lmtp((SHARED, served.root.lmtp)) as sender:
        sender.reply("LHLO client.example")
        served.signal(signal.SIGTERM)
        assert reader.line().startswith("-ERR [SYS/TEMP]")
        assert reader.line() == ""
        assert sender.line().startswith("421 4.3.2")
        assert sender.line() == ""
    assert served.process.wait(5) == 0


def test_a_second_sigterm_ends_at_once_and_deletes_nothing(served: Served) -> None:
    before = len(served.root.stored("bob@va.toto.fr"))
    with bob_of(served.root) as session:
        session.ask("DELE 1")
        served.signal(signal.SIGTERM)
        time.sleep(0.3)
        served.signal(signal.SIGTERM)
        assert served.process.wait(10) == 0
        while session.line():
            pass
    assert len(served.root.stored("bob@va.toto.fr")) == before
    nothing_is_left(served)


def test_ctrl_c_reaches_all_and_is_clean(served: Served) -> None:
    with bob_of(served.root) as session:
        os.killpg(served.process.pid, signal.SIGINT)  # a terminal sends it to every process of the group
        time.sleep(0.3)
        assert session.block("RETR 1")
        assert session.ask("QUIT").startswith("+OK")
    assert served.process.wait(PATIENCE) == 0
    nothing_is_left(served)


def test_a_worker_that_is_killed_is_replaced_and_others_go_on(served: Served) -> None:
    first, second = sessions_of_two_workers(served)
    before = served.workers()
    victim = worker_of(served, first)
    os.kill(victim, signal.SIGKILL)
    assert first.line() == ""
    assert second.block("RETR 1")
    for _ in moments("it is not replaced"):
        now = served.workers()
        if len(now) == len(before) and victim not in now:
            break
    # Its session's lock went with it.
    for _ in range(8):
        with bob_of(served.root) as session:
            assert session.block("RETR 1")
            session.ask("QUIT")
    assert second.ask("QUIT").startswith("+OK")
    first.close()
    second.close()
    assert "(SIGKILL), starting another" in served.log.read_text()


def test_every_worker_killed_in_turn(served: Served) -> None:
    served.root.empty()
    for number, pid in enumerate(served.workers(), 1):
        os.kill(pid, signal.SIGKILL)
        for _ in moments("no delivery"):
            try:
                if send(served.root, MESSAGE, "bob@va.toto.fr")[0].startswith("250"):
                    break
            except (OSError, AssertionError, IndexError):
                continue  # the connection may have been the dead worker's already
        with bob_of(served.root) as session:
            assert session.count() >= number
            session.ask("QUIT")


def test_a_kill_in_the_middle_of_a_message_leaves_nothing_of_it(served: Served) -> None:
    served.root.empty()
    with Lmtp((SHARED, served.root.lmtp)) as session:
        session.reply("LHLO client.example")
        for command in (f"MAIL FROM:<{SENDER}>", "RCPT TO:<bob@va.toto.fr>", "DATA"):
            session.reply(command)
        session.socket.sendall(MESSAGE * 20_000)
        for pid in served.workers():
            os.kill(pid, signal.SIGKILL)
        with suppress(ConnectionResetError):
            assert session.line() == ""
    assert served.root.everything_stored() == {}


def replace_in_site(root: Root, old: str, new: str) -> None:
    site = root.etc / "vmail.toml"
    assert old in site.read_text()
    site.write_text(site.read_text().replace(old, new))


def test_sighup_takes_new_settings_and_keeps_sessions(served: Served, free_port: Callable[[], int]) -> None:
    root, port = served.root, free_port()
    before = served.workers()
    with bob_of(root) as session:
        replace_in_site(root, f'"{SHARED}:{root.pop3}"', f'"{SHARED}:{port}"')
        served.signal(signal.SIGHUP)
        for _ in moments("it does not listen on the new port"):
            if not is_free(SHARED, port) and is_free(SHARED, root.pop3):
                break
        with Pop3((SHARED, port)) as other:
            assert other.log_in("alice@va.toto.fr", "alice-va").startswith("+OK")
            other.ask("QUIT")
        with Pop3((ADDRESSES["vb.toto.fr"], root.pop3)) as other:  # an address that stayed
            assert other.log_in("bob", "bob-vb").startswith("+OK")
            other.ask("QUIT")
        assert session.block("RETR 1")
        assert session.ask("QUIT").startswith("+OK")
    for _ in moments("the old workers do not end"):
        if not set(before) & set(served.workers()):
            break


def test_sighup_with_damaged_settings_changes_nothing(served: Served) -> None:
    root = served.root
    before = served.workers()
    replace_in_site(root, "[pop3]", "[pop3")
    served.signal(signal.SIGHUP)
    for _ in moments("it says nothing"):
        if "not reloaded" in served.log.read_text():
            break
    assert served.workers() == before
    with bob_of(root) as session:
        assert session.ask("QUIT").startswith("+OK")


def test_workers_do_not_outlive_their_supervisor(served: Served) -> None:
    with bob_of(served.root) as session:
        served.process.kill()
        served.process.wait()
        assert session.block("RETR 1")  # what is in progress may finish
        assert session.ask("QUIT").startswith("+OK")
    for _ in moments("workers are left behind"):
        if not processes_of(served.process.pid):
            break
    again = start(served.root)  # over the socket and the lock that were left
    try:
        assert send(served.root, MESSAGE, "bob@va.toto.fr")[0].startswith("250")
    finally:
        assert again.stop() == 0


def test_two_servers_of_one_root_are_one_too_many(served: Served) -> None:
    second = served.root.vmail("serve", check=False)
    assert second.returncode == 1
    assert second.stderr.count("\n") == 1
    assert "already running" in second.stderr
    assert f"process {served.process.pid}" in second.stderr


def test_a_port_that_is_taken_is_named(served: Served, root: Root, tmp_path: Path) -> None:
    other = tmp_path / "o"
    run(COMMANDS / "vmail", "--root", other, "init", "--demo", check=True)
    (other / "etc/vmail/vmail.toml").write_text(f'[pop3]\nlisten = ["{VA}:{served.root.pop3}"]\n')
    second = run(COMMANDS / "vmail", "--root", other, "serve")
    assert second.returncode == 1
    assert f"{VA}:{served.root.pop3}" in second.stderr
    assert second.stderr.count("\n") == 1


@pytest.mark.parametrize("damage", ["listen = 5", "[pop3", 'listen = ["*:pop3"]'])
def test_damaged_settings_keep_it_from_starting(root: Root, damage: str) -> None:
    (root.etc / "vmail.toml").write_text(f"[pop3]\n{damage}\n")
    done = root.vmail("serve", check=False)
    assert done.returncode == 1
    assert "vmail.toml" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("everywhere", ["*", "0.0.0.0", "[::]", "192.0.2.1"])
def test_smtp_serves_loopback_unless_told_otherwise(root: Root, everywhere: str) -> None:
    replace_in_site(root, f'"{SHARED}:{root.smtp}"', f'"{everywhere}:{root.smtp}"')
    done = root.vmail("serve", check=False)
    assert done.returncode == 1
    assert "smtp.allow_remote" in done.stderr
    assert done.stderr.count("\n") == 1


def test_where_nothing_is_delivered_the_pop3_workers_tell_the_live_view(root: Root) -> None:
    (root.etc / "vmail.toml").write_text(f"""\
[pop3]
listen = ["{VA}:{root.pop3}"]
workers = 2
[lmtp]
listen = []
[smtp]
listen = []
[maps]
listen = []
[web]
listen = []
""")
    server = start(root)
    try:
        assert len(server.workers()) == 2  # and none that waits for mail
        with bob_of(root):
            (session,) = json.loads(root.vmail("top", "--json").stdout)["sessions"]
            assert (session["login"], session["domain"]) == ("bob", "va.toto.fr")
    finally:
        assert server.stop() == 0
    server.check_log()
