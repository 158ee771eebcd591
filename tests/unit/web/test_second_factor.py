"""The second factor, from the first QR code to the telephone that is lost."""

from __future__ import annotations

import logging
import re
import stat
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from pyotp import TOTP
from tests.unit.web.conftest import Browser

from vmaild.admin.desk import Desk, Request
from vmaild.auth.throttle import Slots
from vmaild.core import second_factor
from vmaild.servers.keeper import make_desk
from vmaild.store.layout import Layout
from vmaild.store.second_factor import Factors
from vmaild.store.site import load_site
from vmaild.store.state import AuditLog, StateUnusable
from vmaild.web.app import create_app

PAGE = "/account/second-factor"
ALICE, PASSWORD = "alice@va.toto.fr", "alice-va"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


class Clock:
    """The time that codes are checked at: a test need not wait for the next one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import time

        self.now = time.time()
        monkeypatch.setattr("vmaild.admin.second_factor.time.time", lambda: self.now)

    def next_code(self, secret: str) -> str:
        self.now += second_factor.STEP
        return TOTP(secret).at(int(self.now))


def switch_on(browser: Browser, clock: Clock) -> tuple[str, list[str]]:
    """Set it up as people do; the secret as it is shown to type, and the recovery codes."""
    offered = browser.post(PAGE, act="begin", password=PASSWORD)
    assert 'src="data:image/svg+xml' in offered.text
    found = re.search(r'class="secret"[^>]*>([A-Z2-7 ]+)<', offered.text)
    assert found is not None
    secret = found[1].replace(" ", "")
    done = send(browser, offered.text, act="confirm", code=clock.next_code(secret))
    codes = re.findall(r"<li><code>([a-z2-7-]+)</code>", done.text)
    assert len(codes) == len(set(codes)) == 10
    return secret, codes


def send(browser: Browser, page: str, path: str = PAGE, **fields: str) -> Any:
    token = re.search(r'name="form" value="([0-9a-f]+)"', page)
    assert token is not None
    return browser.send("POST", path, data={"form": token[1], **fields})


def with_code(app: FastAPI, code: str, client: str = "198.51.100.7") -> tuple[Browser, int]:
    browser = Browser(app, client=client)
    first = browser.log_in(ALICE, PASSWORD)
    assert first.headers["location"] == "/login/code"
    assert browser.get("/domains").headers["location"] == "/login", "a password alone opens nothing"
    return browser, browser.post("/login/code", code=code).status_code


def test_signing_in_wants_password_and_code(app: FastAPI, admin: Browser, clock: Clock, layout: Layout) -> None:
    other = Browser(app)
    other.log_in(ALICE, PASSWORD)
    secret, recovery = switch_on(admin, clock)
    assert admin.get("/domains").status_code == 200
    assert other.get("/domains").headers["location"] == "/login", "who came in before has to show the code"
    code = clock.next_code(secret)
    browser, status = with_code(app, code)
    assert (status, browser.get("/domains").status_code) == (303, 200)
    assert with_code(app, code)[1] == 401, "a code is good once"
    assert with_code(app, "000000")[1] == 401
    browser, status = with_code(app, recovery[3].upper())
    assert (status, browser.get("/domains").status_code) == (303, 200)
    assert with_code(app, recovery[3])[1] == 401
    assert "<strong>9</strong>" in browser.get(PAGE).text


def test_files_are_secret_and_logs_say_nothing(
    admin: Browser, clock: Clock, layout: Layout, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret, recovery = switch_on(admin, clock)
    with_code(admin.app, "123456")
    path = Path(layout.second_factors, ALICE)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert not any(code.replace("-", "") in path.read_text() or code in path.read_text() for code in recovery)
    records = [record.summary for record in AuditLog(layout).records()]
    assert f"set up a second factor for {ALICE}" in records
    said = caplog.text + "".join(records)
    assert "wrong code of a second factor" in said
    assert not any(word in said for word in (secret, recovery[0], "123456", PASSWORD))


def test_a_wrong_first_code_switches_nothing_on(admin: Browser, clock: Clock, layout: Layout) -> None:
    offered = admin.post(PAGE, act="begin", password=PASSWORD)
    again = send(admin, offered.text, act="confirm", code="000000")
    assert again.status_code == 422
    assert "wrong code" in again.text
    assert re.findall(r'class="secret".*', again.text) == re.findall(r'class="secret".*', offered.text)
    assert not Path(layout.second_factors).exists()
    assert "wrong login or password" in admin.post(PAGE, act="begin", password="guessed").text


def test_what_is_dangerous_wants_the_code_too(admin: Browser, clock: Clock, layout: Layout) -> None:
    secret, _ = switch_on(admin, clock)
    there = "/domains/vb.toto.fr/settings"
    shown = admin.post(there, act="remove")
    assert 'name="code"' in shown.text
    only_password = admin.post(there, act="remove", confirmed="yes", password=PASSWORD)
    assert "wrong code" in only_password.text
    assert Path(layout.definition("vb.toto.fr")).exists()
    code = clock.next_code(secret)
    done = admin.post(there, act="remove", confirmed="yes", password=PASSWORD, code=code)
    assert done.headers["location"] == "/domains"
    assert not Path(layout.definition("vb.toto.fr")).exists()


def test_the_desk_itself_refuses_danger_without_confirmation(desk: Desk) -> None:
    def ask(verb: str, secret: str, **values: object) -> dict[str, Any]:
        return desk.answer(Request(verb, values, secret, "198.51.100.7"))

    secret = ask("login", "", login=ALICE, password=PASSWORD, domain=None)["ok"]["secret"]
    remove = {"domain": "vb.toto.fr"}
    assert ask("domain.remove", secret, **remove)["status"] == 403
    assert ask("domain.remove", secret, **remove, dry_run=True)["ok"]["carried_out"] is False
    assert "ok" in ask("session.confirm", secret, password=PASSWORD)
    assert ask("domain.remove", secret, **remove)["ok"]["carried_out"] is True
    assert ask("user.remove", secret, address="bob@va.toto.fr")["status"] == 403, "once confirmed, once done"


def test_new_recovery_codes_and_off(app: FastAPI, admin: Browser, clock: Clock, layout: Layout) -> None:
    secret, old = switch_on(admin, clock)
    renewed = admin.post(PAGE, act="renew", password=PASSWORD, code=clock.next_code(secret))
    new = re.findall(r"<li><code>([a-z2-7-]+)</code>", renewed.text)
    assert len(new) == 10
    assert not set(old) & set(new)
    assert with_code(app, old[0])[1] == 401
    assert with_code(app, new[0])[1] == 303
    assert "wrong code" in admin.post(PAGE, act="off", password=PASSWORD, code="1").text
    assert admin.post(PAGE, act="off", password=PASSWORD, code=clock.next_code(secret)).status_code == 303
    assert Factors(layout).find(ALICE) is None
    assert Browser(app).log_in(ALICE, PASSWORD).headers["location"] == "/"


def test_five_codes_then_the_password_again(app: FastAPI, admin: Browser, clock: Clock) -> None:
    secret, _ = switch_on(admin, clock)
    browser, _ = with_code(app, "000000", "203.0.113.9")
    for guess in range(1, 5):
        assert "wrong code" in browser.post("/login/code", code=f"00000{guess}").text
    answer = browser.post("/login/code", code=clock.next_code(secret))
    assert (answer.status_code, "that took too long" in answer.text) == (401, True)


def test_the_site_may_require_it(layout: Layout, clock: Clock) -> None:
    site = Path(layout.site)
    site.write_text(site.read_text().replace("[web]\n", "[web]\nrequire_second_factor = true\n", 1))
    desk = make_desk(layout, load_site(layout)[0], Slots.create())

    async def ask(request: dict[str, Any]) -> dict[str, Any]:
        return desk.answer(Request(**request))

    app = create_app(ask)
    alice, bob = Browser(app), Browser(app)
    alice.log_in(ALICE, PASSWORD)
    for path in ("/domains", "/domains/va.toto.fr", "/explain?address=bob@va.toto.fr", "/changes"):
        assert alice.get(path).headers["location"] == PAGE, path
    assert alice.post("/new-domain", PAGE, name="x.example").headers["location"] == PAGE
    assert "set it up, then go on" in alice.get(PAGE).text
    switch_on(alice, clock)
    assert alice.get("/domains").status_code == 200
    bob.log_in("bob@va.toto.fr", "bob-va")
    assert bob.get("/account").status_code == 200, "an owner is no administrator"
    assert bob.post("/account/vacation", "/account", text="I am away").status_code == 303


def test_it_goes_with_the_account(admin: Browser, app: FastAPI, clock: Clock, layout: Layout) -> None:
    """Whoever is given the name next is not asked for codes of another's telephone."""
    bob, principal = Browser(app), "bob@va.toto.fr"
    bob.log_in(principal, "bob-va")
    offered = bob.post(PAGE, act="begin", password="bob-va")
    found = re.search(r'class="secret"[^>]*>([A-Z2-7 ]+)<', offered.text)
    assert found is not None
    send(bob, offered.text, act="confirm", code=clock.next_code(found[1].replace(" ", "")))
    assert Factors(layout).of_domain("va.toto.fr") == [principal]
    other = Factors(layout).find(principal)
    assert other is not None
    Factors(layout).save("bob@vb.toto.fr", other)
    there = "/domains/va.toto.fr/accounts/bob"
    shown = admin.post(there, act="remove")
    assert shown.status_code == 200
    assert Factors(layout).find(principal) is not None, "shown, not done"
    admin.post(there, act="remove", confirmed="yes", password=PASSWORD)
    assert Factors(layout).of_domain("va.toto.fr") == []
    assert Factors(layout).find("bob@vb.toto.fr") is not None, "another of that login keeps his"
    admin.post("/domains/vb.toto.fr/settings", act="remove", confirmed="yes", password=PASSWORD)
    assert Factors(layout).of_domain("vb.toto.fr") == []


def test_a_leftover_of_a_former_account_is_cleared_away(admin: Browser, app: FastAPI, layout: Layout) -> None:
    """Such as of one that was taken out of the passwd file by hand."""
    Factors(layout).save("dora@va.toto.fr", second_factor.Factor("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"))
    fields = {"login": "Dora", "full_name": "", "password": "purple walrus lamps", "quota": ""}
    admin.post("/domains/va.toto.fr/new-account", **fields)
    assert Browser(app).log_in("dora@va.toto.fr", "purple walrus lamps").headers["location"] == "/"


def test_a_damaged_file_lets_nobody_in(app: FastAPI, admin: Browser, clock: Clock, layout: Layout) -> None:
    switch_on(admin, clock)
    path = Path(layout.second_factors, ALICE)
    path.write_text("{")
    assert Browser(app).log_in(ALICE, PASSWORD).status_code == 401
    with pytest.raises(StateUnusable, match="is damaged: remove it"):
        Factors(layout).find(ALICE)
