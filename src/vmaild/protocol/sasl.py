"""SASL mechanisms (RFC 4422) on the server's side: PLAIN (RFC 4616) and LOGIN (draft-murchison-sasl-login).

An `Exchange` takes the client's responses one by one, base64 as they stand on the line, until it has the
credentials; whether they are right is not its business:

    exchange = Exchange("PLAIN")
    while (credentials := exchange.respond(line)) is None:
        ...                         # send exchange.challenge, read the next line

A mechanism is a generator: it yields challenges, is sent responses and returns the credentials. No exchange and
no credentials tell a secret in their repr, and no error quotes what the client said.
"""

from __future__ import annotations

import binascii
import stringprep
import unicodedata
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Final

MAX_RESPONSE = 8192
"""Octets of a response's line with its CRLF."""
MAX_CREDENTIAL = 1024
"""Octets of a login or password; more than RFC 4616 asks for, and real."""


class ExchangeFailed(Exception):
    """The exchange ends without credentials; the argument is fit for the client's eyes."""


class MalformedResponse(ExchangeFailed):
    """What no client should send."""


class NotAcceptable(ExchangeFailed):
    """The response is well formed, and no login can come of it."""


class PreparationError(ValueError):
    """A login or password is not a string that could be compared with another."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What an exchange ends in."""

    login: str
    password: bytes = field(repr=False)


class Exchange:
    """One authentication under way."""

    __slots__ = ("_steps", "challenge")

    def __init__(self, mechanism: str) -> None:
        """Begin; raises KeyError for a mechanism that is not in MECHANISMS."""
        self._steps = MECHANISMS[mechanism]()
        self.challenge = next(self._steps)
        """What to ask the client, before base64; empty in the mechanisms in which the client begins."""

    def respond(self, response: bytes) -> Credentials | None:
        """Take a response, base64; None: send the next challenge.

        Raises MalformedResponse or NotAcceptable; then the exchange is over.
        """
        try:
            # RFC 5034 section 4: octets outside the alphabet and padding before the end are no base64.
            message = binascii.a2b_base64(response, strict_mode=True)
        except binascii.Error:
            raise MalformedResponse("the response is not base64") from None
        try:
            self.challenge = self._steps.send(message)
        except StopIteration as end:
            credentials: Credentials = end.value
            return credentials
        return None


_Steps = Generator[bytes, bytes, Credentials]


def _plain() -> _Steps:
    """RFC 4616 section 2: [authorization identity] NUL login NUL password."""
    message = yield b""
    parts = message.split(b"\0")
    if len(parts) != 3:
        raise MalformedResponse("the response is not that of PLAIN")
    identity, login, password = parts
    credentials = _credentials(login, password)
    if identity and _prepared_login(identity) != credentials.login:
        raise NotAcceptable("a login may only act for itself")
    return credentials


def _login() -> _Steps:
    """Section 2.2 of the draft; the challenges are those that some clients insist on."""
    login = yield b"Username:"
    password = yield b"Password:"
    if b"\0" in password:
        raise MalformedResponse("the response is not that of LOGIN")
    return _credentials(login, password)


MECHANISMS: Final[Mapping[str, Callable[[], _Steps]]] = {"PLAIN": _plain, "LOGIN": _login}
"""By name; in the order in which they are offered."""


def _credentials(login: bytes, password: bytes) -> Credentials:
    if max(len(login), len(password)) > MAX_CREDENTIAL:
        raise NotAcceptable("login or password too long")
    name = _prepared_login(login)
    if not password:
        raise NotAcceptable("the password is empty")
    try:
        return Credentials(name, prepared(password).encode())
    except PreparationError:
        # RFC 4616 has only UTF-8; a password set by a Latin-1 client long ago is right all the same.
        return Credentials(name, password)


def _prepared_login(octets: bytes) -> str:
    try:
        login = prepared(octets)
    except PreparationError:
        raise NotAcceptable("the login is not valid UTF-8") from None
    if not login:
        raise NotAcceptable("the login is empty")
    return login


def prepared(octets: bytes) -> str:
    """A login or password from the wire as it is to be compared; ASCII stays as it is.

    RFC 6856 section 2.2 and RFC 5034 section 4 ask for SASLprep (RFC 4013) or its successor. This is the
    successor, OpaqueString of RFC 8265 section 4.2: composed (NFC), every space an ASCII one; and what both
    prohibit is refused. Raises PreparationError, also for octets that are not UTF-8.
    """
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError:
        raise PreparationError("not UTF-8") from None
    if octets.isascii():
        return text
    spaced = "".join(" " if stringprep.in_table_c12(character) else character for character in text)
    text = unicodedata.normalize("NFC", spaced)
    if any(prohibits(character) for character in text for prohibits in _PROHIBITED):
        raise PreparationError("a character that no name or password may have")
    return text


# RFC 4013 section 2.3.
_PROHIBITED = (
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)
