"""Domains by the reverse DNS of this machine's addresses: a real BIND, a real server, a network of their own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.served import Served, moments

from vmaild.store.layout import Layout

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("named") is None, reason="BIND is not installed, or no namespace can be made"
)
_COMMAND = Path(sys.executable).with_name("vmail")
ADDRESSES = ("203.0.113.1", "203.0.113.2", "203.0.113.3", "203.0.113.4", "2001:db8::5")
_SET_UP = """set -e
mount --bind {resolv} /etc/resolv.conf
ip link set lo up
for address in {addresses}; do ip address add $address dev lo; done
echo ready
exec sleep infinity
"""
_ZONE = "$TTL 60\n@ SOA ns.example. h.example. (1 3h 1h 1w 1m)\n NS ns.example.\n"
_CONF = """options {{ directory "{folder}"; pid-file "{folder}/pid"; session-keyfile "{folder}/key"; recursion no;
listen-on {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; dnssec-validation no; empty-zones-enable no; }};
controls {{ }};
zone "113.0.203.in-addr.arpa" {{ type primary; file "four"; }};
zone "8.b.d.0.1.0.0.2.ip6.arpa" {{ type primary; file "six"; }};
"""
_GREETING = """import socket, sys
with socket.create_connection((sys.argv[1], 110), 10) as connection:
    print(connection.recv(200).decode(), end="")
"""


@dataclass
class Machine:
    pid: int
    work: Path
    named: subprocess.Popen[bytes] | None = None

    @property
    def layout(self) -> Layout:
        return Layout(str(self.work / "root"))

    def inside(self, *command: str) -> list[str]:
        return ["nsenter", f"--target={self.pid}", "--net", "--mount", "--", *command]

    def write_zones(self, four: str, six: str) -> None:
        (self.work / "four").write_text(_ZONE + four)
        (self.work / "six").write_text(_ZONE + six)

    def start_named(self) -> None:
        command = self.inside("named", "-g", "-n", "1", "-c", str(self.work / "named.conf"))
        self.named = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        dig = self.inside("dig", "@127.0.0.1", "+tries=1", "+time=1", "+short", "113.0.203.in-addr.arpa", "SOA")
        for _ in moments("named does not answer"):
            if subprocess.run(dig, capture_output=True, check=False).stdout.startswith(b"ns."):
                return

    def stop_named(self) -> None:
        if self.named is not None:
            self.named.terminate()
            self.named.wait(20)
            self.named = None

    def greeted_by(self) -> dict[str, str]:
        """The domain that each address greets as; empty: none."""
        found = {}
        for address in ADDRESSES:
            ran = subprocess.run(
                self.inside(sys.executable, "-c", _GREETING, address), capture_output=True, check=True
            )
            words = ran.stdout.decode().split()
            found[address] = words[2] if words[1] == "Virtual" else ""
        return found

    def told_by(self) -> dict[str, str | None]:
        command = [str(_COMMAND), "--root", self.layout.root, "address", "show", "--json"]
        ran = subprocess.run(self.inside(*command), capture_output=True, check=False)
        return {row["address"]: row["reverse_dns"] for row in json.loads(ran.stdout)["addresses"]}


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    layout = Layout(str(tmp_path / "root"))
    Path(layout.definitions).mkdir(parents=True)
    Path(layout.state).mkdir(parents=True)
    Path(layout.spool).mkdir(parents=True)
    listens = 'listen = ["*:110"]\nlearn_addresses = true\nshared_addresses = ["203.0.113.4"]\n'
    Path(layout.site).write_text(f"[pop3]\n{listens}[lmtp]\nlisten = []\n[maps]\nlisten = []\n")
    for domain, text in {
        "va.toto.fr": 'mail_host = "mail.va.toto.fr"\n',
        "vb.toto.fr": "",
        "vc.toto.fr": 'addresses = ["203.0.113.3"]\n',
    }.items():
        Path(layout.definition(domain)).write_text(text)
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    (tmp_path / "named.conf").write_text(_CONF.format(folder=tmp_path))
    script = _SET_UP.format(resolv=tmp_path / "resolv.conf", addresses=" ".join(ADDRESSES))
    with subprocess.Popen(["unshare", "--net", "--mount", "sh", "-c", script], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"ready\n"
        found = Machine(holder.pid, tmp_path)
        yield found
        found.stop_named()
        holder.terminate()


@pytest.fixture
def serve(machine: Machine) -> Iterator[Served]:
    machine.write_zones(
        "1 PTR mail.va.toto.fr.\n2 PTR mailhost.vb.toto.fr.\n3 PTR mail.va.toto.fr.\n4 PTR mail.va.toto.fr.\n",
        "5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0 PTR VB.toto.fr.\n",
    )
    machine.start_named()
    log = machine.work / "serve.log"
    command = machine.inside(str(_COMMAND), "--root", machine.layout.root, "serve")
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        served = Served(None, process, log)  # type: ignore[arg-type]
        for _ in moments("vmail serve did not come up"):
            assert process.poll() is None, log.read_text()
            if " serving " in log.read_text():
                break
        yield served
        served.stop()
        served.check_log()


LEARNT = {
    "203.0.113.1": "va.toto.fr",
    "203.0.113.2": "vb.toto.fr",
    "203.0.113.3": "vc.toto.fr",  # its definition counts for more
    "203.0.113.4": "",  # shared by all
    "2001:db8::5": "vb.toto.fr",
}


def reload(served: Served) -> str:
    """Have it load its settings anew; what it logged meanwhile."""
    before = served.log.read_text()
    served.signal(signal.SIGHUP)
    for _ in moments("it did not reload", 30):
        if "reloaded" in served.log.read_text()[len(before) :]:
            return served.log.read_text()[len(before) :]
    raise AssertionError


def test_what_reverse_dns_says_greets_until_it_says_something_else(machine: Machine, serve: Served) -> None:
    assert machine.greeted_by() == LEARNT
    assert machine.told_by() == {
        "203.0.113.1": "mail.va.toto.fr",
        "203.0.113.2": "mailhost.vb.toto.fr",
        "203.0.113.3": None,
        "2001:db8::5": "vb.toto.fr",
    }
    # Nothing is looked up for a connection, and a name server that is gone takes nothing away.
    machine.stop_named()
    assert machine.greeted_by() == LEARNT
    assert "does not answer for 2001:db8::5, 203.0.113.1, 203.0.113.2" in reload(serve)
    assert machine.greeted_by() == LEARNT
    # Another mail host, none at all, one of an address with names of two domains.
    machine.write_zones("1 PTR vb.toto.fr.\n2 PTR mail.va.toto.fr.\n2 PTR vb.toto.fr.\n", "")
    machine.start_named()
    reload(serve)
    after = {"203.0.113.1": "vb.toto.fr", "203.0.113.2": "", "2001:db8::5": ""}
    assert machine.greeted_by() == LEARNT | after
    # A definition that names an address takes it at once.
    Path(machine.layout.definition("vc.toto.fr")).write_text('addresses = ["203.0.113.1"]\n')
    for _ in moments("the definition is not in force"):
        if machine.greeted_by()["203.0.113.1"] == "vc.toto.fr":
            break
