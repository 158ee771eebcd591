"""The page of backups: make one, see those there are, put one back after a look, remove one."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from vmaild.web.changes import change, told
from vmaild.web.desk import Refusal
from vmaild.web.i18n import JOINTS
from vmaild.web.pages_site import of_the_site
from vmaild.web.visit import Visit

router = APIRouter(prefix="/backups")

_ROOM = 600
"""Characters of a word about what was done, which a cookie carries."""


@router.get("")
async def backups(request: Request, domain: str = "", page: int = 1) -> Response:
    """Those of all domains, or of one."""
    return await _page(await of_the_site(request), domain, page)


@router.get("/progress")
async def progress(request: Request) -> Response:
    """What is being done, for the script of the page."""
    visit = await of_the_site(request)
    return JSONResponse(await visit.ask("backup.progress"))


@router.post("")
async def act(request: Request) -> Response:
    """Make a backup; or put one back, or remove it, which is shown first."""
    visit = await of_the_site(request)
    fields = await visit.form()
    name = fields.get("backup", "")
    try:
        match fields.get("act"):
            case "make":
                values = {"domain": fields.get("domain", "").strip(), "mail": bool(fields.get("mail"))}
                plan = await visit.ask("backup.make", **values)
                return visit.go(
                    "/backups",
                    JOINTS[visit.language].join([told(visit, plan), *map(visit._, plan["warnings"])])[:_ROOM],
                )
            case "restore" | "restore_mail" as what:
                wanted = {"backup": name, "mail": what == "restore_mail"}
                return await change(visit, "backup.restore", fields, wanted, "/backups", dangerous=True)
            case "remove":
                return await change(visit, "backup.remove", fields, {"backup": name}, "/backups", dangerous=True)
    except Refusal as refusal:
        return await _page(visit, "", 1, refusal.status, visit.said(refusal))
    return visit.go("/backups")


async def _page(visit: Visit, domain: str, page: int, status: int = 200, problem: str = "") -> Response:
    try:
        found = await visit.ask("backups", domain=domain, page=page)
    except Refusal as refusal:
        if not domain:
            raise
        found, problem = await visit.ask("backups"), visit.said(refusal)
    return visit.page("backups.html", status, found=found, domain=domain, problem=problem)
