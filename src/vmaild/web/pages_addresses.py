"""The page of the service addresses of this machine: which are wanted, up, free, and there after a reboot."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from vmaild.web.changes import change
from vmaild.web.desk import Refusal
from vmaild.web.pages_site import of_the_site
from vmaild.web.visit import Visit

router = APIRouter(prefix="/addresses")


@router.get("")
async def addresses(request: Request) -> Response:
    """How they stand."""
    return await _page(await of_the_site(request))


@router.post("")
async def put_up(request: Request) -> Response:
    """Put up those of one domain, or of all; what would change is shown first."""
    visit = await of_the_site(request)
    fields = await visit.form()
    try:
        values = {"domain": fields.get("domain", "")}
        return await change(visit, "address.apply", fields, values, "/addresses", dangerous=True)
    except Refusal as refusal:
        return await _page(visit, refusal.status, visit.said(refusal))


async def _page(visit: Visit, status: int = 200, problem: str = "") -> Response:
    return visit.page("addresses.html", status, found=await visit.ask("addresses"), problem=problem)
