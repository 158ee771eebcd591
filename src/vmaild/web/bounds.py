"""What every request goes through before the pages and the API see it: bounds for its body, and HEAD.

A body is read whole before anybody is asked who sent it, so without a bound a stranger could fill the memory; and
one that comes a letter at a time would keep its connection for as long as they like.
"""

from __future__ import annotations

import asyncio

from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_OF_SCRIPTS = 1 << 20
"""Octets of a request to the API, or of a mail program."""
MAX_OF_PAGES = 5 << 20
"""Octets of a form: a list of accounts, and what is around it."""
MAX_TIME = 300.0
"""Seconds in which a body must have come: enough for a list of accounts from far away."""
_SCRIPTS = ("/api/", "/autodiscover/", "/Autodiscover/", "/AutoDiscover/")


class Bounds:
    """ASGI middleware; see the module."""

    def __init__(self, app: ASGIApp, patience: float = MAX_TIME) -> None:
        self._app = app
        self._patience = patience

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif {b"content-length", b"transfer-encoding"} <= {name for name, _ in scope["headers"]}:
            # A proxy may take the one for its end, and we the other: what follows would be a request that it never
            # saw (RFC 9112 section 6.1).
            await PlainTextResponse("two lengths", 400, {"Connection": "close"})(scope, receive, send)
        elif scope["method"] == "HEAD":
            # As GET without the content (RFC 9110 section 9.3.2).
            await self._app({**scope, "method": "GET"}, receive, _without_content(send))
        else:
            await self._app(scope, _bounded(scope, receive, self._patience), send)


def _without_content(send: Send) -> Send:
    async def only_headers(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return only_headers


def _bounded(scope: Scope, receive: Receive, patience: float) -> Receive:
    """As `receive`; raises HTTPException where too much comes, whatever its length was said to be, or too late."""
    most = MAX_OF_SCRIPTS if scope["path"].startswith(_SCRIPTS) else MAX_OF_PAGES
    said = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
    come, whole, end = 0, False, asyncio.get_running_loop().time() + patience

    async def counted() -> Message:
        nonlocal come, whole
        if said.isdigit() and int(said) > most:
            raise HTTPException(413, "this is too large")
        try:
            # After the content there is only the end of the connection to be waited for.
            async with asyncio.timeout_at(None if whole else end):
                message = await receive()
        except TimeoutError:
            raise HTTPException(408, "this took too long", {"Connection": "close"}) from None
        whole = not message.get("more_body", False)
        come += len(message.get("body", b""))
        if come > most:
            raise HTTPException(413, "this is too large")
        return message

    return counted
