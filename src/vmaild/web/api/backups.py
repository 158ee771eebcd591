"""The API: backups of domains. What has to do with mail takes its time: 202, and `Location` says how far it is."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response

from vmaild.web.api.bodies import Backup, Plan
from vmaild.web.api.caller import PREFIX, Caller, DryRun, Name, PageNumber, PageSize, begun

router = APIRouter(prefix=PREFIX)

Time = Annotated[str, Path(pattern=r"^[0-9]{8}T[0-9]{6}(\.[0-9]{1,9})?$", description="As the list tells it")]
_OF_A_DOMAIN = "/domains/{domain}/backups"
_BEGUN: dict[int | str, dict[str, Any]] = {202: {"model": Plan, "description": "It is being done"}}


@router.get("/backups")
async def list_all_backups(
    caller: Caller,
    domain: Annotated[str, Query(max_length=253)] = "",
    page: PageNumber = 1,
    size: PageSize = 50,
) -> dict[str, Any]:
    """The backups of all domains, the newest first, and what is being done (`work`)."""
    return dict(await caller.ask("backups", domain=domain, page=page, size=size))


@router.get(_OF_A_DOMAIN)
async def list_backups(caller: Caller, domain: Name, page: PageNumber = 1, size: PageSize = 50) -> dict[str, Any]:
    """The backups of a domain, which need not be there any more."""
    return dict(await caller.ask("backups", domain=domain, page=page, size=size))


@router.get(f"{_OF_A_DOMAIN}/progress")
async def progress(caller: Caller, domain: Name) -> dict[str, str]:
    """What is being done (`state`: none, running, done), or was done last, and why it was not (`problem`)."""
    return dict(await caller.ask("backup.progress", domain=domain))


@router.post(_OF_A_DOMAIN, status_code=201, responses=_BEGUN)
async def make_backup(
    caller: Caller, domain: Name, body: Backup, response: Response, dry_run: DryRun = False
) -> Plan:
    """Make one."""
    plan = Plan(**await caller.ask("backup.make", domain=domain, mail=body.mail, dry_run=dry_run))
    return _answered(response, plan, domain, dry_run)


@router.post(f"{_OF_A_DOMAIN}/{{time}}/restore", responses=_BEGUN)
async def restore_backup(
    caller: Caller, domain: Name, time: Time, body: Backup, response: Response, dry_run: DryRun = False
) -> Plan:
    """Put the domain back as it was then; with `mail`, also the messages that are missing."""
    wanted = {"domain": domain, "time": time, "mail": body.mail}
    plan = Plan(**await caller.ask("backup.restore", **wanted, dry_run=dry_run))
    return _answered(response, plan, domain, dry_run)


@router.delete(f"{_OF_A_DOMAIN}/{{time}}")
async def remove_backup(caller: Caller, domain: Name, time: Time, dry_run: DryRun = False) -> Plan:
    """Remove one for good."""
    return Plan(**await caller.ask("backup.remove", domain=domain, time=time, dry_run=dry_run))


def _answered(response: Response, plan: Plan, domain: str, dry_run: bool) -> Plan:
    """A plan that is neither done nor a dry run goes on in the background."""
    if plan.changed and not plan.carried_out and not dry_run:
        response.status_code = 202
        begun(response, f"/domains/{domain}/backups/progress")
    return plan
