"""Pages for everyone: signing in, one's own password, settings for mail programs."""

from __future__ import annotations

import re
from html import unescape
from typing import Any
from xml.sax.saxutils import escape

from fastapi import APIRouter, Request
from fastapi.responses import Response

from vmaild.web.desk import Refusal
from vmaild.web.i18n import COOKIE, LANGUAGES
from vmaild.web.visit import SESSION, TICKET, Visit

router = APIRouter()

_ASKED = re.compile(r"<(?:\w+:)?EMailAddress\s*>([^<]{1,600})<")
"""The address in a request of Outlook."""
_OUTLOOK = "http://schemas.microsoft.com/exchange/autodiscover"


@router.get("/")
async def start(request: Request) -> Response:
    """Where somebody belongs."""
    visit = Visit(request)
    me = await visit.who()
    return visit.go("/domains" if me["site_admin"] or me["domains"] else "/account")


@router.get("/login")
async def login_page(request: Request) -> Response:
    """The form to sign in."""
    visit = Visit(request)
    return visit.page("login.html", domain=await visit.domain(), login="", problem="")


@router.post("/login")
async def log_in(request: Request) -> Response:
    """Sign in."""
    visit = Visit(request)
    fields = await visit.form()
    login, domain = fields.get("login", ""), await visit.domain()
    agent = request.headers.get("user-agent", "")
    try:
        signed_in = await visit.ask(
            "login", login=login, password=fields.get("password", ""), domain=domain, agent=agent
        )
    except Refusal as refusal:
        problem = visit._(refusal.problem)
        return visit.page("login.html", 401, domain=domain, login=login, problem=problem)
    if "ticket" in signed_in:
        response = visit.go("/login/code")
        visit.set_cookie(response, TICKET, signed_in["ticket"])
        return response
    return _signed_in(visit, signed_in)


@router.get("/login/code")
async def code_page(request: Request) -> Response:
    """The second step of signing in, for who has a second factor."""
    visit = Visit(request)
    return visit.page("login_code.html", problem="") if visit.ticket else visit.go("/login")


@router.post("/login/code")
async def log_in_with_code(request: Request) -> Response:
    """Take the code."""
    visit = Visit(request)
    fields = await visit.form()
    try:
        signed_in = await visit.ask("login.code", ticket=visit.ticket, code=fields.get("code", ""))
    except Refusal as refusal:
        return visit.page("login_code.html", 401, problem=visit.said(refusal))
    return _signed_in(visit, signed_in)


def _signed_in(visit: Visit, signed_in: dict[str, Any]) -> Response:
    response = visit.go("/")
    response.delete_cookie(TICKET, path="/")
    visit.set_cookie(response, SESSION, signed_in["secret"])
    return response


@router.get("/logout")
@router.get("/language")
async def back_to_start(request: Request) -> Response:
    """Whoever loads again what was an answer to a form."""
    return Visit(request).go("/")


@router.post("/logout")
async def log_out(request: Request) -> Response:
    """Sign out."""
    visit = Visit(request)
    await visit.form()
    await visit.ask("logout")
    response = visit.go("/login")
    response.delete_cookie(SESSION, path="/")
    return response


@router.post("/language")
async def set_language(request: Request) -> Response:
    """Choose a language by hand."""
    visit = Visit(request)
    fields = await visit.form()
    back = fields.get("back", "/")
    response = visit.go(back if back.startswith("/") and not back.startswith("//") else "/")
    if fields.get("language") in LANGUAGES:
        year = 31536000
        response.set_cookie(
            COOKIE, fields["language"], max_age=year, samesite="strict", httponly=True, secure=visit.secure
        )
    return response


# The second is the address that the original had, known to people and bookmarks.
@router.get("/password")
@router.get("/htmlmod:userpass:")
async def password_page(request: Request) -> Response:
    """The form for a new password."""
    visit = Visit(request)
    return visit.page("password.html", domain=await visit.domain(), login="", problem="", done="")


@router.post("/password")
@router.post("/htmlmod:userpass:")
async def change_password(request: Request) -> Response:
    """Change one's own password: login, old password, new password twice."""
    visit = Visit(request)
    fields = await visit.form()
    login, domain = fields.get("login", ""), await visit.domain()
    try:
        if fields.get("new", "") != fields.get("again", ""):
            raise Refusal("the two new passwords differ", "", 422)
        done = await visit.ask(
            "password.change", login=login, old=fields.get("old", ""), new=fields.get("new", ""), domain=domain
        )
    except Refusal as refusal:
        problem = visit.said(refusal)
        return visit.page("password.html", refusal.status, domain=domain, login=login, problem=problem, done="")
    return visit.page("password.html", domain=domain, login="", problem="", done=done["principal"])


