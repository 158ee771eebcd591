"""A relay that takes its time holds up those alone who wait for it."""

from __future__ import annotations

import re
import socket
import threading

from tests.e2e.clients import send
from tests.relay import ScriptedRelay, running
from tests.served import Root, start

WAITING = 80
"""Messages for the relay: more than are sent at the same time."""
MESSAGE = b"Subject: here\r\n\r\nHello.\r\n"
DIALOGUE = (
    "LHLO client.example\r\nMAIL FROM:<carol@sender.example>\r\nRCPT TO:<accountant@vc.toto.fr>\r\nDATA\r\n"
    "Subject: {}\r\n\r\nHello.\r\n.\r\nQUIT\r\n"
)


def test_mailboxes_do_not_wait_for_a_relay(root: Root) -> None:
    go_on = threading.Event()
    root.empty()
    with running(ScriptedRelay(rcpt=lambda _: "250 ok" if go_on.wait(120) else "451 too late")) as relay:
        site = root.etc / "vmail.toml"
        line = f'relay = "smtp://127.0.0.1:{relay.port}"\n[lmtp]\nworkers = 1'
        text = re.sub(r"^# relay = .*$", line.partition("\n")[0], site.read_text(), flags=re.MULTILINE)
        site.write_text(text.replace("[lmtp]\n", "[lmtp]\nworkers = 1\n"))
        served = start(root)
        clients = [socket.create_connection(("127.0.0.1", root.lmtp), 60) for _ in range(WAITING)]
        try:
            for number, client in enumerate(clients):
                client.sendall(DIALOGUE.format(number).encode())
            for number in range(20):
                recipients = ("bob@va.toto.fr", "team@va.toto.fr")[: 1 + number % 2]
                assert all(answer.startswith("250") for answer in send(root, MESSAGE, *recipients))
            assert relay.taken == []
            go_on.set()
            for client in clients:
                with client.makefile("rb") as answers:
                    assert b"\r\n250 2.0.0 " in answers.read()
        finally:
            go_on.set()
            for client in clients:
                client.close()
            served.stop()
    found = sorted(int(taken.content.partition(b"Subject: ")[2].split()[0]) for taken in relay.taken)
    assert found == [*range(WAITING)]
    assert root.everything_stored() == {"bob@va.toto.fr": 20, "alice@va.toto.fr": 10}
