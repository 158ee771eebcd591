"""The REST API, `/api/v1`: the verbs of the desk for scripts, with a token instead of a session.

Errors are problem documents (RFC 9457) with a `remedy`. What is not yours and what does not exist are told alike.
Every change takes `dry_run=true` and then says what it would do.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter

from vmaild.web.api import accounts, addresses, aliases, backups, checks, domains
from vmaild.web.api.bodies import Problem
from vmaild.web.api.caller import PREFIX, Caller, misunderstood, problem

__all__ = ["misunderstood", "problem", "router"]

router = APIRouter(
    responses={
        code: {
            "description": HTTPStatus(code).phrase,
            "content": {"application/problem+json": {"schema": Problem.model_json_schema()}},
        }
        for code in (400, 401, 403, 404, 409, 412, 413, 422, 429, 503)
    },
)


@router.get(f"{PREFIX}/whoami")
async def whoami(caller: Caller) -> dict[str, Any]:
    """On whose behalf the token is."""
    return dict(await caller.ask("who"))


for _part in (domains, accounts, aliases, checks, addresses, backups):
    router.include_router(_part.router)
