"""What somebody with bad intentions tries on the pages: cookies, names, verbs, no password, guesses."""

from __future__ import annotations

import re
import time
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from tests.unit.web.conftest import ALL_RIGHTS, Browser
from tests.unit.web.test_isolation import routes

from vmaild.admin.desk import Desk, Request
from vmaild.admin.entrance import DANGEROUS
from vmaild.core.second_factor import Factor
from vmaild.store.layout import Layout
from vmaild.store.second_factor import Factors
from vmaild.store.sessions import Sessions
from vmaild.store.state import AuditLog

ALICE, PASSWORD = "alice@va.toto.fr", "alice-va"
VA = "/domains/va.toto.fr"
SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
EVIL = "<svg onload=alert(1)>\"'{{7*7}}%0d%0a"
"""A name that would be something else in HTML, SVG, a template or a header."""


def ask(desk: Desk, verb: str, secret: str = "", **values: Any) -> dict[str, Any]:
    return desk.answer(Request(verb, values, secret, "198.51.100.7"))


def grant_bob(admin: Browser) -> None:
    given = {"confirmed": "yes", "password": PASSWORD, **ALL_RIGHTS}
    assert admin.post(f"{VA}/admins", act="grant", principal="bob@va.toto.fr", **given).status_code == 303


# -- sessions and cookies


def test_nobody_goes_on_with_a_session_that_somebody_else_has_chosen(app: FastAPI, layout: Layout) -> None:
    mallory = Sessions(layout).begin("bob@va.toto.fr", "203.0.113.1", "somebody else")
    for planted in ("x" * 43, mallory):
        browser = Browser(app)
        browser.cookies.set("vmail_session", planted)
        shown = browser.get("/login").text
        token = re.search(r'name="form" value="([0-9a-f]+)"', shown)
        assert token is not None
        answer = browser.send("POST", "/login", data={"form": token[1], "login": ALICE, "password": PASSWORD})
        assert answer.status_code == 303
        (given,) = [each for each in answer.headers.get_list("set-cookie") if each.startswith("vmail_session=")]
        assert planted not in given
    found = Sessions(layout).find(mallory)
    assert found is not None
    assert found.principal == "bob@va.toto.fr"


class BehindTls(Browser):
    """A browser that speaks TLS to a proxy of ours; it keeps cookies as browsers do, and all that were set."""

    def __init__(self, app: FastAPI) -> None:
        super().__init__(app, client="127.0.0.1")
        self.set: list[str] = []

    def send(self, method: str, path: str, **more: Any) -> httpx.Response:
        jar = {each.partition("=")[0]: each.partition("=")[2].partition(";")[0] for each in self.set}
        headers = {
            "x-forwarded-proto": "https",
            "x-forwarded-for": "198.51.100.7",
            "cookie": "; ".join(f"{name}={value}" for name, value in jar.items()),
        }
        answer = super().send(method, path, headers=headers, **more)
        self.set += answer.headers.get_list("set-cookie")
        return answer


def test_behind_a_proxy_with_tls_every_cookie_is_for_tls_only(app: FastAPI, layout: Layout) -> None:
    Factors(layout).save("bob@va.toto.fr", Factor(SECRET))
    for login, password in (("bob@va.toto.fr", "bob-va"), (ALICE, PASSWORD)):
        browser = BehindTls(app)
        assert browser.post("/language", "/login", language="fr", back="/login").status_code == 303
        assert browser.log_in(login, password).status_code == 303
        if login == ALICE:
            assert browser.post("/account/vacation", "/account", text="Away").status_code == 303
        names = {each.partition("=")[0] for each in browser.set}
        wanted = {"vmail_session", "vmail_message"} if login == ALICE else {"vmail_ticket"}
        assert {"vmail_form", "vmail_language"} | wanted <= names
        for each in browser.set:
            if '=""' not in each:  # taken away again
                assert {"secure", "httponly", "samesite=strict", "path=/"} <= set(each.lower().split("; ")), each


