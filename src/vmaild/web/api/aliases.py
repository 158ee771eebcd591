"""The API: aliases of a domain."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from vmaild.web.api.bodies import Plan, Targets
from vmaild.web.api.caller import PREFIX, Caller, DryRun, Login, Name, PageNumber, PageSize, Search, Seen, stamp_in

router = APIRouter(prefix=PREFIX)


@router.get("/domains/{domain}/aliases")
async def list_aliases(
    caller: Caller, domain: Name, query: Search = "", page: PageNumber = 1, size: PageSize = 50
) -> dict[str, Any]:
    """The aliases of a domain."""
    return dict(await caller.ask("aliases", domain=domain, query=query, page=page, size=size))


@router.put("/domains/{domain}/aliases/{login}")
async def set_alias(
    caller: Caller, domain: Name, login: Login, body: Targets, dry_run: DryRun = False, seen: Seen = ""
) -> Plan:
    """Create an alias, or give it these targets."""
    values = {"address": f"{login}@{domain}", "targets": body.targets, "seen": stamp_in(seen)}
    return Plan(**await caller.ask("alias.set", **values, dry_run=dry_run))


@router.delete("/domains/{domain}/aliases/{login}")
async def remove_alias(
    caller: Caller, domain: Name, login: Login, dry_run: DryRun = False, seen: Seen = ""
) -> Plan:
    """Remove an alias."""
    values = {"address": f"{login}@{domain}", "seen": stamp_in(seen)}
    return Plan(**await caller.ask("alias.remove", **values, dry_run=dry_run))
