"""Ask a POP3 server who it is: greeting, CAPA, STLS, and the certificate as a mail program would judge it.

Nobody logs in.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass, replace

from vmaild.core.evidence import Pop3Evidence, TlsEvidence, Trust

TIMEOUT = 6.0
"""Seconds for one step."""
MAX_LINE = 4096
MAX_CAPABILITIES = 100

# X509_V_ERR_* of OpenSSL (x509_vfy.h), which Python gives as numbers only.
_TRUST = {
    9: Trust.NOT_YET,
    10: Trust.EXPIRED,
    18: Trust.SELF_SIGNED,
    19: Trust.UNTRUSTED,
    20: Trust.UNTRUSTED,
    21: Trust.UNTRUSTED,
    62: Trust.OTHER_NAME,
}


@dataclass(slots=True)
class _Line:
    """A connection and what was learnt on it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def read(self) -> str:
        """One line. Raises OSError, TimeoutError, ValueError."""
        line = await asyncio.wait_for(self.reader.readline(), TIMEOUT)
        if not line:
            raise ConnectionError("it closes the connection")
        return line.decode("utf-8", "replace").rstrip("\r\n")

    async def say(self, command: str) -> str:
        """A command and the first line of the answer. Raises as `read`."""
        self.writer.write(f"{command}\r\n".encode("ascii"))
        return await self.read()


async def pop3_evidence(address: str, port: int, host: str, *, implicit: bool = False) -> Pop3Evidence:
    """What answers there; `host`: the name that a certificate should be for. Raises nothing."""
    seen = Pop3Evidence(address, port, implicit=implicit)
    if implicit:
        tls = await _judged(address, port, host, implicit=True)
        return replace(seen, problem=tls.problem) if tls.problem else replace(seen, tls=tls)
    try:
        line = await _connected(address, port)
    except (OSError, TimeoutError) as error:
        return replace(seen, problem=_why(error))
    try:
        seen = replace(seen, greeting=await line.read())
        if seen.greeting.startswith("+OK"):
            seen = replace(seen, capabilities=await _capabilities(line))
    except (OSError, TimeoutError, ValueError) as error:
        seen = seen if seen.greeting else replace(seen, problem=_why(error))
    finally:
        line.writer.transport.abort()
    if "STLS" in (seen.capabilities or ()):
        seen = replace(seen, tls=await _judged(address, port, host, implicit=False))
    return seen


async def _connected(address: str, port: int) -> _Line:
    opened = asyncio.open_connection(address, port, limit=MAX_LINE)
    return _Line(*await asyncio.wait_for(opened, TIMEOUT))


async def _capabilities(line: _Line) -> tuple[str, ...] | None:
    """RFC 2449 section 5; None: it has no such command."""
    if not (await line.say("CAPA")).startswith("+OK"):
        return None
    found: list[str] = []
    while (capability := await line.read()) != "." and len(found) < MAX_CAPABILITIES:
        found.append(capability.upper())
    return tuple(found)


async def _judged(address: str, port: int, host: str, *, implicit: bool) -> TlsEvidence:
    """A handshake as a client makes it and, where it fails for the certificate, others that tell all about it."""
    strict = ssl.create_default_context()
    outcome = await _handshake(address, port, host, strict, implicit=implicit)
    if not isinstance(outcome, ssl.SSLCertVerificationError):
        return _plain(outcome)
    first = _TRUST.get(outcome.verify_code, Trust.UNTRUSTED)
    careless = ssl.create_default_context()
    careless.check_hostname = False
    careless.verify_mode = ssl.CERT_NONE
    shown = await _handshake(address, port, host, careless, implicit=implicit)
    certificate = None if isinstance(shown, Exception) else shown.getpeercert(binary_form=True)
    if not certificate:
        return TlsEvidence(faults=(first,))
    return await _without(first, certificate, address, port, host, implicit=implicit)


async def _without(
    first: Trust, certificate: bytes, address: str, port: int, host: str, *, implicit: bool
) -> TlsEvidence:
    """What else is wrong, once the certificate itself is trusted: OpenSSL tells one fault at a time."""
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    trusting.load_verify_locations(cadata=certificate)
    second = await _handshake(address, port, host, trusting, implicit=implicit)
    if isinstance(second, ssl.SSLCertVerificationError):
        return TlsEvidence(faults=tuple(dict.fromkeys((first, _TRUST.get(second.verify_code, first)))))
    if isinstance(second, Exception):
        return TlsEvidence(faults=(first,))
    faults = [first]
    trusting.check_hostname = True
    third = await _handshake(address, port, host, trusting, implicit=implicit)
    if isinstance(third, ssl.SSLCertVerificationError):
        faults.append(_TRUST.get(third.verify_code, first))
    seen = _plain(second)
    return replace(seen, faults=tuple(dict.fromkeys(faults)))


def _plain(outcome: ssl.SSLObject | Exception) -> TlsEvidence:
    """What a handshake without objections tells."""
    if isinstance(outcome, Exception):
        return TlsEvidence(problem=_why(outcome))
    told = outcome.getpeercert() or {}
    ends = told.get("notAfter")
    days = int((ssl.cert_time_to_seconds(ends) - time.time()) // 86400) if isinstance(ends, str) else None
    names = tuple(str(pair[1]) for pair in told.get("subjectAltName", ()))
    return TlsEvidence(days_left=days, names=names)


async def _handshake(
    address: str, port: int, host: str, context: ssl.SSLContext, *, implicit: bool
) -> ssl.SSLObject | Exception:
    """A connection that is closed as soon as TLS is there; what the session knows, or what went wrong."""
    line: _Line | None = None
    try:
        line = await _connected(address, port)
        if not implicit:
            await line.read()
            answer = await line.say("STLS")
            if not answer.startswith("+OK"):
                return ConnectionError(f"STLS is refused: {answer}")
        await asyncio.wait_for(line.writer.start_tls(context, server_hostname=host or address), TIMEOUT)
        session: ssl.SSLObject = line.writer.get_extra_info("ssl_object")
        return session
    except (OSError, TimeoutError, ValueError) as error:
        return error
    finally:
        if line is not None:
            with suppress(OSError):
                line.writer.transport.abort()


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {TIMEOUT:.0f} seconds"
    if isinstance(error, ssl.SSLError):
        return error.reason or str(error)
    if isinstance(error, OSError) and error.errno and error.errno > 0:
        return os.strerror(error.errno).lower()  # asyncio's own text is of calls and tuples
    return str(error) or type(error).__name__
