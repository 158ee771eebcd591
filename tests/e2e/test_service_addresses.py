"""`vmail address` on a machine of its own: a network namespace, with another machine on its wire."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.served import COMMANDS, moments

from vmaild.store.layout import Layout

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes network namespaces")

OWN = {"192.0.2.1/24", "2001:db8::fe/64"}
_SET_UP = """set -e
ip link set lo up
ip link add eth0 type veth peer name wire
ip link set wire netns {other}
ip link set eth0 up
ip address add 192.0.2.1/24 dev eth0
ip address add 2001:db8::fe/64 dev eth0 nodad
ip route add default via 192.0.2.254
echo ready
exec sleep infinity
"""
_REFUSED = """import socket, sys
try:
    socket.create_connection((sys.argv[1], 110), 5)
except ConnectionRefusedError:  # the machine itself says so
    sys.exit()
sys.exit("nobody answers")
"""
# Runs command lines of vmail, one after the other: a start of Python for each would take most of the time.
_AGENT = """import json, sys
from typer.testing import CliRunner
from vmaild.cli.application import application, verb_of
for line in sys.stdin:
    words = json.loads(line)
    ran = CliRunner().invoke(application(verb_of(words)), words, prog_name="vmail")
    print(json.dumps([ran.exit_code, ran.stdout, ran.stderr, repr(ran.exception)]), flush=True)
"""
# The pages, asked inside the machine by its administrator.
_PAGES = """import asyncio, sys
from tests.unit.web.conftest import Browser
from vmaild.admin.desk import Request
from vmaild.auth.throttle import Slots
from vmaild.servers.keeper import make_desk
from vmaild.store.layout import Layout
from vmaild.store.site import load_site
from vmaild.web.app import create_app
layout = Layout(sys.argv[1])
desk = make_desk(layout, load_site(layout)[0], Slots.create())
async def ask(request):
    return await asyncio.to_thread(desk.answer, Request(**request))
browser = Browser(create_app(ask))
browser.log_in("root@va.toto.fr", "a password of the test")
print(browser.get("/addresses").text)
for sent in ({"domain": "va.toto.fr"}, {"confirmed": "yes", "password": "guessed"},
             {"confirmed": "yes", "password": "a password of the test"}, {}):
    print("=====")
    answer = browser.post("/addresses", **sent)
    print(answer.status_code, answer.text)
print("=====")
print(browser.get("/addresses").text)
"""
_SETTINGS = """\
[pop3]
native = ["/usr/sbin/ipop3d"]
[addresses]
interface = "eth0"
pool = ["192.0.2.0/29", "2001:db8::/64"]
"""


@dataclass(frozen=True)
class Lan:
    """Two machines on a wire."""

    pid: int
    other: int
    root: Path
    agent: subprocess.Popen[str]

    def run(self, *command: str, pid: int = 0, check: bool = True) -> subprocess.CompletedProcess[str]:
        inside = ["nsenter", f"--target={pid or self.pid}", "--net", "--", *command]
        ran = subprocess.run(inside, capture_output=True, text=True, check=False)
        assert not check or ran.returncode == 0, ran.stdout + ran.stderr
        return ran

    def vmail(self, *arguments: str, status: int = 0) -> Any:
        assert self.agent.stdin is not None
        assert self.agent.stdout is not None
        self.agent.stdin.write(json.dumps(["--root", str(self.root), *arguments, "--json"]) + "\n")
        self.agent.stdin.flush()
        found, stdout, stderr, exception = json.loads(self.agent.stdout.readline())
        assert found == status, stdout + stderr + exception
        return json.loads(stdout)

    def refusal(self, *arguments: str) -> str:
        error = self.vmail(*arguments, status=1)["error"]
        return f"{error['problem']}; {error['remedy']}"

    def states(self, status: int = 0) -> dict[str, str]:
        return {row["address"]: row["state"] for row in self.vmail("address", "show", status=status)["addresses"]}

    def up(self) -> set[str]:
        """Addresses of eth0 with their prefix length, as iproute2 tells them, but the machine's own."""
        links = json.loads(self.run("ip", "-j", "address", "show", "dev", "eth0").stdout)
        rows = [row for link in links for row in link.get("addr_info", ())]
        found = {f"{row['local']}/{row['prefixlen']}" for row in rows if row["scope"] == "global"}
        assert found >= OWN
        return found - OWN

    def set(self, old: str, new: str) -> None:
        path = self.root / "etc/vmail/vmail.toml"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))


