"""What `vmail address apply` writes for the next start, read by those whom it is written for.

systemd-networkd, ifupdown and netplan themselves, each on a machine that has lost its addresses.
"""

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
from tests.e2e.machine import PACKAGES
from tests.served import moments

from vmaild.store.layout import Layout

_NETWORKD = Path("/lib/systemd/systemd-networkd")
_COMMAND = Path(sys.executable).with_name("vmail")
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes network namespaces")
# Without udev, which systemd-networkd would wait for: as in a container.
_SET_UP = """set -e
mkdir -p {root}/run/systemd/netif {root}/etc/systemd/network
mount -t tmpfs none /run
mkdir -p /run/systemd/netif
mount --bind {root}/run/systemd/netif /run/systemd/netif
mount --bind {root}/etc/systemd/network /etc/systemd/network
mount --bind /sys /sys
mount -o remount,ro,bind /sys
ip link set lo up
ip link add eth0 type veth peer name wire
ip link set wire up
ip link set eth0 up
ip address add 192.0.2.1/24 dev eth0
echo ready
exec sleep infinity
"""
OWN = {"192.0.2.1/24"}
OURS = {"192.0.2.10/32", "2001:db8::10/128"}


@dataclass(frozen=True)
class Machine:
    pid: int
    root: Path

    def inside(self, *command: str | Path) -> list[str]:
        return ["nsenter", f"--target={self.pid}", "--net", "--mount", "--", *map(str, command)]

    def run(self, *command: str | Path, status: int = 0) -> str:
        ran = subprocess.run(self.inside(*command), capture_output=True, text=True, check=False)
        assert ran.returncode == status, ran.stdout + ran.stderr
        return ran.stdout

    def vmail(self, *arguments: str, status: int = 0) -> Any:
        return json.loads(self.run(_COMMAND, "--root", self.root, *arguments, "--json", status=status))

    def write(self, path: str, text: str) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o644)
        return file

    def up(self) -> set[str]:
        found = json.loads(self.run("ip", "-j", "address", "show", "dev", "eth0"))
        rows = [row for link in found for row in link.get("addr_info", ())]
        return {f"{row['local']}/{row['prefixlen']}" for row in rows if row["scope"] == "global"}

    def wait_for(self, addresses: set[str]) -> None:
        for _ in moments(f"{addresses} are not all that is up"):
            if self.up() == addresses:
                return

    def lose_all(self) -> None:
        self.run("ip", "address", "flush", "dev", "eth0", "scope", "global")
        self.run("ip", "link", "set", "eth0", "down")
        assert self.up() == set()


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    layout = Layout(str(tmp_path / "root"))
    Path(layout.definitions).mkdir(parents=True)
    Path(layout.site).write_text('[addresses]\ninterface = "eth0"\nduplicate_detection = false\n')
    Path(layout.definition("va.toto.fr")).write_text('addresses = ["192.0.2.10", "2001:db8::10"]\n')
    script = _SET_UP.format(root=layout.root)
    with subprocess.Popen(["unshare", "--net", "--mount", "sh", "-c", script], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"ready\n"
        yield Machine(holder.pid, tmp_path / "root")
        holder.terminate()


def packaged(*programs: str) -> Path:
    """A program that is unpacked, in whichever place its release has it."""
    for path in (PACKAGES / program for program in programs):
        if path.exists():
            return path
    pytest.fail(f"{programs[0]} is missing: run tools/debian-packages tests")


def test_ifupdown(machine: Machine) -> None:
    file = machine.write(
        "etc/network/interfaces",
        "auto eth0\niface eth0 inet static\n    address 192.0.2.1/24\nsource interfaces.d/*\n",
    )
    assert machine.vmail("address", "apply")["warnings"] == []
    assert machine.up() == OWN | OURS
    machine.lose_all()
    state = machine.root / "run/network"
    state.mkdir()
    machine.run(packaged("sbin/ifup", "usr/sbin/ifup"), "--no-scripts", "-i", file, "--state-dir", state, "eth0")
    assert machine.up() == OWN | OURS
    rows = machine.vmail("address", "show")["addresses"]
    assert all((row["state"], row["stored"], row["ours"]) == ("up", True, True) for row in rows)
    file.write_text("auto eth0\niface eth0 inet static\n    address 192.0.2.1/24\n")
    assert "which does not read it" in machine.vmail("address", "apply")["warnings"][0]


def test_netplan(machine: Machine) -> None:
    generate = packaged("usr/libexec/netplan/generate")
    base = "network: {version: 2, renderer: networkd, ethernets: {lan: {match: {macaddress: '00:11:22:33:44:55'},"
    machine.write("etc/netplan/10-base.yaml", f"{base} set-name: eth0, addresses: [192.0.2.1/24]}}}}}}\n")
    machine.vmail("address", "apply")
    assert (machine.root / "etc/netplan/90-vmaild.yaml").stat().st_mode & 0o777 == 0o600
    machine.run(generate, "--root-dir", machine.root)
    text = (machine.root / "run/systemd/network/10-netplan-lan.network").read_text()
    assert {
        line.removeprefix("Address=") for line in text.split("\n") if line.startswith("Address=")
    } == OWN | OURS


@pytest.mark.skipif(not _NETWORKD.exists(), reason="systemd-networkd is not installed")
def test_networkd(machine: Machine) -> None:
    network = machine.write(
        "etc/systemd/network/50-eth0.network", "[Match]\nName=eth0\n[Network]\nAddress=192.0.2.1/24\n"
    )
    machine.run("chown", "-R", "systemd-network:systemd-network", "/run/systemd/netif")
    for start in ("first", "second"):
        with subprocess.Popen(machine.inside(_NETWORKD), stderr=subprocess.DEVNULL) as networkd:
            links = machine.root / "run/systemd/netif/links"
            for _ in moments("systemd-networkd did not set eth0 up"):
                if any("NETWORK_FILE=" in link.read_text() for link in links.glob("*")):
                    break
            if start == "first":
                machine.wait_for(OWN)
                machine.vmail("address", "apply")
                assert machine.up() == OWN | OURS
                drop_in = network.with_name("50-eth0.network.d") / "vmaild.conf"
                assert drop_in.stat().st_mode & 0o777 == 0o644
            machine.wait_for(OWN | OURS)
            networkd.terminate()
        if start == "first":
            machine.lose_all()
    machine.vmail("domain", "remove", "va.toto.fr", "--yes")
    machine.vmail("address", "apply")
    assert not drop_in.exists()
    assert machine.up() == OWN
