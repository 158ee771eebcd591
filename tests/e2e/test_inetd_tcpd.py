"""The classic line of inetd.conf: Debian's inetd and tcpd, vpop3d, and behind it the host's own daemon."""

from __future__ import annotations

import os
import pwd
import re
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.e2e.clients import Pop3, password_of
from tests.e2e.machine import SITE, Machine
from tests.served import ADDRESSES, COMMANDS, SHARED, Root, moments, run

from vmaild.auth.passwords import hash_password

PROGRAMS = Path(__file__).parents[2] / ".cache/debian/usr/sbin"
MESSAGE = b"From: carol@sender.example\r\nSubject: By inetd\r\n\r\nHello.\r\n.\r\n"
NATIVE = """\
#!/bin/sh
# Says what it was started with, and the first line that it is sent.
printf '+OK native %s %s\\r\\n' "$#" "$1"
read -r line
printf 'heard %s\\r\\n' "$line"
"""


@dataclass(frozen=True, slots=True)
class Inetd:
    """An inetd with one service on every address that tests use."""

    root: Root
    port: int
    process: subprocess.Popen[bytes]


@pytest.fixture
def inetd(root: Root, free_port: Callable[[], int]) -> Iterator[Inetd]:
    """Nothing of vmaild runs but what inetd starts."""
    for program in ("inetd", "tcpd"):
        if not (PROGRAMS / program).exists():
            pytest.fail(f"{program} is missing: run tools/debian-packages tests")
    port = free_port()
    native = root.path / "ipop3d"
    native.write_text(NATIVE)
    native.chmod(0o755)
    user = pwd.getpwuid(os.geteuid()).pw_name
    settings = root.path / "inetd.conf"
    settings.write_text(
        "".join(
            f"{address}:{port} stream tcp nowait {user} {PROGRAMS}/tcpd {COMMANDS}/vpop3d {native} argument\n"
            for address in (SHARED, *ADDRESSES.values())
        )
    )
    log = root.path / "inetd.log"
    with log.open("wb") as output:
        # -i: in the foreground.
        process = subprocess.Popen(
            [PROGRAMS / "inetd", "-i", settings],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "VMAIL_ROOT": str(root.path)},
            start_new_session=True,
        )
    try:
        for _ in moments("inetd did not listen"):
            assert process.poll() is None, log.read_text()
            if listens(port):
                break
        yield Inetd(root, port, process)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def listens(port: int) -> bool:
    """Whether somebody does, at the last address; nobody is bothered with a connection."""
    place = f"{int.from_bytes(socket.inet_aton(list(ADDRESSES.values())[-1]), 'little'):08X}:{port:04X}"
    return any(
        line.split()[1] == place and line.split()[3] == "0A"
        for line in Path("/proc/net/tcp").read_text().splitlines()
    )


def test_virtual_addresses_are_served(inetd: Inetd) -> None:
    for domain, address in ADDRESSES.items():
        with Pop3((address, inetd.port)) as session:
            assert session.greeting.startswith(f"+OK Virtual {domain} POP3 Server")
            assert session.log_in("bob", password_of(f"bob@{domain}")).startswith("+OK")
            assert session.ask("QUIT").startswith("+OK")


def test_a_program_fetches_through_it(inetd: Inetd, tmp_path: Path) -> None:
    delivered = inetd.root.vdeliver(MESSAGE.replace(b"\r\n", b"\n"), "bob@vb.toto.fr")
    assert delivered.returncode == 0, delivered.stderr
    inbox = tmp_path / "inbox"
    settings = tmp_path / "fetchmailrc"
    settings.write_text(
        f'poll {ADDRESSES["vb.toto.fr"]} port {inetd.port} protocol pop3 user "bob" password "bob-vb" '
        f"sslproto '' mda \"cat >>{inbox}\"\n"
    )
    settings.chmod(0o600)
    run("fetchmail", "-f", settings, "--pidfile", tmp_path / "pid", "-i", tmp_path / "ids", check=True)
    assert b"Subject: By inetd" in inbox.read_bytes()
    assert b"\nHello.\n.\n" in inbox.read_bytes()
    assert inetd.root.stored("bob@vb.toto.fr") == []
    wrong = run("curl", "-s", f"pop3://{ADDRESSES['vb.toto.fr']}:{inetd.port}/", "--user", "bob:bob-va")
    assert wrong.returncode == 67  # login denied


def test_every_other_connection_goes_unread_to_the_native_daemon(inetd: Inetd) -> None:
    with socket.create_connection((SHARED, inetd.port), 30) as client:
        client.sendall(b"USER carol\r\n")  # long before the daemon runs: had we read it, it would be gone
        assert client.makefile("rb").read() == b"+OK native 1 argument\r\nheard USER carol\r\r\n"


