"""`vmail dns update` with a real BIND that takes signed updates (RFC 2136, TSIG), forward and reverse."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.named import dig, running_named
from tests.unit.web.conftest import Browser
from typer.testing import CliRunner

from vmaild.admin.desk import Request
from vmaild.admin.dns_update import update_dns
from vmaild.admin.door import open_door
from vmaild.admin.refusal import Refused
from vmaild.auth.throttle import Slots
from vmaild.cli.application import application
from vmaild.servers.keeper import make_desk
from vmaild.store.layout import Layout
from vmaild.store.site import load_site
from vmaild.web.app import create_app

pytestmark = pytest.mark.skipif(shutil.which("named") is None, reason="BIND is not installed")

FORWARD = """\
$TTL 600
@ IN SOA ns hostmaster 41 3h 1h 1w 1h
  NS ns
ns A 127.0.0.1
www A 192.0.2.80
vb MX 10 elsewhere
*.wild A 192.0.2.81
vb TXT "some text of somebody else"
"""
REVERSE = "@ 600 SOA ns.toto.fr. h.toto.fr. 7 3h 1h 1w 1h\n@ 600 NS ns.toto.fr.\n"
REVERSE_6 = "0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"
ZONES = {"toto.fr": FORWARD, "16.172.in-addr.arpa": REVERSE, REVERSE_6: REVERSE}
SECRET = "c2VjcmV0IG9mIHRoZSB0ZXN0cyBvZiB2bWFpbGQgISE="


@dataclass(frozen=True)
class Primary:
    root: Path
    port: int

    def vmail(self, *arguments: str, status: int = 0) -> str:
        words = ["--root", str(self.root), *arguments]
        ran = CliRunner().invoke(application(arguments[0]), words, prog_name="vmail")
        assert ran.exit_code == status, ran.output
        assert SECRET not in ran.output
        return ran.output

    def update(self, domain: str, *more: str, status: int = 0) -> Any:
        words = ["--root", str(self.root), "dns", "update", domain, "--json", *more]
        ran = CliRunner().invoke(application("dns"), words)
        assert ran.exit_code == status, ran.output
        return json.loads(ran.stdout)

    def dig(self, *question: str) -> list[str]:
        return dig(self.port, *question)

    def content(self) -> set[str]:
        """All that the server has, but the SOA records."""
        found = set()
        for zone in ZONES:
            command = ["dig", f"-p{self.port}", "@127.0.0.1", "+noall", "+answer", "-t", "AXFR", zone]
            lines = subprocess.run(command, text=True, capture_output=True, check=True).stdout.splitlines()
            assert lines
            found |= {" ".join(line.split()) for line in lines if "SOA" not in line}
        return found

    def by_hand(self, *lines: str) -> None:
        """Somebody else's update."""
        key = str(self.root / "etc/vmail/update.key")
        text = f"server 127.0.0.1 {self.port}\nzone toto.fr\n" + "".join(f"update {line}\n" for line in lines)
        subprocess.run(["nsupdate", "-k", key], input=f"{text}send\n", text=True, check=True)

    def settings(self, **values: str) -> None:
        found = {"update_server": f"127.0.0.1:{self.port}", "update_key": "/etc/vmail/update.key"} | values
        text = "".join(f'{name} = "{value}"\n' for name, value in found.items())
        Path(Layout(str(self.root)).site).write_text(f"[dns]\n{text}")


@pytest.fixture
def primary(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Primary]:
    root, port = tmp_path / "root", free_port()
    layout, found = Layout(str(root)), Primary(root, port)
    Path(layout.definitions).mkdir(parents=True)
    found.settings()
    Path(layout.definition("va.toto.fr")).write_text('addresses = ["172.16.0.1", "2001:db8::1"]\n')
    Path(layout.definition("vb.toto.fr")).write_text('addresses = ["172.16.0.2"]\n')
    key = root / "etc/vmail/update.key"
    key.write_text(f'key "vmaild" {{\n\talgorithm hmac-sha256;\n\tsecret "{SECRET}";\n}};\n')
    key.chmod(0o600)
    options, of_zone = f'include "{key}";\n', "update-policy { grant vmaild zonesub ANY; };"
    with running_named(tmp_path, port, ZONES, options=options, of_zone=of_zone):
        yield found
    assert SECRET not in "".join(path.read_text() for path in (root / "var").rglob("*") if path.suffix == ".log")


