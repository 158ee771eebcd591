"""What a stranger may send: too much, in strange ways, with strange names; and what is said then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI
from tests.unit.web.conftest import Browser
from tests.unit.web.test_isolation import routes

from vmaild.web.app import HEADERS, create_app
from vmaild.web.bounds import MAX_OF_PAGES, MAX_OF_SCRIPTS

FRENCH = {"accept-language": "fr"}


@pytest.mark.parametrize("path", ["/login", "/", "/static/style.css", "/api/v1/openapi.json", "/nothing"])
def test_head_is_get_without_the_content(browser: Browser, path: str) -> None:
    head, get = browser.send("HEAD", path), browser.send("GET", path)
    assert head.status_code == get.status_code
    assert head.headers["content-type" if get.content else "location"]
    assert head.content == b""


@pytest.mark.parametrize(
    ("path", "most"),
    [
        ("/api/v1/domains", MAX_OF_SCRIPTS),
        ("/autodiscover/autodiscover.xml", MAX_OF_SCRIPTS),
        ("/login", MAX_OF_PAGES),
    ],
)
@pytest.mark.parametrize("told", [True, False])
def test_a_body_without_end_is_not_read(browser: Browser, path: str, most: int, told: bool) -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while read < 16 * most:
            read += 65536
            yield b"x" * 65536

    headers = {"content-type": "application/json"} | ({"content-length": str(most * 16)} if told else {})
    answer = browser.send("POST", path, content=endless(), headers=headers)
    assert answer.status_code == 413
    assert read <= most + 2 * 65536


def test_errors_are_pages_in_the_language_of_who_sees_them(browser: Browser) -> None:
    browser.get("/login")
    broken = {"content-type": "multipart/form-data; boundary=a"}
    for answer, status, words in (
        (browser.get("/nothing", headers=FRENCH), 404, "n’existe pas"),
        (browser.send("PUT", "/login", headers=FRENCH), 405, "ne peut pas être demandée ainsi"),
        (browser.send("POST", "/login", content=b"x", headers=FRENCH | broken), 400, "incompréhensible"),
    ):
        assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")
        assert words in answer.text
        assert 'href="/"' in answer.text
        assert set(HEADERS.items()) <= {(key.title(), value) for key, value in answer.headers.items()} | {
            (key, answer.headers[key]) for key in HEADERS
        }
    assert "GET" in browser.send("PUT", "/login").headers["allow"]


def test_what_nobody_foresaw_is_a_page_as_well_and_tells_nothing() -> None:
    async def broken(request: object) -> dict[str, object]:
        raise RuntimeError("a secret")

    transport = httpx.ASGITransport(create_app(broken), raise_app_exceptions=False)

    async def ask(path: str) -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.get(path, headers=FRENCH | {"authorization": "Bearer x"})

    page, script = asyncio.run(ask("/login")), asyncio.run(ask("/api/v1/domains"))
    assert (page.status_code, page.headers["content-type"]) == (500, "text/html; charset=utf-8")
    assert "impossible pour le moment" in page.text
    assert page.headers["content-security-policy"] == HEADERS["Content-Security-Policy"]
    assert (script.status_code, script.headers["content-type"]) == (500, "application/problem+json")
    assert "secret" not in page.text + script.text


@pytest.mark.parametrize("name", ["[", "[::1", "x@y", "[::1]:a", "http://[", "a b"])
def test_a_strange_host_or_origin_is_nobody_s(browser: Browser, name: str) -> None:
    page = browser.get("/login", headers={"host": name})
    assert (page.status_code, "<small>" in page.text) == (200, False)
    token = page.text.partition('name="form" value="')[2].partition('"')[0]
    sent = {"form": token, "login": "bob@va.toto.fr", "password": "bob-va"}
    assert browser.send("POST", "/login", data=sent, headers={"origin": name}).status_code == 403


def test_no_answer_to_a_form_is_a_dead_end(app: FastAPI, admin: Browser) -> None:
    """It may be loaded again, and a language may be chosen there."""
    paths: dict[str, set[str]] = {}
    for method, path in routes(app):
        if "{" not in path and not path.startswith("/api/"):
            paths.setdefault(path, set()).add(method)
    for path, methods in paths.items():
        if "POST" in methods and "autodiscover" not in path.lower() and path != "/strength":
            assert admin.get(path).status_code in {200, 303}, path


def test_choosing_a_language_comes_back_to_the_same_question(admin: Browser) -> None:
    page = "/explain?address=bob%40va.toto.fr"
    shown = admin.get(page).text
    assert f'name="back" value="{page}"' in shown
    assert admin.post("/language", page, language="fr", back=page).headers["location"] == page
    for elsewhere in ("//evil.example/", "/\\evil.example", "https://evil.example/", "/\t/evil.example"):
        back = admin.post("/language", "/login", language="fr", back=elsewhere).headers["location"]
        assert back.startswith("/"), back
        assert back[1:2] not in {"/", "\\", "\t"}, back