def test_a_hand_edit_moves_an_address_to_the_native_daemon(inetd: Inetd) -> None:
    definition = inetd.root.etc / "domains/vc.toto.fr.toml"
    place = (ADDRESSES["vc.toto.fr"], inetd.port)
    with Pop3(place) as session:
        assert session.greeting.startswith("+OK Virtual vc.toto.fr")
    definition.write_text(definition.read_text().replace(ADDRESSES["vc.toto.fr"], "127.0.0.99"))
    with Pop3(place) as session:
        assert session.greeting == "+OK native 1 argument"


# -- with a real native daemon: Debian's popa3d, which authenticates by PAM and reads /var/mail


@pytest.fixture
def host(root: Root) -> Iterator[Machine]:
    """A machine with inetd, tcpd and popa3d installed where Debian has them; dave of its main domain has mail."""
    machine = Machine("popa3d", root.path.with_name("machine"), root.path)
    for name, line in (("passwd", "popa3d:x:979:979::/var/lib/popa3d:/bin/false"), ("group", "popa3d:x:979:")):
        with (machine.files / "etc" / name).open("a") as file:
            file.write(f"{line}\n")
    with (machine.files / "etc/shadow").open("a") as file:
        file.write(f"dave:{hash_password(b'dave-host')}:20000:0:99999:7:::\n")
    machine.run("install", "-d", "/var/lib/popa3d")
    machine.write("var/mail/dave", f"From carol@sender.example Mon Jan  1 00:00:00 2024\n{MBOX}\n")
    machine.run("chown", "dave:mail", "/var/mail/dave")
    yield machine
    machine.stop()


MBOX = "From: carol@sender.example\nSubject: For the main domain\n\nHello, Dave.\n"


def popa3d_by_inetd(host: Machine, port: int) -> None:
    """The line of the classic set-up, for one port of every address."""
    user = pwd.getpwuid(os.geteuid()).pw_name
    line = f"{port} stream tcp nowait {user} /usr/sbin/tcpd {COMMANDS}/vpop3d /usr/sbin/popa3d\n"
    host.write("etc/inetd.conf", f"127.0.0.1:{line}127.0.0.2:{line}127.0.0.3:{line}127.0.0.4:{line}")
    host.start("env", f"VMAIL_ROOT={SITE}", "/usr/sbin/inetd", "-i", "/etc/inetd.conf")
    for _ in moments("inetd did not listen"):
        if listens(port):
            return


def popa3d_by_vmail_serve(host: Machine, port: int) -> None:
    """The same hand-over where `vmail serve` listens itself."""
    settings = host.files / "srv/vmail/etc/vmail/vmail.toml"
    text, count = re.subn(r"(?m)^\[pop3\]$", '[pop3]\nnative = ["/usr/sbin/popa3d"]', settings.read_text())
    assert count == 1
    settings.write_text(text)
    host.start(COMMANDS / "vmail", "--root", SITE, "serve")
    for _ in moments("vmail serve did not listen"):
        with suppress(OSError):
            socket.create_connection((ADDRESSES["va.toto.fr"], port), 1).close()
            return


@pytest.mark.parametrize("begin", [popa3d_by_inetd, popa3d_by_vmail_serve])
def test_popa3d_serves_the_main_domain_beside_the_virtual_ones(
    host: Machine, begin: Callable[[Machine, int], None], root: Root, free_port: Callable[[], int]
) -> None:
    assert root.vdeliver(MESSAGE.replace(b"\r\n", b"\n"), "bob@vb.toto.fr").returncode == 0
    port = root.pop3 if begin is popa3d_by_vmail_serve else free_port()
    begin(host, port)
    with Pop3((ADDRESSES["vb.toto.fr"], port)) as session:
        assert session.greeting.startswith("+OK Virtual vb.toto.fr POP3 Server")
        assert session.log_in("dave", "dave-host").startswith("-ERR [AUTH]"), "of the main domain"
        assert session.log_in("bob", "bob-vb").startswith("+OK")
        assert b"Subject: By inetd\r\n" in session.block(f"RETR {session.count()}")
    with Pop3((SHARED, port)) as session:
        assert session.greeting == "+OK", "popa3d's own greeting, as if nobody stood before it"
        assert session.log_in("dave", "dave-host").startswith("+OK"), host.text("var/log/auth.log")
        assert session.block("RETR 1") == MBOX.replace("\n", "\r\n").encode()
        assert session.ask("DELE 1").startswith("+OK")
        assert session.ask("QUIT").startswith("+OK")
    for _ in moments("popa3d did not remove the message"):
        if not host.inbox():
            break
    with Pop3((SHARED, port)) as session:  # our accounts are none of the host's
        assert session.log_in("bob", "bob-vb").startswith("-ERR")


def test_whom_tcpd_refuses_reaches_neither_server(host: Machine, free_port: Callable[[], int]) -> None:
    port = free_port()
    host.write("etc/hosts.deny", "vpop3d: 127.0.0.99\n")
    popa3d_by_inetd(host, port)
    for address in (SHARED, ADDRESSES["va.toto.fr"]):
        with socket.create_connection((address, port), 30, source_address=("127.0.0.99", 0)) as refused:
            assert refused.recv(100) == b""
        with Pop3((address, port)) as session:
            assert session.greeting.startswith("+OK")
