"""Pages for administrators beyond one domain: the domains, where mail goes, what was changed."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from vmaild.web.changes import change
from vmaild.web.desk import Refusal
from vmaild.web.graph import graph
from vmaild.web.sent import settings_as_sent
from vmaild.web.visit import Visit

router = APIRouter()

SETTINGS = {
    "mail_host": "",
    "addresses": [],
    "aliases": [],
    "fallback": "",
    "alias_files": [],
    "quota": "",
    "max_users": 0,
    "match_full_name": False,
    "certificate": "",
    "disabled": False,
    "plain_logins": False,
}
"""What a domain's form shows, and what an empty definition says."""


def settings_in(fields: dict[str, str]) -> dict[str, object]:
    """The settings that a form sends, as the desk takes them. Raises Refusal."""
    given: dict[str, object] = {}
    for name, empty in SETTINGS.items():
        value = fields.get(name, "").strip()
        match empty:
            case bool():
                given[name] = bool(value)
            case int():
                if value and not value.isdecimal():
                    raise Refusal(f"'{value}' is not a number", "write digits only, 0 for no limit", 422)
                given[name] = int(value or 0)
            case list():
                given[name] = value.replace(",", " ").split()
            case _:
                given[name] = value
    return given


@router.get("/domains")
async def domains(request: Request, query: str = "", page: int = 1) -> Response:
    """The domains that somebody may see."""
    visit = Visit(request)
    await visit.who()
    found = await visit.ask("domains", query=query, page=page)
    return visit.page("domains.html", found=found, query=query)


@router.get("/new-domain")
async def new_domain(request: Request) -> Response:
    """The form for a new domain: only the name is mandatory."""
    visit = Visit(request)
    me = await visit.who()
    if not me["site_admin"]:
        raise Refusal(visit._("This page does not exist."), "", 404)
    return visit.page("new_domain.html", settings=SETTINGS, name="", problem="")


@router.post("/new-domain")
async def add_domain(request: Request) -> Response:
    """Add a domain."""
    visit = Visit(request)
    fields = await visit.form()
    me = await visit.who()
    if not me["site_admin"]:
        raise Refusal(visit._("This page does not exist."), "", 404)
    name = fields.get("name", "").strip()
    try:
        given = settings_in(fields)
        back = f"/domains/{name.lower()}"
        wanted = {key: value for key, value in given.items() if value not in ("", 0, False, [])}
        return await change(visit, "domain.add", fields, {"domain": name, "settings": wanted}, back, new=True)
    except Refusal as refusal:
        problem = visit.said(refusal)
        shown = settings_as_sent(SETTINGS, fields)
        return visit.page("new_domain.html", refusal.status, settings=shown, name=name, problem=problem)


@router.get("/explain")
async def explain(request: Request, address: str = "") -> Response:
    """Where mail for an address goes, drawn and told."""
    visit = Visit(request)
    await visit.who()
    found, drawing, problem = None, "", ""
    if address.strip():
        try:
            found = await visit.ask("explain", address=address.strip())
            drawing = graph(found, visit._)
        except Refusal as refusal:
            problem = visit.said(refusal)
    return visit.page("explain.html", address=address, found=found, drawing=drawing, problem=problem)


@router.get("/changes")
async def changes(request: Request, page: int = 1) -> Response:
    """The audit log of all domains."""
    visit = Visit(request)
    await visit.who()
    records = await visit.ask("audit", page=page)
    if page > 1 and not records:
        raise Refusal(visit._("This page does not exist."), "", 404)
    return visit.page("changes.html", records=records, number=page, domain=None)
