"""What `vmail dns export` writes is what octoDNS reads, plans and would bring to a provider."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from octodns.manager import Manager
from tests.e2e.test_tls import make_certificate
from typer.testing import CliRunner

from vmaild.cli.application import application
from vmaild.store.layout import Layout

SETTINGS = """\
[dns]
caa = "letsencrypt.org"
tlsa = true
tlsrpt = "mailto:postmaster@toto.fr"
autoconfig = true
mta_sts = "20261127"
submission = 465
[pop3]
tls_listen = ["*:995"]
certificate = "/etc/vmail/site.pem"
"""
CONFIG = """\
manager: {{include_meta: false}}
providers:
  hand: {{class: octodns.provider.yaml.YamlProvider, directory: {0}/hand, escaped_semicolons: true}}
  vmaild: {{class: octodns.provider.yaml.YamlProvider, directory: {0}/ours, escaped_semicolons: true}}
  hosted: {{class: octodns.provider.yaml.YamlProvider, directory: {0}/hosted, escaped_semicolons: true}}
zones:
  toto.fr.: {{sources: [hand, vmaild], targets: [hosted]}}
  va.example.: {{sources: [vmaild], targets: [hosted]}}
  0.16.172.in-addr.arpa.: {{sources: [vmaild], targets: [hosted]}}
"""
HAND = (
    "---\n? ''\n: type: MX\n  value: {exchange: mail.toto.fr., preference: 5}\nwww: {type: A, value: 192.0.2.80}\n"
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    layout = Layout(str(root))
    Path(layout.definitions).mkdir(parents=True)
    Path(layout.site).write_text(SETTINGS)
    make_certificate(root / "etc/vmail/site.pem", "mailhost.va.toto.fr")
    key = f"-----BEGIN PUBLIC KEY-----\n{'QUJD' * 90}\n-----END PUBLIC KEY-----\n"
    (root / "etc/vmail/dkim.pem").write_text(key)
    Path(layout.definition("va.toto.fr")).write_text(
        'addresses = ["172.16.0.1"]\naliases = ["va.example"]\n'
        'dkim_selector = "m1"\ndkim_key = "/etc/vmail/dkim.pem"\n'
    )
    Path(layout.definition("vb.toto.fr")).write_text('addresses = ["172.16.0.2"]\n')
    for name in ("hand", "ours", "hosted"):
        (tmp_path / name).mkdir()
    (tmp_path / "hand/toto.fr.yaml").write_text(HAND)
    (tmp_path / "config.yaml").write_text(CONFIG.format(tmp_path))
    return root


def vmail(root: Path, *arguments: str, status: int = 0) -> str:
    words = ["--root", str(root), *arguments]
    ran = CliRunner().invoke(application(arguments[0]), words, prog_name="vmail")
    assert ran.exit_code == status, ran.output
    return ran.stdout


def test_octodns_plans_and_applies_exactly_our_records(root: Path, tmp_path: Path) -> None:
    ours = str(tmp_path / "ours")
    assert "+va.toto.fr" not in vmail(root, "dns", "export", "--octodns", ours, "--zone", "toto.fr", "--dry-run")
    assert not list(Path(ours).iterdir())
    vmail(root, "dns", "export", "--octodns", ours, "--zone", "toto.fr")
    assert (
        json.loads(vmail(root, "dns", "export", "--octodns", ours, "--zone", "toto.fr", "--json"))["changed"]
        is False
    )

    config = str(tmp_path / "config.yaml")
    manager = Manager(config)
    assert manager.sync(dry_run=False, force=True) > 0
    hosted = manager.providers["hosted"]
    found = set()
    for name in ("toto.fr.", "va.example.", "0.16.172.in-addr.arpa."):
        zone = manager.get_zone(name)
        hosted.populate(zone)
        for record in zone.records:
            for value in getattr(record, "values", None) or [record.value]:
                text = value if record._type == "TXT" else getattr(value, "to_rdata_text", value.__str__)()
                found.add((record.fqdn.rstrip("."), record._type, str(text).replace("\\;", ";")))
    wanted = set()
    for domain in ("va.toto.fr", "vb.toto.fr"):
        shown = json.loads(vmail(root, "dns", "show", domain, "--offline", "--json"))
        for row in shown["records"]:
            data = row["data"].replace('" "', "").strip('"') if row["type"] == "TXT" else row["data"]
            wanted.add((row["name"], row["type"], data))
    assert {kind for _, kind, _ in wanted} == {"A", "CAA", "CNAME", "MX", "PTR", "SRV", "TLSA", "TXT"}
    by_hand = {("toto.fr", "MX", "5 mail.toto.fr."), ("www.toto.fr", "A", "192.0.2.80")}
    assert {(name, kind, text.replace('"', "")) for name, kind, text in found - by_hand} == {
        (name, kind, text.replace('"', "")) for name, kind, text in wanted
    }
    assert by_hand <= found
    assert Manager(config).sync(dry_run=True) == 0


def test_a_domain_that_is_gone_leaves_no_zone_and_what_others_wrote_stays(root: Path, tmp_path: Path) -> None:
    ours = tmp_path / "ours"
    vmail(root, "dns", "export", "--octodns", str(ours))
    assert {path.name for path in ours.iterdir()} == {
        "va.toto.fr.yaml",
        "va.example.yaml",
        "vb.toto.fr.yaml",
        "0.16.172.in-addr.arpa.yaml",
    }
    (ours / "hand.example.yaml").write_text("---\n")
    vmail(root, "domain", "remove", "vb.toto.fr", "--yes")
    vmail(root, "dns", "export", "--octodns", str(ours))
    assert not (ours / "vb.toto.fr.yaml").exists()
    assert "mailhost.vb" not in (ours / "0.16.172.in-addr.arpa.yaml").read_text()
    assert (ours / "hand.example.yaml").read_text() == "---\n"
    (ours / "va.example.yaml").write_text(HAND)
    vmail(root, "dns", "export", "--octodns", str(ours), status=1)
    assert (ours / "va.example.yaml").read_text() == HAND
