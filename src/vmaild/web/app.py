"""The web application: pages for people, an API for scripts. It has no files; see desk."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from importlib.resources import files

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from vmaild import __version__
from vmaild.web import (
    api,
    pages_addresses,
    pages_admin,
    pages_backups,
    pages_check,
    pages_domain,
    pages_everyone,
    pages_factor,
    pages_import,
    pages_owner,
    pages_site,
)
from vmaild.web.bounds import Bounds
from vmaild.web.desk import Ask, Refusal, SecondFactorFirst, SignedOut
from vmaild.web.visit import Site, Visit

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_PAGES = (
    pages_everyone,
    pages_owner,
    pages_factor,
    pages_import,
    pages_site,
    pages_addresses,
    pages_backups,
    pages_check,
    pages_admin,
    pages_domain,
)
_STATIC = {"style.css": "text/css; charset=utf-8", "vmail.js": "text/javascript; charset=utf-8"}


def create_app(ask: Ask, *, key: bytes = b"", proxies: tuple[str, ...] = (), secure: bool = False) -> FastAPI:
    """The application; `ask` reaches the desk, `proxies` are believed, `secure`: TLS of its own.

    `key` proves that forms are ours: with the same one, those from before a restart can still be sent. Empty: a
    key for this process alone.
    """
    app = FastAPI(
        title="vmaild",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
    )
    app.state.site = Site(ask, proxies, key or secrets.token_bytes(32))
    app.include_router(api.router)
    for module in _PAGES:
        app.include_router(module.router, include_in_schema=False)
    app.add_api_route("/static/{name}", _static, include_in_schema=False)
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _misunderstood)
    app.add_exception_handler(500, _broken)

    app.add_middleware(Bounds)

    @app.middleware("http")
    async def headers(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await go_on(request)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if secure:
            response.headers["Strict-Transport-Security"] = "max-age=31536000"
        return response

    return app


async def _static(name: str) -> Response:
    kind = _STATIC.get(name)
    if kind is None:
        raise HTTPException(404)
    content = files("vmaild.web").joinpath(f"static/{name}").read_bytes()
    return Response(content, media_type=kind, headers={"Cache-Control": "max-age=3600"})


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    if request.url.path.startswith("/api/"):
        return api.problem(error)
    visit = Visit(request)
    if isinstance(error, SignedOut):
        return visit.go("/login")
    if isinstance(error, SecondFactorFirst):
        return visit.go("/account/second-factor")
    problem, remedy = visit._(error.problem), visit._(error.remedy) if error.remedy else ""
    return visit.page("refused.html", error.status, problem=problem, remedy=remedy)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if request.url.path.startswith("/api/"):
        refusal = Refusal(str(error.detail), "see /api/v1/openapi.json", error.status_code)
        answer = api.problem(refusal)
    else:
        visit = Visit(request)
        problem = _in_words(visit, error.status_code)
        answer = visit.page("refused.html", error.status_code, problem=problem, remedy="")
    answer.headers.update(error.headers or {})  # with 405: what is allowed
    return answer


def _in_words(visit: Visit, status: int) -> str:
    match status:
        case 404:
            return visit._("This page does not exist.")
        case 405:
            return visit._("This page cannot be asked for in this way.")
        case 408:
            return visit._("This took too long to come.")
        case 413:
            return visit._("This is too large.")
    return visit._("This request cannot be understood.")


async def _misunderstood(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    if request.url.path.startswith("/api/"):
        return api.problem(api.misunderstood(error))
    return await _http_error(request, HTTPException(404))  # a link of ours is never so


async def _broken(request: Request, error: Exception) -> Response:
    """What nobody foresaw; the traceback goes to the log only."""
    refusal = Refusal("this cannot be done now", "try again later", 500)
    answer = await _refused(request, refusal)
    for name, value in HEADERS.items():  # this comes from outside of the middleware
        answer.headers.setdefault(name, value)
    return answer
