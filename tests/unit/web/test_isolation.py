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
from tests.unit.web.conftest import ALL_RIGHTS, Browser

THERE = {"name": "vb.toto.fr", "domain": "vb.toto.fr", "login": "bob", "number": "1", "time": "20260101T000000"}
NOT_THERE = THERE | {"name": "vz.toto.fr", "domain": "vz.toto.fr"}
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
    assert len(about_a_domain(app)) > 40
    asked = {path for _, path in about_a_domain(app)}
    assert {f"/api/v1/domains/{{domain}}/{each}" for each in ("check/fixes", "addresses", "backups")} <= asked
    for _, path in routes(app):
        assert set(re.findall(r"{(\w+)}", path)) <= THERE.keys(), f"say in THERE what {path} means"


@pytest.mark.parametrize("role", ["anonymous", "owner", "co-administrator"])
def test_pages_of_another_domain(app: FastAPI, admin: Browser, role: str) -> None:
    right = {"confirmed": "yes", "password": "alice-va", **ALL_RIGHTS}
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
        right = {"confirmed": "yes", "password": "alice-va", **ALL_RIGHTS}
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
        assert answers[0][0] in {401, 404}, (method, path, answers[0])
        asked += 1
    assert asked > 15


OF_THE_RIGHTS = {
    "accounts": {("POST", "accounts"), ("PATCH", "accounts/{login}")},
    "removal": {("DELETE", "accounts/{login}")},
    "passwords": {("PUT", "accounts/{login}/password")},
    "aliases": {("PUT", "aliases/{login}"), ("DELETE", "aliases/{login}")},
    "mail": {("PUT", "accounts/{login}/vacation"), ("PUT", "accounts/{login}/forward")},
}
"""Every operation that changes something and is open to co-administrators."""
OF_THE_SITE = {"backups", "backups/progress"}
"""What they may not see even of their own domain."""


@pytest.mark.parametrize("right", OF_THE_RIGHTS)
def test_a_co_administrator_does_what_the_right_allows_and_nothing_else(
    app: FastAPI, admin: Browser, tokens: dict[str, str], right: str
) -> None:
    admin.post("/domains/va.toto.fr/new-account", login="carol", full_name="Carol", password="long enough")
    given = {"confirmed": "yes", "password": "alice-va", f"right_{right}": "yes"}
    granted = admin.post("/domains/va.toto.fr/admins", act="grant", principal="bob@va.toto.fr", **given)
    assert granted.status_code == 303
    browser = Browser(app)
    headers = {"authorization": f"Bearer {tokens['bob']}"}
    here = THERE | {"domain": "va.toto.fr", "login": "carol"}
    done = set()
    for method, path in about_a_domain(app):
        if not path.startswith("/api/"):
            continue
        what = path.removeprefix("/api/v1/domains/{domain}").removeprefix("/")
        if (method, what) == ("POST", "check"):
            continue  # whoever sees a domain may check it, which takes its time: see test_work
        body = body_for(app, method, path)
        more = {} if body is None else {"json": body}
        asked = filled(path, {**here, "login": "everyone"} if "/aliases/" in path else here)
        answer = browser.send(method, asked, headers=headers, **more)
        if method == "GET" and what not in OF_THE_SITE:
            assert answer.status_code == 200, path
        elif answer.is_success:
            done.add((method, what))
        else:
            assert (answer.status_code, answer.json()["code"]) == (403, "not-permitted"), (path, answer.text)
    assert done == OF_THE_RIGHTS[right]


def test_the_pages_show_what_the_right_allows(app: FastAPI, admin: Browser) -> None:
    given = {"confirmed": "yes", "password": "alice-va", "right_passwords": "yes"}
    admin.post("/domains/va.toto.fr/admins", act="grant", principal="bob@va.toto.fr", **given)
    bob = Browser(app)
    bob.log_in("bob@va.toto.fr", "bob-va")
    account = bob.get("/domains/va.toto.fr/accounts/bob").text
    assert 'value="password"' in account
    assert not any(f'value="{act}"' in account for act in ("save", "suspend", "remove", "vacation", "forward"))
    assert "new-account" not in bob.get("/domains/va.toto.fr").text
    assert 'value="add"' not in bob.get("/domains/va.toto.fr/aliases").text
    assert "Grant" not in bob.get("/domains/va.toto.fr/admins").text
    shown = admin.post("/domains/va.toto.fr/admins", act="grant", principal="bob@va.toto.fr")
    assert (shown.status_code, "no right is chosen" in shown.text) == (422, True)


def test_nobody_gains_rights_through_somebody_else_s_account(
    app: FastAPI, admin: Browser, tokens: dict[str, str]
) -> None:
    given = {"confirmed": "yes", "password": "alice-va", **ALL_RIGHTS}
    admin.post("/domains/va.toto.fr/admins", act="grant", principal="bob@va.toto.fr", **given)
    for principal in ("ghost@va.toto.fr", "carol@va.toto.fr"):
        admin.post("/domains/vb.toto.fr/admins", act="grant", principal=principal, **given)
    admin.post("/domains/va.toto.fr/new-account", login="carol", password="long enough", confirmed="carol")
    browser = Browser(app)
    headers = {"authorization": f"Bearer {tokens['bob']}"}
    here = "/api/v1/domains/va.toto.fr/accounts"
    password = {"password": "taken over"}
    for method, path, body in (
        ("PUT", f"{here}/alice/password", password),  # a site administrator
        ("PUT", f"{here}/carol/password", password),  # who administers another domain
        ("PATCH", f"{here}/carol", {"suspended": False}),
        ("POST", here, {"login": "ghost", **password}),  # who would, once there is such an account
        ("DELETE", f"{here}/alice", None),
    ):
        answer = browser.send(method, path, headers=headers, json=body)
        assert (answer.status_code, "administers more than you" in answer.text) == (403, True), (path, answer.text)
        assert "vb.toto.fr" not in answer.text
    assert browser.send("PUT", f"{here}/bob/password", headers=headers, json=password).status_code == 200


def test_a_token_for_reading_changes_nothing(app: FastAPI, tokens: dict[str, str]) -> None:
    browser = Browser(app)
    headers = {"authorization": f"Bearer {tokens['read']}"}
    assert browser.get("/api/v1/domains/va.toto.fr", headers=headers).status_code == 200
    for method, path in about_a_domain(app):
        if path.startswith("/api/") and method != "GET":
            answer = browser.send(
                method, filled(path, THERE), headers=headers, json=body_for(app, method, path) or {}
            )
            assert (answer.status_code, answer.json()["code"]) == (403, "not-permitted"), (method, path)


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
