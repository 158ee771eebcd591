"""What mail programs and telephones are told, read as they do: XML by a parser, the QR code square by square."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import segno
from fastapi import FastAPI
from tests.unit.web.conftest import HOSTS, Browser

from vmaild.store.layout import Layout

OUTLOOK = "http://schemas.microsoft.com/exchange/autodiscover"
ASKED = (
    '<?xml version="1.0" encoding="utf-8"?>\n'
    f'<Autodiscover xmlns="{OUTLOOK}/outlook/requestschema/2006">\n  <Request>\n'
    "    <EMailAddress>{}</EMailAddress>\n"
    f"    <AcceptableResponseSchema>{OUTLOOK}/outlook/responseschema/2006a</AcceptableResponseSchema>\n"
    "  </Request>\n</Autodiscover>"
)
IN = f"{{{OUTLOOK}/outlook/responseschema/2006a}}"
TLS = """[site]
admins = ["alice@va.toto.fr"]
[pop3]
listen = ["*:110"]
tls_listen = ["*:995"]
certificate = "/etc/vmail/site.pem"
[dns]
submission = 587
"""


@pytest.fixture
def layout(layout: Layout) -> Layout:
    """A site with a certificate, and a port for the mail that people send."""
    Path(layout.site).write_text(TLS)
    return layout


def parsed(text: str) -> ET.Element:
    return ET.fromstring(text)


def servers_for_thunderbird(text: str) -> tuple[str, list[tuple[str, ...]]]:
    root = parsed(text)
    assert (root.tag, root.get("version")) == ("clientConfig", "1.1")
    (provider,) = root
    told: list[tuple[str, ...]] = []
    for each in provider:
        if each.tag.endswith("Server"):
            values = {child.tag: child.text or "" for child in each}
            assert (values["username"], values["authentication"]) == ("%EMAILADDRESS%", "password-cleartext")
            told.append((each.get("type") or "", values["hostname"], values["port"], values["socketType"]))
    assert provider.findtext("domain") == provider.get("id")
    return provider.get("id") or "", told


def servers_for_outlook(text: str) -> list[dict[str, str]]:
    protocols = parsed(text).iter(f"{IN}Protocol")
    return [{child.tag.removeprefix(IN): child.text or "" for child in each} for each in protocols]


@pytest.mark.parametrize(
    ("host", "address", "domain"),
    [
        ("autoconfig.va.toto.fr", "bob@va.toto.fr", "va.toto.fr"),
        ("autoconfig.va.toto.fr", "", "va.toto.fr"),
        ("va.toto.fr", "", "va.toto.fr"),
        (HOSTS["vb.toto.fr"], "", "vb.toto.fr"),
        # Asked at the host of another domain: the address tells whom it is about.
        ("autoconfig.va.toto.fr", "bob@vb.toto.fr", "vb.toto.fr"),
        ("localhost", "BOB@VB.toto.FR.", "vb.toto.fr"),
        # A domain alias.
        ("autoconfig.va.example", "", "va.toto.fr"),
        ("localhost", "bob@va.example", "va.toto.fr"),
    ],
)
def test_thunderbird_is_told_the_servers_of_the_domain(app: FastAPI, host: str, address: str, domain: str) -> None:
    asked = f"?emailaddress={address}" if address else ""
    for path in ("/mail/config-v1.1.xml", "/.well-known/autoconfig/mail/config-v1.1.xml"):
        answer = Browser(app, host).get(path + asked)
        assert answer.headers["content-type"].startswith("application/xml")
        mail_host = f"mailhost.{domain}"
        servers = [("pop3", mail_host, "995", "SSL"), ("smtp", mail_host, "587", "STARTTLS")]
        assert servers_for_thunderbird(answer.text) == (domain, servers)


@pytest.mark.parametrize("path", ["/autodiscover/autodiscover.xml", "/Autodiscover/Autodiscover.xml"])
def test_outlook_is_told_both_servers_and_how_they_are_encrypted(app: FastAPI, path: str) -> None:
    answer = Browser(app, "autodiscover.va.toto.fr").send("POST", path, content=ASKED.format("bob@va.toto.fr"))
    incoming, outgoing = servers_for_outlook(answer.text)
    own = {"LoginName": "bob@va.toto.fr", "Server": "mailhost.va.toto.fr", "SPA": "off", "AuthRequired": "on"}
    assert incoming == own | {"Type": "POP3", "Port": "995", "SSL": "on", "Encryption": "SSL"}
    assert outgoing == own | {"Type": "SMTP", "Port": "587", "SSL": "on", "Encryption": "TLS"}


def test_outlook_writes_xml_in_many_ways(app: FastAPI) -> None:
    browser = Browser(app, "mailhost.vb.toto.fr")
    for address, login in (
        ("o&apos;neil@va.toto.fr", "o'neil@va.toto.fr"),
        ("a&amp;b@va.toto.fr", "a&b@va.toto.fr"),
        ("  bob@va.toto.fr\n", "bob@va.toto.fr"),
    ):
        answer = browser.send("POST", "/autodiscover/autodiscover.xml", content=ASKED.format(address))
        told = servers_for_outlook(answer.text)
        assert [(each["LoginName"], each["Server"]) for each in told] == [(login, "mailhost.va.toto.fr")] * 2
    prefixed = ASKED.replace("<EMail", "<q:EMail").replace("</EMail", "</q:EMail").format("bob@va.toto.fr")
    answer = browser.send("POST", "/autodiscover/autodiscover.xml", content=prefixed)
    assert servers_for_outlook(answer.text)[0]["LoginName"] == "bob@va.toto.fr"
    nameless = browser.send("POST", "/autodiscover/autodiscover.xml", content=b"\xff<x/>")
    assert {each["Server"] for each in servers_for_outlook(nameless.text)} == {"mailhost.vb.toto.fr"}
    assert all("LoginName" not in each for each in servers_for_outlook(nameless.text))


def test_nothing_is_told_of_domains_that_are_not_here(app: FastAPI) -> None:
    browser = Browser(app, "autoconfig.va.toto.fr")
    for address in ("x@nowhere.example", "x@", "@@", "x@" + "a" * 300, "<x>@va.toto.fr&"):
        found = browser.get("/mail/config-v1.1.xml", params={"emailaddress": address})
        asked = browser.send("POST", "/autodiscover/autodiscover.xml", content=ASKED.format(address))
        assert found.status_code == 404 or servers_for_thunderbird(found.text)[0] == "va.toto.fr"
        assert asked.status_code == 404 or servers_for_outlook(asked.text)[0]["Server"] == "mailhost.va.toto.fr"


def squares(drawn: str) -> list[list[int]]:
    """The dark and light squares of a QR code that was drawn as one path of horizontal strokes."""
    path = re.search(r' d="([^"]+)"', drawn)
    box = re.search(r'(?:width|viewBox)="(?:0 0 )?(\d+)', drawn)
    assert path is not None
    assert box is not None
    rows: dict[int, set[int]] = {}
    x, y = 0, 0.0
    for command, one, _, two in re.findall(r"([MmhH])([-\d.]+)(([-\d. ]+))?", path[1]):
        if command == "M":
            x, y = int(one), float(two)
        elif command == "m":
            x, y = x + int(one), y + float(two)
        else:
            rows.setdefault(int(y), set()).update(range(x, x + int(one)))
            x += int(one)
    left, top = min(map(min, rows.values())), min(rows)
    size = max(map(max, rows.values())) - left + 1
    return [[int(left + column in rows.get(top + row, ())) for column in range(size)] for row in range(size)]


def is_drawn(drawn: str, text: str) -> bool:
    return squares(drawn) == [list(map(int, row)) for row in segno.make(text, error="m").matrix]


def test_the_qr_code_says_where_the_mail_is(app: FastAPI, admin: Browser) -> None:
    drawn = admin.get("/account/qr.svg")
    assert "<script" not in drawn.text
    assert is_drawn(drawn.text, "pop3s://alice%40va.toto.fr@mailhost.va.toto.fr:995")
    assert not is_drawn(drawn.text, "pop3s://bob%40va.toto.fr@mailhost.va.toto.fr:995")
    bob = Browser(app)
    bob.log_in("bob@vb.toto.fr", "bob-vb")
    assert is_drawn(bob.get("/account/qr.svg").text, "pop3s://bob%40vb.toto.fr@mailhost.vb.toto.fr:995")