@pytest.fixture
def lan(tmp_path: Path) -> Iterator[Lan]:
    layout = Layout(str(tmp_path / "root"))
    Path(layout.definitions).mkdir(parents=True)
    Path(layout.site).write_text(_SETTINGS)
    holder = ["unshare", "--net", "sh", "-c"]
    with subprocess.Popen([*holder, "ip link set lo up; echo ready; exec sleep infinity"], stdout=-1) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"ready\n"
        with subprocess.Popen([*holder, _SET_UP.format(other=other.pid)], stdout=-1) as machine:
            assert machine.stdout is not None
            assert machine.stdout.readline() == b"ready\n"
            command = ["nsenter", f"--target={machine.pid}", "--net", "--", sys.executable, "-c", _AGENT]
            with subprocess.Popen(command, stdin=-1, stdout=-1, text=True) as agent:
                found = Lan(machine.pid, other.pid, tmp_path / "root", agent)
                found.run("ip", "link", "set", "wire", "up", pid=other.pid)
                yield found
                agent.terminate()
            machine.terminate()
        other.terminate()


def write_interfaces(root: Path, text: str = "source /etc/network/interfaces.d/*\n") -> Path:
    path = root / "etc/network/interfaces"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return path.parent / "interfaces.d/vmaild"


def test_a_domain_gets_the_next_free_address_and_loses_it_when_it_goes(lan: Lan) -> None:
    file = write_interfaces(lan.root)
    for domain in ("va.toto.fr", "vb.toto.fr"):
        lan.vmail("domain", "add", domain, "--address", "auto")
    wanted = ["192.0.2.2", "192.0.2.3", "2001:db8::1", "2001:db8::2"]
    assert lan.states(status=1) == dict.fromkeys(wanted, "down")
    plan = lan.vmail("address", "apply", "--dry-run")
    assert {each["address"] for each in plan["addresses"]} == {
        f"{each}/{128 if ':' in each else 32}" for each in wanted
    }
    assert lan.up() == set()
    assert not file.exists()
    assert lan.vmail("address", "apply")["warnings"] == []
    both = {"192.0.2.2/32", "192.0.2.3/32", "2001:db8::1/128", "2001:db8::2/128"}
    assert lan.up() == both
    assert lan.states() == dict.fromkeys(wanted, "up")
    assert all(row["stored"] and row["ours"] for row in lan.vmail("address", "show")["addresses"])
    assert not lan.vmail("address", "apply")["changed"]
    for address in ("192.0.2.3", "2001:db8::2"):  # the other machine reaches it
        lan.run("ip", "address", "replace", "192.0.2.200/24", "dev", "wire", pid=lan.other)
        lan.run("ip", "address", "replace", "2001:db8::200/64", "dev", "wire", "nodad", pid=lan.other)
        lan.run(sys.executable, "-c", _REFUSED, address, pid=lan.other)
    lan.vmail("domain", "remove", "va.toto.fr", "--yes")
    assert lan.states(status=1)["192.0.2.2"] == "of no domain"
    lan.vmail("address", "apply")
    assert lan.up() == {"192.0.2.3/32", "2001:db8::2/128"}
    assert file.read_text().count("iface eth0") == 2
    lan.vmail("domain", "remove", "vb.toto.fr", "--yes")
    lan.vmail("address", "apply")
    assert lan.up() == set()
    assert not file.exists()


def test_they_are_put_up_on_the_web_after_a_look_and_a_password(lan: Lan) -> None:
    file = write_interfaces(lan.root)
    lan.set("[pop3]", '[site]\nadmins = ["root@va.toto.fr"]\n[pop3]')
    for domain in ("va.toto.fr", "vb.toto.fr"):
        lan.vmail("domain", "add", domain, "--address", "auto")
    Path(Layout(str(lan.root)).spool).mkdir(parents=True)
    vmail: list[str | Path] = [COMMANDS / "vmail", "--root", str(lan.root), "user", "add", "root@va.toto.fr"]
    subprocess.run([*vmail, "--password-stdin"], input="a password of the test", text=True, check=True)
    told = lan.run(sys.executable, "-c", _PAGES, str(lan.root)).stdout.split("=====\n")
    before, shown, wrong, done, again, after = told
    assert before.count(">not up</span>") == 4
    assert "<strong>3</strong> · next: <code>192.0.2.4</code>" in before
    assert shown.startswith("200")
    assert "192.0.2.2/32 put up on eth0" in shown
    assert "192.0.2.3" not in shown, "that is another domain's"
    assert "iface eth0" in shown, "the file for the next start"
    assert (wrong[:3], "wrong login or password" in wrong) == ("200", True)
    assert done.startswith("303")
    assert lan.up() == {"192.0.2.2/32", "2001:db8::1/128", "192.0.2.3/32", "2001:db8::2/128"}
    assert again.startswith("303"), "nothing is left to be done"
    assert after.count(">up</span>") == 4
    assert str(file) in after


