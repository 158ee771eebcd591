"""The API: the check of a domain, or of the machine with all its domains; and mending what it found."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from vmaild.web.api.bodies import Plan
from vmaild.web.api.caller import PREFIX, Caller, DryRun, Name, PageNumber, begun

router = APIRouter(prefix=PREFIX)


@router.get("/check")
async def check_all(caller: Caller) -> list[dict[str, Any]]:
    """What is wrong with files, of all domains that one may see."""
    return list(await caller.ask("check"))


@router.post("/check", status_code=202)
async def start_check_of_all(caller: Caller, response: Response) -> None:
    """Begin to look at everything: files, DNS, servers, the network. `Location` tells how far it is."""
    await caller.ask("check.start")
    begun(response, "/check/last")


@router.get("/check/last")
async def last_check_of_all(caller: Caller, page: PageNumber = 1) -> dict[str, Any]:
    """How far the last check of everything is (`state`: never, running, done), and what it found."""
    return dict(await caller.ask("check.show", page=page))


@router.post("/check/fixes")
async def mend_all(caller: Caller, dry_run: DryRun = False) -> Plan:
    """Mend what the last check found and vmaild may mend."""
    return Plan(**await caller.ask("check.fix", dry_run=dry_run))


@router.get("/domains/{domain}/check")
async def check(caller: Caller, domain: Name) -> list[dict[str, Any]]:
    """What is wrong with the files of a domain."""
    return list(await caller.ask("check", domain=domain))


@router.post("/domains/{domain}/check", status_code=202)
async def start_check(caller: Caller, domain: Name, response: Response) -> None:
    """Begin to look at a domain: files, DNS, servers, the network. `Location` tells how far it is."""
    await caller.ask("check.start", domain=domain)
    begun(response, f"/domains/{domain}/check/last")


@router.get("/domains/{domain}/check/last")
async def last_check(caller: Caller, domain: Name, page: PageNumber = 1) -> dict[str, Any]:
    """How far the last check of a domain is, and what it found."""
    return dict(await caller.ask("check.show", domain=domain, page=page))


@router.post("/domains/{domain}/check/fixes")
async def mend(caller: Caller, domain: Name, dry_run: DryRun = False) -> Plan:
    """Mend what the last check of a domain found and vmaild may mend."""
    return Plan(**await caller.ask("check.fix", domain=domain, dry_run=dry_run))
