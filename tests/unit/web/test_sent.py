"""What somebody wrote is not lost by a refusal; and what a co-administrator may not give, they give in no way."""

from __future__ import annotations

import re
from html import unescape

import pytest
from fastapi import FastAPI
from tests.unit.web.conftest import ALL_RIGHTS, Browser

from vmaild.store.layout import Layout
from vmaild.web.sent import written_size

REPLY = "I am away until the swallows are back.\nBob <bob@va.toto.fr>"


def shown(page: str, name: str) -> str:
    found = re.search(rf'<input id="{name}"[^>]* value="([^"]*)"', page) or re.search(
        rf'<textarea id="{name}"[^>]*>([^<]*)<', page
    )
    assert found is not None, page
    return unescape(found[1])


@pytest.fixture
def bob(app: FastAPI, admin: Browser) -> Browser:
    """A co-administrator of va.toto.fr."""
    given = {"confirmed": "yes", "password": "alice-va", **ALL_RIGHTS}
    assert admin.post("/domains/va.toto.fr/admins", act="grant", principal="bob@va.toto.fr", **given).is_redirect
    browser = Browser(app)
    browser.log_in("bob@va.toto.fr", "bob-va")
    return browser


@pytest.mark.parametrize("page", ["/account", "/domains/va.toto.fr/accounts/bob"])
def test_a_reply_and_targets_are_still_there_after_a_refusal(bob: Browser, page: str) -> None:
    where = {"/account": ("/account/vacation", "/account/forward")}.get(page, (page, page))
    dates = {"first_day": "2030-02-02", "last_day": "2030-01-01"}
    refused = bob.post(where[0], page, act="vacation", text=REPLY, subject="Away", **dates)
    assert refused.status_code >= 400
    assert 'role="alert"' in refused.text
    assert (shown(refused.text, "text"), shown(refused.text, "subject")) == (REPLY, "Away")
    assert shown(refused.text, "first_day") == "2030-02-02"
    refused = bob.post(where[1], page, act="forward", targets="bob@other.example\nno address")
    assert refused.status_code >= 400
    assert shown(refused.text, "targets") == "bob@other.example\nno address"
    assert 'id="keep_copy" name="keep_copy" type="checkbox" value="yes">' in refused.text


def test_an_account_s_fields_are_still_there(bob: Browser) -> None:
    page = "/domains/va.toto.fr/accounts/bob"
    refused = bob.post(page, act="save", full_name="Bob B.", quota="much")
    assert (shown(refused.text, "full_name"), shown(refused.text, "quota")) == ("Bob B.", "much")


@pytest.mark.parametrize("page", ["/new-domain", "/domains/va.toto.fr/settings"])
def test_settings_are_still_there(admin: Browser, page: str) -> None:
    sent = {
        "name": "vz.toto.fr",
        "mail_host": "mx.vz.toto.fr",
        "addresses": "192.0.2.1 192.0.2.2",
        "aliases": "vz.example",
        "max_users": "many",
        "match_full_name": "yes",
    }
    refused = admin.post(page, act="save", **sent)
    assert refused.status_code == 422
    for name in ("mail_host", "addresses", "aliases", "max_users"):
        assert shown(refused.text, name) == sent[name]
    assert 'id="match_full_name" name="match_full_name" type="checkbox" value="yes" checked' in refused.text
    assert "<details>" not in refused.text, "what has to be mended is in sight"


def test_a_token_s_form_is_still_there_after_a_wrong_password(admin: Browser) -> None:
    sent = {"name": "shop", "domain": "va.toto.fr", "days": "30", "right_aliases": "yes"}
    refused = admin.post("/tokens", act="add", password="wrong", **sent)
    assert [shown(refused.text, name) for name in ("name", "domain", "days")] == ["shop", "va.toto.fr", "30"]
    assert re.findall(r'name="right_(\w+)" value="yes" checked', refused.text) == ["aliases"]


@pytest.mark.parametrize(
    ("number", "text"), [(None, ""), (0, "none"), (50 << 20, "50M"), (1 << 40, "1T"), (1536, "1536"), (2048, "2K")]
)
def test_a_quota_is_shown_as_it_may_be_written(number: int | None, text: str) -> None:
    assert written_size(number) == text


@pytest.mark.parametrize("quota", ["101M", "10G", "none"])
def test_nobody_gives_more_than_the_domain_s_quota(
    bob: Browser, admin: Browser, tokens: dict[str, str], quota: str
) -> None:
    page = "/domains/va.toto.fr"
    forms = [
        bob.post(f"{page}/accounts/bob", act="save", full_name="Bob", quota=quota),
        bob.post(f"{page}/new-account", login="nina", quota=quota),
        bob.get(bob.post(f"{page}/import", text=f"login,quota\nnina,{quota}\n").headers["location"]),
    ]
    for answer in forms:
        assert "at most its quota, 100M" in answer.text
    headers = {"authorization": f"Bearer {tokens['bob']}"}
    for method, path, body in (("PATCH", "/bob", {}), ("POST", "", {"login": "nina"})):
        answer = bob.send(method, f"/api/v1{page}/accounts{path}", json={"quota": quota, **body}, headers=headers)
        assert answer.status_code in {403, 409}
        assert "at most its quota, 100M" in answer.json()["title"]
    # The site may; and what the site gave stays when somebody else changes the name.
    assert admin.post(f"{page}/accounts/bob", act="save", full_name="Bob", quota=quota).is_redirect
    given = shown(bob.get(f"{page}/accounts/bob").text, "quota")
    assert given == quota
    assert bob.post(f"{page}/accounts/bob", act="save", full_name="Bob B.", quota=given).is_redirect
    assert bob.post(f"{page}/accounts/bob", act="save", full_name="Bob B.", quota="50M").is_redirect


def test_a_new_password_signs_out_whoever_knew_the_old_one(app: FastAPI, admin: Browser, layout: Layout) -> None:
    browser = Browser(app)
    browser.log_in("bob@va.toto.fr", "bob-va")
    assert browser.get("/account").status_code == 200
    admin.post("/domains/va.toto.fr/accounts/bob", act="password", password="purple walrus")
    assert browser.get("/account").headers["location"] == "/login"
    assert admin.get("/account").status_code == 200


def test_who_gets_a_removed_account_s_name_gets_neither_its_session_nor_its_token(
    app: FastAPI, admin: Browser, tokens: dict[str, str]
) -> None:
    browser = Browser(app)
    browser.log_in("bob@va.toto.fr", "bob-va")
    page, right = "/domains/va.toto.fr", {"confirmed": "yes", "password": "alice-va"}
    assert admin.post(f"{page}/accounts/bob", act="remove", **right).is_redirect
    assert admin.post(f"{page}/new-account", login="bob", password="purple walrus", confirmed="bob").is_redirect
    assert browser.get("/account").headers["location"] == "/login"
    headers = {"authorization": f"Bearer {tokens['bob']}"}
    assert browser.send("GET", "/api/v1/whoami", headers=headers).status_code == 401
