"""Pages about the whole site: what it is doing, what is wrong, the MTA, and tokens for scripts."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import APIRouter, Request
from fastapi.responses import Response

from vmaild.web.changes import confirm
from vmaild.web.desk import Refusal
from vmaild.web.plot import moment, plot
from vmaild.web.visit import Visit

router = APIRouter()

TOKEN_RIGHTS = (
    "read",
    "accounts",
    "passwords",
    "aliases",
    "domains",
    "checks",
    "machine",
    "backups",
    "restore",
)
_RIGHTS_OF_ALL = {"read", "accounts", "passwords", "aliases", "checks"}
"""Those that are any good to who administers no more than some domains."""


async def of_the_site(request: Request) -> Visit:
    """The visit of a site administrator; for others the page does not exist. Raises Refusal."""
    visit = Visit(request)
    me = await visit.who()
    if not me["site_admin"]:
        raise Refusal(visit._("This page does not exist."), "", 404)
    return visit


@router.get("/overview")
async def overview(request: Request, hours: int = 24) -> Response:
    """The dashboard."""
    visit = await of_the_site(request)
    seen = await visit.ask("overview", hours=hours)
    step, points = seen["step"], seen["points"]
    mail = {"delivered": visit._("delivered"), "deferred": visit._("deferred"), "rejected": visit._("refused")}
    logins = {"logins": visit._("logins"), "failed_logins": visit._("failed")}
    plots = [
        {
            "title": title,
            "series": series,
            "drawing": plot(title, points, series, step),
            "totals": {key: sum(each[key] for each in points) for key in series},
            "rows": [each for each in reversed(points) if any(each[key] for key in series)],
        }
        for title, series in ((visit._("Mail"), mail), (visit._("POP3 logins"), logins))
    ]
    return visit.page("overview.html", seen=seen, plots=plots, moment=lambda at: moment(at, step))


@router.get("/mta")
async def mta(request: Request, server: str = "") -> Response:
    """Whether the MTA does what it should; it is asked only when somebody wants to know."""
    visit = await of_the_site(request)
    seen, problem = None, ""
    if server.strip():
        try:
            seen = await visit.ask("mta.check", server=server.strip())
        except Refusal as refusal:
            problem = visit.said(refusal)
    return visit.page("mta.html", server=server or "127.0.0.1:25", seen=seen, problem=problem)


async def _tokens(
    visit: Visit, status: int = 200, problem: str = "", secret: str = "", sent: Mapping[str, str] | None = None
) -> Response:
    me = await visit.who()
    if not me["site_admin"] and not me["domains"]:
        raise Refusal(visit._("This page does not exist."), "", 404)
    found = await visit.ask("tokens")
    factor = await visit.ask("factor")
    return visit.page(
        "tokens.html",
        status,
        tokens=found["tokens"],
        rights=[right for right in TOKEN_RIGHTS if me["site_admin"] or right in _RIGHTS_OF_ALL],
        factor=factor,
        problem=problem,
        secret=secret,
        sent=sent or {},
    )


@router.get("/tokens")
async def tokens(request: Request) -> Response:
    """What scripts show instead of a password."""
    return await _tokens(Visit(request))


@router.post("/tokens")
async def change_tokens(request: Request) -> Response:
    """Make a token, which is shown once; or take one back."""
    visit = Visit(request)
    fields = await visit.form()
    await visit.who()
    try:
        if fields.get("act") == "revoke":
            number = fields.get("number", "")
            await visit.ask("token.revoke", number=int(number) if number.isdecimal() else 0)
            return visit.go("/tokens", visit._("The token is worth nothing any more."))
        days = fields.get("days", "").strip()
        await confirm(visit, fields)
        made = await visit.ask(
            "token.add",
            name=fields.get("name", ""),
            domain=fields.get("domain", ""),
            rights=[right for right in TOKEN_RIGHTS if fields.get(f"right_{right}")],
            days=int(days) if days.isdecimal() and len(days) < 6 else 0,
        )
    except Refusal as refusal:
        return await _tokens(visit, refusal.status, visit.said(refusal), sent=fields)
    return await _tokens(visit, secret=made["secret"])
