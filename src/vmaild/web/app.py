"""The web application: pages for people, an API for scripts. It has no files; see desk."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.resources import files

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from vmaild import __version__
from vmaild.web import (
    api,
    pages_addresses,
    pages_admin,
    pages_check,
    pages_domain,
    pages_everyone,
    pages_factor,
    pages_import,
    pages_owner,
    pages_site,
)
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
    pages_check,
    pages_admin,
    pages_domain,
)
_STATIC = {"style.css": "text/css; charset=utf-8", "vmail.js": "text/javascript; charset=utf-8"}


def create_app(ask: Ask, *, proxies: tuple[str, ...] = (), secure: bool = False) -> FastAPI:
    """The application; `ask` reaches the desk, `proxies` are believed, `secure`: TLS of its own."""
    app = FastAPI(
        title="vmaild",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
    )
    app.state.site = Site(ask, proxies)
    app.include_router(api.router)
    for module in _PAGES:
        app.include_router(module.router, include_in_schema=False)
    app.add_api_route("/static/{name}", _static, include_in_schema=False)
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _misunderstood)
    app.add_exception_handler(500, _broken)

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
    return visit.page("refused.html", error.status, problem=error.problem, remedy=error.remedy)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if request.url.path.startswith("/api/"):
        return api.problem(Refusal(str(error.detail), "see /api/v1/openapi.json", error.status_code))
    visit = Visit(request)
    problem = visit._("This page does not exist.") if error.status_code == 404 else str(error.detail)
    if isinstance(error, SecondFactorFirst):
        return visit.go("/account/second-factor")
    return visit.page("refused.html", error.status_code, problem=problem, remedy="")


async def _misunderstood(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    if request.url.path.startswith("/api/"):
        return api.problem(api.misunderstood(error))
    return await _http_error(request, HTTPException(404))  # a link of ours is never so


async def _broken(request: Request, error: Exception) -> Response:
    return JSONResponse(
        {"title": "this cannot be done now", "status": 500}, 500, media_type="application/problem+json"
    )
