"""Two people have the same form open: whoever sends it last is told, and overwrites nothing without knowing it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.unit.web.conftest import Browser
from tests.unit.web.test_second_factor import send

from vmaild.admin.desk import Desk, Request
from vmaild.store.layout import Layout

VA = "/domains/va.toto.fr"
TOLD = "somebody else has changed this meanwhile"


def form_of(page: str, act: str) -> dict[str, str]:
    """The hidden fields of the form with a button that says `act`, or that leads to that place."""
    forms = [
        each
        for each in re.findall(r"<form.*?</form>", page, re.DOTALL)
        if f'"{act}"' in each and "/language" not in each
    ]
    assert len(forms) == 1, (act, len(forms))
    return dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', forms[0]))


def sent(browser: Browser, path: str, form: dict[str, str], **fields: str) -> httpx.Response:
    return browser.send("POST", path, data={**form, **fields})


FORMS: list[tuple[str, str, str, dict[str, str], dict[str, str], str]] = [
    (f"{VA}/accounts/bob", "save", "", {"full_name": "One"}, {"full_name": "Two"}, "passwd"),
    (f"{VA}/accounts/bob", "vacation", "", {"text": "One"}, {"text": "Two"}, "home"),
    (f"{VA}/accounts/bob", "forward", "", {"targets": "one@x.example"}, {"targets": "two@x.example"}, "home"),
    (f"{VA}/settings", "save", "", {"quota": "11M"}, {"quota": "22M"}, "definition"),
    ("/account", "/account/vacation", "/account/vacation", {"text": "One"}, {"text": "Two"}, "home of alice"),
    (
        "/account",
        "/account/forward",
        "/account/forward",
        {"targets": "one@x.example"},
        {"targets": "two@x.example"},
        "home of alice",
    ),
]


def content(layout: Layout, where: str) -> str:
    va = "va.toto.fr"
    match where:
        case "passwd":
            return Path(layout.passwd(va)).read_text()
        case "definition":
            return Path(layout.definition(va)).read_text()
    home = Path(layout.home(va, "alice" if "alice" in where else "bob"))
    return "".join(path.read_text() for path in sorted(home.iterdir()))


@pytest.mark.parametrize(("page", "act", "action", "one", "two", "where"), FORMS)
def test_the_second_of_two_is_told_and_changes_nothing(
    admin: Browser,
    layout: Layout,
    page: str,
    act: str,
    action: str,
    one: dict[str, str],
    two: dict[str, str],
    where: str,
) -> None:
    shown = admin.get(page).text
    form, path = form_of(shown, act), action or page
    assert form["seen"]
    more = {} if action else {"act": act}
    assert sent(admin, path, form, **more, **one, confirmed="yes").status_code == 303
    after_one = content(layout, where)
    assert next(iter(one.values())) in after_one
    for confirmed in ("", "yes"):
        told = sent(admin, path, form, **more, **two, confirmed=confirmed)
        assert (told.status_code, TOLD in told.text) == (412, True), told.text
        assert next(iter(two.values())) in told.text, "what was written is kept"
    assert content(layout, where) == after_one
    again = form_of(told.text, act)
    assert again["seen"] != form["seen"]
    assert sent(admin, path, again, **more, **two, confirmed="yes").status_code == 303, "knowingly it is done"
    assert next(iter(two.values())) in content(layout, where)


def test_an_alias_that_has_changed_is_neither_set_nor_removed(admin: Browser, layout: Layout) -> None:
    path = f"{VA}/aliases"
    shown = admin.get(path).text
    rows = re.findall(r"<form method=\"post\">.*?</form>", shown, re.DOTALL)
    (row,) = [each for each in rows if 'name="alias" value="team"' in each]
    form = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', row))
    assert sent(admin, path, form, act="set", targets="alice", confirmed="yes").status_code == 303
    before = Path(layout.aliases("va.toto.fr")).read_text()
    told = sent(admin, path, form, act="set", targets="bob", confirmed="yes")
    assert (told.status_code, TOLD in told.text) == (412, True)
    assert re.search(r'<details class="drop" open>.*?name="targets"[^>]*>bob</textarea>', told.text, re.DOTALL)
    assert sent(admin, path, form, act="remove", confirmed="yes").status_code == 412
    assert Path(layout.aliases("va.toto.fr")).read_text() == before
    french = admin.post("/language", path, language="fr", back=path)
    assert french.status_code == 303
    assert "d’autre a modifié cela" in sent(admin, path, form, act="remove").text


def test_a_script_may_say_what_it_has_seen(admin: Browser, tokens: dict[str, str]) -> None:
    bearer = {"authorization": f"Bearer {tokens['admin']}"}
    here = f"/api/v1{VA}"

    def change(method: str, path: str, seen: str, body: dict[str, Any] | None) -> tuple[int, Any]:
        headers = bearer | {"if-match": seen}
        answer = admin.send(method, f"{here}/{path}".rstrip("/"), headers=headers, json=body)
        return answer.status_code, answer.json().get("code")

    account = admin.get(f"{here}/accounts/bob", headers=bearer).json()["seen"]
    (alias,) = [
        each for each in admin.get(f"{here}/aliases", headers=bearer).json()["items"] if each["name"] == "team"
    ]
    domain = admin.get(here, headers=bearer).json()["seen"]
    changes: list[tuple[str, str, str, dict[str, Any], dict[str, Any]]] = [
        ("PATCH", "accounts/bob", account["data"], {"full_name": "One"}, {"full_name": "Two"}),
        ("PUT", "accounts/bob/vacation", account["vacation"], {"text": "One"}, {"text": "Two"}),
        ("PUT", "accounts/bob/forward", account["forward"], {"targets": ["a@x.example"]}, {"targets": []}),
        ("PUT", "aliases/team", alias["seen"], {"targets": ["bob"]}, {"targets": ["alice"]}),
        ("PATCH", "", domain, {"quota": "11M"}, {"quota": "22M"}),
    ]
    for method, path, seen, one, two in changes:
        assert change(method, path, f'"{seen}"', one) == (200, None), path
        assert change(method, path, f'"{seen}"', two) == (412, "changed"), path
        assert change(method, path, "*", two) == (200, None), path


def test_of_two_who_decide_on_somebody_s_rights_the_second_is_told(admin: Browser, layout: Layout) -> None:
    path, right = f"{VA}/admins", {"confirmed": "yes", "password": "alice-va"}
    assert admin.post(path, act="grant", principal="bob@va.toto.fr", right_mail="yes", **right).status_code == 303
    form = form_of(admin.get(path).text, "revoke")
    settings = form_of(admin.get(f"{VA}/settings").text, "save")
    first = sent(admin, path, form, act="grant", right_passwords="yes", **right)
    assert first.status_code == 303
    before = Path(layout.definition("va.toto.fr")).read_text()
    told = sent(admin, path, form, act="grant", right_accounts="yes", **right)
    assert (told.status_code, TOLD in told.text) == (412, True)
    assert sent(admin, path, form, act="revoke", **right).status_code == 412
    assert Path(layout.definition("va.toto.fr")).read_text() == before
    saved = sent(admin, f"{VA}/settings", settings, act="save", quota="12M", confirmed="yes")
    assert saved.status_code == 303, "rights are not what that form is about"


def test_what_has_not_to_do_with_a_form_does_not_disturb_it(admin: Browser) -> None:
    here = f"{VA}/accounts/bob"
    shown = admin.get(here).text
    assert send(admin, shown, here, act="suspend").status_code == 303
    yes = {"confirmed": "yes"}
    assert sent(admin, here, form_of(shown, "vacation"), act="vacation", text="Away", **yes).status_code == 303
    assert sent(admin, here, form_of(shown, "save"), act="save", full_name="B", **yes).status_code == 303


def test_the_moment_that_counts_is_that_of_the_change(desk: Desk) -> None:
    def ask(verb: str, secret: str = "", **values: Any) -> dict[str, Any]:
        return desk.answer(Request(verb, values, secret, "198.51.100.7"))

    secret = ask("login", login="alice@va.toto.fr", password="alice-va", domain=None)["ok"]["secret"]
    bob = {"address": "bob@va.toto.fr"}
    seen = ask("user", secret, **bob)["ok"]["seen"]["data"]
    shown = ask("user.set", secret, **bob, full_name="One", seen=seen, dry_run=True)
    assert shown["ok"]["changed"] is True
    assert ask("user.set", secret, **bob, full_name="Other")["ok"]["carried_out"] is True
    refused = ask("user.set", secret, **bob, full_name="One", seen=seen)
    assert (refused["code"], refused["status"]) == ("changed", 412)