def test_what_others_have_put_up_stays_and_is_not_given_away(lan: Lan) -> None:
    lan.run("ip", "address", "add", "192.0.2.2/32", "dev", "eth0")
    lan.vmail("domain", "add", "va.toto.fr", "--address", "192.0.2.2")
    lan.vmail("domain", "add", "vb.toto.fr", "--address", "auto")
    assert lan.states(status=1) == {"192.0.2.2": "up", "192.0.2.3": "down", "2001:db8::1": "down"}
    ran = lan.vmail("address", "apply")
    assert "run 'vmail address apply' when it starts" in ran["warnings"][0]
    for domain in ("va.toto.fr", "vb.toto.fr"):
        lan.vmail("domain", "remove", domain, "--yes")
    lan.vmail("address", "apply")
    assert lan.up() == {"192.0.2.2/32"}


def test_the_main_domain_and_other_domains_keep_theirs(lan: Lan) -> None:
    assert "where the main domain is served" in lan.refusal(
        "domain", "add", "va.toto.fr", "--address", "192.0.2.1"
    )
    layout = Layout(str(lan.root))
    Path(layout.definition("va.toto.fr")).write_text('addresses = ["192.0.2.1", "192.0.2.9"]\n')
    Path(layout.definition("vb.toto.fr")).write_text('addresses = ["192.0.2.9", "192.0.2.10"]\n')
    states = {"192.0.2.1": "the main domain's", "192.0.2.9": "of several domains", "192.0.2.10": "down"}
    assert lan.states(status=1) == states
    refused = lan.vmail("address", "apply", status=1)["refused"]
    assert [each.split()[0] for each in refused] == ["192.0.2.1", "192.0.2.9"]
    assert lan.up() == {"192.0.2.10/32"}
    Path(layout.definition("vb.toto.fr")).write_text("addresses = [\n")
    ran = lan.vmail("address", "apply", status=1)
    assert "vb.toto.fr cannot be read, so nothing is taken down" in str(ran["warnings"])
    assert lan.up() == {"192.0.2.9/32", "192.0.2.10/32"}  # one is va's alone, as far as can be told


def test_an_ipv6_address_of_another_machine_is_refused_and_not_kept(lan: Lan) -> None:
    lan.run("ip", "address", "add", "2001:db8::77/64", "dev", "wire", "nodad", pid=lan.other)
    for _ in moments("the wire is not up"):
        if "LOWER_UP" in lan.run("ip", "link", "show", "eth0").stdout:
            break
    lan.vmail("domain", "add", "va.toto.fr", "--address", "2001:db8::77")
    assert "2001:db8::77 is used by another machine" in lan.refusal("address", "apply")
    assert lan.up() == set()
    lan.set('interface = "eth0"', 'interface = "eth0"\nduplicate_detection = false')
    lan.vmail("address", "apply")
    assert "2001:db8::77/128" in lan.up()


def test_others_of_a_network_outlive_its_first_address_and_a_move(lan: Lan) -> None:
    lan.run("sysctl", "-qw", "net.ipv4.conf.all.promote_secondaries=0", "net.ipv4.conf.eth0.promote_secondaries=0")
    lan.set('interface = "eth0"', 'interface = "eth0"\nprefix_length = 24')
    for domain, address in (("va.toto.fr", "198.51.100.1"), ("vb.toto.fr", "198.51.100.2")):
        lan.vmail("domain", "add", domain, "--address", address)
    lan.vmail("address", "apply")
    lan.run("ip", "address", "add", "198.51.100.3/24", "dev", "eth0")
    lan.vmail("domain", "remove", "va.toto.fr", "--yes")
    lan.vmail("address", "apply")
    assert lan.up() == {"198.51.100.2/24", "198.51.100.3/24"}
    lan.set("prefix_length = 24", "prefix_length = 32")
    lan.vmail("address", "apply")
    assert lan.up() == {"198.51.100.2/32", "198.51.100.3/24"}


def test_an_interface_that_is_not_there_is_told_with_those_that_are(lan: Lan) -> None:
    lan.vmail("domain", "add", "va.toto.fr", "--address", "192.0.2.9")
    lan.set('interface = "eth0"', 'interface = "eth9"')
    assert "no interface eth9; set interface in [addresses]" in lan.refusal("address", "apply")
    lan.set('interface = "eth9"', "")
    assert "is not up, and vmaild is to put none up" in lan.refusal("address", "apply")


def test_a_file_of_somebody_else_is_not_written_over(lan: Lan) -> None:
    file = write_interfaces(lan.root)
    file.parent.mkdir()
    file.write_text("# by hand\n")
    lan.vmail("domain", "add", "va.toto.fr", "--address", "192.0.2.9")
    assert "is not vmaild's; move it aside" in lan.refusal("address", "apply")
    assert (file.read_text(), lan.up()) == ("# by hand\n", set())
