"""No page speaks English to who wants French: every page, seen by each kind of visitor, with faults to tell.

The pages are those that the application has. What is English by its nature stands in `code` or `pre`, or is marked
with its language, so that it is read out as such (WCAG 3.1.2).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from fastapi import FastAPI
from tests.unit.web.conftest import Browser
from tests.unit.web.test_isolation import filled, routes

from vmaild.store.layout import Layout
from vmaild.web.i18n import translations

VA = "va.toto.fr"
NAMES = {"name": VA, "domain": VA, "login": "bob", "number": "1", "time": "x"}
FRENCH = {"accept-language": "fr"}
ENGLISH = re.compile(
    r"(?<![\w@./-])(an|and|are|been|cannot|every|from|has|have|here|how|it|its|nobody|not|of|that|the|there|these|this|"
    r"those|until|was|what|where|which|who|whose|with|without|write|your)(?![\w@/-])"
)
"""Words that no French text has, and hardly an English one is without; parts of names are none."""
MARKED = {"code", "pre", "script", "style", "textarea"}
READ = ("alt", "aria-label", "data-words", "placeholder", "title")


class Said(HTMLParser):
    """What a page says, text by text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._open: list[bool] = []
        """Of each element that is open: whether its language is its own matter."""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        foreign = tag in MARKED or given.get("lang") == "en" or any(self._open)
        if not foreign:
            self.texts += [text for name in READ if (text := given.get(name))]
        if tag not in {"input", "meta", "link", "br", "img"}:
            self._open.append(foreign)

    def handle_endtag(self, tag: str) -> None:
        self._open.pop()

    def handle_data(self, data: str) -> None:
        if data.strip() and not any(self._open):
            self.texts.append(data.strip())


def english(page: str) -> list[str]:
    """The texts of a page that are none in French."""
    catalogue = translations("fr")._catalog  # type: ignore[attr-defined]
    labels = catalogue.keys() - {*catalogue.values()}
    return [text for text in Said(page).texts if ENGLISH.search(text) or text in labels]


@pytest.fixture
def faulty(layout: Layout) -> Layout:
    """A root with something wrong in every place that pages tell of."""
    home = Path(layout.home(VA, "bob"))
    home.mkdir(parents=True)
    (home / "vacation").write_text("Start: 2026-01-09\nEnd: 2026-01-02\n\n")
    (home / "forward").write_text("bob@example.org\n|command\n")
    aliases = "nowhere: personne\nalice: team\nbroken line\nbad: :include:list\ntwice: bob, bob\n"
    passwd = "short:x:1\nnopass:x:60000:60000:No Pass:/vhome/va.toto.fr/nopass:/sbin/nologin\n"
    definition = "unknown_key = 1\nmatch_full_name = true\nmax_users = 3\n"
    for path, more in (
        (layout.aliases(VA), aliases),
        (layout.passwd(VA), passwd),
        (layout.shadow(VA), "ghost:$6$x:1::::::\n"),
        (layout.definition(VA), definition),
        (layout.definition("vc.toto.fr"), "max_users = 'many'\n"),
    ):
        Path(path).write_text(f"{Path(path).read_text()}{more}")
    Path(layout.shadow("vb.toto.fr")).chmod(0o666)
    return layout


def pages(app: FastAPI) -> Iterator[str]:
    """Every page that can be opened."""
    for method, path in routes(app):
        if method == "GET" and not path.startswith("/api/") and "xml" not in path:
            yield filled(path, NAMES)
    for address in ("bob", "nowhere", "alice", "bad", "inconnu", "joe.who", "bob+lists"):
        yield f"/explain?address={address}@{VA}"
    yield "/explain?address=x@elsewhere.example"
    yield "/explain?address=x@vc.toto.fr"
    yield "/explain?address=x@vb.toto.fr"
    yield "/explain?address=@"
    yield "/domains/vc.toto.fr"
    yield "/domains/vb.toto.fr/check"
    yield f"/domains/{VA}/dns?look=yes"
    yield f"/domains/{VA}?query=zzz&page=7"
    yield "/mta?server=127.0.0.1:1"
    yield "/mta?server=nothing"
    yield "/nothing"
    yield "/backups?domain=x.example"


@pytest.mark.parametrize("who", ["alice@va.toto.fr", "bob@va.toto.fr", "nobody"])
def test_no_page_is_english(app: FastAPI, faulty: Layout, who: str) -> None:
    browser = Browser(app)
    if who != "nobody":
        definition = Path(faulty.definition(VA))
        definition.write_text(f'{definition.read_text()}admins = ["bob@va.toto.fr"]\n')
        assert browser.log_in(who, f"{who.partition('@')[0]}-va").status_code == 303
    found = {}
    for path in pages(app):
        answer = browser.get(path, headers=FRENCH)
        if answer.headers.get("content-type", "").startswith("text/html") and (
            said := english(answer.text.replace(faulty.root, ""))
        ):
            found[path] = said
    assert "".join(f"\n{path}: {text}" for path, said in found.items() for text in said) == ""