# -- mail programs


async def settings_of(visit: Visit, address: str) -> dict[str, Any] | None:
    """What a mail program needs for an address, or for the domain that the page was reached for."""
    named = address.rpartition("@")[2] or visit.host.removeprefix("autoconfig.").removeprefix("autodiscover.")
    settings: dict[str, Any] | None = await visit.ask("client.settings", domain=named)
    if settings is None and not address:
        domain = await visit.domain()  # it may have been reached by a service address
        settings = await visit.ask("client.settings", domain=domain) if domain else None
    return settings


@router.get("/.well-known/autoconfig/mail/config-v1.1.xml")
@router.get("/mail/config-v1.1.xml")
async def thunderbird(request: Request, emailaddress: str = "") -> Response:
    """Settings for Thunderbird (https://wiki.mozilla.org/Thunderbird:Autoconfiguration:ConfigFileFormat)."""
    visit = Visit(request)
    found = await settings_of(visit, emailaddress)
    if found is None:
        raise Refusal(visit._("This domain is not served here."), "", 404)
    servers = "".join(
        f'    <{tag}Server type="{kind}">\n      <hostname>{escape(found["host"])}</hostname>\n'
        f"      <port>{each['port']}</port>\n      <socketType>{each['socket']}</socketType>\n"
        "      <username>%EMAILADDRESS%</username>\n"
        f"      <authentication>password-cleartext</authentication>\n    </{tag}Server>\n"
        for tag, kind in (("incoming", "pop3"), ("outgoing", "smtp"))
        for each in found[kind]
    )
    domain = escape(found["domain"])
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n<clientConfig version="1.1">\n'
        f'  <emailProvider id="{domain}">\n    <domain>{domain}</domain>\n'
        f"    <displayName>{domain}</displayName>\n    <displayShortName>{domain}</displayShortName>\n{servers}"
        "  </emailProvider>\n</clientConfig>\n"
    )
    return Response(text, media_type="application/xml")


# As the several kinds of Outlook spell it.
@router.post("/autodiscover/autodiscover.xml")
@router.post("/Autodiscover/Autodiscover.xml")
@router.post("/AutoDiscover/AutoDiscover.xml")
async def outlook(request: Request) -> Response:
    """Settings for Outlook (MS-OXDSCLI, the POX response for POP3 and SMTP)."""
    visit = Visit(request)
    asked = _ASKED.search((await request.body()).decode("utf-8", "replace"))
    address = unescape(asked[1]).strip() if asked else ""
    found = await settings_of(visit, address)
    if found is None or not found["pop3"]:
        raise Refusal(visit._("This domain is not served here."), "", 404)
    servers = "".join(
        _protocol(kind.upper(), found["host"], each, address) for kind in ("pop3", "smtp") for each in found[kind]
    )
    text = (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        f'<Autodiscover xmlns="{_OUTLOOK}/responseschema/2006">\n'
        f'  <Response xmlns="{_OUTLOOK}/outlook/responseschema/2006a">\n'
        f"    <Account>\n      <AccountType>email</AccountType>\n      <Action>settings</Action>\n{servers}"
        "    </Account>\n  </Response>\n</Autodiscover>\n"
    )
    return Response(text, media_type="application/xml")


def _protocol(kind: str, host: str, server: dict[str, Any], address: str) -> str:
    """A server for Outlook: Encryption tells STARTTLS from TLS, which SSL alone cannot."""
    ssl, encryption = {"SSL": ("on", "SSL"), "STARTTLS": ("on", "TLS")}.get(server["socket"], ("off", "None"))
    login = f"        <LoginName>{escape(address)}</LoginName>\n" if address else ""
    return (
        f"      <Protocol>\n        <Type>{kind}</Type>\n        <Server>{escape(host)}</Server>\n"
        f"        <Port>{server['port']}</Port>\n{login}"
        f"        <SSL>{ssl}</SSL>\n        <Encryption>{encryption}</Encryption>\n"
        "        <SPA>off</SPA>\n        <AuthRequired>on</AuthRequired>\n      </Protocol>\n"
    )
