"""`vmail backup`."""

from __future__ import annotations

from pathlib import Path

from vmaild.store.layout import Layout

from .conftest import Vmail

DOMAIN = "va.toto.fr"


def test_a_domain_is_put_back_as_it_was(vmail: Vmail, layout: Layout) -> None:
    assert "There are no backups" in vmail("backup", "list").stdout
    assert vmail("backup", "make", DOMAIN, "--dry-run").status == 0
    assert vmail("backup", "list", "--json").document == {"backups": []}
    assert vmail("backup", "make", DOMAIN, "--mail").status == 0
    (record,) = vmail("backup", "list", DOMAIN, "--json").document["backups"]
    assert (record["domain"], record["mail"], record["problem"]) == (DOMAIN, True, None)
    assert Path(record["path"]).stat().st_size == record["bytes"]
    assert record["name"] in vmail("backup", "list").stdout

    aliases = Path(layout.aliases(DOMAIN))
    before = aliases.read_text()
    aliases.write_text("")
    planned = vmail("backup", "restore", record["name"], "--dry-run", "--json").document
    assert planned["changed"] is True
    assert aliases.read_text() == ""
    assert vmail("backup", "restore", record["name"], "--mail", "--yes").status == 0
    assert aliases.read_text() == before


def test_what_cannot_be_had_back_wants_a_yes(vmail: Vmail) -> None:
    (made,) = vmail("backup", "make", DOMAIN, "--json").document["backups"]
    assert made["changed"] is True
    (record,) = vmail("backup", "list", "--json").document["backups"]
    for verb in "restore", "remove":
        refused = vmail("backup", verb, record["name"])
        assert refused.status == 1
        assert "--yes" in refused.stderr
    assert vmail("backup", "remove", record["name"], "--dry-run").status == 0
    assert vmail("backup", "remove", record["name"], "--yes", "--json").document["changed"] is True
    assert vmail("backup", "list", "--json").document == {"backups": []}


def test_one_domain_or_all(vmail: Vmail) -> None:
    assert vmail("backup", "make").status == 2
    assert vmail("backup", "make", DOMAIN, "--all").status == 2
    assert vmail("domain", "add", "vx.example").status == 0
    made = vmail("backup", "make", "--all", "--json").document["backups"]
    assert len(made) == len(vmail("backup", "list", "--json").document["backups"]) > 1
