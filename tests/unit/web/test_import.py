"""A list of accounts on the web: a file or pasted, looked at, carried out."""

from __future__ import annotations

import time
from pathlib import Path

from fastapi import FastAPI
from tests.unit.web.conftest import ALL_RIGHTS, Browser
from tests.unit.web.test_second_factor import send

from vmaild.store.layout import Layout

HERE = "/domains/va.toto.fr/import"
LIST = "login,full_name,password\nann,Ann <b>Né</b>,purple walrus\nbob,Bob,purple walrus\njoe,Joe,\n"


def wait(browser: Browser, page: str) -> str:
    for _ in range(300):
        if browser.get(f"{page}/progress").json()["state"] == "done":
            return browser.get(page).text
        time.sleep(0.05)
    raise AssertionError("the import does not end")


def test_a_list_is_shown_whole_before_anything_changes(admin: Browser, layout: Layout) -> None:
    before = Path(layout.passwd("va.toto.fr")).read_bytes()
    seen = admin.post(HERE, text=LIST).headers["location"]
    page = admin.get(seen).text
    assert "<strong>2 / 3</strong>" in page
    assert "exists already" in page
    assert "Ann &lt;b&gt;Né&lt;/b&gt;" in page
    assert "purple walrus" not in page
    assert Path(layout.passwd("va.toto.fr")).read_bytes() == before
    assert send(admin, page, seen).headers["location"] == seen
    assert "<strong>2</strong>" in wait(admin, seen)
    assert send(admin, page, seen).status_code == 303, "sent twice, done once"
    assert Path(layout.passwd("va.toto.fr")).read_text().count("\nann:") == 1
    assert admin.get("/domains/va.toto.fr/accounts/joe").status_code == 200


def test_a_file_is_taken_as_well(admin: Browser) -> None:
    form = admin.get(HERE).text.partition('name="form" value="')[2].partition('"')[0]
    for content, status in (("\ufeffidentifiant;nom\néva;É\n".encode(), 303), (b"login\n\xe9va\n", 422)):
        answer = admin.send("POST", HERE, data={"form": form}, files={"file": ("staff.csv", content, "text/csv")})
        assert answer.status_code == status, answer.text
    assert "save the list as &#39;CSV UTF-8&#39;" in answer.text
    assert admin.post(HERE, text="name\nx\n").status_code == 422
    large = f"login,full_name\neva,{'x' * (3 << 20)}\n"  # pasted, in a form that may send a file as well
    answer = admin.send("POST", HERE, data={"form": form, "text": large}, files={"file": ("", b"")})
    assert (answer.status_code, "field larger than field limit" in answer.text) == (422, True)


def test_an_import_is_its_owner_s_only(app: FastAPI, admin: Browser) -> None:
    given = {"confirmed": "yes", "password": "alice-va", **ALL_RIGHTS}
    admin.post("/domains/va.toto.fr/admins", act="grant", principal="bob@va.toto.fr", **given)
    seen = admin.post(HERE, text=LIST).headers["location"]
    bob = Browser(app)
    bob.log_in("bob@va.toto.fr", "bob-va")
    for path in (seen, f"{seen}/progress", f"{HERE}/nothing", seen.replace("va.", "vb.")):
        assert bob.get(path).status_code == 404, path
    assert bob.post(seen, HERE).status_code == 404
    assert admin.get(seen.replace("va.", "vb.")).status_code == 404
    assert "<strong>2 / 3</strong>" in admin.get(seen).text
