"""Pages for a list of accounts: send it, see what would become of each row, watch it being carried out."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from vmaild.web.desk import Refusal
from vmaild.web.pages_domain import open_domain
from vmaild.web.visit import Visit

router = APIRouter(prefix="/domains/{name}/import")

MAX_LIST = 4 << 20
"""Octets."""


@router.get("")
async def import_page(request: Request, name: str) -> Response:
    """The form for a list."""
    visit, domain = await open_domain(request, name)
    return visit.page("import.html", domain=domain, tab="accounts", text="", problem="")


@router.post("")
async def send_list(request: Request, name: str) -> Response:
    """Look at a list; nothing changes."""
    visit, domain = await open_domain(request, name)
    text = ""
    try:
        fields = await visit.form(MAX_LIST)
        text = fields.get("file") or fields.get("text", "")
        seen = await visit.ask("import.preview", domain=domain["name"], text=text)
    except Refusal as refusal:
        return visit.page(
            "import.html", refusal.status, domain=domain, tab="accounts", text=text, problem=visit.said(refusal)
        )
    return visit.go(f"/domains/{domain['name']}/import/{seen['import']}")


@router.get("/{number}")
async def show_import(request: Request, name: str, number: str, page: int = 1) -> Response:
    """Every row, and how far the import is."""
    visit, domain = await open_domain(request, name)
    return await _shown(visit, domain, number, page)


async def _shown(visit: Visit, domain: dict[str, object], number: str, page: int = 1) -> Response:
    try:
        seen = await visit.ask("import.show", **{"domain": domain["name"], "import": number, "page": page})
    except Refusal as refusal:
        raise Refusal(visit._(refusal.problem), visit._(refusal.remedy), 404) from refusal
    return visit.page("import_rows.html", domain=domain, tab="accounts", seen=seen)


@router.post("/{number}")
async def run_import(request: Request, name: str, number: str) -> Response:
    """Carry it out."""
    visit, domain = await open_domain(request, name)
    await visit.form()
    await visit.ask("import.run", **{"domain": domain["name"], "import": number})
    return visit.go(f"/domains/{domain['name']}/import/{number}")


@router.get("/{number}/progress")
async def progress(request: Request, name: str, number: str) -> Response:
    """How far it is, for the script of the page."""
    visit, domain = await open_domain(request, name)
    try:
        seen = await visit.ask("import.show", **{"domain": domain["name"], "import": number})
    except Refusal as refusal:
        raise Refusal(visit._(refusal.problem), visit._(refusal.remedy), 404) from refusal
    return JSONResponse({key: seen[key] for key in ("state", "done", "good")})
