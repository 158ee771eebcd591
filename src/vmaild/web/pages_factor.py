"""Pages for one's own second factor: set it up with a QR code, new recovery codes, switch it off."""

from __future__ import annotations

import segno
from fastapi import APIRouter, Request
from fastapi.responses import Response

from vmaild.web.changes import confirm
from vmaild.web.desk import Refusal
from vmaild.web.visit import Visit

router = APIRouter(prefix="/account/second-factor")


async def _page(visit: Visit, status: int = 200, problem: str = "", **shown: object) -> Response:
    factor = await visit.ask("factor")
    nothing = {"offer": None, "drawing": "", "recovery": None}
    return visit.page("second_factor.html", status, factor=factor, problem=problem, **(nothing | shown))


@router.get("")
async def second_factor(request: Request) -> Response:
    """Whether there is one, and what can be done with it."""
    visit = Visit(request)
    await visit.who()
    return await _page(visit)


@router.post("")
async def change_second_factor(request: Request) -> Response:
    """Begin to set it up, prove it, renew the recovery codes, or switch it off."""
    visit = Visit(request)
    fields = await visit.form()
    await visit.who()
    try:
        match fields.get("act"):
            case "begin":
                await confirm(visit, fields)
                return await _offer(visit, await visit.ask("factor.begin"))
            case "confirm":
                return await _prove(visit, fields.get("code", ""))
            case "renew":
                await confirm(visit, fields)
                done = await visit.ask("factor.renew")
                return await _page(visit, recovery=done["recovery"])
            case "off":
                await confirm(visit, fields)
                await visit.ask("factor.off")
                return visit.go("/account/second-factor", visit._("The second factor is switched off."))
    except Refusal as refusal:
        return await _page(visit, refusal.status, visit.said(refusal))
    return visit.go("/account/second-factor")


async def _prove(visit: Visit, code: str) -> Response:
    """Take the first code of a new factor."""
    offer = await visit.ask("factor.offer")
    try:
        done = await visit.ask("factor.confirm", code=code)
    except Refusal as refusal:
        return await _offer(visit, offer, refusal.status, visit.said(refusal))
    return await _page(visit, recovery=done["recovery"])


async def _offer(visit: Visit, offer: dict[str, str], status: int = 200, problem: str = "") -> Response:
    """The secret for the telephone: in the page itself, so that no address of a picture gives it away."""
    drawing = segno.make(offer["uri"], error="m").svg_data_uri(scale=5, border=2)
    return await _page(visit, status, problem, offer=offer, drawing=drawing)
