"""The API: accounts of a domain."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from vmaild.web.api.bodies import AccountSettings, Forward, NewAccount, Password, Plan, Vacation
from vmaild.web.api.caller import PREFIX, Caller, DryRun, Login, Name, PageNumber, PageSize, Search, Seen, stamp_in

router = APIRouter(prefix=PREFIX)


@router.get("/domains/{domain}/accounts")
async def list_accounts(
    caller: Caller, domain: Name, query: Search = "", page: PageNumber = 1, size: PageSize = 50
) -> dict[str, Any]:
    """The accounts of a domain."""
    return dict(await caller.ask("users", domain=domain, query=query, page=page, size=size))


@router.post("/domains/{domain}/accounts", status_code=201)
async def add_account(caller: Caller, domain: Name, body: NewAccount, dry_run: DryRun = False) -> Plan:
    """Add an account."""
    values = body.model_dump(exclude={"login"})
    return Plan(**await caller.ask("user.add", address=f"{body.login}@{domain}", **values, dry_run=dry_run))


@router.get("/domains/{domain}/accounts/{login}")
async def show_account(caller: Caller, domain: Name, login: Login) -> dict[str, Any]:
    """One account."""
    return dict(await caller.ask("user", address=f"{login}@{domain}"))


@router.patch("/domains/{domain}/accounts/{login}")
async def set_account(
    caller: Caller, domain: Name, login: Login, body: AccountSettings, dry_run: DryRun = False, seen: Seen = ""
) -> Plan:
    """Change an account."""
    values = body.model_dump(exclude_unset=True) | {"seen": stamp_in(seen)}
    return Plan(**await caller.ask("user.set", address=f"{login}@{domain}", **values, dry_run=dry_run))


@router.put("/domains/{domain}/accounts/{login}/password")
async def set_password(caller: Caller, domain: Name, login: Login, body: Password) -> Plan:
    """Give an account a new password."""
    return Plan(**await caller.ask("user.password", address=f"{login}@{domain}", password=body.password))


@router.put("/domains/{domain}/accounts/{login}/vacation")
async def set_vacation(
    caller: Caller, domain: Name, login: Login, body: Vacation, dry_run: DryRun = False, seen: Seen = ""
) -> Plan:
    """Set an automatic reply, or switch it off."""
    values = body.model_dump() | {"seen": stamp_in(seen)}
    return Plan(**await caller.ask("user.vacation", address=f"{login}@{domain}", **values, dry_run=dry_run))


@router.put("/domains/{domain}/accounts/{login}/forward")
async def set_forward(
    caller: Caller, domain: Name, login: Login, body: Forward, dry_run: DryRun = False, seen: Seen = ""
) -> Plan:
    """Set forwarding, or switch it off."""
    values = body.model_dump() | {"seen": stamp_in(seen)}
    return Plan(**await caller.ask("user.forward", address=f"{login}@{domain}", **values, dry_run=dry_run))


@router.delete("/domains/{domain}/accounts/{login}")
async def remove_account(
    caller: Caller,
    domain: Name,
    login: Login,
    mail: Annotated[str, Query(pattern="^(archive|keep|delete)$")] = "archive",
    dry_run: DryRun = False,
) -> Plan:
    """Remove an account."""
    return Plan(**await caller.ask("user.remove", address=f"{login}@{domain}", mail=mail, dry_run=dry_run))
