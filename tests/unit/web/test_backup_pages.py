"""Backups on the web, from making one to putting it back."""

from __future__ import annotations

import re
import time
from pathlib import Path

from fastapi import FastAPI
from tests.unit.web.conftest import ALL_RIGHTS, Browser

from vmaild.store.layout import Layout

VA = "va.toto.fr"
HERE = "/backups"


def only(layout: Layout) -> str:
    (found,) = Path(layout.backups).glob("*.tar.gz")
    return found.name.removesuffix(".tar.gz")


def settled(browser: Browser) -> str:
    """The page once nothing is being done any more."""
    end = time.monotonic() + 60
    while browser.get(f"{HERE}/progress").json()["state"] == "running":
        assert time.monotonic() < end
        time.sleep(0.05)
    return browser.get(HERE).text


def test_one_is_made_and_put_back_after_a_look_and_the_password(admin: Browser, layout: Layout) -> None:
    assert "There are none yet." in admin.get(HERE).text
    made = admin.post(HERE, act="make", domain=VA)
    assert (made.status_code, made.headers["location"]) == (303, HERE)
    name, aliases = only(layout), Path(layout.aliases(VA))
    assert f'value="{name}"' in admin.get(HERE).text
    assert f'value="{name}"' in admin.get(f"{HERE}?domain={VA}").text
    assert name not in admin.get(f"{HERE}?domain=vb.toto.fr").text
    before = aliases.read_text()
    aliases.write_text("postmaster: alice\n")
    shown = admin.post(HERE, act="restore", backup=name)
    assert shown.status_code == 200
    assert "team@va.toto.fr" in shown.text, "whose mail goes elsewhere"
    assert aliases.read_text() == "postmaster: alice\n"
    wrong = admin.post(HERE, act="restore", backup=name, confirmed="yes", password="guessed")
    assert ("wrong login or password" in wrong.text, aliases.read_text()) == (True, "postmaster: alice\n")
    done = admin.post(HERE, act="restore", backup=name, confirmed="yes", password="alice-va")
    assert (done.status_code, aliases.read_text()) == (303, before)
    removed = admin.post(HERE, act="remove", backup=name)
    assert "backup removed" in removed.text
    assert Path(layout.backups, f"{name}.tar.gz").exists()
    admin.post(HERE, act="remove", backup=name, confirmed="yes", password="alice-va")
    assert "There are none yet." in admin.get(HERE).text


def test_mail_goes_in_and_comes_back_while_people_look_elsewhere(admin: Browser, layout: Layout) -> None:
    box = Path(layout.spool, VA, "bob")
    messages = {path.name: path.read_bytes() for path in box.rglob("*,S=*")}
    assert messages
    assert admin.post(HERE, act="make", domain=VA, mail="yes").status_code == 303
    page = settled(admin)
    assert "Done: back up va.toto.fr with its mail" in page
    name = only(layout)
    assert 'value="restore_mail"' in page
    for path in box.rglob("*,S=*"):
        path.unlink()
    shown = admin.post(HERE, act="restore_mail", backup=name).text
    assert "messages that are missing put back" in shown
    admin.post(HERE, act="restore_mail", backup=name, confirmed="yes", password="alice-va")
    assert "Done: put va.toto.fr back" in settled(admin)
    assert {path.name: path.read_bytes() for path in box.rglob("*,S=*")} == messages


def test_what_is_done_is_told_in_the_language_of_who_sees_it(admin: Browser) -> None:
    assert admin.post("/language", HERE, language="fr", back=HERE).status_code == 303
    told = admin.post(HERE, act="make", domain=VA)
    assert "sauvegarder va.toto.fr sans son courrier" in admin.get(told.headers["location"]).text
    admin.post(HERE, act="make", domain=VA, mail="yes")
    assert "sauvegarder va.toto.fr avec son courrier" in settled(admin)


def test_what_cannot_be_done_is_told(admin: Browser, layout: Layout) -> None:
    for fields, told in (
        ({"act": "make", "domain": "nowhere.example"}, "nowhere.example"),
        ({"act": "make", "domain": ""}, "domain"),
        ({"act": "restore", "backup": "va.toto.fr.20260101T000000"}, "there is no backup"),
        ({"act": "restore", "backup": "../../etc"}, "is not the name of a backup"),
        ({"act": "remove", "backup": ""}, "is not the name of a backup"),
    ):
        answer = admin.post(HERE, **fields)
        assert answer.status_code in {404, 409, 422}, fields
        assert told in answer.text, fields
    assert not Path(layout.backups).exists()
    admin.post(HERE, act="make", domain=VA)
    Path(layout.backups, f"{only(layout)}.tar.gz").write_bytes(b"noise")
    page = admin.get(HERE).text
    assert ">damaged</span>" in page
    assert 'value="restore"' not in page


def test_backups_are_the_site_s(app: FastAPI, admin: Browser, layout: Layout) -> None:
    given = {"confirmed": "yes", "password": "alice-va", **ALL_RIGHTS}
    admin.post(f"/domains/{VA}/admins", act="grant", principal="bob@va.toto.fr", **given)
    admin.post(HERE, act="make", domain=VA)
    bob, name = Browser(app), only(layout)
    bob.log_in("bob@va.toto.fr", "bob-va")
    token = re.search(r'name="form" value="([0-9a-f]+)"', bob.get("/account").text)
    assert token is not None
    for method, path in (("GET", HERE), ("GET", f"{HERE}/progress"), ("POST", HERE)):
        fields = {"form": token[1], "act": "remove", "backup": name, "confirmed": "yes", "password": "bob-va"}
        answer = bob.send(method, path, **({"data": fields} if method == "POST" else {}))
        assert answer.status_code == 404, (method, path)
    assert name not in bob.get(f"/domains/{VA}/settings").text
    assert Path(layout.backups, f"{name}.tar.gz").exists()
