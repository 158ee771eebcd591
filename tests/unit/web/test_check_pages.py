"""The check on the web: it runs apart, is watched, is kept, and what can be mended is shown before it is."""

from __future__ import annotations

import json
import re
import shlex
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fastapi import FastAPI
from tests.unit.web.conftest import ALL_RIGHTS, Browser

from vmaild.admin.actor import unix_actor
from vmaild.admin.door import Door
from vmaild.diagnose.rounds import Rounds
from vmaild.store.layout import Layout
from vmaild.store.site import load_site

PATIENCE = 60.0


def checked(browser: Browser, path: str) -> str:
    """Start a check, wait for its end, and return the page."""
    started = browser.post(path, act="start")
    assert (started.status_code, started.headers["location"]) == (303, path), started.text
    end = time.monotonic() + PATIENCE
    while browser.get(f"{path}/progress").json()["state"] == "running":
        assert time.monotonic() < end
        time.sleep(0.1)
    return browser.get(path).text


def shut(layout: Layout, domain: str) -> Path:
    """Have a fault of a domain that can be mended, and return the file."""
    path = Path(layout.shadow(domain))
    path.chmod(0o666)
    return path


def test_all_domains_are_checked_apart_and_the_result_is_kept(admin: Browser, layout: Layout) -> None:
    before = admin.get("/check").text
    assert "were not asked yet" in before
    assert "pop3." not in before
    shut(layout, "vb.toto.fr")
    page = checked(admin, "/check")
    assert "Looked at:" in page
    assert '<a href="/domains/va.toto.fr/check">va.toto.fr</a>' in page
    codes = set(re.findall(r"<code>([a-z0-9]+\.[a-z0-9_]+)</code>", page))
    assert any(code.startswith(("pop3.", "server.")) for code in codes), codes
    assert "everybody on this machine may use this file" in page
    assert admin.get("/check").text.count("<code>") == page.count("<code>"), "it is kept"
    assert "Looked at" not in Browser(admin.app).get("/check").text
    of_one = admin.get("/domains/vb.toto.fr/check").text
    assert "were looked at" in of_one, "the check of all tells of each"
    assert "va.toto.fr/check" not in of_one


def test_a_running_check_is_shown_as_that_and_is_not_started_twice(admin: Browser) -> None:
    admin.post("/check", act="start")
    page = admin.get("/check").text
    assert 'data-progress="/check/progress"' in page
    assert '<noscript><meta http-equiv="refresh" content="2"></noscript>' in page
    assert 'value="start"' not in page
    assert admin.post("/check", act="start").status_code == 303
    refused = admin.post("/domains/va.toto.fr/check", act="start")
    assert (refused.status_code, "another check is still running" in refused.text) == (409, True)


def test_what_can_be_mended_is_shown_and_then_done_with_the_password(admin: Browser, layout: Layout) -> None:
    shadow = shut(layout, "va.toto.fr")
    here = "/domains/va.toto.fr/check"
    assert "vmaild can mend it" in admin.get(here).text
    shown = admin.post(here, act="fix").text
    assert f"{shadow} changed from mode 0666 to 0660" in shown
    assert shadow.stat().st_mode & 0o777 == 0o666
    wrong = admin.post(here, act="fix", confirmed="yes", password="guessed")
    assert "wrong login or password" in wrong.text
    assert shadow.stat().st_mode & 0o777 == 0o666
    done = admin.post(here, act="fix", confirmed="yes", password="alice-va")
    assert (done.status_code, shadow.stat().st_mode & 0o777) == (303, 0o660)
    assert admin.get(f"{here}/progress").json()["state"] in {"running", "done"}, "it is checked again"
    assert "vmaild can mend it" not in admin.get(here).text


def test_a_co_administrator_checks_their_own_domain_and_mends_nothing(
    app: FastAPI, admin: Browser, layout: Layout
) -> None:
    given = {"confirmed": "yes", "password": "alice-va", **ALL_RIGHTS}
    admin.post("/domains/va.toto.fr/admins", act="grant", principal="bob@va.toto.fr", **given)
    bob, shadow = Browser(app), shut(layout, "va.toto.fr")
    shut(layout, "vb.toto.fr")
    bob.log_in("bob@va.toto.fr", "bob-va")
    page = checked(bob, "/domains/va.toto.fr/check")
    assert "were looked at" in page
    assert str(shadow) in page
    assert "This machine" not in page
    assert not re.search(r"v[bcd]\.toto\.fr", page), "no other domain is told"
    assert 'value="fix"' not in page
    refused = bob.post("/domains/va.toto.fr/check", act="fix", confirmed="yes", password="bob-va")
    assert refused.status_code == 403
    assert shadow.stat().st_mode & 0o777 == 0o666
    for path in ("/check", "/check/progress"):
        assert bob.get(path).status_code == 404


def test_a_check_that_takes_too_long_is_ended_and_says_so(layout: Layout) -> None:
    site = load_site(layout)[0]
    door, rounds = Door(layout, site, unix_actor(layout, site)), Rounds(limit_of_all=0.05)
    rounds.start(door, {})
    end = time.monotonic() + PATIENCE
    while rounds.progress(door, {})["state"] == "running":
        assert time.monotonic() < end
        time.sleep(0.02)
    told = rounds.show(door, {})
    assert "took too long" in told["problem"]
    assert "vmail check" in told["remedy"]


@pytest.mark.parametrize("domain", ["", "va.toto.fr"])
def test_what_vmail_check_finds_is_what_the_web_finds(layout: Layout, domain: str) -> None:
    from vmaild.admin.checks import file_findings
    from vmaild.diagnose.checkup import Extent
    from vmaild.diagnose.doctor import examined

    site = load_site(layout)[0]
    door, rounds = Door(layout, site, unix_actor(layout, site)), Rounds()
    files = file_findings(door, domain or None)
    names = [name for name in files if name]
    found = examined(door, names, Extent())
    rounds.start(door, {"domain": domain})
    while rounds.progress(door, {"domain": domain})["state"] == "running":
        time.sleep(0.05)
    told = rounds.show(door, {"domain": domain})
    assert told["problem"] == ""
    told_codes = {(place["name"], each["problem"]) for place in told["places"] for each in place["findings"]}
    wanted = {(name, each.problem) for name, some in files.items() for each in some}
    assert told_codes == wanted | {(name, each.seen) for name, some in found.items() for each in some}


def test_a_check_ends_when_nobody_listens_any_more(layout: Layout) -> None:
    # A resolver that never answers lets it wait for long.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        Path(layout.site).write_text(f'[dns]\nresolver = "127.0.0.1:{silent.getsockname()[1]}"\n')
        wanted = {"root": layout.root, "principal": "unix:root", "site_admin": True, "domain": ""}
        command = (
            f"{shlex.quote(sys.executable)} -P -m vmaild.diagnose.apart <{layout.root}/wanted & echo $!; read x"
        )
        Path(layout.root, "wanted").write_text(json.dumps(wanted))
        with subprocess.Popen(["sh", "-c", command], stdin=-1, stdout=-1, text=True) as shell:
            assert shell.stdout is not None
            number = int(shell.stdout.readline())
            assert "total" in json.loads(shell.stdout.readline())
            silent.settimeout(PATIENCE)
            silent.recv(512)  # it asks, and waits
            shell.kill()
        end = time.monotonic() + PATIENCE
        while Path(f"/proc/{number}").exists() and "zombie" not in Path(f"/proc/{number}/status").read_text():
            assert time.monotonic() < end
            time.sleep(0.05)
