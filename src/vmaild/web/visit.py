"""One visit of a page: who, from where, for which domain, in which language; and how its answer is made."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.datastructures import UploadFile

from vmaild import __version__
from vmaild.web.desk import Ask, Refusal, SecondFactorFirst, SignedOut, refusal_of
from vmaild.web.forwarded import forwarded, plain
from vmaild.web.i18n import COOKIE, JOINTS, LANGUAGES, chosen, counted, listed, size, translator
from vmaild.web.judge import Judge
from vmaild.web.sent import written_size

SESSION = "vmail_session"
TICKET = "vmail_ticket"
"""Cookie of a login that waits for the code of a second factor."""
FORM = "vmail_form"
MESSAGE = "vmail_message"
"""Cookie with a word about what was done, for the next page."""
MAX_FORM = 1 << 20
"""Octets."""


@dataclass(frozen=True, slots=True)
class Site:
    """What all visits have in common."""

    ask: Ask
    proxies: tuple[str, ...]
    key: bytes = field(repr=False)
    """Proves that a form is one of ours."""
    judge: Judge = field(default_factory=Judge)
    pages: Environment = field(
        default_factory=lambda: Environment(
            loader=PackageLoader("vmaild.web"),
            autoescape=select_autoescape(),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
    )


class Visit:
    """See the module."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.site: Site = request.app.state.site
        headers = request.headers
        before = forwarded(request.client.host if request.client else "", headers, self.site.proxies)
        self.client = before.client
        self.origin_host = before.host or headers.get("host", "")
        self.host = _split(f"//{self.origin_host}")[1]
        self.secure = (before.scheme or request.url.scheme) == "https"
        server = request.scope.get("server") or ("", 0)
        self.address = "" if before.host else plain(str(server[0]))
        self.language = chosen(request.cookies.get(COOKIE), headers.get("accept-language", ""))
        self.secret = request.cookies.get(SESSION, "")
        self.ticket = request.cookies.get(TICKET, "")
        self.form_cookie = request.cookies.get(FORM, "") or secrets.token_urlsafe(16)
        self.me: Mapping[str, Any] | None = None

    def _(self, text: str) -> str:
        return translator(self.language)(text)

    def said(self, refusal: Refusal) -> str:
        """A refusal for people: the problem, and what to do about it."""
        texts = filter(None, (refusal.problem, refusal.remedy))
        return JOINTS[self.language].join(map(self._, texts))

    async def ask(self, verb: str, **values: Any) -> Any:  # noqa: ANN401  plain values
        """Ask the desk on behalf of whoever visits. Raises Refusal, SignedOut."""
        request = {"verb": verb, "values": values, "secret": self.secret, "client": self.client}
        try:
            answer = await self.site.ask(request)
        except ConnectionError:
            raise Refusal("this cannot be done now", "try again later", 503) from None
        if "ok" in answer:
            return answer["ok"]
        raise refusal_of(answer)

    async def domain(self) -> str | None:
        """The domain for which the page was reached."""
        found: str | None = await self.ask("domain.at", host=self.host, address=self.address)
        return found

    async def who(self) -> Mapping[str, Any]:
        """Who is signed in. Raises SignedOut, SecondFactorFirst."""
        if self.me is None:
            if not self.secret:
                raise SignedOut("signed out", "sign in", 401)
            self.me = await self.ask("who")
            # One's own account stays open, and there it is set up.
            if self.me["set_up_first"] and not self.request.url.path.startswith("/account"):
                raise SecondFactorFirst("a second factor must be set up first", "", 428)
        return self.me

    async def form(self, most: int = MAX_FORM) -> dict[str, str]:
        """The fields of a form of ours. Raises Refusal where it came from elsewhere."""
        length = self.request.headers.get("content-length", "")  # browsers tell it
        if not length.isdecimal() or int(length) > most:
            raise Refusal(self._("The form is too large."), self._("Send less."), 413)
        async with self.request.form(max_part_size=most) as sent:
            fields = {name: await _text(value) for name, value in sent.items()}
        origin = self.request.headers.get("origin", "")
        foreign = origin not in {"", "null"} and _split(origin)[0] != self.origin_host
        if foreign or not hmac.compare_digest(fields.pop("form", "").encode(), self._form_token().encode()):
            raise Refusal(self._("This form has expired."), self._("Load the page again, then send it."), 403)
        return fields

    def _form_token(self) -> str:
        proof = f"{self.form_cookie} {self.secret}".encode()
        return hmac.new(self.site.key, proof, hashlib.sha256).hexdigest()

    def page(self, template: str, status: int = 200, **values: Any) -> Response:  # noqa: ANN401  of the template
        """A page."""
        text = self.site.pages.get_template(template).render(
            _=self._,
            me=self.me,
            form_token=self._form_token(),
            language=self.language,
            languages=LANGUAGES,
            listed=lambda text: listed(self.language, text),
            joint=JOINTS[self.language],
            path=self.request.url.path,
            asked=self._asked(),
            message=unquote(self.request.cookies.get(MESSAGE, "")),
            version=__version__,
            size=lambda number: size(number, self.language),
            _n=lambda one, many, number: counted(self.language, one, many, number),
            written_size=written_size,
            quote=lambda text: quote(text, safe="@"),
            **values,
        )
        response = HTMLResponse(text, status)
        if MESSAGE in self.request.cookies:
            response.delete_cookie(MESSAGE, path="/")
        if self.request.cookies.get(FORM) != self.form_cookie:
            self.set_cookie(response, FORM, self.form_cookie)
        return response

    def _asked(self) -> str:
        """Where whoever chooses another language comes back to."""
        url = self.request.url
        return f"{url.path}?{url.query}" if url.query and self.request.method == "GET" else url.path

    def go(self, path: str, message: str = "") -> Response:
        """On to another page, with a word about what was done."""
        response = RedirectResponse(path, 303)
        if message:
            response.set_cookie(
                MESSAGE, quote(message), max_age=20, path="/", httponly=True, samesite="strict", secure=self.secure
            )
        return response

    def set_cookie(self, response: Response, name: str, value: str) -> None:
        """A cookie that scripts cannot read and other sites do not send."""
        response.set_cookie(name, value, httponly=True, samesite="strict", secure=self.secure, path="/")


async def _text(value: str | UploadFile) -> str:
    """A field, or the text of a file that was sent. Raises Refusal."""
    if isinstance(value, str):
        return value
    try:
        return (await value.read()).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Refusal("the list is not UTF-8", "save the list as 'CSV UTF-8'", 422) from None


def _split(url: str) -> tuple[str, str]:
    """The authority of a URL, and the host in it; empty where a stranger sent what is none."""
    try:
        parts = urlsplit(url)
        return parts.netloc, (parts.hostname or "").lower()
    except ValueError:
        return "", ""
