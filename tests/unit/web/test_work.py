"""What takes its time, asked for by scripts: checks, backups with mail; and service addresses."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from tests.unit.web.conftest import ALL_RIGHTS, Browser

from vmaild.store.layout import Layout
from vmaild.store.sessions import Sessions

API = "/api/v1"
VA = f"{API}/domains/va.toto.fr"


class Script:
    """Somebody with a token."""

    def __init__(self, app: FastAPI, token: str) -> None:
        self._browser = Browser(app)
        self._headers = {"authorization": f"Bearer {token}"}

    def get(self, path: str) -> httpx.Response:
        return self._browser.send("GET", path, headers=self._headers)

    def post(self, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        return self._browser.send("POST", path, headers=self._headers, json=body)

    def delete(self, path: str) -> httpx.Response:
        return self._browser.send("DELETE", path, headers=self._headers)

    def followed(self, begun: httpx.Response) -> dict[str, Any]:
        """What the place says that a 202 names, once it is done."""
        assert begun.status_code == 202, begun.text
        end = time.monotonic() + 60
        while (told := self.get(begun.headers["location"]).json())["state"] == "running":
            assert time.monotonic() < end
            time.sleep(0.05)
        assert told["state"] == "done"
        return dict(told)


@pytest.fixture
def script(app: FastAPI, tokens: dict[str, str]) -> Script:
    """That of the site's administrator."""
    return Script(app, tokens["admin"])


def of_token(app: FastAPI, layout: Layout, *rights: str, domain: str = "") -> Script:
    return Script(app, Sessions(layout).add_token("alice@va.toto.fr", "some", domain, rights, 0)[1])


def test_a_check_is_begun_followed_and_mended(app: FastAPI, script: Script, layout: Layout) -> None:
    shadow = Path(layout.shadow("va.toto.fr"))
    shadow.chmod(0o666)
    assert script.get(f"{VA}/check/last").json()["state"] == "never"
    begun = script.post(f"{VA}/check")
    assert begun.headers["location"] == f"{VA}/check/last"
    busy = script.post(f"{API}/check")
    assert (busy.status_code, busy.json()["code"]) == (409, "busy")
    told = script.followed(begun)
    assert (told["problem"], told["fixes"] > 0) == ("", True)
    (place,) = [each for each in told["places"] if each["name"] == "va.toto.fr"]
    assert any(str(shadow) in each["place"] for each in place["findings"])
    would = script.post(f"{VA}/check/fixes?dry_run=true").json()
    assert f"{shadow} changed from mode 0666 to 0660" in would["effects"]
    assert (would["carried_out"], shadow.stat().st_mode & 0o777) == (False, 0o666)
    assert script.post(f"{VA}/check/fixes").json()["carried_out"] is True
    assert shadow.stat().st_mode & 0o777 == 0o660
    assert of_token(app, layout, "read", "checks").post(f"{VA}/check/fixes").status_code == 403
    assert isinstance(script.get(f"{API}/check").json(), list)


def test_a_co_administrator_checks_by_script_what_is_theirs(
    app: FastAPI, admin: Browser, tokens: dict[str, str]
) -> None:
    given = {"confirmed": "yes", "password": "alice-va", **ALL_RIGHTS}
    admin.post("/domains/va.toto.fr/admins", act="grant", principal="bob@va.toto.fr", **given)
    bob = Script(app, tokens["bob"])
    told = bob.followed(bob.post(f"{VA}/check"))
    assert ([each["name"] for each in told["places"]], told["fixes"]) == (["va.toto.fr"], 0)
    for refused in (bob.post(f"{API}/check"), bob.get(f"{API}/check/last"), bob.get(f"{API}/addresses")):
        assert (refused.status_code, refused.json()["code"]) == (403, "not-permitted")
    assert [each["domains"] for each in bob.get(f"{VA}/addresses").json()["addresses"]] == [["va.toto.fr"]]


