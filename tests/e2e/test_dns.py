"""`vmail dns` with a real BIND: what we write is what named serves, and named-checkzone takes it."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vmaild.cli.application import application
from vmaild.store.layout import Layout

pytestmark = pytest.mark.skipif(shutil.which("named") is None, reason="BIND is not installed")

TOTO = """\
; by hand
$TTL 1h
@ IN SOA ns hostmaster 41 3h 1h 1w 1h
  NS ns
ns A 127.0.0.1
$INCLUDE hosts.inc
vb MX 10 elsewhere
"""
REVERSE = "$TTL 1h\n@ SOA ns.toto.fr. h.toto.fr. (2020010101 3h 1h 1w 1h)\n NS ns.toto.fr.\n"
FORWARD_6 = "0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"
ZONES = {"toto.fr": TOTO, "16.172.in-addr.arpa": REVERSE, FORWARD_6: REVERSE}


@dataclass(frozen=True)
class Bind:
    root: Path
    folder: Path
    port: int

    def vmail(self, *arguments: str, status: int = 0) -> str:
        # In this process: a start of Python for each command would take most of the time.
        words = ["--root", str(self.root), *arguments]
        ran = CliRunner().invoke(application(arguments[0]), words, prog_name="vmail")
        assert ran.exit_code == status, ran.output
        return ran.stdout

    def show(self, domain: str, status: int) -> dict[str, str]:
        text = self.vmail("dns", "show", domain, "--resolver", f"127.0.0.1:{self.port}", "--json", status=status)
        return {f"{row['name']} {row['type']}": row["state"] for row in json.loads(text)["records"]}

    def dig(self, *question: str) -> list[str]:
        command = ["dig", f"-p{self.port}", "@127.0.0.1", "+short", "+tries=1", *question]
        said = subprocess.run(command, text=True, capture_output=True, check=False).stdout.split("\n")[:-1]
        return [line for line in said if not line.startswith(";")]


def write_conf(path: Path, zones: Path, port: int) -> None:
    text = f'options {{ directory "{zones}"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};\n'
    text += f'pid-file "{path}.pid"; session-keyfile "{path}.key"; recursion no; dnssec-validation no; }};\n'
    text += "controls { };\n"
    for zone in ZONES:
        text += f'zone "{zone}" {{ type primary; file "db.{zone}"; }};\n'
    path.write_text(text)


@pytest.fixture
def bind(tmp_path: Path, free_port: Callable[[], int]) -> Bind:
    root = tmp_path / "root"
    found = Bind(root, root / "etc/bind", free_port())
    found.folder.mkdir(parents=True)
    for zone, text in ZONES.items():
        (found.folder / f"db.{zone}").write_text(text)
    (found.folder / "hosts.inc").write_text("www A 192.0.2.80\n")
    write_conf(found.folder / "named.conf", Path("/etc/bind"), found.port)
    write_conf(tmp_path / "named.conf", found.folder, found.port)
    layout = Layout(str(root))
    Path(layout.definitions).mkdir(parents=True)
    Path(layout.site).write_text("")
    Path(layout.definition("va.toto.fr")).write_text('addresses = ["172.16.0.1", "2001:db8::1"]\n')
    Path(layout.definition("vb.toto.fr")).write_text('addresses = ["172.16.0.2"]\n')
    return found


@pytest.fixture
def serve(bind: Bind, tmp_path: Path) -> Iterator[Callable[[], None]]:
    running: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        command = ["named", "-g", "-n", "1", "-c", str(tmp_path / "named.conf")]
        with (tmp_path / "named.log").open("wb") as log:
            running.append(subprocess.Popen(command, stdout=log, stderr=log))
        for _ in range(200):
            if bind.dig("toto.fr", "SOA"):
                return
            time.sleep(0.05)
        raise AssertionError((tmp_path / "named.log").read_text())

    yield start
    for process in running:
        process.terminate()
        process.wait(20)


def test_what_is_written_is_served(bind: Bind, serve: Callable[[], None]) -> None:
    before = {path: path.read_bytes() for path in bind.folder.iterdir()}
    diff = bind.vmail("dns", "apply", "va.toto.fr", "--dry-run")
    assert "+va.toto.fr. 3600 IN MX 10 mailhost.va.toto.fr." in diff
    assert {path: path.read_bytes() for path in bind.folder.iterdir()} == before
    bind.vmail("dns", "apply", "va.toto.fr")
    for zone in ZONES:
        path = bind.folder / f"db.{zone}"
        command = ["named-checkzone", "-q", "-w", str(bind.folder), zone, str(path)]
        assert subprocess.run(command, check=False).returncode == 0
        assert path.with_name(path.name + ".before-vmaild").read_text() == ZONES[zone]
    serve()
    assert bind.dig("va.toto.fr", "MX") == ["10 mailhost.va.toto.fr."]
    assert bind.dig("-x", "172.16.0.1") == ["mailhost.va.toto.fr."]
    assert bind.dig("-x", "2001:db8::1") == ["mailhost.va.toto.fr."]
    assert bind.dig("www.toto.fr", "A") == ["192.0.2.80"]
    assert bind.dig("toto.fr", "SOA")[0].split()[2] == "42"
    assert set(bind.show("va.toto.fr", 0).values()) == {"right"}
    other = bind.show("vb.toto.fr", 1)
    assert (other["vb.toto.fr MX"], other["mailhost.vb.toto.fr A"]) == ("different", "missing")


def test_removed_again_to_the_byte_but_the_serial(bind: Bind) -> None:
    bind.vmail("dns", "apply", "va.toto.fr")
    ran = json.loads(bind.vmail("dns", "apply", "va.toto.fr", "--json"))
    assert not ran["changed"]
    ran = json.loads(bind.vmail("dns", "apply", "vb.toto.fr", "--json"))
    assert any("vb.toto.fr. has by hand: MX 10 elsewhere.toto.fr." in warning for warning in ran["warnings"])
    for domain in ("va.toto.fr", "vb.toto.fr"):
        bind.vmail("domain", "remove", domain, "--yes")
        bind.vmail("dns", "apply", domain)
    assert (bind.folder / "db.toto.fr").read_text() == TOTO.replace("41", "45")


def test_a_journal_and_a_broken_zone_are_refused(bind: Bind) -> None:
    path = bind.folder / "db.toto.fr"
    path.with_name("db.toto.fr.jnl").write_bytes(b"x")
    bind.vmail("dns", "apply", "va.toto.fr", status=1)
    assert path.read_text() == TOTO
    path.with_name("db.toto.fr.jnl").unlink()
    path.write_text(TOTO + "broken A nonsense\n")
    bind.vmail("dns", "apply", "va.toto.fr", status=1)
    assert path.read_text() == TOTO + "broken A nonsense\n"


def test_whole_zones_pass_the_check_of_bind(bind: Bind, tmp_path: Path) -> None:
    zones = json.loads(bind.vmail("dns", "zone", "va.toto.fr", "--json"))["zones"]
    assert len(zones) == 3
    for origin, text in zones.items():
        (tmp_path / "zone").write_text(text)
        command = ["named-checkzone", origin, str(tmp_path / "zone")]
        ran = subprocess.run(command, text=True, capture_output=True, check=False)
        assert ran.returncode == 0, ran.stdout + text


def test_a_resolver_that_is_silent_is_not_a_missing_record(bind: Bind) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        where = f"127.0.0.1:{silent.getsockname()[1]}"
        text = bind.vmail("dns", "show", "vb.toto.fr", "--resolver", where, "--json")
    assert {row["state"] for row in json.loads(text)["records"]} == {"unknown"}