FORMS: tuple[tuple[str, dict[str, str]], ...] = (
    ("/new-domain", {"name": "aucun nom!"}),
    ("/new-domain", {"name": "vd.toto.fr", "max_users": "many"}),
    ("/new-domain", {"name": "vd.toto.fr", "addresses": "1.2.3"}),
    ("/new-domain", {"name": "vd.toto.fr", "fallback": "x@vb.toto.fr", "alias_files": "/x"}),
    (f"/domains/{VA}/settings", {"act": "save", "aliases": "vb.toto.fr", "max_users": "1"}),
    (f"/domains/{VA}/settings", {"act": "save", "aliases": "va.example", "fallback": "bob", "quota": "1X"}),
    (f"/domains/{VA}/settings", {"act": "save", "aliases": "va.example", "fallback": "bob"}),
    (f"/domains/{VA}/settings", {"act": "save", "addresses": "127.0.0.9", "alias_files": "/nowhere"}),
    (f"/domains/{VA}/settings", {"act": "remove"}),
    (f"/domains/{VA}/new-account", {"login": "a b"}),
    (f"/domains/{VA}/new-account", {"login": "bob"}),
    (f"/domains/{VA}/new-account", {"login": "new", "password": "x"}),
    (f"/domains/{VA}/new-account", {"login": "new", "quota": "none"}),
    (f"/domains/{VA}/accounts/bob", {"act": "save", "quota": "1X"}),
    (f"/domains/{VA}/accounts/bob", {"act": "save", "full_name": "a:b"}),
    (f"/domains/{VA}/accounts/bob", {"act": "forward", "targets": "x@vb.toto.fr, y@example.org"}),
    (f"/domains/{VA}/accounts/bob", {"act": "forward", "targets": "|x"}),
    (f"/domains/{VA}/accounts/bob", {"act": "vacation", "text": "x", "last_day": "2020-01-01"}),
    (f"/domains/{VA}/accounts/bob", {"act": "vacation", "text": "x", "first_day": "tomorrow"}),
    (f"/domains/{VA}/accounts/bob", {"act": "suspend"}),
    (f"/domains/{VA}/accounts/bob", {"act": "remove"}),
    (f"/domains/{VA}/accounts/bob", {"act": "remove", "confirmed": "yes", "password": "guessed"}),
    (f"/domains/{VA}/aliases", {"act": "add", "alias": "x y", "targets": ""}),
    (f"/domains/{VA}/aliases", {"act": "add", "alias": "new", "targets": "nulle-part"}),
    (f"/domains/{VA}/aliases", {"act": "add", "alias": "bob", "targets": "x@example.org"}),
    (f"/domains/{VA}/aliases", {"act": "remove", "alias": "team"}),
    (f"/domains/{VA}/aliases", {"act": "remove", "alias": "rien"}),
    (f"/domains/{VA}/admins", {"act": "grant", "principal": "unix:inconnu", "right_accounts": "yes"}),
    (f"/domains/{VA}/admins", {"act": "grant", "principal": "x y", "right_accounts": "yes"}),
    (f"/domains/{VA}/admins", {"act": "grant", "principal": "bob@vb.toto.fr"}),
    (f"/domains/{VA}/admins", {"act": "revoke", "principal": "bob@vb.toto.fr"}),
    (f"/domains/{VA}/dns", {"act": "apply"}),
    (f"/domains/{VA}/dns", {"act": "update"}),
    ("/addresses", {"domain": VA}),
    ("/addresses", {}),
    ("/check", {"act": "fix"}),
    ("/backups", {"act": "make", "domain": "rien.example"}),
    ("/backups", {"act": "remove", "backup": "rien"}),
    ("/tokens", {"act": "add", "name": "x", "password": "guessed"}),
    ("/tokens", {"act": "add", "name": "x", "domain": "rien.example", "password": "alice-va"}),
    ("/tokens", {"act": "add", "name": "x", "password": "alice-va"}),
    ("/account/second-factor", {"act": "begin", "password": "guessed"}),
    ("/account/second-factor", {"act": "confirm", "code": "1"}),
    (f"/domains/{VA}/import", {"text": "a,b\n1,2\n"}),
    (f"/domains/{VA}/import", {"text": "login,quota\nbob,\nnew,1X\na b,\nok,5M\n"}),
    ("/password", {"login": "bob@va.toto.fr", "old": "x", "new": "a", "again": "b"}),
    ("/password", {"login": "bob@va.toto.fr", "old": "x", "new": "quite another", "again": "quite another"}),
    ("/login", {"login": "bob@va.toto.fr", "password": "guessed"}),
)
"""What people send, most of it wrong."""


def test_no_answer_to_a_form_is_english(app: FastAPI, faulty: Layout, admin: Browser) -> None:
    admin.post("/language", "/account", language="fr", back="/")
    found = []
    for path, fields in FORMS:
        answer = admin.post(path, **fields)
        if answer.status_code == 303:
            answer = admin.get(answer.headers["location"])
        assert answer.status_code < 500, (path, fields, answer.text)
        found += [f"\n{path} {fields}: {text}" for text in english(answer.text.replace(faulty.root, ""))]
    assert "".join(found) == ""
