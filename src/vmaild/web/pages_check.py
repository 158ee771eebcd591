"""The check on the web: what was found of one domain or of all, a check that runs, and mending what can be."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from vmaild.web.changes import change
from vmaild.web.desk import Refusal
from vmaild.web.pages_domain import open_domain
from vmaild.web.pages_site import of_the_site
from vmaild.web.visit import Visit

router = APIRouter()

ONE = "/domains/{name}/check"


@router.get("/check")
async def check(request: Request, page: int = 1) -> Response:
    """What is wrong with the site and with all domains."""
    return await _shown(await of_the_site(request), None, page)


@router.get(ONE)
async def check_domain(request: Request, name: str) -> Response:
    """What is wrong with a domain."""
    visit, domain = await open_domain(request, name)
    return await _shown(visit, domain)


@router.get("/check/progress")
async def progress(request: Request) -> Response:
    """How far the check of all is, for the script of the page."""
    return await _progress(await of_the_site(request), None)


@router.get(f"{ONE}/progress")
async def progress_of_domain(request: Request, name: str) -> Response:
    """How far the check of a domain is, likewise."""
    return await _progress(*await open_domain(request, name))


@router.post("/check")
async def act(request: Request) -> Response:
    """Check everything, or mend what can be; that is shown first."""
    return await _act(await of_the_site(request), None)


@router.post(ONE)
async def act_on_domain(request: Request, name: str) -> Response:
    """Check a domain, or mend it."""
    return await _act(*await open_domain(request, name))


async def _act(visit: Visit, domain: dict[str, Any] | None) -> Response:
    fields = await visit.form()
    here, values = _here(domain), _values(domain)
    try:
        match fields.get("act"):
            case "start":
                await visit.ask("check.start", **values)
            case "fix":
                done = await change(visit, "check.fix", fields, values, here, dangerous=True)
                if done.status_code == 303 and fields.get("confirmed"):
                    await visit.ask("check.start", **values)  # what was found is not so any more
                return done
    except Refusal as refusal:
        return await _shown(visit, domain, 1, refusal.status, visit.said(refusal))
    return visit.go(here)


async def _shown(
    visit: Visit, domain: dict[str, Any] | None, page: int = 1, status: int = 200, problem: str = ""
) -> Response:
    seen = await visit.ask("check.show", **_values(domain), page=page)
    return visit.page(
        "check.html", status, domain=domain, tab="check", here=_here(domain), seen=seen, problem=problem
    )


async def _progress(visit: Visit, domain: dict[str, Any] | None) -> Response:
    return JSONResponse(await visit.ask("check.progress", **_values(domain)))


def _here(domain: dict[str, Any] | None) -> str:
    return f"/domains/{domain['name']}/check" if domain else "/check"


def _values(domain: dict[str, Any] | None) -> dict[str, str]:
    return {"domain": domain["name"]} if domain else {}
