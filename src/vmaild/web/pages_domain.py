"""Pages of one domain: accounts, aliases, settings, co-administrators, checks, what was changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from vmaild.web.changes import change, told
from vmaild.web.desk import Refusal
from vmaild.web.pages_admin import SETTINGS, settings_in
from vmaild.web.sent import account_as_sent, settings_as_sent
from vmaild.web.visit import Visit

router = APIRouter(prefix="/domains/{name}")

RIGHTS = ("accounts", "removal", "passwords", "aliases", "mail")
"""What co-administrators may be limited to; see core.permissions."""


async def open_domain(request: Request, name: str) -> tuple[Visit, dict[str, Any]]:
    """The visit, and the domain that it is about. Raises Refusal."""
    visit = Visit(request)
    await visit.who()
    try:
        domain: dict[str, Any] = await visit.ask("domain", domain=name)
    except Refusal as refusal:
        # Not there, or not theirs: no difference.
        raise Refusal(visit._("This page does not exist."), "", 404) from refusal
    return visit, domain


# -- accounts


@router.get("")
async def accounts(
    request: Request, name: str, query: str = "", page: int = 1, sort: str = "login", descending: bool = False
) -> Response:
    """The accounts of a domain."""
    visit, domain = await open_domain(request, name)
    found = await visit.ask("users", domain=name, query=query, page=page, sort=sort, descending=descending)
    return visit.page(
        "accounts.html", domain=domain, found=found, query=query, sort=sort, descending=descending, tab="accounts"
    )


@router.get("/new-account")
async def new_account(request: Request, name: str) -> Response:
    """The form for a new account."""
    visit, domain = await open_domain(request, name)
    return visit.page(
        "new_account.html", domain=domain, tab="accounts", fields={}, problem="", plan=None, again=False
    )


@router.post("/new-account")
async def add_account(request: Request, name: str) -> Response:
    """Add an account."""
    visit, domain = await open_domain(request, name)
    fields = await visit.form()
    login = fields.get("login", "").strip()
    values = {
        "address": f"{login}@{domain['name']}",
        "full_name": fields.get("full_name", "").strip(),
        "quota": fields.get("quota", "").strip(),
        "password": fields.get("password", ""),
    }
    # What was looked at is about that login and no other.
    look = {} if login and fields.get("confirmed") == login else {"hold": "taking"}
    plan, problem, status = None, "", 200
    try:
        plan = await visit.ask("user.add", **values, **look)
        if plan["carried_out"]:
            return visit.go(f"/domains/{domain['name']}", told(visit, plan))
    except Refusal as refusal:
        problem, status = visit.said(refusal), refusal.status
    # A password is never sent back, so it is typed again.
    shown = {name: value for name, value in fields.items() if name != "password"}
    again = bool(fields.get("password"))
    return visit.page(
        "new_account.html",
        status,
        domain=domain,
        tab="accounts",
        fields=shown,
        problem=problem,
        plan=plan,
        again=again,
    )


async def _account_page(
    visit: Visit,
    domain: dict[str, Any],
    login: str,
    status: int = 200,
    problem: str = "",
    sent: Mapping[str, str] | None = None,
) -> Response:
    try:
        user = await visit.ask("user", address=f"{login}@{domain['name']}")
    except Refusal as refusal:
        raise Refusal(visit._("This page does not exist."), "", 404) from refusal
    shown = account_as_sent(user, (sent or {}).get("act", ""), sent or {})
    return visit.page("edit_account.html", status, domain=domain, tab="accounts", user=shown, problem=problem)


@router.get("/accounts/{login}")
async def account(request: Request, name: str, login: str) -> Response:
    """One account."""
    visit, domain = await open_domain(request, name)
    return await _account_page(visit, domain, login)


@router.post("/accounts/{login}")
async def edit_account(request: Request, name: str, login: str) -> Response:
    """Change one account: its data, its password, or remove it."""
    visit, domain = await open_domain(request, name)
    fields = await visit.form()
    address, seen = f"{login}@{domain['name']}", fields.get("seen", "")
    here, back = f"/domains/{domain['name']}/accounts/{login}", f"/domains/{domain['name']}"
    try:
        match fields.get("act"):
            case "save":
                values = {
                    "address": address,
                    "full_name": fields.get("full_name", "").strip(),
                    "quota": fields.get("quota", "").strip() or "default",
                    "seen": seen,
                }
                return await change(visit, "user.set", fields, values, here)
            case "suspend" | "resume" as act:
                return await change(
                    visit, "user.set", fields, {"address": address, "suspended": act == "suspend"}, here
                )
            case "password":
                await visit.ask("user.password", address=address, password=fields.get("password", ""))
                return visit.go(here, visit._("The password was changed."))
            case "vacation":
                given = {key: fields.get(key, "") for key in ("text", "subject", "first_day", "last_day")}
                values = {"address": address, "seen": seen, **given}
                return await change(visit, "user.vacation", fields, values, here)
            case "forward":
                targets = fields.get("targets", "").replace(",", "\n").split("\n")
                keep = {"targets": targets, "keep_copy": bool(fields.get("keep_copy")), "seen": seen}
                return await change(visit, "user.forward", fields, {"address": address, **keep}, here)
            case "remove":
                return await change(visit, "user.remove", fields, {"address": address}, back, dangerous=True)
    except Refusal as refusal:
        return await _account_page(visit, domain, login, refusal.status, visit.said(refusal), fields)
    return visit.go(here)


# -- aliases


@router.get("/aliases")
async def aliases(request: Request, name: str, query: str = "", page: int = 1) -> Response:
    """The aliases of a domain."""
    visit, domain = await open_domain(request, name)
    found = await visit.ask("aliases", domain=name, query=query, page=page)
    return visit.page(
        "aliases.html", domain=domain, found=found, query=query, tab="aliases", problem="", fields={"act": ""}
    )


@router.post("/aliases")
async def write_alias(request: Request, name: str) -> Response:
    """Add, change or remove an alias; where mail would go is shown first."""
    visit, domain = await open_domain(request, name)
    fields = await visit.form()
    address = f"{fields.get('alias', '').strip()}@{domain['name']}"
    targets = [each.strip() for each in fields.get("targets", "").replace(",", "\n").split("\n")]
    back = f"/domains/{domain['name']}/aliases"
    verb = {"add": "alias.add", "set": "alias.set", "remove": "alias.remove"}.get(
        fields.get("act", ""), "alias.add"
    )
    values: dict[str, Any] = {"address": address, "seen": fields.get("seen", "")}
    values |= {} if verb == "alias.remove" else {"targets": targets}
    try:
        return await change(visit, verb, fields, values, back)
    except Refusal as refusal:
        query = fields.get("alias", "") if verb == "alias.set" else ""
        found = await visit.ask("aliases", domain=name, query=query)
        return visit.page(
            "aliases.html",
            refusal.status,
            domain=domain,
            found=found,
            query=query,
            tab="aliases",
            problem=visit.said(refusal),
            fields=fields | {"act": verb.removeprefix("alias.")},
        )


# -- the domain itself


@router.get("/settings")
async def settings(request: Request, name: str) -> Response:
    """The definition of a domain."""
    visit, domain = await open_domain(request, name)
    return visit.page(
        "settings.html", domain=domain, tab="settings", settings={**SETTINGS, **domain["settings"]}, problem=""
    )


@router.post("/settings")
async def write_settings(request: Request, name: str) -> Response:
    """Change the definition, or remove the domain."""
    visit, domain = await open_domain(request, name)
    fields = await visit.form()
    here = f"/domains/{domain['name']}/settings"
    try:
        if fields.get("act") == "remove":
            return await change(
                visit, "domain.remove", fields, {"domain": domain["name"]}, "/domains", dangerous=True
            )
        before = {**SETTINGS, **domain["settings"]}
        given = {key: value for key, value in settings_in(fields).items() if value != before[key]}
        if not given:
            return visit.go(here, visit._("Nothing to change."))
        values = {"domain": domain["name"], "settings": given, "seen": fields.get("seen", "")}
        return await change(visit, "domain.set", fields, values, here)
    except Refusal as refusal:
        shown = {**domain["settings"], **settings_as_sent(SETTINGS, fields)}
        return visit.page(
            "settings.html",
            refusal.status,
            domain=domain,
            tab="settings",
            settings=shown,
            problem=visit.said(refusal),
        )


@router.get("/admins")
async def admins(request: Request, name: str) -> Response:
    """The co-administrators of a domain."""
    visit, domain = await open_domain(request, name)
    return visit.page("admins.html", domain=domain, tab="admins", problem="", principal="")


@router.post("/admins")
async def write_admins(request: Request, name: str) -> Response:
    """Name a co-administrator, or take that away."""
    visit, domain = await open_domain(request, name)
    fields = await visit.form()
    principal = fields.get("principal", "").strip()
    verb = "admin.revoke" if fields.get("act") == "revoke" else "admin.grant"
    values: dict[str, Any] = {"domain": domain["name"], "principal": principal, "seen": fields.get("seen", "")}
    if verb == "admin.grant":
        values["rights"] = [right for right in RIGHTS if fields.get(f"right_{right}")]
    try:
        if verb == "admin.grant" and not values["rights"]:
            raise Refusal("no right is chosen", "choose one, or revoke it all", 422)
        back = f"/domains/{domain['name']}/admins"
        return await change(visit, verb, fields, values, back, dangerous=verb == "admin.grant")
    except Refusal as refusal:
        return visit.page(
            "admins.html",
            refusal.status,
            domain=domain,
            tab="admins",
            problem=visit.said(refusal),
            principal=principal,
        )


@router.get("/changes")
async def changes(request: Request, name: str, page: int = 1) -> Response:
    """The audit log of a domain."""
    visit, domain = await open_domain(request, name)
    records = await visit.ask("audit", domain=domain["name"], page=page)
    if page > 1 and not records:
        raise Refusal(visit._("This page does not exist."), "", 404)
    return visit.page("changes.html", records=records, number=page, domain=domain, tab="changes")


@router.get("/dns")
async def dns(request: Request, name: str, look: str = "") -> Response:
    """The records that a domain needs; and, where somebody wants to know, how they stand."""
    visit, domain = await open_domain(request, name)
    return await _dns_page(visit, domain, look=bool(look))


@router.post("/dns")
async def write_dns(request: Request, name: str) -> Response:
    """Bring them to the zone files of this machine, or to a name server; what would change is shown first."""
    visit, domain = await open_domain(request, name)
    fields = await visit.form()
    try:
        back, verb = (
            f"/domains/{domain['name']}/dns",
            "dns.update" if fields.get("act") == "update" else "dns.apply",
        )
        return await change(visit, verb, fields, {"domain": domain["name"]}, back, shown=True)
    except Refusal as refusal:
        return await _dns_page(visit, domain, refusal.status, visit.said(refusal))


async def _dns_page(
    visit: Visit, domain: dict[str, Any], status: int = 200, problem: str = "", *, look: bool = False
) -> Response:
    plan, seen = await visit.ask("dns", domain=domain["name"]), None
    if look:
        try:
            seen = await visit.ask("dns.look", domain=domain["name"])
        except Refusal as refusal:
            problem = visit.said(refusal)
    return visit.page("dns.html", status, domain=domain, tab="dns", plan=plan, seen=seen, problem=problem)