def test_nothing_that_is_secret_is_kept_by_a_browser_or_a_proxy(app: FastAPI, admin: Browser) -> None:
    asked = 0
    for method, path in routes(app):
        if method == "GET" and "{" not in path and path != "/static/{name}":
            answer = admin.get(path)
            assert answer.headers["cache-control"] == "no-store", path
            asked += 1
    assert asked > 25
    made = admin.post("/tokens", act="add", name="x", password=PASSWORD)
    assert 'class="secret"' in made.text
    assert made.headers["cache-control"] == "no-store"
    assert "referrer-policy" in made.headers


# -- names and verbs


def files(layout: Layout) -> set[str]:
    """All but locks."""
    return {str(path) for path in Path(layout.root).rglob("*") if not path.name.startswith("lock.")}


NAMES = (
    "..%2f..%2fetc%2fpasswd",
    "va.toto.fr%2f..%2fvb.toto.fr",
    "%2e%2e",
    "va.toto.fr%00",
    "va.toto.fr%0d%0aX: y",
    "%ff%fe",
    "va.toto.fr;vb.toto.fr",
    "va.toto.fr%5c..",
    "*",
    "xn--a",
    "a" * 300,
    "%C2%AD",
)


def test_a_name_is_a_name_and_no_way_to_somewhere(admin: Browser, tokens: dict[str, str], layout: Layout) -> None:
    before = files(layout)
    bearer = {"authorization": f"Bearer {tokens['admin']}"}
    for name in NAMES:
        for path in (f"/domains/{name}", f"{VA}/accounts/{name}", f"{VA}/import/{name}"):
            assert admin.get(path).status_code == 404, path
        for method, path in (
            ("GET", f"/api/v1/domains/{name}"),
            ("DELETE", f"/api/v1{VA}/accounts/{name}"),
            ("DELETE", f"/api/v1/domains/{name}"),
            ("DELETE", f"/api/v1/domains/{name}/backups/20260101T000000"),
            ("PUT", f"/api/v1/domains/{name}/aliases/x"),
        ):
            body = {"json": {"targets": ["bob"]}} if method == "PUT" else {}
            assert admin.send(method, path, headers=bearer, **body).status_code in {404, 405, 422}, (method, path)
    assert files(layout) == before


def test_other_spellings_are_the_same_domain_for_who_may_and_for_who_may_not(app: FastAPI, admin: Browser) -> None:
    bob = Browser(app)
    bob.log_in("bob@vb.toto.fr", "bob-vb")
    for name in ("VA.toto.fr", "va.toto.fr.", "va.example", "Va.Toto.Fr."):
        page = admin.get(f"/domains/{name}")
        assert (page.status_code, 'href="/domains/va.toto.fr/settings"' in page.text) == (200, True), name
        assert bob.get(f"/domains/{name}").status_code == 404, name


def test_verbs_of_other_protocols_do_nothing_and_repeat_nothing(admin: Browser) -> None:
    for method in ("TRACE", "TRACK", "PROPFIND", "MKCOL", "LOCK", "COPY", "CONNECT", "X"):
        for path in ("/account", "/api/v1/domains", "/static/style.css"):
            answer = admin.send(method, path, headers={"x-secret": "purple walrus"})
            assert (answer.status_code, "purple walrus" in answer.text) == (405, False), (method, path)


def test_a_range_of_a_page_is_the_page(admin: Browser) -> None:
    for path in ("/account", "/static/style.css"):
        answer = admin.get(path, headers={"range": "bytes=0-9, 5-, -1"})
        assert (answer.status_code, "content-range" in answer.headers) == (200, False)


def test_a_name_is_text_wherever_it_is_shown(admin: Browser, layout: Layout) -> None:
    shown = admin.post(f"{VA}/accounts/bob", act="save", full_name=EVIL, confirmed="yes")
    assert shown.status_code == 303
    sent = {"act": "add", "alias": "x", "targets": '"<svg/onload=1>"@x.example'}
    for confirmed, status in (("", 200), ("yes", 303)):
        shown = admin.post(f"{VA}/aliases", **sent, confirmed=confirmed)
        assert (shown.status_code, "<svg/onload" in shown.text) == (status, False)
    admin.post("/tokens", act="add", name=EVIL, password=PASSWORD)
    admin.post("/login", _page="/account", login=EVIL, password="x")
    pages = [VA, f"{VA}?query={EVIL}", f"{VA}/accounts/bob", f"{VA}/aliases", f"{VA}/changes", "/changes"]
    pages += ["/tokens", "/account", "/explain?address=x@va.toto.fr", f"/explain?address={EVIL}", "/overview"]
    told = 0
    for page in pages:
        text = admin.get(page).text
        assert "<svg onload" not in text, page
        assert "<svg/onload" not in text, page
        assert "49" not in re.findall(r"alert\(1\)&gt;[^<]*", text), page
        told += "onload" in text
    assert told >= 6, "it is shown, as text"


