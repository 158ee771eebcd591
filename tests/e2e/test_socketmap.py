"""The socketmap server, asked on its socket while files change below it."""

from __future__ import annotations

import grp
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.served import PATIENCE, Root, Served, moments, start

from vmaild.protocol.socketmap import Failed, Found, NotFound, Reply, parse_reply, request


@contextmanager
def connected(root: Root) -> Iterator[socket.socket]:
    """A connection to the server."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE)
        client.connect(str(root.path / "run/vmail/socketmap.sock"))
        yield client


def ask(client: socket.socket, name: str, key: str) -> Reply:
    """One question."""
    client.sendall(request(name, key))
    return answered(client)


def answered(client: socket.socket) -> Reply:
    """One reply."""
    data = b""
    while (reply := parse_reply(data)) is None:
        piece = client.recv(4096)
        assert piece, "the server hung up"
        data += piece
    return reply


def test_domains_and_recipients(demo: Root) -> None:
    with connected(demo) as client:
        assert ask(client, "domains", "va.example") == Found("va.toto.fr")
        assert ask(client, "domains", "elsewhere.example") == NotFound()
        assert ask(client, "recipients", "bob+lists@va.example") == Found("bob+lists@va.example")
        assert ask(client, "recipients", "nobody@va.toto.fr") == NotFound()
        assert ask(client, "recipients", "bob@elsewhere.example") == NotFound()
        assert ask(client, "recipients", "alice.dubois@vb.toto.fr") == Found("alice.dubois@vb.toto.fr")
        assert ask(client, "passwords", "bob") == Failed("no such table", for_good=True)


def test_a_client_that_says_first_that_it_asks_no_more_is_answered(demo: Root) -> None:
    with connected(demo) as client:
        client.sendall(request("recipients", "bob@va.toto.fr"))
        client.shutdown(socket.SHUT_WR)
        assert answered(client) == Found("bob@va.toto.fr")
        assert client.recv(1) == b""


def test_what_is_no_question_ends_the_connection(demo: Root) -> None:
    with connected(demo) as client:
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert client.recv(100) == b""


def test_a_hand_edit_is_in_force_at_once_and_a_damaged_file_is_no_missing_name(
    served: Served,
) -> None:
    root = served.root
    with connected(root) as client:
        assert ask(client, "recipients", "dave@va.toto.fr") == NotFound()
        with (root.etc / "aliases.va.toto.fr").open("a") as aliases:
            aliases.write("dave: bob\n")
        assert ask(client, "recipients", "dave@va.toto.fr") == Found("dave@va.toto.fr")
        (root.etc / "domains/new.example.toml").write_text("fallback = 5\n")
        for _ in moments("the damaged domain is not seen"):
            if isinstance(ask(client, "recipients", "bob@new.example"), Failed):
                break
        assert ask(client, "domains", "new.example") == Failed("Could not look up the recipient, try again later")


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give a socket to another group")
def test_the_group_of_the_mta_is_let_in(root: Root) -> None:
    site = root.etc / "vmail.toml"
    site.write_text(site.read_text().replace("[site]", '[site]\nmta_group = "daemon"', 1))
    server = start(root)
    try:
        for name in ("lmtp", "socketmap"):
            status = (root.path / f"run/vmail/{name}.sock").stat()
            assert (status.st_gid, stat.S_IMODE(status.st_mode)) == (grp.getgrnam("daemon").gr_gid, 0o660)
    finally:
        server.stop()
    assert not (root.path / "run/vmail/socketmap.sock").exists()


def test_a_group_that_does_not_exist_is_told(root: Root) -> None:
    site = root.etc / "vmail.toml"
    site.write_text(site.read_text().replace("[site]", '[site]\nmta_group = "no-such-group"', 1))
    done = root.vmail("serve", check=False)
    assert done.returncode == 1
    assert "there is no group no-such-group" in done.stderr
