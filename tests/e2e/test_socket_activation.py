"""Listening sockets that systemd, or whoever else starts `vmail serve`, has made already (sd_listen_fds(3))."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from tests.e2e.clients import Lmtp, Pop3
from tests.served import ADDRESSES, COMMANDS, SHARED, Root, moments

from vmaild.core.site import Listen
from vmaild.servers.listeners import BindError, address_of, passed_sockets, taken_over

# As systemd does it: the descriptors from 3 on, their number, and the pid of who is meant.
PARENT = """\
import fcntl, os, sys
descriptors = [fcntl.fcntl(int(word), fcntl.F_DUPFD, 100) for word in sys.argv[1].split(",")]
for place, descriptor in enumerate(descriptors, 3):
    os.dup2(descriptor, place, inheritable=True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(descriptors)), LISTEN_FDNAMES="a:b")
os.execv(sys.argv[2], sys.argv[2:])
"""


@contextmanager
def started(root: Root, *before: str | Path, listeners: Sequence[socket.socket] = ()) -> Iterator[Path]:
    """`vmail serve` behind the command `before`, until it has ended in order; its log."""
    log = root.path / "serve.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*before, COMMANDS / "vmail", "--root", root.path, "serve"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=[listener.fileno() for listener in listeners],
            start_new_session=True,
        )
    try:
        yield log
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, log.read_text()
        assert "Traceback" not in log.read_text()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def by_parent(listeners: Sequence[socket.socket]) -> list[str]:
    return [sys.executable, "-c", PARENT, ",".join(str(listener.fileno()) for listener in listeners)]


def until_served(log: Path) -> str:
    """The log once the server says that it serves."""
    for _ in moments("vmail serve did not come up"):
        if " serving " in log.read_text():
            break
    return log.read_text()


def pop3_addresses(root: Root) -> list[str]:
    return [address for address in (SHARED, *ADDRESSES.values()) if f'"{address}:{root.pop3}"' in site_text(root)]


def site_text(root: Root) -> str:
    return (root.etc / "vmail.toml").read_text()


def greeting(place: tuple[str, int]) -> str:
    with Pop3(place) as session:
        return session.greeting


def test_no_connection_is_lost_while_the_server_restarts(root: Root) -> None:
    """The sockets are ours, so the server could not have bound any of these addresses itself."""
    place = (ADDRESSES["va.toto.fr"], root.pop3)
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server((a, root.pop3))) for a in pop3_addresses(root)]
        assert listeners
        local = stack.enter_context(socket.socket(socket.AF_UNIX))
        local.bind(str(root.socket))
        local.listen()
        unused = stack.enter_context(socket.create_server((SHARED, 0)))
        listeners += [local, unused]
        before = by_parent(listeners)
        with started(root, *before, listeners=listeners) as log:
            text = until_served(log)
            assert "no setting of vmail.toml listens there" in text
            assert str(unused.getsockname()) in text
            assert greeting(place).startswith("+OK Virtual va.toto.fr")
            with Lmtp(str(root.socket)) as session:
                assert session.deliver(b"Subject: x\r\n\r\nx\r\n", ["bob@va.toto.fr"])[0].startswith("250")
        assert root.socket.exists()  # it is not the server's to remove
        with socket.create_connection(place, 60) as early, socket.socket(socket.AF_UNIX) as late:
            late.settimeout(60)
            late.connect(str(root.socket))
            with started(root, *before, listeners=listeners):
                assert early.recv(1000).startswith(b"+OK Virtual va.toto.fr")
                assert late.recv(1000).startswith(b"220")
                # Others than those of the settings were bound as ever.
                with Lmtp((SHARED, root.lmtp)) as session:
                    assert session.greeting.startswith("220")


def test_systemd_socket_activate(root: Root) -> None:
    program = "/usr/bin/systemd-socket-activate"
    if not Path(program).exists():
        pytest.skip("this machine has no systemd")
    places = [f"--listen={address}:{root.pop3}" for address in pop3_addresses(root)]
    with started(root, program, *places) as log:
        for _ in moments("systemd-socket-activate did not listen"):
            if "Listening on" in log.read_text():
                break
        # It starts the server for the first connection, which is not lost.
        assert greeting((ADDRESSES["vb.toto.fr"], root.pop3)).startswith("+OK Virtual vb.toto.fr")


def test_sockets_for_another_process_are_left_alone() -> None:
    environment = {"LISTEN_PID": str(os.getpid() + 1), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "x", "HOME": "/"}
    assert passed_sockets(environment) == {}
    assert environment == {"HOME": "/"}  # no child is to believe that it is meant


@pytest.mark.parametrize("count", ["", "three", "-1", "²"])
def test_a_damaged_number_of_sockets_is_told(count: str) -> None:
    with pytest.raises(BindError, match="LISTEN_FDS"):
        passed_sockets({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": count})


def test_which_sockets_are_for_which_setting() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("0.0.0.0", 0)) as every,
        socket.socket() as silent,
    ):
        port = every.getsockname()[1]
        passed = {address: each for each in (one, every) if (address := address_of(each)) is not None}
        assert set(passed) == {one.getsockname(), ("0.0.0.0", port)}
        assert address_of(silent) is None
        for listen, expected in (
            (Listen("127.0.0.1", one.getsockname()[1]), [one]),
            (Listen("127.0.0.2", one.getsockname()[1]), []),
            (Listen("*", port), [every]),
            (Listen("127.0.0.1", port), []),
            (Listen(path="/run/vmail/lmtp.sock"), []),
        ):
            taken = taken_over(listen, listen.path, passed)
            assert [each.getsockname() for each in taken] == [each.getsockname() for each in expected]
            for each in taken:
                each.close()
        assert one.fileno() >= 0  # those are copies
