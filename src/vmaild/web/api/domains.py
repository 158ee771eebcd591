"""The API: domains, their co-administrators, and where mail goes."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Query

from vmaild.web.api.bodies import DomainSettings, Grant, NewDomain, Plan, Principal
from vmaild.web.api.caller import PREFIX, Caller, DryRun, Name, PageNumber, PageSize, Search, Seen, stamp_in

router = APIRouter(prefix=PREFIX)


@router.get("/domains")
async def list_domains(
    caller: Caller, query: Search = "", page: PageNumber = 1, size: PageSize = 50
) -> dict[str, Any]:
    """The domains that one may see."""
    return dict(await caller.ask("domains", query=query, page=page, size=size))


@router.post("/domains", status_code=201)
async def add_domain(caller: Caller, body: NewDomain, dry_run: DryRun = False) -> Plan:
    """Add a domain."""
    settings = body.model_dump(exclude_unset=True, exclude={"name"})
    return Plan(**await caller.ask("domain.add", domain=body.name, settings=settings, dry_run=dry_run))


@router.get("/domains/{domain}")
async def show_domain(caller: Caller, domain: Name) -> dict[str, Any]:
    """One domain."""
    return dict(await caller.ask("domain", domain=domain))


@router.patch("/domains/{domain}")
async def set_domain(
    caller: Caller, domain: Name, body: DomainSettings, dry_run: DryRun = False, seen: Seen = ""
) -> Plan:
    """Change the definition of a domain."""
    values = {"domain": domain, "settings": body.model_dump(exclude_unset=True), "seen": stamp_in(seen)}
    return Plan(**await caller.ask("domain.set", **values, dry_run=dry_run))


@router.delete("/domains/{domain}")
async def remove_domain(
    caller: Caller,
    domain: Name,
    mail: Annotated[str, Query(pattern="^(archive|keep|delete)$")] = "archive",
    dry_run: DryRun = False,
) -> Plan:
    """Take a domain out of service."""
    return Plan(**await caller.ask("domain.remove", domain=domain, mail=mail, dry_run=dry_run))


@router.get("/domains/{domain}/audit")
async def audit(caller: Caller, domain: Name, page: PageNumber = 1, size: PageSize = 50) -> list[dict[str, Any]]:
    """Who changed what, the newest first."""
    return list(await caller.ask("audit", domain=domain, page=page, size=size))


@router.post("/domains/{domain}/admins")
async def grant(caller: Caller, domain: Name, body: Grant, dry_run: DryRun = False) -> Plan:
    """Name a co-administrator, or change what one may do."""
    return Plan(**await caller.ask("admin.grant", domain=domain, **body.model_dump(), dry_run=dry_run))


@router.delete("/domains/{domain}/admins")
async def revoke(
    caller: Caller, domain: Name, body: Annotated[Principal, Body()], dry_run: DryRun = False
) -> Plan:
    """Take that away again."""
    return Plan(**await caller.ask("admin.revoke", domain=domain, principal=body.principal, dry_run=dry_run))


@router.get("/explain")
async def explain(caller: Caller, address: Annotated[str, Query(max_length=600)]) -> dict[str, Any]:
    """Where mail for an address goes, step by step."""
    return dict(await caller.ask("explain", address=address))
