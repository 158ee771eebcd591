"""The REST API, `/api/v1`: the verbs of the desk for scripts, with a token instead of a session.

Errors are problem documents (RFC 9457) with a `remedy`. What is not yours and what does not exist are told alike.
Every change takes `dry_run=true` and then says what it would do.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Depends, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict, Field, model_validator

from vmaild.web.desk import Refusal, SignedOut
from vmaild.web.visit import Visit

_bearer = HTTPBearer(auto_error=False, description="A token of `vmail token add`")


async def _caller(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Visit:
    visit = Visit(request)
    # A session's cookie is not enough: other sites could make a browser send it.
    visit.secret = credentials.credentials if credentials else ""
    if not visit.secret:
        raise SignedOut("a token is missing", "send 'Authorization: Bearer TOKEN'", 401)
    return visit


Caller = Annotated[Visit, Depends(_caller)]
Name = Annotated[str, Path(max_length=253, description="Name of a domain")]
Login = Annotated[str, Path(max_length=256, description="Login, or name of an alias")]
DryRun = Annotated[bool, Query(description="Change nothing; say what would change")]
Search = Annotated[str, Query(max_length=256)]
PageNumber = Annotated[int, Query(ge=1, le=1_000_000)]
PageSize = Annotated[int, Query(ge=1, le=500)]


class Problem(BaseModel):
    """RFC 9457."""

    type: str = "about:blank"
    title: str
    status: int
    remedy: str


router = APIRouter(
    prefix="/api/v1",
    responses={
        code: {
            "description": HTTPStatus(code).phrase,
            "content": {"application/problem+json": {"schema": Problem.model_json_schema()}},
        }
        for code in (400, 401, 403, 404, 409, 413, 422, 429, 503)
    },
)


class Strict(BaseModel):
    """A body in which nothing unknown may stand."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _whole_characters(cls, values: object) -> object:
        """JSON can spell half a character (RFC 8259 section 8.2), which no file of ours can hold."""
        try:
            json.dumps(values, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise ValueError("half of a surrogate pair is no character") from error
        return values


class DomainSettings(Strict):
    """The definition of a domain; what is absent stays, what is empty goes back to the default."""

    mail_host: str | None = None
    addresses: list[str] | None = None
    aliases: list[str] | None = None
    fallback: str | None = None
    alias_files: list[str] | None = None
    quota: str | None = Field(None, examples=["100M"])
    max_users: int | None = None
    match_full_name: bool | None = None
    certificate: str | None = None
    disabled: bool | None = None
    plain_logins: bool | None = None


class NewDomain(DomainSettings):
    """A domain; only its name is mandatory."""

    name: str


class AccountSettings(Strict):
    """What changes of an account."""

    full_name: str | None = None
    quota: str | None = Field(None, examples=["50M", "none", "default"])
    suspended: bool | None = None


class NewAccount(Strict):
    """An account; without a password nobody can log in to it."""

    login: str
    full_name: str = ""
    quota: str = ""
    password: str | None = None


class Password(Strict):
    """A new password."""

    password: str


class Targets(Strict):
    """Where an alias leads."""

    targets: list[str]


class Vacation(Strict):
    """An automatic reply; an empty text switches it off."""

    text: str
    subject: str = ""
    first_day: str = Field("", examples=["2026-12-21"])
    last_day: str = ""


class Forward(Strict):
    """Forwarding; without targets it is off."""

    targets: list[str]
    keep_copy: bool = True


class Principal(Strict):
    """`unix:alice` or `bob@va.toto.fr`."""

    principal: str


class Grant(Principal):
    """A co-administrator, with some of the rights; empty: all of them."""

    rights: list[Literal["accounts", "removal", "passwords", "aliases", "mail"]] = Field(default_factory=list)


class Plan(BaseModel):
    """What a change did, or would do."""

    changed: bool
    carried_out: bool
    summary: str
    rerouted: list[dict[str, str]]
    effects: list[str]
    warnings: list[str]


def misunderstood(error: RequestValidationError) -> Refusal:
    """What is wrong with a request that is not as described; what was sent, perhaps a password, stays unsaid."""
    faults = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
    return Refusal("; ".join(faults), "see /api/v1/openapi.json", 422)


def problem(refusal: Refusal) -> Response:
    """A refusal as a problem document."""
    body = Problem(title=refusal.problem, status=refusal.status, remedy=refusal.remedy).model_dump()
    headers = {"WWW-Authenticate": "Bearer"} if refusal.status == 401 else None
    return JSONResponse(body, refusal.status, headers=headers, media_type="application/problem+json")


@router.get("/whoami")
async def whoami(caller: Caller) -> dict[str, Any]:
    """On whose behalf the token is."""
    return dict(await caller.ask("who"))


# -- domains


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
async def set_domain(caller: Caller, domain: Name, body: DomainSettings, dry_run: DryRun = False) -> Plan:
    """Change the definition of a domain."""
    settings = body.model_dump(exclude_unset=True)
    return Plan(**await caller.ask("domain.set", domain=domain, settings=settings, dry_run=dry_run))


@router.delete("/domains/{domain}")
async def remove_domain(
    caller: Caller,
    domain: Name,
    mail: Annotated[str, Query(pattern="^(archive|keep|delete)$")] = "archive",
    dry_run: DryRun = False,
) -> Plan:
    """Take a domain out of service."""
    return Plan(**await caller.ask("domain.remove", domain=domain, mail=mail, dry_run=dry_run))


@router.get("/domains/{domain}/check")
async def check(caller: Caller, domain: Name) -> list[dict[str, Any]]:
    """What is wrong with a domain."""
    return list(await caller.ask("check", domain=domain))


@router.get("/domains/{domain}/audit")
async def audit(caller: Caller, domain: Name, page: PageNumber = 1, size: PageSize = 50) -> list[dict[str, Any]]:
    """Who changed what, the newest first."""
    return list(await caller.ask("audit", domain=domain, page=page, size=size))


# -- accounts


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
    caller: Caller, domain: Name, login: Login, body: AccountSettings, dry_run: DryRun = False
) -> Plan:
    """Change an account."""
    values = body.model_dump(exclude_unset=True)
    return Plan(**await caller.ask("user.set", address=f"{login}@{domain}", **values, dry_run=dry_run))


@router.put("/domains/{domain}/accounts/{login}/password")
async def set_password(caller: Caller, domain: Name, login: Login, body: Password) -> Plan:
    """Give an account a new password."""
    return Plan(**await caller.ask("user.password", address=f"{login}@{domain}", password=body.password))


@router.put("/domains/{domain}/accounts/{login}/vacation")
async def set_vacation(
    caller: Caller, domain: Name, login: Login, body: Vacation, dry_run: DryRun = False
) -> Plan:
    """Set an automatic reply, or switch it off."""
    values = body.model_dump()
    return Plan(**await caller.ask("user.vacation", address=f"{login}@{domain}", **values, dry_run=dry_run))


@router.put("/domains/{domain}/accounts/{login}/forward")
async def set_forward(caller: Caller, domain: Name, login: Login, body: Forward, dry_run: DryRun = False) -> Plan:
    """Set forwarding, or switch it off."""
    values = body.model_dump()
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


# -- aliases, co-administrators, explanations


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