def test_put_in_and_taken_out_again_and_nothing_else(primary: Primary) -> None:
    before = primary.content()
    shown = primary.vmail("dns", "update", "va.toto.fr", "--dry-run")
    assert f"update zone toto.fr at 127.0.0.1:{primary.port}" in shown
    assert "+va.toto.fr. 3600 IN MX 10 mailhost.va.toto.fr." in shown
    assert primary.content() == before
    assert primary.dig("toto.fr", "SOA")[0].split()[2] == "41"

    done = primary.update("va.toto.fr")
    assert [update["zone"] for update in done["updates"]] == sorted(ZONES)
    assert primary.dig("va.toto.fr", "MX") == ["10 mailhost.va.toto.fr."]
    assert primary.dig("-x", "172.16.0.1") == ["mailhost.va.toto.fr."]
    assert primary.dig("-x", "2001:db8::1") == ["mailhost.va.toto.fr."]
    assert primary.dig("toto.fr", "SOA")[0].split()[2] == "42"
    resolver = f"127.0.0.1:{primary.port}"
    records = json.loads(primary.vmail("dns", "show", "va.toto.fr", "--resolver", resolver, "--json"))["records"]
    assert {row["state"] for row in records} == {"right"}
    assert before < primary.content()
    assert primary.update("va.toto.fr")["changed"] is False

    primary.vmail("domain", "remove", "va.toto.fr", "--yes")
    assert primary.update("va.toto.fr")["changed"] is True
    assert primary.content() == before
    assert primary.update("va.toto.fr")["changed"] is False
    assert not list((primary.root / "var/lib/vmail/published").iterdir())


def test_on_the_web_it_is_shown_before_it_is_done(primary: Primary) -> None:
    layout = Layout(str(primary.root))
    site = Path(layout.site)
    Path(layout.spool).mkdir(parents=True)
    site.write_text('[site]\nadmins = ["root@va.toto.fr"]\n' + site.read_text())
    words = ["--root", str(primary.root), "user", "add", "root@va.toto.fr", "--password-stdin"]
    ran = CliRunner().invoke(application("user"), words, input="not short")
    assert ran.exit_code == 0, ran.output
    desk = make_desk(layout, load_site(layout)[0], Slots.create())

    async def ask(request: dict[str, Any]) -> dict[str, Any]:
        return await asyncio.to_thread(desk.answer, Request(**request))

    browser, before = Browser(create_app(ask)), primary.content()
    browser.log_in("root@va.toto.fr", "not short")
    here = "/domains/va.toto.fr/dns"
    assert f"Send them to the name server 127.0.0.1:{primary.port}" in browser.get(here).text
    shown = browser.post(here, act="update").text.replace("&#43;", "+")
    assert f"update zone toto.fr at 127.0.0.1:{primary.port}" in shown
    assert "+va.toto.fr. 3600 IN MX 10 mailhost.va.toto.fr." in shown
    assert primary.content() == before
    assert browser.post(here, act="update", confirmed="yes").status_code == 303
    assert primary.dig("va.toto.fr", "MX") == ["10 mailhost.va.toto.fr."]
    again = browser.post(here, act="update")
    assert (again.status_code, "Nothing%20to%20change" in again.headers["set-cookie"]) == (303, True)


def test_a_change_of_the_domain_changes_those_records_only(primary: Primary) -> None:
    primary.update("va.toto.fr")
    before = primary.content()
    primary.vmail("domain", "set", "va.toto.fr", "--mail-host", "mx.va.toto.fr")
    primary.by_hand("add www.toto.fr 600 A 192.0.2.99")
    done = primary.update("va.toto.fr")
    lines = [line for update in done["updates"] for line in update["lines"]]
    assert "-va.toto.fr. 3600 IN MX 10 mailhost.va.toto.fr." in lines
    assert "+va.toto.fr. 3600 IN MX 10 mx.va.toto.fr." in lines
    assert not any("spf1" in line or "www" in line for line in lines)
    after = primary.content()
    assert "www.toto.fr. 600 IN A 192.0.2.99" in after
    assert not any("mailhost.va" in line for line in after)
    assert {line for line in before if "mailhost" not in line} < after


def test_records_of_others_stay_and_are_told(primary: Primary) -> None:
    before = primary.content()
    done = primary.update("vb.toto.fr")
    assert any("vb.toto.fr. has by hand: MX 10 elsewhere" in each for each in done["warnings"])
    after = primary.content()
    assert before < after
    # One RRset has one TTL: that of the text which was there.
    assert 'vb.toto.fr. 600 IN TXT "v=spf1 mx -all"' in after
    primary.vmail("domain", "remove", "vb.toto.fr", "--yes")
    primary.update("vb.toto.fr")
    assert primary.content() == before


