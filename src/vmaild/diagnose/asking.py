"""Ask DNS many questions at once: a resolver, and the authoritative servers themselves (dnspython, asyncio).

Whatever comes back, or does not, becomes an Answer: nothing here raises for what a server says.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, TypeVar, cast

import dns.asyncquery
import dns.asyncresolver
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.resolver
import dns.reversename
import dns.rrset

from vmaild.core.evidence import Answer, NameServer, Reply
from vmaild.diagnose.dns import make_resolver

TIMEOUT = 4.0
"""Seconds for one question, all tries together."""
AT_A_TIME = 200
"""Questions on their way: more would only be dropped by buffers."""
PATIENCE = 24
"""Questions without any answer, one after the other, after which the resolver is taken for dead."""
PORT = 53

Found = TypeVar("Found")


class Asker:
    """One run of questions; each is asked once. For one event loop."""

    def __init__(self, where: str = "") -> None:
        """`where`: as of diagnose.dns.make_resolver. Raises ValueError."""
        known = make_resolver(where)
        self._resolver = dns.asyncresolver.Resolver(configure=False)
        self._resolver.nameservers = known.nameservers
        self._resolver.port = known.port
        self._resolver.lifetime = TIMEOUT
        self._resolver.timeout = TIMEOUT / 2.5
        self._turn = asyncio.Semaphore(AT_A_TIME)
        self._asked: dict[Hashable, asyncio.Task[Any]] = {}
        self._silence = 0

    async def ask(self, name: str, kind: str) -> Answer:
        """The records of a name, as the resolver has them."""
        return await self._once((name, kind), lambda: self._ask(name, kind))

    async def pointer(self, address: str) -> Answer:
        """The names of an address."""
        return await self.ask(dns.reversename.from_address(address).to_text(omit_final_dot=True), "PTR")

    async def zone_of(self, name: str) -> str:
        """The zone that a name is in; empty: not to be known."""
        return await self._once((name, "zone"), lambda: self._zone_of(name))

    async def at_server(self, server: str, address: str, zone: str, name: str) -> NameServer:
        """What one authoritative server says about its zone, and about the MX of a name in it."""
        status = await self._once((address, zone, "serial"), lambda: self._serial(server, address, zone))
        if status.problem or not status.authoritative:
            return status
        mx = await self._direct(address, name, "MX")
        if isinstance(mx, str):
            return NameServer(server, address, problem=mx)
        return NameServer(server, address, "", True, status.serial, _answer_in(mx, name, "MX"))

    async def _once(self, key: Hashable, work: Callable[[], Coroutine[Any, Any, Found]]) -> Found:
        if key not in self._asked:
            self._asked[key] = asyncio.create_task(work())
        return cast("Found", await self._asked[key])

    async def _resolve(self, name: str, kind: str) -> dns.message.Message | str:
        """The whole answer of the resolver, also a negative one; or why there is none."""
        if self._silence >= PATIENCE:
            return "the resolver does not answer"
        try:
            async with self._turn:
                found = await self._resolver.resolve(f"{name}.", kind, search=False, raise_on_no_answer=False)
        except dns.resolver.NXDOMAIN as error:
            self._silence = 0
            responses = error.kwargs["responses"]
            return cast("dns.message.Message", next(iter(responses.values())))
        except dns.exception.Timeout:
            self._silence += 1
            return "the resolver does not answer"
        except Exception as error:
            return _why(error)
        self._silence = 0
        return found.response

    async def _ask(self, name: str, kind: str) -> Answer:
        message = await self._resolve(name, kind)
        if isinstance(message, str):
            return Answer(name, kind, Reply.UNKNOWN, problem=message)
        return _answer_in(message, name, kind)

    async def _zone_of(self, name: str) -> str:
        message = await self._resolve(name, "SOA")
        if isinstance(message, str):
            return ""
        for rrset in (*message.answer, *message.authority):
            if rrset.rdtype == dns.rdatatype.SOA:
                return _text(rrset.name)
        return ""

    async def _serial(self, server: str, address: str, zone: str) -> NameServer:
        message = await self._direct(address, zone, "SOA")
        if isinstance(message, str):
            return NameServer(server, address, problem=message)
        for rrset in message.answer if message.flags & dns.flags.AA else ():
            if rrset.rdtype == dns.rdatatype.SOA:
                return NameServer(server, address, "", True, rrset[0].serial)
        return NameServer(server, address)

    async def _direct(self, address: str, name: str, kind: str) -> dns.message.Message | str:
        """Ask a server itself, twice if need be."""
        problem = ""
        for _ in range(2):
            try:
                query = dns.message.make_query(f"{name}.", kind, flags=0)
                async with self._turn:
                    return await dns.asyncquery.udp(
                        query, address, TIMEOUT / 2, PORT, ignore_unexpected=True, ignore_errors=True
                    )
            except dns.exception.Timeout:
                problem = "no answer"
            except Exception as error:
                problem = _why(error)
        return problem


def unreachable(problem: str) -> bool:
    """Whether a problem is one of this machine's network, as where it has no IPv6."""
    return problem.startswith("this machine has no way there")


def _why(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno in (errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
        return "this machine has no way there"
    if isinstance(error, dns.resolver.NoNameservers):
        said = [str(each[3]) for each in error.kwargs.get("errors", ()) if each[3]]
        return f"the resolver failed: {said[0] if said else 'no usable answer'}"
    return str(error).partition("\n")[0] or type(error).__name__


def _answer_in(message: dns.message.Message, name: str, kind: str) -> Answer:
    """What a message says about a question."""
    if message.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        problem = f"the answer is {dns.rcode.to_text(message.rcode())}"
        return Answer(name, kind, Reply.UNKNOWN, problem=problem)
    try:
        chain = message.resolve_chaining() if isinstance(message, dns.message.QueryMessage) else None
    except dns.exception.DNSException as error:
        return Answer(name, kind, Reply.UNKNOWN, problem=str(error))
    canonical = _text(chain.canonical_name) if chain else name
    aliased = canonical if canonical != name else ""
    if chain is None or chain.answer is None:
        reply = Reply.NO_NAME if message.rcode() == dns.rcode.NXDOMAIN else Reply.NO_DATA
        return Answer(name, kind, reply, canonical=aliased)
    values = tuple(sorted(_values(chain.answer)))
    return Answer(name, kind, Reply.FOUND, values, aliased, chain.minimum_ttl)


def _values(rrset: dns.rrset.RRset) -> list[str]:
    match dns.rdatatype.to_text(rrset.rdtype):
        case "MX":
            return [f"{each.preference} {_text(each.exchange)}" for each in rrset]
        case "TXT":
            return [b"".join(each.strings).decode("utf-8", "replace") for each in rrset]
        case "NS" | "PTR":
            return [_text(each.target) for each in rrset]
        case "A" | "AAAA":
            return [str(each.address) for each in rrset]
    return [str(each) for each in rrset]


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower()