# -- danger


PLAUSIBLE: dict[str, dict[str, Any]] = {
    "domain.remove": {"domain": "vb.toto.fr"},
    "user.remove": {"address": "bob@va.toto.fr"},
    "admin.grant": {"domain": "va.toto.fr", "principal": "bob@va.toto.fr"},
    "token.add": {"name": "x"},
    "backup.restore": {"backup": "va.toto.fr.20260101T000000"},
    "backup.remove": {"backup": "va.toto.fr.20260101T000000"},
}


def test_whatever_is_dangerous_wants_the_password_whichever_page_asks(desk: Desk, layout: Layout) -> None:
    secret = ask(desk, "login", login=ALICE, password=PASSWORD, domain=None)["ok"]["secret"]
    before = {path: path.read_bytes() for path in Path(layout.path("/etc/vmail")).rglob("*") if path.is_file()}
    for verb in sorted(DANGEROUS):
        refused = ask(desk, verb, secret, **PLAUSIBLE.get(verb, {}))
        assert (refused.get("code"), refused.get("status")) == ("confirm-first", 403), verb
    assert {path: path.read_bytes() for path in before} == before
    other = ask(desk, "login", login=ALICE, password=PASSWORD, domain=None)["ok"]["secret"]
    assert "ok" in ask(desk, "session.confirm", other, password=PASSWORD)
    assert ask(desk, "token.add", secret, name="x")["code"] == "confirm-first", "who confirmed was another session"
    assert "ok" in ask(desk, "token.add", other, name="x")


def test_what_lets_a_program_run_wants_the_password(admin: Browser, layout: Layout) -> None:
    """A session that was left open must not become a shell on the machine."""
    before = {path: path.read_bytes() for path in Path(layout.path("/etc/vmail")).rglob("*") if path.is_file()}
    changes = [
        (f"{VA}/aliases", {"act": "add", "alias": "run", "targets": "|/usr/bin/true"}),
        (f"{VA}/settings", {"act": "save", "fallback": "|/usr/bin/true", "quota": "100M"}),
        (f"{VA}/settings", {"act": "save", "alias_files": "/etc/vmail/more", "quota": "100M"}),
    ]
    for path, fields in changes:
        for more in ({}, {"confirmed": "yes"}, {"confirmed": "yes", "password": "guessed"}):
            shown = admin.post(path, **fields, **more)
            assert (shown.status_code, 'name="password"' in shown.text) == (200, True), (fields, more)
    assert {path: path.read_bytes() for path in before} == before
    done = admin.post(path := changes[0][0], **changes[0][1], confirmed="yes", password=PASSWORD)
    assert (done.status_code, "|/usr/bin/true" in Path(layout.aliases("va.toto.fr")).read_text()) == (303, True)
    assert admin.post(path, act="add", alias="simple", targets="bob", confirmed="yes").status_code == 303


def test_a_token_does_nothing_that_is_for_people(desk: Desk, tokens: dict[str, str]) -> None:
    for verb in ("session.list", "session.confirm", "own.forward", "factor.begin", "token.add", "tokens"):
        refused = ask(desk, verb, tokens["admin"], password=PASSWORD)
        assert (refused["code"], refused["status"]) == ("not-permitted", 403), verb


def test_whoever_found_out_a_password_locks_nobody_out(app: FastAPI, admin: Browser, layout: Layout) -> None:
    Factors(layout).save(ALICE, Factor(SECRET))
    new = {"old": PASSWORD, "new": "quite another", "again": "quite another"}
    refused = Browser(app).post("/password", login=ALICE, **new)
    assert (refused.status_code, "this account has a second factor" in refused.text) == (409, True)
    wrong = Browser(app).post("/password", login=ALICE, **{**new, "old": "guessed"})
    assert "second factor" not in wrong.text, "a guess learns nothing of it"
    bob = Browser(app)
    bob.log_in("bob@va.toto.fr", "bob-va")
    assert bob.post("/password", login=ALICE, **new).status_code == 409, "the session of somebody else"
    assert admin.post("/account/password", "/account", **new).status_code == 303, "who has shown the code may"


