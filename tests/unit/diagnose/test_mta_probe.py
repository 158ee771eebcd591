"""The probe of an MTA, against a server of ours and against peers that misbehave."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

import pytest
from tests.served import Root

from vmaild.core.directory import Account, Domain, DomainDefinition, FallbackToName, LookupFailed, Snapshot
from vmaild.core.mta import Purpose
from vmaild.diagnose.mta import FOREIGN, UNKNOWN, probe_mta, questions


def test_what_is_asked_of_each_domain() -> None:
    bob = {"bob": Account("bob", 1, 1)}
    snapshot = Snapshot(
        {
            "va.example": Domain(DomainDefinition("va.example", aliases=("alias.example",)), bob),
            "all.example": Domain(DomainDefinition("all.example", fallback=FallbackToName("bob")), bob),
            "empty.example": Domain(DomainDefinition("empty.example")),
        }
    )
    assert questions(snapshot, [*snapshot.domains, "gone.example"]) == [
        (Purpose.KNOWN, "bob@va.example"),
        (Purpose.UNKNOWN, f"{UNKNOWN}@va.example"),
        (Purpose.KNOWN, "bob@alias.example"),
        (Purpose.UNKNOWN, f"{UNKNOWN}@alias.example"),
        (Purpose.KNOWN, "bob@all.example"),
        (Purpose.UNKNOWN, f"{UNKNOWN}@empty.example"),
    ]


def test_a_domain_that_cannot_be_read_is_left_out() -> None:
    class Broken(Snapshot):
        def find(self, name: str) -> Domain | None:
            raise LookupFailed(name)

    assert questions(Broken({}), ["va.example"]) == []


def test_a_server_that_knows_its_domains(demo: Root) -> None:
    sockets = [(name, str(demo.path / f"run/vmail/{name}.sock")) for name in ("lmtp", "socketmap")]
    asked = [(Purpose.KNOWN, "bob@va.toto.fr"), (Purpose.UNKNOWN, f"{UNKNOWN}@va.toto.fr")]
    evidence = probe_mta(("127.0.0.1", demo.smtp), asked, sockets)
    assert evidence.problem == ""
    assert [each.problem for each in evidence.sockets] == ["", ""]
    assert [(each.recipient, each.code) for each in evidence.asked] == [
        ("bob@va.toto.fr", 250),
        (f"{UNKNOWN}@va.toto.fr", 550),
        (f"postmaster@{evidence.name}", 554),
        (FOREIGN, 554),
    ]
    assert demo.everything_stored() == {}


def test_sockets_of_nobody(demo: Root, tmp_path_factory: pytest.TempPathFactory) -> None:
    missing = str(tmp_path_factory.mktemp("n") / "lmtp.sock")
    swapped = [("lmtp", missing), ("socketmap", str(demo.socket))]
    evidence = probe_mta(("127.0.0.1", 1), [], swapped, timeout=5)
    assert [bool(each.problem) for each in evidence.sockets] == [True, True]
    assert "refused" in evidence.problem


@pytest.mark.parametrize(
    ("script", "problem", "codes"),
    [
        (b"554 go away\r\n", "Server says 554 go away", []),
        (b"hello\r\n", "Server speaks neither SMTP nor LMTP", []),
        (b"", "Server closed the connection", []),
        (b"220 odd.example\r\n502 no\r\n", "Server says 502 no", []),
        (b"220 odd.example\r\n250 odd\r\n250 ok\r\n250 yes\r\n250 ok\r\n", "", [250, 451, 451]),
        (b"220 odd.example\r\n250 odd\r\n452 full\r\n452 full\r\n452 full\r\n", "", [452, 452, 452]),
    ],
)
def test_a_peer_that_misbehaves(
    script: bytes, problem: str, codes: list[int], free_port: Callable[[], int]
) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)) as listener:

        def play() -> None:
            for _ in range(2 if problem == "" else 1):
                peer, _address = listener.accept()
                with peer:
                    peer.sendall(script)
                    peer.shutdown(socket.SHUT_WR)
                    while peer.recv(4096):
                        pass

        peer = threading.Thread(target=play)
        peer.start()
        evidence = probe_mta(("127.0.0.1", port), [(Purpose.KNOWN, "bob@va.toto.fr")], timeout=10)
        peer.join()
    assert evidence.problem == problem
    assert [each.code for each in evidence.asked] == codes