def test_what_a_wildcard_makes_up_is_not_there(primary: Primary) -> None:
    definition = Path(Layout(str(primary.root)).definition("vc.wild.toto.fr"))
    definition.write_text('addresses = ["172.16.0.3"]\nmail_host = "mx.wild.toto.fr"\n')
    assert primary.dig("mx.wild.toto.fr", "A") == ["192.0.2.81"]
    primary.update("vc.wild.toto.fr")
    assert primary.dig("mx.wild.toto.fr", "A") == ["172.16.0.3"]
    assert primary.update("vc.wild.toto.fr")["changed"] is False


def test_what_two_domains_share_goes_with_the_last(primary: Primary) -> None:
    layout = Layout(str(primary.root))
    for name in ("vc.toto.fr", "vd.toto.fr"):
        Path(layout.definition(name)).write_text('mail_host = "shared.toto.fr"\naddresses = ["172.16.0.9"]\n')
        primary.update(name)
    primary.vmail("domain", "remove", "vc.toto.fr", "--yes")
    primary.update("vc.toto.fr")
    assert primary.dig("vc.toto.fr", "MX") == []
    assert primary.dig("shared.toto.fr", "A") == ["172.16.0.9"]
    primary.vmail("domain", "remove", "vd.toto.fr", "--yes")
    primary.update("vd.toto.fr")
    assert primary.dig("shared.toto.fr", "A") == []
    assert primary.dig("-x", "172.16.0.9") == []


@pytest.mark.parametrize(
    "foreign", ["add va.toto.fr 600 MX 5 other.example.", "add mailhost.va.toto.fr 600 CNAME other.example."]
)
def test_a_foreign_change_in_between_is_noticed(primary: Primary, foreign: str) -> None:
    door = open_door(str(primary.root))
    plan = update_dns(door, "va.toto.fr", dry_run=True)
    primary.by_hand(foreign)
    before = primary.content()
    update = next(each for each in plan.updates if each.zone == "toto.fr")
    with pytest.raises(Refused, match="somebody else changed the zone"):
        update.send()
    assert primary.content() == before


def test_the_key_is_needed_right_and_secret(primary: Primary) -> None:
    key = primary.root / "etc/vmail/update.key"
    before = primary.content()
    key.chmod(0o644)
    assert "chmod 600" in primary.vmail("dns", "update", "va.toto.fr", status=1)
    key.chmod(0o600)
    text = key.read_text()
    key.write_text(text.replace("c2Vj", "d2Vj"))
    assert "another secret" in primary.vmail("dns", "update", "va.toto.fr", status=1)
    key.write_text(text.replace('"vmaild"', '"nobody"'))
    assert "does not know the key nobody" in primary.vmail("dns", "update", "va.toto.fr", status=1)
    key.write_text(text + text.replace('"vmaild"', '"second"'))
    assert "update_key_name" in primary.vmail("dns", "update", "va.toto.fr", status=1)
    primary.settings(update_key_name="vmaild")
    assert primary.update("va.toto.fr", "--dry-run")["changed"] is True
    key.write_text(text.replace(SECRET, "no base 64"))
    assert "no base64" in primary.vmail("dns", "update", "va.toto.fr", status=1)
    assert primary.content() == before


def test_a_server_that_does_not_allow_it_or_is_not_there(primary: Primary, free_port: Callable[[], int]) -> None:
    conf = primary.root.parent / "named.conf"
    conf.write_text(
        conf.read_text().replace("update-policy { grant vmaild zonesub ANY; };", "allow-update { none; };")
    )
    pid = int((primary.root.parent / "pid").read_text())
    subprocess.run(["kill", "-HUP", str(pid)], check=True)
    deadline = time.monotonic() + 10
    while "REFUSED" not in (said := primary.vmail("dns", "update", "va.toto.fr", status=1)):
        assert time.monotonic() < deadline, said
        primary.vmail("domain", "set", "va.toto.fr", "--mail-host", f"m{time.monotonic_ns()}.va.toto.fr")
    assert "update-policy { grant vmaild zonesub ANY; }" in said
    primary.settings(update_server=f"127.0.0.1:{free_port()}")
    assert "does not answer" in primary.vmail("dns", "update", "va.toto.fr", status=1)
