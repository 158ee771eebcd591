"""The API: aliases of a domain."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from vmaild.web.api.bodies import Plan, Targets
from vmaild.web.api.caller import PREFIX, Caller, DryRun, Login, Name, PageNumber, PageSize, Search

router = APIRouter(prefix=PREFIX)


@router.get("/domains/{domain}/aliases")
async def list_aliases(
    caller: Caller, domain: Name, query: Search = "", page: PageNumber = 1, size: PageSize = 50
) -> dict[str, Any]:
    """The aliases of a domain."""
    return dict(await caller.ask("aliases", domain=domain, query=query, page=page, size=size))


@router.put("/domains/{domain}/aliases/{login}")
async def set_alias(caller: Caller, domain: Name, login: Login, body: Targets, dry_run: DryRun = False) -> Plan:
    """Create an alias, or give it these targets."""
    address = f"{login}@{domain}"
    return Plan(**await caller.ask("alias.set", address=address, targets=body.targets, dry_run=dry_run))


@router.delete("/domains/{domain}/aliases/{login}")
async def remove_alias(caller: Caller, domain: Name, login: Login, dry_run: DryRun = False) -> Plan:
    """Remove an alias."""
    return Plan(**await caller.ask("alias.remove", address=f"{login}@{domain}", dry_run=dry_run))
