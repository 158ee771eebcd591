"""How long pages take: the served web application, asked over loopback with the cookie of an administrator.

Every kind of page, again and again, on one connection: median and 95th percentile of the time until its last
octet; and changes, each with the first page after it, which has to see it. `first` is the very first page after
the start, for which everything has to be read.
"""

from __future__ import annotations

import http.client
import re
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

from bench import machine, roots
from bench.report import Measured, Report
from bench.served import Server

from vmaild.admin.actor import unix_actor
from vmaild.admin.door import Door
from vmaild.admin.tokens import add_token
from vmaild.store.layout import Layout
from vmaild.store.site import load_site

WHOLE, QUICK = ((1, 1_000), (1, 100_000), (1_000, 100)), ((1, 1_000), (10, 100))
"""(domains, accounts in each)."""
ROUNDS, CHANGES = 40, 15
CHANGED = "u000001"
"""Not who administers: a new password signs out."""


class Browser:
    """A connection to the web application, signed in."""

    def __init__(self, server: Server, login: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", server.web, timeout=120)
        self._cookies: dict[str, str] = {}
        self.token = ""
        """Proves that a form is one of theirs."""
        for _ in range(2):  # it belongs to the cookies: before and after signing in
            self.get("/login")
            self.post("/login", login=login, password=roots.PASSWORD)
        self.get("/account")

    def get(self, path: str, **headers: str) -> bytes:
        """A page. Raises RuntimeError where there is none."""
        return self._send("GET", path, 200, None, headers)

    def post(self, path: str, **fields: str) -> bytes:
        """Send a form, which has to succeed."""
        body = urlencode({"form": self.token, **fields})
        return self._send("POST", path, 303, body, {"content-type": "application/x-www-form-urlencoded"})

    def _send(self, method: str, path: str, wanted: int, body: str | None, headers: dict[str, str]) -> bytes:
        cookies = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        try:
            self._connection.request(method, path, body, {"cookie": cookies, **headers})
            answer = self._connection.getresponse()
        except http.client.RemoteDisconnected:  # it was idle for some seconds
            self._connection.request(method, path, body, {"cookie": cookies, **headers})
            answer = self._connection.getresponse()
        text = answer.read()
        if answer.status != wanted:
            raise RuntimeError(f"{method} {path}: {answer.status} {text.decode()[-2000:]}")
        for value in answer.headers.get_all("set-cookie") or ():
            name, _, rest = value.partition("=")
            self._cookies[name] = rest.partition(";")[0]
        found = re.search(rb'name="form" value="([0-9a-f]+)"', text)
        self.token = found[1].decode() if found else self.token
        return text


def measure(*, quick: bool, folder: Path | None, say: Callable[[str], None]) -> Report:
    """Everything, in a temporary folder of `folder`, which is removed again."""
    report = Report("web", "The web", machine.description())
    for domains, accounts in QUICK if quick else WHOLE:
        say(f"pages: {domains:,} domains of {accounts:,} accounts")
        dimension = "accounts in one domain" if domains == 1 else f"domains of {accounts} accounts"
        with _root(folder, domains, accounts) as root, Server(root, web=_administrator(domains)) as server:
            report.add(dimension, domains if domains > 1 else accounts, _measured(root, server, domains))
    return report


def _measured(root: Layout, server: Server, domains: int) -> Iterator[Measured]:
    domain = roots.domain(domains // 2)
    pages = _pages(root, domain)
    browser = Browser(server, _administrator(domains))
    yield Measured("accounts, first", _timed(lambda: browser.get(pages["accounts"][0])), "s")
    for name, (path, headers) in pages.items():
        browser.get(path, **headers)
        yield from _several(server, name, [lambda: browser.get(path, **headers)] * ROUNDS)  # noqa: B023  done here
    for name, (path, fields) in _changes(domain).items():
        changes = [lambda n=n: browser.post(path, **_numbered(fields, n)) for n in range(CHANGES)]  # noqa: B023
        yield from _several(server, name, changes)
        times = []
        for number in range(CHANGES, 2 * CHANGES):
            browser.post(path, **_numbered(fields, number))
            times.append(_timed(lambda: browser.get(pages["accounts"][0])))
        yield Measured(f"{name}: the first page after it", statistics.median(times), "s")


def _several(server: Server, name: str, acts: Sequence[Callable[[], object]]) -> Iterator[Measured]:
    """Median and 95th percentile of what is done one after the other."""
    used = server.cpu()
    times = [_timed(act) for act in acts]
    yield Measured(name, statistics.median(times), "s", (server.cpu() - used) / len(acts))
    yield Measured(f"{name}, p95", statistics.quantiles(times, n=20)[-1], "s")


def _pages(root: Layout, domain: str) -> dict[str, tuple[str, dict[str, str]]]:
    """Path and headers of what is asked for, by what it is."""
    here, api = f"/domains/{domain}", f"/api/v1/domains/{domain}"
    bearer = {"authorization": f"Bearer {_token(root)}"}
    return {
        "own account": ("/account", {}),
        "domains": ("/domains", {}),
        "domains, searched": (f"/domains?query={domain[:5]}", {}),
        "accounts": (here, {}),
        "accounts, last page": (f"{here}?page=1000000", {}),
        "accounts, by name, last first": (f"{here}?sort=name&descending=true", {}),
        "accounts, searched, a few found": (f"{here}?query=u000012", {}),
        "accounts, searched, all found": (f"{here}?query=user", {}),
        "an account": (f"{here}/accounts/{roots.LOGIN}", {}),
        "aliases": (f"{here}/aliases", {}),
        "settings": (f"{here}/settings", {}),
        "explain": (f"/explain?address=postmaster@{domain}", {}),
        "check of a domain": (f"{here}/check", {}),
        "changes": ("/changes", {}),
        "overview": ("/overview", {}),
        "API: 100 accounts": (f"{api}/accounts?size=100", bearer),
        "API: an account": (f"{api}/accounts/{roots.LOGIN}", bearer),
        "API: check of all files of a domain": (f"{api}/check", bearer),
    }


def _changes(domain: str) -> dict[str, tuple[str, dict[str, str]]]:
    """Path and fields of what is changed; `#` is the number of the change."""
    here = f"/domains/{domain}"
    account = f"{here}/accounts/{CHANGED}"
    alias = {"act": "add", "alias": "list#", "targets": roots.LOGIN, "confirmed": "yes"}
    return {
        "change of an account": (account, {"act": "save", "full_name": "New #"}),
        "change of a password": (account, {"act": "password", "password": "a new one #"}),
        "new account": (f"{here}/new-account", {"login": "new#"}),
        "new alias": (f"{here}/aliases", alias),
    }


def _numbered(fields: dict[str, str], number: int) -> dict[str, str]:
    return {name: value.replace("#", str(number)) for name, value in fields.items()}


def _administrator(domains: int) -> str:
    return f"{roots.LOGIN}@{roots.domain(domains - 1)}"


def _token(root: Layout) -> str:
    site = load_site(root)[0]
    made = add_token(Door(root, site, unix_actor(root, site)), "bench", principal=site.admins[0])
    assert made is not None
    return made.secret


def _timed(act: Callable[[], object]) -> float:
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


@contextmanager
def _root(folder: Path | None, domains: int, accounts: int) -> Iterator[Layout]:
    where = Path(tempfile.mkdtemp(prefix="vb", dir=folder))
    try:
        yield roots.lay_out(where / "r", domains, accounts)
    finally:
        shutil.rmtree(where)
