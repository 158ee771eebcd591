"""Pages about the whole site: overview, check, MTA, tokens, DNS."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from fastapi import FastAPI
from tests.unit.web.conftest import ALL_RIGHTS, Browser

from vmaild.admin import live
from vmaild.admin.overview import Recorder
from vmaild.store.figures import KEPT, STEP, Figures, FiguresLog
from vmaild.store.layout import Layout
from vmaild.web.plot import nice_ceiling, plot

SITE = ("/overview", "/check", "/addresses", "/backups", "/backups/progress", "/mta", "/mta?server=127.0.0.1:1")


def test_the_site_s_pages_are_there_for_its_administrators_only(app: FastAPI, admin: Browser) -> None:
    given = {"confirmed": "yes", "password": "alice-va", **ALL_RIGHTS}
    admin.post("/domains/va.toto.fr/admins", act="grant", principal="bob@va.toto.fr", **given)
    bob, carol = Browser(app), Browser(app)
    bob.log_in("bob@va.toto.fr", "bob-va")
    carol.log_in("bob@vb.toto.fr", "bob-vb")
    for path in SITE:
        assert admin.get(path).status_code == 200, path
        assert {bob.get(path).status_code, carol.get(path).status_code} == {404}, path
    assert (bob.get("/tokens").status_code, carol.get("/tokens").status_code) == (200, 404)


def test_figures_become_plots(admin: Browser, layout: Layout) -> None:
    log, now = FiguresLog(layout), int(time.time())
    log.add(now - 7200, Figures(delivered=40, rejected=2, logins=9, failed_logins=1))
    log.add(now - 7200, Figures(delivered=2))
    log.add(now - 40 * 3600, Figures(delivered=1000))
    page = admin.get("/overview").text
    assert "<strong>42</strong> delivered" in page
    assert "<strong>9</strong> logins" in page
    assert page.count('<svg class="plot"') == 2
    assert "<strong>1042</strong> delivered" in admin.get("/overview?hours=168").text
    assert "<strong>0</strong> delivered" in admin.get("/overview?hours=1").text
    box = Path(layout.spool, "va.toto.fr", "bob")
    assert ("bob@va.toto.fr</span><meter" in page) is any((box / "new").iterdir())


def test_old_figures_go_and_a_server_that_began_anew_loses_none(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, now = FiguresLog(layout), 1_000_000_000
    log.add(now - KEPT - 2 * STEP, Figures(1))
    log.add(now, Figures(2))
    assert list(log.since(0)) == [now - now % STEP]
    totals = {"deliveries_delivered": 7, "logins_good": 3}
    told = {"version": "0", "time": 0.0, "started": 5.0, "totals": totals, "sessions": []}
    monkeypatch.setattr(live, "read_document", lambda root: told)
    recorder = Recorder(layout)
    recorder.look(now)  # who was here before has written that down
    assert log.since(0)[now - now % STEP] == Figures(2)
    totals["deliveries_delivered"] = 10
    recorder.look(now)
    assert log.since(0)[now - now % STEP] == Figures(5)
    told["started"] = 6.0
    totals.update(deliveries_delivered=11, logins_good=1)
    recorder.look(now)
    assert log.since(0)[now - now % STEP] == Figures(16, logins=1)


def test_a_plot_shows_every_value_to_scale() -> None:
    points = [{"at": number * 300, "a": number, "b": 10 - number} for number in range(11)]
    drawn = plot("Mail & more", points, {"a": "good", "b": "bad"}, 300)
    assert "<title>Mail &amp; more</title>" in drawn
    heights = [float(height) for height in re.findall(r'class="s0".*?height="([\d.]+)"', drawn)]
    assert len(heights) == 10
    assert heights[9] == pytest.approx(10 * heights[0], rel=0.01)
    assert "<rect" not in plot("x", [{"at": 0, "a": 0}], {"a": "a"}, 300)
    assert plot("x", [], {"a": "a"}, 300).startswith("<svg")
    assert [nice_ceiling(most) for most in (0, 1, 2, 3, 7, 11, 21, 99, 101, 5001)] == [
        1, 1, 2, 5, 10, 20, 50, 100, 200, 10000,
    ]  # fmt: skip


def test_a_token_is_made_shown_once_and_taken_back(app: FastAPI, admin: Browser) -> None:
    refused = admin.post("/tokens", act="add", name="shop", password="guessed")
    assert "wrong login or password" in refused.text
    fields = {"domain": "va.toto.fr", "days": "3", "right_read": "yes"}
    made = admin.post("/tokens", act="add", name="shop", password="alice-va", **fields).text
    secret = re.search(r">(vmail_[\w-]+)<", made)
    assert secret is not None
    headers = {"authorization": f"Bearer {secret[1]}"}
    script = Browser(app)
    assert script.get("/api/v1/domains/va.toto.fr", headers=headers).status_code == 200
    assert script.get("/api/v1/domains/vb.toto.fr", headers=headers).status_code == 404
    page = admin.get("/tokens").text
    assert secret[1] not in page
    number = page.partition('name="number" value="')[2].partition('"')[0]
    assert admin.post("/tokens", act="revoke", number=number).status_code == 303
    assert script.get("/api/v1/domains/va.toto.fr", headers=headers).status_code == 401


def test_dns_records_are_shown_and_written_after_a_look(admin: Browser, layout: Layout) -> None:
    here = "/domains/va.toto.fr/dns"
    page = admin.get(here).text
    assert "mailhost.va.toto.fr" in page
    assert "MX" in page
    folder = Path(layout.path("/etc/bind"))
    folder.mkdir(parents=True)
    zone = folder / "db.toto.fr"
    zone.write_text(
        "$TTL 3600\n@ IN SOA ns1.toto.fr. root.toto.fr. 1 7200 3600 1209600 3600\n@ IN NS ns1\nns1 A 192.0.2.1\n"
    )
    (folder / "named.conf").write_text('zone "toto.fr" { type master; file "/etc/bind/db.toto.fr"; };\n')
    before = zone.read_text()
    shown = admin.post(here)
    assert (shown.status_code, zone.read_text()) == (200, before), shown.text
    assert "+va" in shown.text.replace("&#43;", "+")
    done = admin.post(here, confirmed="yes")
    assert done.status_code == 303
    assert "mailhost.va" in zone.read_text()


def test_without_a_name_server_that_takes_updates_there_is_no_button_for_it(app: FastAPI, admin: Browser) -> None:
    here = "/domains/va.toto.fr/dns"
    assert 'value="update"' not in admin.get(here).text
    told = admin.post(here, act="update")
    assert (told.status_code, "no name server takes updates" in told.text) == (409, True)


def test_addresses_are_shown_and_what_cannot_be_put_up_is_told(admin: Browser, layout: Layout) -> None:
    page = admin.get("/addresses").text
    assert page.count(">up</span>") >= 3  # on loopback they always are
    assert 'href="/domains/vb.toto.fr"' in page
    assert "There is none" in page
    site = Path(layout.site)
    site.write_text(site.read_text() + '\n[addresses]\npool = ["192.0.2.8/29"]\n')
    shown = admin.post("/addresses", act="all")
    assert (shown.status_code, shown.headers["location"]) == (303, "/addresses")
    assert "Nothing%20to%20change" in shown.headers["set-cookie"]
    Path(layout.definition("vx.example")).write_text('addresses = ["192.0.2.9"]\n')
    page = admin.get("/addresses").text
    assert 'name="domain" value="vx.example"' in page
    refused = admin.post("/addresses", domain="vx.example")
    assert (refused.status_code, "192.0.2.9 is not up, and vmaild is to put none up" in refused.text) == (
        409,
        True,
    )
    refused = admin.post("/addresses", domain="nowhere.example")
    assert refused.status_code == 404


def test_the_mta_is_asked(admin: Browser) -> None:
    assert "is not a host and a port" in admin.get("/mta?server=nonsense").text.replace("&#39;", "'")
    assert "Connection refused" in admin.get("/mta?server=127.0.0.1:1").text


def test_how_many_domains_the_mta_was_not_asked_about_is_told(admin: Browser, layout: Layout) -> None:
    here = "/mta?server=127.0.0.1:1"
    assert "left out" not in admin.get(here).text
    for number in range(20):
        Path(layout.definition(f"d{number}.example")).touch()
    page, there = admin.get(here).text, len(list(Path(layout.definitions).glob("*.toml")))
    assert f"left out, as you wait for the answer: <strong>{there - 20}</strong>" in page
    assert "<code>vmail mta check --server 127.0.0.1:1</code>" in page