def test_backups_are_made_put_back_and_removed(script: Script, layout: Layout) -> None:
    aliases, box = Path(layout.aliases("va.toto.fr")), Path(layout.spool, "va.toto.fr", "bob")
    before, messages = aliases.read_text(), {path.name for path in box.rglob("*,S=*")}
    assert script.post(f"{VA}/backups?dry_run=true", {"mail": True}).json()["carried_out"] is False
    assert script.get(f"{API}/backups").json()["total"] == 0
    assert script.followed(script.post(f"{VA}/backups", {"mail": True}))["problem"] == ""
    (made,) = script.get(f"{VA}/backups").json()["items"]
    assert (made["mail"], made["problem"]) == (True, "")
    aliases.write_text("postmaster: alice\n")
    for path in box.rglob("*,S=*"):
        path.unlink()
    here = f"{VA}/backups/{made['time']}"
    would = script.post(f"{here}/restore?dry_run=true", {}).json()
    assert "team@va.toto.fr" in {each["address"] for each in would["rerouted"]}
    assert any("+team:" in each for each in would["diffs"])
    assert aliases.read_text() == "postmaster: alice\n"
    done = script.post(f"{here}/restore", {})
    assert (done.status_code, done.json()["carried_out"], aliases.read_text()) == (200, True, before)
    assert script.followed(script.post(f"{here}/restore", {"mail": True}))["problem"] == ""
    assert {path.name for path in box.rglob("*,S=*")} == messages
    assert script.delete(f"{here}?dry_run=true").json()["carried_out"] is False
    assert script.delete(here).json()["carried_out"] is True
    gone = script.delete(here)
    assert (gone.status_code, gone.json()["code"]) == (404, "not-found")


def test_a_token_reaches_the_backups_of_its_domain_only(app: FastAPI, script: Script, layout: Layout) -> None:
    nightly = of_token(app, layout, "read", "backups", domain="va.toto.fr")
    assert script.post(f"{API}/domains/vb.toto.fr/backups", {}).status_code == 201
    assert nightly.post(f"{VA}/backups", {}).status_code == 201
    assert nightly.get(f"{VA}/backups").json()["total"] == 1
    assert nightly.get(f"{VA}/backups/progress").json()["state"] == "none"
    (other,) = script.get(f"{API}/backups?domain=vb.toto.fr").json()["items"]
    for refused in (
        nightly.get(f"{API}/backups"),
        nightly.get(f"{API}/backups?domain=vb.toto.fr"),
        nightly.post(f"{API}/domains/vb.toto.fr/backups", {}),
        nightly.post(f"{VA}/backups/{other['time']}/restore", {}),
        nightly.delete(f"{VA}/backups/{other['time']}"),
    ):
        assert refused.status_code in {403, 404}, refused.text
    restorer = of_token(app, layout, "restore", domain="va.toto.fr")
    assert restorer.post(f"{VA}/backups/19990101T000000/restore", {}).status_code == 404
    # The backup of a domain whose name ends in that of another, with the time of the first in front of it.
    assert script.post(f"{API}/domains", {"name": "va.toto.fr.x1"}).status_code == 201
    assert restorer.delete(f"{VA}/backups/x1.{other['time']}").status_code == 422


def test_service_addresses_are_told_and_put_up_by_the_site(script: Script) -> None:
    found = script.get(f"{API}/addresses").json()
    assert {"va.toto.fr", "vb.toto.fr"} <= {name for each in found["addresses"] for name in each["domains"]}
    there = script.post(f"{VA}/addresses")
    assert (there.status_code, there.json()["changed"]) == (200, False)
    assert script.post(f"{API}/domains", {"name": "vy.toto.fr", "addresses": ["192.0.2.77"]}).status_code == 201
    refused = script.post(f"{API}/domains/vy.toto.fr/addresses?dry_run=true")
    assert (refused.status_code, "vmaild is to put none up" in refused.text) == (409, True)
    assert script.post(f"{API}/domains/vz.toto.fr/addresses").status_code == 404
