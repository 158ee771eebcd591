"""Connections that are not for a session at once: of a named proxy, of the main domain."""

from __future__ import annotations

import os
import resource
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.served import ADDRESSES, SHARED, Root, Served, start

VA = ADDRESSES["va.toto.fr"]
SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


def set_up(root: Root, *settings: str) -> None:
    site = root.etc / "vmail.toml"
    site.write_text(site.read_text().replace("[pop3]\n", "[pop3]\n" + "".join(f"{line}\n" for line in settings)))


@pytest.fixture
def behind_a_proxy(root: Root) -> Iterator[Served]:
    set_up(root, 'proxies = ["127.0.0.0/8"]')
    server = start_silent(root)
    yield server
    server.stop()
    server.check_log()


def start_silent(root: Root) -> Served:
    """As `start`, for a server that says nothing before it has heard of a client."""
    return start(root, greets=False)


def first_line(address: str, port: int, said: bytes) -> bytes:
    with socket.create_connection((address, port), 20) as client, client.makefile("rb") as reader:
        client.sendall(said)
        try:
            return reader.readline()
        except ConnectionResetError:  # closed with something unread
            return b""


def version_2(source: str, destination: str, command: int = 1) -> bytes:
    body = socket.inet_aton(source) + socket.inet_aton(destination) + struct.pack("!HH", 40000, 110)
    return SIGNATURE + bytes([0x20 | command, 0x11]) + struct.pack("!H", len(body)) + body


def test_a_named_proxy_says_where_the_client_went(behind_a_proxy: Served) -> None:
    port = behind_a_proxy.root.pop3
    for domain, address in ADDRESSES.items():
        greeting = f"+OK Virtual {domain} POP3 Server".encode()
        header = f"PROXY TCP4 192.0.2.7 {address} 40000 110\r\n".encode()
        assert first_line(SHARED, port, header).startswith(greeting)
        assert first_line(SHARED, port, version_2("192.0.2.7", address)).startswith(greeting)
    # The proxy itself, looking whether we live: the socket's own address holds.
    assert first_line(VA, port, version_2("192.0.2.7", SHARED, command=0)).startswith(b"+OK Virtual va.toto.fr")


def test_what_the_client_said_with_the_header_is_heard(behind_a_proxy: Served) -> None:
    header = f"PROXY TCP4 127.0.0.9 {VA} 40000 110\r\n".encode()
    with socket.create_connection((SHARED, behind_a_proxy.root.pop3), 20) as client:
        for octet in header:
            client.sendall(bytes([octet]))
        client.sendall(b"USER bob\r\nPASS bob-va\r\nQUIT\r\n")
        answers = client.makefile("rb").read().splitlines()
    assert [answer[:3] for answer in answers] == [b"+OK"] * 4


def test_a_client_behind_a_proxy_is_not_on_loopback(behind_a_proxy: Served) -> None:
    """A password in clear from another machine is refused, whoever brings it."""
    said = f"PROXY TCP4 192.0.2.7 {VA} 40000 110\r\nUSER bob\r\n".encode()
    with socket.create_connection((SHARED, behind_a_proxy.root.pop3), 20) as client:
        client.sendall(said)
        reader = client.makefile("rb")
        assert reader.readline().startswith(b"+OK Virtual")
        assert reader.readline().startswith(b"-ERR")
        reader.close()


def test_who_is_believed_to_be_a_proxy_and_is_none_is_sent_away(behind_a_proxy: Served) -> None:
    assert first_line(SHARED, behind_a_proxy.root.pop3, b"USER bob\r\n") == b""


@pytest.fixture
def with_a_daemon(root: Root) -> Iterator[Served]:
    daemon = root.path / "ipop3d"
    daemon.write_text(
        '#!/bin/sh\nprintf "+OK native daemon %s\\r\\n" "$1"\nread -r line\nprintf "heard %s\\n" "$line"\n'
    )
    daemon.chmod(0o755)
    set_up(root, f'native = ["{daemon}", "two words"]', f'shared_addresses = ["{ADDRESSES["vc.toto.fr"]}"]')
    definition = root.etc / "domains/vc.toto.fr.toml"
    definition.write_text(definition.read_text().replace(ADDRESSES["vc.toto.fr"], "127.0.0.99"))
    server = start(root)
    yield server
    server.stop()
    server.check_log()


def test_connections_of_the_main_domain_go_unread_to_its_daemon(with_a_daemon: Served) -> None:
    port = with_a_daemon.root.pop3
    for _ in range(3):
        with socket.create_connection((SHARED, port), 20) as client:
            client.sendall(b"USER carol\r\n")
            assert client.makefile("rb").read() == b"+OK native daemon two words\r\nheard USER carol\r\n"
    assert first_line(VA, port, b"QUIT\r\n").startswith(b"+OK Virtual va.toto.fr")
    assert first_line(ADDRESSES["vc.toto.fr"], port, b"QUIT\r\n").startswith(b"+OK POP3 Server")


def test_who_ends_in_the_middle_of_a_header_is_not_waited_for(behind_a_proxy: Served) -> None:
    for said in (b"PROXY TCP4 192.0.2.7 ", version_2("192.0.2.7", VA)[:20], b""):
        with socket.create_connection((SHARED, behind_a_proxy.root.pop3), 20) as client:
            client.sendall(said)
            client.shutdown(socket.SHUT_WR)
            began = time.monotonic()
            with suppress(ConnectionResetError):
                assert client.recv(100) == b""
            assert time.monotonic() - began < 10


def test_without_descriptors_connections_wait_and_the_worker_rests(behind_a_proxy: Served) -> None:
    root = behind_a_proxy.root
    workers = [pid for pid in behind_a_proxy.workers() if listens_at(pid, root.pop3)]
    assert len(workers) == 2
    held = []
    for pid in workers:
        held.append((pid, resource.prlimit(pid, resource.RLIMIT_NOFILE)))
        lowest = min(set(range(1000)) - {int(fd) for fd in descriptors(pid)})
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (lowest, held[-1][1][1]))
    before = [ticks(pid) for pid in workers]
    with socket.create_connection((SHARED, root.pop3), 30) as client:
        client.sendall(f"PROXY TCP4 192.0.2.7 {VA} 40000 110\r\n".encode())
        time.sleep(2.5)
        busy = max(ticks(pid) - was for pid, was in zip(workers, before, strict=True))
        assert busy < os.sysconf("SC_CLK_TCK"), "a worker spins"
        assert behind_a_proxy.log.read_text().count("cannot accept") < 20
        for pid, limits in held:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
        assert client.recv(100).startswith(b"+OK Virtual va.toto.fr"), "it has only waited"


def descriptors(pid: int) -> list[str]:
    return os.listdir(f"/proc/{pid}/fd")


def listens_at(pid: int, port: int) -> bool:
    """Whether a process has a listening socket of this port."""
    inodes = {
        line.split()[9]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A"
    }
    return any(
        os.readlink(f"/proc/{pid}/fd/{fd}") in {f"socket:[{inode}]" for inode in inodes} for fd in descriptors(pid)
    )


def ticks(pid: int) -> int:
    """What a process has used of the processor."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
