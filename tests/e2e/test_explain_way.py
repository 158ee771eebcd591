"""`vmail explain` with a real name server and mail servers: the whole way in, and the way back to the owner."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.named import running_named
from tests.e2e.test_tls import make_certificate
from tests.relay import ScriptedRelay, running
from tests.served import Root, Served

pytestmark = pytest.mark.skipif(shutil.which("named") is None, reason="BIND is not installed")

ZONE = """\
$TTL 600
@ IN SOA ns hostmaster 1 3h 1h 1w 1h
  NS ns
ns A 127.0.0.1
va MX 10 mailhost.va
va MX 20 backup
mailhost.va A 127.0.0.1
backup A 10.255.255.1
vb A 127.0.0.1
vc MX 0 .
"""


@pytest.fixture
def resolver(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[str]:
    port = free_port()
    folder = tmp_path / "named"
    folder.mkdir()
    with running_named(folder, port, {"toto.fr": ZONE}):
        yield f"127.0.0.1:{port}"


def explained(root: Root, *arguments: str, status: int = 0) -> Any:
    done = root.vmail("explain", *arguments, "--json", check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_the_whole_way_through_running_servers(served: Served, resolver: str) -> None:
    root, mta = served.root, ("--server", f"127.0.0.1:{served.root.smtp}")
    make_certificate(root.etc / "va.pem", "mailhost.va.toto.fr")
    with (root.etc / "domains/va.toto.fr.toml").open("a") as file:
        file.write('certificate = "/etc/vmail/va.pem"\n')
    found = explained(root, "bob@va.toto.fr", "--resolver", resolver, *mta)
    assert [(each["preference"], each["host"]) for each in found["way"]["mx"]] == [
        (10, "mailhost.va.toto.fr"),
        (20, "backup.toto.fr"),
    ]
    assert found["way"]["mx"][0]["addresses"] == [{"address": "127.0.0.1", "place": "here"}]
    assert found["way"]["mx"][1]["addresses"] == [{"address": "10.255.255.1", "place": "elsewhere"}]
    assert (found["way"]["mta"]["code"], found["way"]["mta"]["problem"]) == (250, "")
    assert found["targets"][0]["usage"]["messages"] > 0
    assert (found["client"]["host"], found["client"]["login"]) == ("mailhost.va.toto.fr", "bob@va.toto.fr")
    unknown = explained(root, "nobody@va.toto.fr", "--resolver", resolver, *mta, status=1)
    assert unknown["way"]["mta"]["code"] == unknown["answer"]["code"] == 550
    text = root.vmail("explain", "bob@va.toto.fr", "--resolver", resolver, *mta).stdout
    assert "MX 10 mailhost.va.toto.fr: 127.0.0.1 (this machine)" in text
    assert "    Server:   mailhost.va.toto.fr\n" in text
    assert "    Security: STARTTLS\n    Login:    bob@va.toto.fr, or just bob\n" in text


def test_what_stands_for_an_mx_and_what_forbids_mail(served: Served, resolver: str) -> None:
    mta = ("--server", f"127.0.0.1:{served.root.smtp}")
    assert explained(served.root, "bob@vb.toto.fr", "--resolver", resolver, *mta, status=0)["way"]["implicit"]
    assert explained(served.root, "bob@vc.toto.fr", "--resolver", resolver, *mta, status=0)["way"]["null_mx"]


def test_an_mta_that_does_not_know_us_is_a_refusal(demo: Root, resolver: str) -> None:
    with running(ScriptedRelay(rcpt=lambda _: "554 5.7.1 Relay access denied")) as relay:
        server = f"127.0.0.1:{relay.port}"
        found = explained(demo, "bob@va.toto.fr", "--resolver", resolver, "--server", server, status=1)
        assert found["answer"]["code"] == 250
        assert (found["way"]["mta"]["code"], found["way"]["mta"]["name"]) == (554, "relay.test")
        assert not relay.taken


def test_nobody_else_is_asked_about_a_domain_that_is_not_ours(demo: Root, resolver: str) -> None:
    asked: list[str] = []

    def rcpt(name: str) -> str:
        asked.append(name)
        return "250 ok"

    with running(ScriptedRelay(rcpt=rcpt)) as relay:
        server = f"127.0.0.1:{relay.port}"
        found = explained(demo, "x@toto.fr", "--resolver", resolver, "--server", server, status=1)
    assert (found["way"]["mta"], asked, found["client"]) == (None, [], None)


@pytest.mark.parametrize("drip", [False, True])
def test_silence_everywhere_is_unknown_within_seconds(demo: Root, drip: bool) -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as dns,
        running(ScriptedRelay(pause=60)) as slow,
        socket.create_server(("127.0.0.1", 0)) as silent,
    ):
        dns.bind(("127.0.0.1", 0))
        port = slow.port if drip else silent.getsockname()[1]
        begin = time.monotonic()
        found = explained(
            demo,
            "bob@va.toto.fr",
            "--resolver",
            f"127.0.0.1:{dns.getsockname()[1]}",
            "--server",
            f"127.0.0.1:{port}",
        )
        assert time.monotonic() - begin < 40  # 8 for the questions, the rest for a busy machine
    assert found["way"]["problem"]
    assert found["way"]["mta"]["problem"] == "it does not answer in time"
    assert found["answer"]["code"] == 250


def test_offline_asks_nobody_and_a_full_mailbox_is_told(served: Served) -> None:
    root = served.root
    root.vmail("user", "set", "bob@va.toto.fr", "--quota", "1k")
    found = explained(root, "bob@va.toto.fr", "--offline")
    assert found["way"] is None
    assert found["targets"][0]["full"] is True
    assert (found["when_full"]["code"], found["when_full"]["enhanced"]) == (552, "5.2.2")
    done = subprocess.run(
        ["curl", "-sv", f"smtp://127.0.0.1:{root.smtp}", "--mail-from", "x@example.org",
         "--mail-rcpt", "bob@va.toto.fr", "-T", "-"],
        input="Subject: x\n\n" + "x" * 2000 + "\n", text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert "552 5.2.2" in done.stderr
