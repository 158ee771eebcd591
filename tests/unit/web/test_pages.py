"""The pages, asked as a browser asks them."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from fastapi import FastAPI
from tests.unit.web.conftest import ALL_RIGHTS, HOSTS, Browser, app_of

from vmaild.address import Address
from vmaild.admin import aliases
from vmaild.admin.actor import unix_actor
from vmaild.admin.desk import Desk
from vmaild.admin.door import Door
from vmaild.auth.passwords import verify
from vmaild.auth.throttle import Slots, Throttle
from vmaild.core.site import AuthSettings
from vmaild.servers.keeper import make_desk
from vmaild.store.directory import FileDirectory
from vmaild.store.layout import Layout
from vmaild.store.secret import form_secret
from vmaild.store.sessions import Sessions
from vmaild.store.site import load_site


def has_password(layout: Layout, login: str, domain: str, password: str) -> bool:
    entry = FileDirectory(layout, keep_copies=False).password_of(domain, login)
    return entry is not None and verify(password.encode(), entry.password)


def test_whoever_is_not_signed_in_comes_to_the_form(browser: Browser) -> None:
    for path in ("/", "/account", "/domains", "/domains/va.toto.fr", "/explain", "/changes", "/new-domain"):
        answer = browser.get(path)
        assert (answer.status_code, answer.headers["location"]) == (303, "/login"), path


@pytest.mark.parametrize("path", ["/password", "/htmlmod:userpass:"])
def test_the_name_of_the_page_tells_whose_password_it_is(app: FastAPI, layout: Layout, path: str) -> None:
    for domain, host in HOSTS.items():
        browser = Browser(app, host)
        assert domain in browser.get(path).text
        old = f"bob-{domain[:2]}"
        new = f"a new one for {domain}"
        answer = browser.post(path, login="bob", old=old, new=new, again=new)
        assert answer.status_code == 200
        assert f"bob@{domain}" in answer.text
        assert has_password(layout, "bob", domain, new)
        assert not has_password(layout, "bob", domain, old)


def test_on_a_shared_name_the_login_carries_the_domain(browser: Browser, layout: Layout) -> None:
    given = {"old": "bob-vb", "new": "quite another", "again": "quite another"}
    assert browser.post("/password", login="bob", **given).status_code == 409
    assert browser.post("/password", login="bob@vb.toto.fr", **given).status_code == 200
    assert has_password(layout, "bob", "vb.toto.fr", "quite another")
    assert has_password(layout, "bob", "va.toto.fr", "bob-va")


def test_on_the_name_of_a_domain_no_other_is_served(app: FastAPI, layout: Layout) -> None:
    browser = Browser(app, HOSTS["va.toto.fr"])
    given = {"old": "bob-vb", "new": "quite another", "again": "quite another"}
    answer = browser.post("/password", login="bob@vb.toto.fr", **given)
    assert answer.status_code == 409
    assert has_password(layout, "bob", "vb.toto.fr", "bob-vb")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"login": "bob", "old": "wrong"}, "wrong login or password"),
        ({"login": "nobody", "old": "bob-va"}, "wrong login or password"),
        ({"login": "bob@nowhere.example", "old": "bob-va"}, "wrong login or password"),
        ({"again": "another"}, "the two new passwords differ"),
        ({"new": "short", "again": "short"}, "the new password is too short"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_changes(
    app: FastAPI, layout: Layout, fields: dict[str, str], says: str
) -> None:
    browser = Browser(app, HOSTS["va.toto.fr"])
    good = {"login": "bob", "old": "bob-va", "new": "long enough", "again": "long enough"}
    answer = browser.post("/password", **{**good, **fields})
    assert answer.status_code in {409, 422}
    assert says in answer.text
    assert has_password(layout, "bob", "va.toto.fr", "bob-va")
    french = browser.send("GET", "/password", headers={"accept-language": "fr"})
    assert "Ancien mot de passe" in french.text


def test_guesses_on_the_web_and_by_pop3_count_together(layout: Layout) -> None:
    """After so many, wherever they were made, not even the right password is looked at any more."""
    site = replace(load_site(layout)[0], auth=AuthSettings(free_failures=9, max_failures_per_account=4))
    slots, here, now = Slots.create(), "198.51.100.7", time.monotonic()
    pop3, browser = (
        Throttle(slots, site.auth),
        Browser(app_of(make_desk(layout, site, slots)), HOSTS["va.toto.fr"]),
    )
    wrong = {"new": "y" * 9, "again": "y" * 9}
    assert browser.post("/password", login="bob", old="guess 1", **wrong).status_code == 409
    assert browser.log_in("bob", "guess 2").status_code == 401
    assert not pop3.verdict(here, "va.toto.fr", "bob", now).refused
    pop3.failed(here, "va.toto.fr", "bob", b"guess 3", now)
    assert "wrong login or password" in browser.log_in("bob", "guess 4").text
    assert pop3.verdict(here, "va.toto.fr", "bob", now).refused
    assert browser.post("/password", login="bob", old="bob-va", **wrong).status_code == 429
    assert "too many failed logins" in browser.log_in("bob", "bob-va").text
    assert has_password(layout, "bob", "va.toto.fr", "bob-va")
    assert browser.log_in("alice", "alice-va").status_code == 303


def test_a_form_from_elsewhere_changes_nothing(admin: Browser, layout: Layout) -> None:
    answer = admin.send("POST", "/account/password", data={"old": "alice-va", "new": "x" * 9, "again": "x" * 9})
    assert answer.status_code == 403
    answer = admin.send("POST", "/logout", data={"form": "0" * 64})
    assert answer.status_code == 403
    assert admin.get("/domains").status_code == 200


def test_headers_and_cookies_are_strict(browser: Browser) -> None:
    answer = browser.get("/login")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    behind_tls = Browser(browser.app, client="127.0.0.1")
    answer = behind_tls.get("/login", headers={"x-forwarded-proto": "https"})
    assert "secure" in answer.headers["set-cookie"].lower()


def test_only_a_named_proxy_is_believed(app: FastAPI) -> None:
    forwarded = {"x-forwarded-host": HOSTS["va.toto.fr"]}
    assert "va.toto.fr" in Browser(app, client="127.0.0.1").get("/password", headers=forwarded).text
    assert "va.toto.fr" not in Browser(app, client="198.51.100.1").get("/password", headers=forwarded).text


def test_an_owner_sees_the_own_account_and_nothing_else(app: FastAPI, layout: Layout) -> None:
    bob = Browser(app)
    assert bob.log_in("bob@va.toto.fr", "bob-va").headers["location"] == "/"
    assert bob.get("/").headers["location"] == "/account"
    page = bob.get("/account").text
    assert "mailhost.va.toto.fr" in page
    assert bob.get("/domains/va.toto.fr").status_code == 404
    assert bob.get("/new-domain").status_code == 404
    assert bob.post("/account/vacation", "/account", text="I am away", subject="Away").status_code == 303
    assert "I am away" in Path(layout.home("va.toto.fr", "bob"), "vacation").read_text()
    assert bob.post("/account/vacation", "/account", off="yes").status_code == 303
    assert not Path(layout.home("va.toto.fr", "bob"), "vacation").exists()
    assert bob.post("/account/forward", "/account", targets="joe@example.org", keep_copy="yes").status_code == 303
    assert "joe@example.org" in bob.get("/account").text
    assert bob.get("/account/qr.svg").headers["content-type"].startswith("image/svg")
    fields = {"old": "bob-va", "new": "a better one", "again": "a better one"}
    assert bob.post("/account/password", "/account", **fields).headers["location"] == "/login"
    assert has_password(layout, "bob", "va.toto.fr", "a better one")
    assert bob.get("/account").headers["location"] == "/login"  # every session ends with the old password


def test_a_domain_from_its_first_day_to_its_last(admin: Browser, layout: Layout) -> None:
    assert admin.post("/new-domain", name="New.Example").headers["location"] == "/domains/new.example"
    assert Path(layout.definition("new.example")).exists()
    here = "/domains/new.example"
    answer = admin.post(f"{here}/new-account", login="ann", full_name="Ann Né", password="long enough", quota="5M")
    assert answer.status_code == 303
    assert has_password(layout, "ann", "new.example", "long enough")
    assert "Ann Né" in admin.get(here).text
    account = f"{here}/accounts/ann"
    assert admin.post(account, act="suspend").status_code == 303
    assert "suspended" in admin.get(account).text
    assert admin.post(account, act="resume").status_code == 303
    assert admin.post(account, act="password", password="another one").status_code == 303
    assert has_password(layout, "ann", "new.example", "another one")
    # An alias redirects mail: it is shown first.
    shown = admin.post(f"{here}/aliases", act="add", alias="sales", targets="ann\njoe@example.org")
    assert shown.status_code == 200
    assert "would go to" in shown.text
    assert "sales" not in Path(layout.aliases("new.example")).read_text()
    done = admin.post(f"{here}/aliases", act="add", alias="sales", targets="ann, joe@example.org", confirmed="yes")
    assert done.status_code == 303
    assert "sales" in admin.get(f"{here}/aliases").text
    assert "joe@example.org" in admin.get("/explain?address=sales@new.example").text
    assert admin.post(f"{here}/settings", act="save", quota="10M", max_users="3").status_code == 303
    assert 'quota = "10M"' in Path(layout.definition("new.example")).read_text()
    assert "in order" in admin.get(f"{here}/check").text
    # What is dangerous wants the password again.
    shown = admin.post(f"{here}/admins", act="grant", principal="bob@va.toto.fr", **ALL_RIGHTS)
    assert shown.status_code == 200
    wrong = admin.post(
        f"{here}/admins", act="grant", principal="bob@va.toto.fr", confirmed="yes", password="no", **ALL_RIGHTS
    )
    assert wrong.status_code == 200
    assert "wrong login or password" in wrong.text
    right = {"confirmed": "yes", "password": "alice-va", **ALL_RIGHTS}
    assert admin.post(f"{here}/admins", act="grant", principal="bob@va.toto.fr", **right).status_code == 303
    assert "add account ann@new.example" in admin.get(f"{here}/changes").text
    assert admin.post(account, act="remove", **right).headers["location"] == here
    assert admin.post(f"{here}/settings", act="remove", **right).headers["location"] == "/domains"
    assert not Path(layout.definition("new.example")).exists()


def test_a_co_administrator_sees_one_domain(app: FastAPI, admin: Browser, layout: Layout) -> None:
    right = {"confirmed": "yes", "password": "alice-va", **ALL_RIGHTS}
    admin.post("/domains/va.toto.fr/admins", act="grant", principal="bob@va.toto.fr", **right)
    bob = Browser(app)
    bob.log_in("bob@va.toto.fr", "bob-va")
    assert bob.get("/").headers["location"] == "/domains"
    assert "vb.toto.fr" not in bob.get("/domains").text
    answer = bob.post("/domains/va.toto.fr/new-account", login="eve", password="long enough")
    assert answer.status_code == 303
    answer = bob.post("/domains/va.toto.fr/aliases", act="add", alias="run", targets="|/bin/sh", confirmed="yes")
    assert answer.status_code == 403
    answer = bob.post("/domains/va.toto.fr/settings", "/domains/va.toto.fr/admins", act="save", quota="1T")
    assert answer.status_code == 403
    Path(layout.definition("va.toto.fr")).write_text(
        Path(layout.definition("va.toto.fr")).read_text().replace("bob@va.toto.fr", "bob@vb.toto.fr")
    )
    assert bob.get("/domains/va.toto.fr").status_code == 404


def test_mail_programs_find_their_settings(app: FastAPI) -> None:
    browser = Browser(app, "autoconfig.va.toto.fr")
    for path in ("/mail/config-v1.1.xml", "/.well-known/autoconfig/mail/config-v1.1.xml"):
        answer = browser.get(f"{path}?emailaddress=bob@va.toto.fr")
        assert "<hostname>mailhost.va.toto.fr</hostname>\n      <port>11110</port>" in answer.text
        assert "outgoingServer" not in answer.text
    assert browser.get("/mail/config-v1.1.xml?emailaddress=x@nowhere.example").status_code == 404
    body = "<Autodiscover><Request><EMailAddress>bob@va.toto.fr</EMailAddress></Request></Autodiscover>"
    answer = browser.send("POST", "/autodiscover/autodiscover.xml", content=body)
    assert "<Server>mailhost.va.toto.fr</Server>" in answer.text
    assert "<Type>SMTP</Type>" not in answer.text


def test_mail_programs_are_told_where_mail_is_sent_from(layout: Layout) -> None:
    site = load_site(layout)[0]
    site = replace(site, dns=replace(site.dns, submission=587))
    browser = Browser(app_of(make_desk(layout, site, Slots.create())), "autodiscover.va.toto.fr")
    body = "<Autodiscover><Request><EMailAddress>bob@va.toto.fr</EMailAddress></Request></Autodiscover>"
    answer = browser.send("POST", "/Autodiscover/Autodiscover.xml", content=body)
    told = ElementTree.fromstring(answer.text)
    space = "{http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a}"
    found = [{each.tag.removeprefix(space): each.text for each in one} for one in told.iter(f"{space}Protocol")]
    assert [(one["Type"], one["Port"], one["Encryption"]) for one in found] == [
        ("POP3", "11110", "None"),
        ("SMTP", "587", "TLS"),
    ]
    assert {(one["Server"], one["LoginName"]) for one in found} == {("mailhost.va.toto.fr", "bob@va.toto.fr")}
    answer = browser.get("/mail/config-v1.1.xml?emailaddress=bob@va.toto.fr")
    outgoing = ElementTree.fromstring(answer.text).find(".//outgoingServer")
    assert outgoing is not None
    assert {each.tag: each.text for each in outgoing} == {
        "hostname": "mailhost.va.toto.fr",
        "port": "587",
        "socketType": "STARTTLS",
        "username": "%EMAILADDRESS%",
        "authentication": "password-cleartext",
    }


def test_a_new_account_that_gets_no_mail_or_takes_that_of_others_is_shown_first(
    admin: Browser, layout: Layout
) -> None:
    form = "/domains/va.toto.fr/new-account"
    hidden = admin.post(form, login="team", password="long enough", full_name="The Team")
    assert hidden.status_code == 200
    assert "does not come to this mailbox" in hidden.text
    assert 'value="The Team"' in hidden.text
    assert "long enough" not in hidden.text
    admin.post(
        "/domains/va.toto.fr/aliases", act="add", alias="sales", targets="carol@vb.toto.fr", confirmed="yes"
    )
    taking = admin.post("/domains/vb.toto.fr/new-account", login="carol")
    assert "sales@va.toto.fr" in taking.text, "where all unknown names go to alice until now"
    assert admin.post("/domains/vb.toto.fr/new-account", login="dora", full_name="Dora D").status_code == 303
    for domain, login in (("va.toto.fr", "team"), ("vb.toto.fr", "carol")):
        assert f"{login}:" not in Path(layout.passwd(domain)).read_text()
    # What was looked at holds for that login only.
    assert admin.post(form, login="everyone", confirmed="team").status_code == 200
    assert admin.post(form, login="team", confirmed="team", password="long enough").status_code == 303
    assert has_password(layout, "team", "va.toto.fr", "long enough")


@pytest.mark.parametrize(
    "login", ["|cmd", "/etc/x", ":include:", 'b"ob', "a,b", ".archive", "bob.", "a..b", "\\bob"]
)
def test_logins_that_aliases_take_for_something_else_are_refused(
    admin: Browser, layout: Layout, login: str
) -> None:
    before = Path(layout.passwd("va.toto.fr")).read_text()
    answer = admin.post("/domains/va.toto.fr/new-account", login=login)
    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert Path(layout.passwd("va.toto.fr")).read_text() == before


def test_who_is_suspended_is_signed_out_and_has_no_tokens(app: FastAPI, admin: Browser, layout: Layout) -> None:
    bob, sessions = Browser(app), Sessions(layout)
    bob.log_in("bob@va.toto.fr", "bob-va")
    token = sessions.add_token("bob@va.toto.fr", "script", "", (), 0)[1]
    here = "/domains/va.toto.fr/accounts/bob"
    shown = admin.post(here, act="suspend")
    assert "has a token for scripts, which ends" in shown.text
    assert sessions.token(token) is not None
    assert admin.post(here, act="suspend", confirmed="yes").status_code == 303
    assert admin.post(here, act="resume").status_code == 303
    assert bob.get("/account").headers["location"] == "/login"
    assert sessions.token(token) is None


@pytest.mark.parametrize("page", ["99999999999999999999999", "2"])
def test_pages_of_changes_that_are_not_there_are_not_found(admin: Browser, page: str) -> None:
    for path in ("/changes", "/domains/va.toto.fr/changes"):
        assert admin.get(f"{path}?page={page}").status_code == 404


def test_forms_can_be_sent_after_the_web_was_started_anew(desk: Desk, layout: Layout) -> None:
    before, key = Browser(app_of(desk, form_secret(layout))), form_secret(layout)
    before.log_in("alice@va.toto.fr", "alice-va")
    token = before.get("/account").text.partition('name="form" value="')[2].partition('"')[0]
    after, elsewhere = Browser(app_of(desk, form_secret(layout))), Browser(app_of(desk))
    for browser in (after, elsewhere):
        browser.cookies = before.cookies
    assert elsewhere.send("POST", "/language", data={"form": token, "language": "fr"}).status_code == 403
    assert after.send("POST", "/language", data={"form": token, "language": "fr"}).status_code == 303
    assert os.stat(layout.form_secret).st_mode & 0o777 == 0o600
    assert len(key) == 64


def test_what_is_redirected_is_held_while_the_lock_is_held(layout: Layout) -> None:
    """The plan that is looked at is the one that would have been carried out, and no other."""
    site = load_site(layout)[0]
    door = Door(layout, site, replace(unix_actor(layout, site), site_admin=True))
    team = Address("team", "va.toto.fr")
    shown = aliases.set_alias(door.holding(lambda plan: bool(plan.rerouted)), team, ["bob"])
    assert shown.changes
    assert not shown.carried_out
    same = aliases.set_alias(door.holding(lambda plan: bool(plan.warnings)), team, ["bob"])
    assert same.carried_out
    assert same.rerouted == shown.rerouted


def test_sessions_are_listed_and_end(app: FastAPI) -> None:
    first, second = Browser(app), Browser(app)
    for browser in (first, second):
        browser.log_in("bob@va.toto.fr", "bob-va")
    page = first.get("/account").text
    number = page.partition('name="number" value="')[2].partition('"')[0]
    assert first.post("/account/sessions", "/account", number=number).status_code == 303
    assert second.get("/account").headers["location"] == "/login"
    assert first.get("/account").status_code == 200
    assert first.post("/logout", "/account").headers["location"] == "/login"
    assert first.get("/account").headers["location"] == "/login"


def test_the_language_can_be_chosen_by_hand(browser: Browser) -> None:
    assert browser.post("/language", "/login", language="fr", back="/login").headers["location"] == "/login"
    assert "Se connecter" in browser.get("/login").text
    assert browser.post("/language", "/login", language="en", back="//evil.example").headers["location"] == "/"


def test_strength_is_judged(browser: Browser) -> None:
    assert browser.post("/strength", "/password", password="password").json()["score"] == 0
    assert browser.post("/strength", "/password", password="purple walrus eats 9 tin lamps").json()["score"] == 4
