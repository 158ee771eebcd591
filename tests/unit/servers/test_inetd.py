"""vpop3d as inetd starts it: one real connection on its standard input."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from vmaild.auth.passwords import hash_password
from vmaild.servers.arrival import local_host
from vmaild.store.layout import Layout

VIRTUAL, OTHER = "127.0.0.2", "127.0.0.1"


@pytest.fixture
def here(tmp_path: Path) -> Layout:
    where = Layout(str(tmp_path))
    for folder in (where.definitions, where.last_good, where.spool):
        os.makedirs(folder)
    Path(where.definition("va.test")).write_text(f'addresses = ["{VIRTUAL}"]\n')
    Path(where.passwd("va.test")).write_text("bob:x:1:1:::\n")
    Path(where.shadow("va.test")).write_text(f"bob:{hash_password(b'bob-va')}:1::::::\n")
    return where


@contextmanager
def vpop3d(here: Layout, address: str, *native: str, ends: int = 0) -> Iterator[socket.socket]:
    """A client's connection to `address`, the other end of which vpop3d has."""
    with closing(socket.create_server((address, 0))) as listener:
        client = socket.create_connection(listener.getsockname(), 10)
        server, _ = listener.accept()
    process = subprocess.Popen(
        [sys.executable, "-c", "import sys; from vmaild.servers.inetd import main; sys.exit(main())", *native],
        stdin=server.fileno(),
        stdout=server.fileno(),
        stderr=server.fileno(),
        env={**os.environ, "VMAIL_ROOT": here.root},
    )
    server.close()
    try:
        with client:
            yield client
        assert process.wait(20) == ends
    finally:
        process.kill()
        process.wait()


def conversation(client: socket.socket, said: bytes) -> list[bytes]:
    client.sendall(said)
    client.shutdown(socket.SHUT_WR)
    answers = b""
    while data := client.recv(65536):
        answers += data
    return answers.splitlines()


def test_a_virtual_address_is_served(here: Layout) -> None:
    with vpop3d(here, VIRTUAL, "/bin/false") as client:
        answers = conversation(client, b"USER bob\r\nPASS bob-va\r\nSTAT\r\nQUIT\r\n")
    assert answers[0].startswith(b"+OK Virtual va.test POP3 Server (Version ")
    assert [answer[:3] for answer in answers] == [b"+OK"] * 5
    assert answers[3] == b"+OK 0 0"


def test_what_goes_wrong_is_no_part_of_the_dialogue(here: Layout) -> None:
    """Standard error is the client's connection, too."""
    os.makedirs(f"{here.spool}/va.test")
    Path(here.spool, "va.test", "bob").write_text("no maildir\n")
    with vpop3d(here, VIRTUAL) as client:
        answers = conversation(client, b"USER bob\r\nPASS bob-va\r\nQUIT\r\n")
    assert [answer[:14] for answer in answers[1:]] == [b"+OK send PASS", b"-ERR [SYS/TEMP", b"+OK Virtual va"]
    Path(here.site).write_text("[pop3\n")
    with vpop3d(here, VIRTUAL, ends=78) as client:
        assert client.recv(1000) == b"-ERR [SYS/TEMP] this server is not set up, try again later\r\n"
        assert client.recv(1000) == b""


def test_any_other_address_goes_unread_to_the_native_daemon(here: Layout, tmp_path: Path) -> None:
    native = tmp_path / "ipop3d"
    native.write_text(
        '#!/bin/sh\nprintf "+OK native %s %s\\r\\n" "$1" "$2"\nread -r line\nprintf "%s\\n" "$line"\n'
    )
    native.chmod(0o755)
    with vpop3d(here, OTHER, str(native), "-d", "two words") as client:
        answers = conversation(client, b"USER carol\r\n")
    assert answers == [b"+OK native -d two words", b"USER carol"]


def test_without_a_native_daemon_the_login_names_its_domain(here: Layout) -> None:
    with vpop3d(here, OTHER) as client:
        answers = conversation(client, b"USER bob\r\nPASS bob-va\r\nUSER bob@va.test\r\nPASS bob-va\r\nQUIT\r\n")
    assert answers[0].startswith(b"+OK POP3 Server (Version ")
    assert answers[2] == b"-ERR [AUTH] wrong login or password"
    assert answers[4].startswith(b"+OK maildrop has 0 messages")


def test_without_a_connection_it_says_who_starts_it() -> None:
    command = [sys.executable, "-c", "import sys; from vmaild.servers.inetd import main; sys.exit(main())"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=20)
    assert done.returncode == 64
    assert b"inetd(8)" in done.stderr


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (("127.0.0.2", 110), "127.0.0.2"),
        (("::ffff:127.0.0.2", 110, 0, 0), "127.0.0.2"),
        (("fe80::1%eth0", 110, 0, 2), "fe80::1"),
        ("/run/vmail/pop3.sock", ""),
        (None, ""),
    ],
)
def test_the_local_address_of_a_connection(name: object, expected: str) -> None:
    assert local_host(name) == expected
