"""The API: service addresses of this machine, all of them or those of a domain."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from vmaild.web.api.bodies import Plan
from vmaild.web.api.caller import PREFIX, Caller, DryRun, Name

router = APIRouter(prefix=PREFIX)


@router.get("/addresses")
async def list_addresses(caller: Caller) -> dict[str, Any]:
    """Which are wanted, up, free, and there after a reboot."""
    return dict(await caller.ask("addresses"))


@router.post("/addresses")
async def put_up_all(caller: Caller, dry_run: DryRun = False) -> Plan:
    """Put up those that domains want, take down those that none wants any more."""
    return Plan(**await caller.ask("address.apply", dry_run=dry_run))


@router.get("/domains/{domain}/addresses")
async def list_addresses_of_a_domain(caller: Caller, domain: Name) -> dict[str, Any]:
    """How those of a domain stand."""
    return dict(await caller.ask("addresses", domain=domain))


@router.post("/domains/{domain}/addresses")
async def put_up(caller: Caller, domain: Name, dry_run: DryRun = False) -> Plan:
    """Put up those of a domain."""
    return Plan(**await caller.ask("address.apply", domain=domain, dry_run=dry_run))
