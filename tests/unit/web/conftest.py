"""The application with a desk in the same process, on a demo of the test's own."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from vmaild.admin.desk import Desk, Request
from vmaild.admin.setup import lay_out
from vmaild.auth.throttle import Slots
from vmaild.servers.keeper import make_desk
from vmaild.store.layout import Layout
from vmaild.store.site import load_site
from vmaild.web.app import create_app

ALL_RIGHTS = {f"right_{name}": "yes" for name in ("accounts", "removal", "passwords", "aliases", "mail")}
"""As the form for a new co-administrator has them."""
HOSTS = {"va.toto.fr": "mailhost.va.toto.fr", "vb.toto.fr": "mailhost.vb.toto.fr"}


@pytest.fixture(scope="session")
def _web_demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("web") / "root"
    lay_out(Layout(str(path)), demo=True)
    return path


@pytest.fixture
def layout(_web_demo: Path, tmp_path: Path) -> Layout:
    import shutil

    shutil.copytree(_web_demo, tmp_path / "root")
    return Layout(str(tmp_path / "root"))


@pytest.fixture
def desk(layout: Layout) -> Desk:
    return make_desk(layout, load_site(layout)[0], Slots.create())


@pytest.fixture
def app(desk: Desk) -> FastAPI:
    return app_of(desk)


def app_of(desk: Desk, key: bytes = b"") -> FastAPI:
    """The application in front of a desk."""

    async def ask(request: dict[str, Any]) -> dict[str, Any]:
        return await asyncio.to_thread(desk.answer, Request(**request))

    return create_app(ask, key=key, proxies=("127.0.0.1",))


class Browser:
    """A browser without a screen: cookies, and forms that are sent as they were shown."""

    def __init__(self, app: FastAPI, host: str = "localhost", client: str = "198.51.100.7") -> None:
        self.app = app
        self._transport = httpx.ASGITransport(app, client=(client, 1), raise_app_exceptions=True)
        self.cookies = httpx.Cookies()
        self.host = host

    def send(self, method: str, path: str, **more: Any) -> httpx.Response:
        async def go() -> httpx.Response:
            base = f"http://{self.host}"
            async with httpx.AsyncClient(transport=self._transport, base_url=base, cookies=self.cookies) as client:
                answer = await client.request(method, path, **more)
                self.cookies = client.cookies
                return answer

        return asyncio.run(go())

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.send("GET", path, **more)

    def post(self, path: str, _page: str = "", **fields: str) -> httpx.Response:
        """Send the form that the page at `path` (or `_page`) shows."""
        shown = self.get(_page or path)
        token = re.search(r'name="form" value="([0-9a-f]+)"', shown.text)
        assert token is not None, shown.text
        return self.send("POST", path, data={"form": token[1], **fields})

    def log_in(self, login: str, password: str) -> httpx.Response:
        return self.post("/login", login=login, password=password)


@pytest.fixture
def browser(app: FastAPI) -> Browser:
    return Browser(app)


@pytest.fixture
def admin(app: FastAPI) -> Browser:
    """The site's administrator."""
    browser = Browser(app)
    assert browser.log_in("alice@va.toto.fr", "alice-va").status_code == 303
    return browser


@pytest.fixture
def tokens(desk: Desk, layout: Layout) -> dict[str, str]:
    from vmaild.store.sessions import Sessions

    sessions = Sessions(layout)
    return {
        "admin": sessions.add_token("alice@va.toto.fr", "all", "", (), 0)[1],
        "bob": sessions.add_token("bob@va.toto.fr", "mine", "", (), 0)[1],
        "only va": sessions.add_token("alice@va.toto.fr", "one domain", "va.toto.fr", (), 0)[1],
        "read": sessions.add_token("alice@va.toto.fr", "reader", "", ("read",), 0)[1],
    }