def test_secrets_are_in_no_log_and_co_administrators_see_their_own_domain_only(
    app: FastAPI, admin: Browser, layout: Layout, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    grant_bob(admin)
    secrets = ["walrus lamp one", "walrus lamp two", "walrus lamp three"]
    admin.post(f"{VA}/new-account", login="eve", password=secrets[0])
    admin.post(f"{VA}/accounts/eve", act="password", password=secrets[1])
    admin.post("/domains/vb.toto.fr/aliases", act="add", alias="hidden-one", targets="bob", confirmed="yes")
    token = re.search(r'class="secret">(\w+)', admin.post("/tokens", act="add", name="t", password=PASSWORD).text)
    assert token is not None
    change = {"old": "bob-va", "new": secrets[2], "again": secrets[2]}
    assert Browser(app).post("/password", login="bob@va.toto.fr", **change).status_code == 200
    written = "".join(map(str, AuditLog(layout).records())) + caplog.text
    assert "eve@va.toto.fr" in written
    for secret in (*secrets, PASSWORD, "bob-va", token[1]):
        assert secret not in written
    bob = Browser(app)
    assert bob.log_in("bob@va.toto.fr", secrets[2]).status_code == 303
    own = bob.get(f"{VA}/changes")
    assert (own.status_code, "eve@va.toto.fr" in own.text, "hidden-one" in own.text) == (200, True, False)
    assert bob.get("/changes").status_code == 403
    assert bob.get("/domains/vb.toto.fr/changes").status_code == 404
    assert admin.get("/changes?page=999999999999999999").status_code < 500


# -- guesses


def test_a_guess_takes_as_long_whoever_it_is_about(desk: Desk) -> None:
    """In time of the processor: how long others let one wait is no news."""
    clients = (f"203.0.113.{number}" for number in range(1, 99))  # each has its first guesses free

    def guess(login: str) -> tuple[dict[str, Any], float]:
        values = {"login": login, "password": "guess", "domain": None}
        began = time.thread_time()
        answer = desk.answer(Request("login", values, "", next(clients)))
        return answer, time.thread_time() - began

    logins = ("alice@va.toto.fr", "nobody@va.toto.fr", "bob@nowhere.example")
    guesses = {login: [guess(login) for _ in range(3)] for login in logins}
    costs = sorted(median(cost for _, cost in each) for each in guesses.values())
    assert costs[0] > costs[-1] / 2, costs
    answers = [answer for each in guesses.values() for answer, _ in each]
    assert all(answer == answers[0] for answer in answers)
    assert answers[0]["code"] == "wrong-login"


def test_a_domain_of_somebody_else_takes_as_long_as_none(desk: Desk, admin: Browser) -> None:
    grant_bob(admin)
    secret = ask(desk, "login", login="bob@va.toto.fr", password="bob-va", domain=None)["ok"]["secret"]

    def cost(name: str) -> float:
        began = time.thread_time()
        refused = ask(desk, "users", secret, domain=name)
        assert (refused["status"], refused["problem"].replace(name, "X")) == (404, "bob@va.toto.fr may not see X")
        return time.thread_time() - began

    names = ("vb.toto.fr", "vz.toto.fr")
    costs = {name: [cost(name) for _ in range(30)] for name in names}
    there, none = (median(costs[name]) for name in names)
    assert abs(there - none) < 0.002, (there, none)


def test_codes_are_slowed_down_apart_from_passwords(desk: Desk, layout: Layout) -> None:
    """A right password makes no guess at a code free."""
    Factors(layout).save(ALICE, Factor(SECRET))
    for number in range(6):
        ticket = ask(desk, "login", login=ALICE, password=PASSWORD, domain=None)["ok"]["ticket"]
        began = time.monotonic()
        assert ask(desk, "login.code", ticket=ticket, code=f"{number:06}")["code"] == "wrong-login"
    assert time.monotonic() - began > 0.9, "five are free, then each waits, and the next twice as long"
