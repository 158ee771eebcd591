"""Pages for the owner of an account: password, automatic reply, forwarding, mail programs, sessions."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Any
from urllib.parse import quote

import segno
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from vmaild.web.desk import Refusal
from vmaild.web.sent import account_as_sent
from vmaild.web.visit import Visit

router = APIRouter()


async def _page(
    visit: Visit, status: int = 200, problem: str = "", place: str = "", sent: Mapping[str, str] | None = None
) -> Response:
    await visit.who()
    own: dict[str, Any] | None = None
    if not str(visit.me and visit.me["principal"]).startswith("unix:"):
        own = account_as_sent(await visit.ask("own"), place, sent or {})
    sessions = await visit.ask("session.list")
    factor = await visit.ask("factor")
    return visit.page(
        "account.html", status, own=own, sessions=sessions, factor=factor, problem=problem, place=place
    )


@router.get("/account")
async def account(request: Request) -> Response:
    """All about one's own account."""
    return await _page(Visit(request))


# Whoever loads again what was an answer to a form, or chooses a language there.
@router.get("/account/password")
@router.get("/account/vacation")
@router.get("/account/forward")
@router.get("/account/sessions")
async def back_to_account(request: Request) -> Response:
    """On to the page where these forms are."""
    return Visit(request).go("/account")


@router.post("/account/password")
async def password(request: Request) -> Response:
    """A new password; the old one is asked for."""
    visit = Visit(request)
    fields = await visit.form()
    me = await visit.who()
    try:
        if fields.get("new", "") != fields.get("again", ""):
            raise Refusal("the two new passwords differ", "", 422)
        await visit.ask(
            "password.change",
            login=me["principal"],
            old=fields.get("old", ""),
            new=fields.get("new", ""),
            domain=None,
        )
    except Refusal as refusal:
        return await _page(visit, refusal.status, visit._(refusal.problem), "password")
    return visit.go("/login", visit._("Your password was changed. Sign in with the new one."))


@router.post("/account/vacation")
async def vacation(request: Request) -> Response:
    """The automatic reply."""
    visit = Visit(request)
    fields = await visit.form()
    await visit.who()
    given = {key: fields.get(key, "") for key in ("text", "subject", "first_day", "last_day")}
    if fields.get("off"):
        given["text"] = ""
    try:
        await visit.ask("own.vacation", **given, seen=fields.get("seen", ""))
    except Refusal as refusal:
        return await _page(visit, refusal.status, visit.said(refusal), "vacation", fields)
    done = visit._("Your automatic reply is set.") if given["text"] else visit._("Nobody is answered any more.")
    return visit.go("/account", done)


@router.post("/account/forward")
async def forward(request: Request) -> Response:
    """Forwarding."""
    visit = Visit(request)
    fields = await visit.form()
    await visit.who()
    targets = [] if fields.get("off") else fields.get("targets", "").replace(",", "\n").split("\n")
    try:
        keep = bool(fields.get("keep_copy"))
        await visit.ask("own.forward", targets=targets, keep_copy=keep, seen=fields.get("seen", ""))
    except Refusal as refusal:
        return await _page(visit, refusal.status, visit.said(refusal), "forward", fields)
    return visit.go("/account", visit._("Your forwarding is set."))


@router.post("/account/sessions")
async def revoke(request: Request) -> Response:
    """End one of one's sessions."""
    visit = Visit(request)
    fields = await visit.form()
    await visit.who()
    number = fields.get("number", "")
    if number.isdecimal():
        await visit.ask("session.revoke", number=int(number))
    return visit.go("/account", visit._("That session has ended."))


@router.get("/account/qr.svg")
async def qr_code(request: Request) -> Response:
    """The settings for a mail program as a QR code."""
    visit = Visit(request)
    await visit.who()
    own = await visit.ask("own")
    pop3 = own["pop3"] or {"port": 110, "security": ""}
    scheme = "pop3s" if pop3["security"] == "SSL/TLS" else "pop3"
    text = f"{scheme}://{quote(own['address'])}@{own['mail_host']}:{pop3['port']}"
    drawn = BytesIO()
    segno.make(text, error="m").save(
        drawn, kind="svg", scale=4, border=2, xmldecl=False, svgclass=None, lineclass=None
    )
    return Response(drawn.getvalue(), media_type="image/svg+xml")


@router.post("/strength")
async def strength(request: Request) -> Response:
    """How strong a password is, 0 to 4, while it is typed; kept and logged nowhere."""
    visit = Visit(request)
    fields = await visit.form()
    score = await visit.site.judge.score(fields.get("password", ""))
    if score is None:
        raise Refusal("this cannot be done now", "try again later", 503)
    return JSONResponse({"score": score})
