"""Who calls the API, with what; and what is said where something is refused."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import Depends, Header, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from vmaild.web.api.bodies import Problem
from vmaild.web.desk import Refusal, SignedOut
from vmaild.web.visit import Visit

PREFIX = "/api/v1"
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
Seen = Annotated[str, Header(alias="If-Match", max_length=100, description="What `seen` told before the change")]
PageNumber = Annotated[int, Query(ge=1, le=1_000_000)]
PageSize = Annotated[int, Query(ge=1, le=500)]


def stamp_in(if_match: str) -> str:
    """The stamp that a header carries (RFC 9110 section 13.1.1); empty: anything is right that is there."""
    stamp = if_match.strip().strip('"')
    return "" if stamp == "*" else stamp


def begun(response: Response, path: str) -> None:
    """Tell where to see how far something is that goes on after the answer (RFC 9110 section 15.3.3)."""
    response.headers["Location"] = PREFIX + quote(path)


def misunderstood(error: RequestValidationError) -> Refusal:
    """What is wrong with a request that is not as described; what was sent, perhaps a password, stays unsaid."""
    faults = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
    return Refusal("; ".join(faults), "see /api/v1/openapi.json", 422)


def problem(refusal: Refusal) -> Response:
    """A refusal as a problem document."""
    body = Problem(
        title=refusal.problem, status=refusal.status, remedy=refusal.remedy, code=refusal.code
    ).model_dump()
    headers = {"WWW-Authenticate": "Bearer"} if refusal.status == 401 else None
    return JSONResponse(body, refusal.status, headers=headers, media_type="application/problem+json")
