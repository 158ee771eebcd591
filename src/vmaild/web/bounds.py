"""What every request goes through before the pages and the API see it: a bound for its body, and HEAD.

A body is read whole before anybody is asked who sent it, so without a bound a stranger could fill the memory.
"""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_OF_SCRIPTS = 1 << 20
"""Octets of a request to the API, or of a mail program."""
MAX_OF_PAGES = 5 << 20
"""Octets of a form: a list of accounts, and what is around it."""
_SCRIPTS = ("/api/", "/autodiscover/", "/Autodiscover/", "/AutoDiscover/")


class Bounds:
    """ASGI middleware; see the module."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["method"] == "HEAD":
            # As GET without the content (RFC 9110 section 9.3.2).
            await self._app({**scope, "method": "GET"}, receive, _without_content(send))
        else:
            await self._app(scope, _bounded(scope, receive), send)


def _without_content(send: Send) -> Send:
    async def only_headers(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return only_headers


def _bounded(scope: Scope, receive: Receive) -> Receive:
    """As `receive`, and raises HTTPException where too much comes, whatever its length was said to be."""
    most = MAX_OF_SCRIPTS if scope["path"].startswith(_SCRIPTS) else MAX_OF_PAGES
    said = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
    come = 0

    async def counted() -> Message:
        nonlocal come
        if said.isdigit() and int(said) > most:
            raise HTTPException(413, "this is too large")
        message = await receive()
        come += len(message.get("body", b""))
        if come > most:
            raise HTTPException(413, "this is too large")
        return message

    return counted
