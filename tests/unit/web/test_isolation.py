"""Every route and every operation of the API, asked by every role with names of another domain.

No success, and no difference that tells whether the thing exists. The routes are those that the application has: a
new one is covered by itself, or fails here when its parameters are not known.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from tests.unit.web.conftest import Browser

THERE = {"name": "vb.toto.fr", "domain": "vb.toto.fr", "login": "bob", "number": "1"}
NOT_THERE = {"name": "vz.toto.fr", "domain": "vz.toto.fr", "login": "bob", "number": "1"}
BODIES: dict[str, Any] = {
    "mail_host": "x.example",
    "login": "new",
    "full_name": "x",
    "password": "long enough",
    "targets": ["bob"],
    "text": "x",
    "principal": "bob@va.toto.fr",
}
PUBLIC = {"/", "/login", "/logout", "/language", "/password", "/htmlmod:userpass:", "/strength", "/static/{name}"}


def routes(app: FastAPI) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []

    def walk(entries: Any, prefix: str = "") -> None:
        for route in entries:
            if isinstance(route, APIRoute):
                found.extend((method, prefix + route.path) for method in sorted(route.methods or ()))
            elif hasattr(route, "original_router"):
                walk(route.original_router.routes, prefix)

    walk(app.routes)
    return found


def about_a_domain(app: FastAPI) -> list[tuple[str, str]]:
    return [
        (method, path)
        for method, path in routes(app)
        if re.search(r"{(name|domain)}", path) and path not in PUBLIC
    ]


def filled(path: str, values: dict[str, str]) -> str:
    return re.sub(r"{(\w+)}", lambda name: values[name[1]], path)


def body_for(app: FastAPI, method: str, path: str) -> Any:
    """A body that the operation would take, made from its description."""
    operation = app.openapi()["paths"][path][method.lower()]
    if "requestBody" not in operation:
        return None
    reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    schema = app.openapi()["components"]["schemas"][reference]
    return {name: BODIES[name] for name in schema["properties"] if name in BODIES}


def told(answer: Any, domain: str) -> tuple[int, str, list[str]]:
    """What an answer tells: the name that was asked for is no news."""
    headers = sorted(name for name in answer.headers if name not in {"date", "content-length", "set-cookie"})
    text = answer.text.replace(domain, "DOMAIN")
    return answer.status_code, re.sub(r'name="form" value="\w+"', "", text), headers


def test_there_is_something_to_ask(app: FastAPI) -> None:
    assert len(about_a_domain(app)) > 30
    for _, path in routes(app):
        assert set(re.findall(r"{(\w+)}", path)) <= THERE.keys(), f"say in THERE what {path} means"


@pytest.mark.parametrize("role", ["anonymous", "owner", "co-administrator"])
def test_pages_of_another_domain(app: FastAPI, admin: Browser, role: str) -> None:
    right = {"confirmed": "yes", "password": "alice-va"}
    if role == "co-administrator":
        admin.post("/domains/va.toto.fr/admins", act="grant", principal="bob@va.toto.fr", **right)
    browser = Browser(app)
    if role != "anonymous":
        browser.log_in("bob@va.toto.fr", "bob-va")
    token = re.search(r'name="form" value="([0-9a-f]+)"', browser.get("/password").text)
    assert token is not None
    for method, path in about_a_domain(app):
        if path.startswith("/api/"):
            continue
        answers = []
        for values in (THERE, NOT_THERE):
            more = (
                {}
                if method == "GET"
                else {"data": {"form": token[1], "act": "save", "alias": "x", "targets": "y"}}
            )
            answers.append(told(browser.send(method, filled(path, values), **more), values["name"]))
        assert answers[0] == answers[1], (method, path)
        assert answers[0][0] in {303, 404}, (method, path)
    for address in ("bob@vb.toto.fr", "bob@vz.toto.fr"):
        page = browser.get(f"/explain?address={address}")
        assert "mailbox" not in page.text


@pytest.mark.parametrize("role", ["none", "forged", "bob", "co-administrator", "only va"])
def test_operations_on_another_domain(app: FastAPI, admin: Browser, tokens: dict[str, str], role: str) -> None:
    if role == "co-administrator":
        right = {"confirmed": "yes", "password": "alice-va"}
        admin.post("/domains/va.toto.fr/admins", act="grant", principal="bob@va.toto.fr", **right)
    secret = {"forged": "vmail_" + "x" * 43, "co-administrator": tokens["bob"]}.get(role) or tokens.get(role)
    browser = Browser(app)
    headers = {"authorization": f"Bearer {secret}"} if secret else {}
    asked = 0
    for method, path in about_a_domain(app):
        if not path.startswith("/api/"):
            continue
        answers = []
        for values in (THERE, NOT_THERE):
            body = body_for(app, method, path)
            more = {} if body is None else {"json": body}
            answer = browser.send(method, filled(path, values), headers=headers, **more)
            answers.append(told(answer, values["domain"]))
        assert answers[0] == answers[1], (method, path)
        assert answers[0][0] in {401, 404, 409}, (method, path, answers[0])
        asked += 1
    assert asked > 15


def test_a_token_for_reading_changes_nothing(app: FastAPI, tokens: dict[str, str]) -> None:
    browser = Browser(app)
    headers = {"authorization": f"Bearer {tokens['read']}"}
    assert browser.get("/api/v1/domains/va.toto.fr", headers=headers).status_code == 200
    for method, path in about_a_domain(app):
        if path.startswith("/api/") and method != "GET":
            answer = browser.send(
                method, filled(path, THERE), headers=headers, json=body_for(app, method, path) or {}
            )
            assert answer.status_code == 409, (method, path)


def test_an_administrator_s_token_does_all(app: FastAPI, tokens: dict[str, str]) -> None:
    browser = Browser(app)
    headers = {"authorization": f"Bearer {tokens['admin']}"}
    answer = browser.send("POST", "/api/v1/domains", headers=headers, json={"name": "api.example", "quota": "1M"})
    assert (answer.status_code, answer.json()["carried_out"]) == (201, True)
    here = "/api/v1/domains/api.example"
    new = {"login": "ann", "password": "long enough"}
    answer = browser.send("POST", f"{here}/accounts?dry_run=true", headers=headers, json=new)
    assert (answer.json()["changed"], answer.json()["carried_out"]) == (True, False)
    assert browser.send("POST", f"{here}/accounts", headers=headers, json=new).status_code == 201
    assert browser.send("POST", f"{here}/accounts", headers=headers, json=new).status_code == 409
    answer = browser.send("PUT", f"{here}/aliases/all", headers=headers, json={"targets": ["ann"]})
    assert answer.json()["rerouted"][0]["address"] == "all@api.example"
    assert browser.get("/api/v1/explain?address=all@api.example", headers=headers).json()["accepted"] is True
    assert browser.get(f"{here}/accounts", headers=headers).json()["total"] == 1
    assert browser.send("DELETE", f"{here}/accounts/ann", headers=headers).status_code == 200
    assert browser.get(f"{here}/audit", headers=headers).json()[0]["verb"] == "user remove"
    problem = browser.get(f"{here}/accounts/nobody", headers=headers)
    assert problem.headers["content-type"] == "application/problem+json"
    assert problem.json()["remedy"]
