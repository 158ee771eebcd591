"""Files changed by hand are in force at once, without a restart; a damaged one costs little."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.clients import Pop3, send
from tests.served import ADDRESSES, Root, moments, run

MESSAGE = b"Subject: Edited\r\n\r\nHello.\r\n"


@pytest.fixture
def edited(demo: Root) -> Iterator[Root]:
    """The shared demo, whose configuration is put back afterwards."""
    before = {path: path.read_bytes() for path in demo.etc.rglob("*") if path.is_file()}
    yield demo
    for path in demo.etc.rglob("*"):
        if path.is_file() and path not in before:
            path.unlink()
    for path, content in before.items():
        path.write_bytes(content)


def replace(path: Path, old: str, new: str) -> None:
    """Change a file as an editor does: a new one takes the old one's place."""
    text = path.read_text()
    assert old in text
    path.with_suffix(".swp").write_text(text.replace(old, new))
    path.with_suffix(".swp").rename(path)


def append(path: Path, line: str) -> None:
    """Change a file as `echo >>` does."""
    with path.open("a") as file:
        file.write(f"{line}\n")


def log_in(root: Root, login: str, password: str, domain: str = "va.toto.fr") -> bool:
    with Pop3((ADDRESSES[domain], root.pop3)) as session:
        return session.log_in(login, password).startswith("+OK")


def test_an_account_copied_in_by_hand(edited: Root) -> None:
    assert send(edited, MESSAGE, "dora@va.toto.fr")[0].startswith("550")
    hashed = run("openssl", "passwd", "-6", "-stdin", stdin="dora's password", check=True).stdout.strip()
    append(edited.etc / "shadow.va.toto.fr", f"dora:{hashed}:20000:0:99999:7:::")
    append(edited.etc / "passwd.va.toto.fr", "dora:x:60002:60000:Dora Petit:/vhome/va.toto.fr/dora:/bin/false")
    assert send(edited, MESSAGE, "dora@va.toto.fr")[0].startswith("250")
    assert log_in(edited, "dora", "dora's password")
    assert not log_in(edited, "dora", "dora's password", "vb.toto.fr")
    replace(edited.etc / "passwd.va.toto.fr", "dora:", "#dora:")
    assert send(edited, MESSAGE, "dora@va.toto.fr")[0].startswith("550")
    assert not log_in(edited, "dora", "dora's password")


def test_a_password_changed_by_hand(edited: Root) -> None:
    shadow = edited.etc / "shadow.va.toto.fr"
    bob, alice = (line.split(":")[1] for line in shadow.read_text().splitlines())
    replace(shadow, bob, alice)
    assert log_in(edited, "bob", "alice-va")
    assert not log_in(edited, "bob", "bob-va")
    replace(shadow, f"bob:{alice}", f"bob:!{alice}")  # as usermod -L locks an account
    assert not log_in(edited, "bob", "alice-va")


def test_an_alias_changed_by_hand(edited: Root) -> None:
    append(edited.etc / "aliases.va.toto.fr", "sales: alice")
    assert send(edited, MESSAGE, "sales@va.toto.fr")[0].startswith("250")
    replace(edited.etc / "aliases.va.toto.fr", "team: bob, alice", "team: bob")
    assert send(edited, MESSAGE, "team@va.toto.fr")[0].startswith("250")
    assert edited.everything_stored() == {"alice@va.toto.fr": 1, "bob@va.toto.fr": 1}


def test_a_definition_changed_by_hand(edited: Root) -> None:
    replace(edited.etc / "domains/va.toto.fr.toml", 'fallback = ""', 'fallback = "alice"')
    assert send(edited, MESSAGE, "nobody@va.toto.fr")[0].startswith("250")
    replace(edited.etc / "domains/va.toto.fr.toml", '"va.example"', '"va.example", "va2.example"')
    for _ in moments("the domain alias is not in force", 5):  # other domains are looked at each second
        if send(edited, MESSAGE, "bob@va2.example")[0].startswith("250"):
            break
    assert edited.everything_stored() == {"alice@va.toto.fr": 1, "bob@va.toto.fr": 1}


def test_a_domain_that_is_an_empty_file(edited: Root) -> None:
    assert send(edited, MESSAGE, "eve@new.example")[0].startswith("550 5.1.2")
    (edited.etc / "domains/new.example.toml").touch()
    append(edited.etc / "passwd.new.example", "eve:x:60000:60000::/vhome/new.example/eve:/bin/false")
    assert send(edited, MESSAGE, "eve@new.example")[0].startswith("250")
    assert send(edited, MESSAGE, "bob@new.example")[0].startswith("550 5.1.1")


def test_a_damaged_definition_keeps_the_last_good_state(edited: Root) -> None:
    assert send(edited, MESSAGE, "bob@va.toto.fr")[0].startswith("250")
    (edited.etc / "domains/va.toto.fr.toml").write_text("addresses = [")
    for domain in ADDRESSES:
        assert send(edited, MESSAGE, f"bob@{domain}")[0].startswith("250")
    assert log_in(edited, "bob", "bob-va")
    assert log_in(edited, "bob", "bob-vb", "vb.toto.fr")


@pytest.mark.parametrize("file", ["passwd.vc.toto.fr", "aliases.vc.toto.fr", "domains/vc.toto.fr.toml"])
def test_what_cannot_be_looked_up_is_never_taken_for_unknown(root: Root, file: str) -> None:
    path = root.etc / file
    path.rename(path.with_suffix(".aside"))
    path.mkdir()
    done = root.vdeliver(MESSAGE, "bob@vc.toto.fr")
    assert done.returncode == 75
    assert "451 4.3.0" in done.stderr
    assert str(root.path) not in done.stderr
    assert root.vdeliver(MESSAGE, "bob@vb.toto.fr").returncode == 0
    path.rmdir()
    path.with_suffix(".aside").rename(path)
    assert root.vdeliver(MESSAGE, "bob@vc.toto.fr").returncode == 0
