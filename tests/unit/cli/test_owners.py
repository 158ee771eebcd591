"""`vmail user vacation` and `vmail user forward`."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmaild.store.layout import Layout

from .conftest import Vmail

BOB = "bob@va.toto.fr"


def test_vacation(vmail: Vmail, layout: Layout, tmp_path: Path) -> None:
    assert "answers nobody" in vmail("user", "vacation", BOB).stdout
    text = tmp_path / "away.txt"
    text.write_text("Je suis absent.\n")
    planned = vmail("user", "vacation", BOB, "--text-file", str(text), "--subject", "Été", "--dry-run")
    assert "+Subject: Été" in planned.stdout
    assert vmail("user", "vacation", BOB, "--show", "--json").document["set_up"] is False
    assert vmail("user", "vacation", BOB, "--text-file", str(text), "--subject", "Été").status == 0
    shown = vmail("user", "vacation", BOB)
    assert "Je suis absent." in shown.stdout
    assert vmail("user", "vacation", BOB, "--stdin", "--to", "2099-12-31", stdin="Away.").status == 0
    document = vmail("user", "vacation", BOB, "--json").document
    assert (document["text"], document["last_day"], document["subject"]) == ("Away.\n", "2099-12-31", "Été")
    assert document["in_force"] is True
    assert vmail("user", "vacation", BOB, "--off", "--json").document["changed"] is True


def test_forward(vmail: Vmail) -> None:
    assert "forwards nothing" in vmail("user", "forward", BOB).stdout
    ran = vmail("user", "forward", BOB, "ann@example.org", "--keep-copy")
    assert "resend to ann@example.org" in ran.stdout
    assert "and keeps a copy" in vmail("user", "forward", BOB, "--show").stdout
    document = vmail("user", "forward", BOB, "--json").document
    assert (document["targets"], document["keep_copy"], document["problems"]) == (["ann@example.org"], True, [])
    assert vmail("user", "forward", BOB, "--off").status == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("vacation", BOB, "--off", "--show"),
        ("vacation", BOB, "--off", "--subject", "x"),
        ("vacation", BOB, "--stdin", "--text-file", "/dev/null"),
        ("vacation", BOB, "--from", "soon", "--stdin"),
        ("forward", BOB, "ann@example.org", "--off"),
        ("forward", BOB, "--keep-copy"),
        ("forward", BOB, "not an address"),
    ],
)
def test_wrong_usage(vmail: Vmail, arguments: tuple[str, ...]) -> None:
    ran = vmail("user", *arguments, stdin="text")
    assert ran.status == 2
    assert ran.stderr.count("\n") == 1


def test_a_text_that_cannot_be_read(vmail: Vmail, tmp_path: Path) -> None:
    assert vmail("user", "vacation", BOB, "--text-file", str(tmp_path / "none")).status == 1
    (tmp_path / "latin").write_bytes(b"\xe9t\xe9")
    assert vmail("user", "vacation", BOB, "--text-file", str(tmp_path / "latin")).status == 2


def test_alias_lint(vmail: Vmail, layout: Layout) -> None:
    assert vmail("alias", "lint").status == 0
    Path(layout.aliases("va.toto.fr")).write_text("team: bob, nobody\nbob: alice\n")
    for arguments in (("alias", "lint"), ("alias", "lint", "va.example")):
        ran = vmail(*arguments)
        assert ran.status == 1
        assert "leads nowhere" in ran.stdout
    findings = vmail("alias", "lint", "va.toto.fr", "--json").document["findings"]
    assert [finding["line"] for finding in findings] == [1, 2]
    assert "hides the account" in findings[1]["problem"]
