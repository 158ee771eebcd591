"""The pages, asked as a browser asks them."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi import FastAPI
from tests.unit.web.conftest import ALL_RIGHTS, HOSTS, Browser

from vmaild.auth.passwords import verify
from vmaild.store.directory import FileDirectory
from vmaild.store.layout import Layout


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


def test_many_wrong_passwords_are_refused_as_by_pop3(app: FastAPI, layout: Layout) -> None:
    site = Path(layout.site)
    site.write_text(site.read_text() + "\n")
    browser = Browser(app, HOSTS["va.toto.fr"])
    answers = [browser.post("/password", login="bob", old=f"x{n}", new="y" * 9, again="y" * 9) for n in range(7)]
    assert {answer.status_code for answer in answers} == {409}


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
