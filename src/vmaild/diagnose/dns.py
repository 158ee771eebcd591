"""Ask DNS whether records are there: a resolver, several questions at a time, each with a timeout."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum

import dns.exception
import dns.rdataset
import dns.resolver

from vmaild.core.dns_plan import Record

TIMEOUT = 3.0
"""Seconds for one question, all tries together."""
AT_A_TIME = 16


class State(Enum):
    """How a record stands in DNS now; the value is the word for it."""

    RIGHT = "right"
    MISSING = "missing"
    DIFFERENT = "different"
    UNKNOWN = "unknown"
    """No usable answer: it may well be there."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One record, and what there is instead of it."""

    record: Record
    state: State
    found: tuple[str, ...] = ()
    problem: str = ""


def make_resolver(where: str = "") -> dns.resolver.Resolver:
    """A resolver: `HOST`, `HOST:PORT`, `[HOST]:PORT`, or the system's own. Raises ValueError."""
    if not where:
        try:
            resolver = dns.resolver.Resolver()
        except dns.resolver.NoResolverConfiguration as error:
            raise ValueError(f"this machine has no resolver: {error}") from error
    else:
        host, port = where, ""
        if where.startswith("[") or where.count(":") == 1:
            host, _, port = where.rpartition(":") if not where.endswith("]") else (where, "", "")
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers = [host.strip("[]")]
        resolver.port = int(port or 53)
    resolver.lifetime = TIMEOUT
    resolver.timeout = TIMEOUT / 2
    return resolver


def look(records: Sequence[Record], resolver: dns.resolver.Resolver) -> list[Seen]:
    """How each record stands, in their order. Raises nothing."""
    with ThreadPoolExecutor(AT_A_TIME) as threads:
        return list(threads.map(lambda record: _look(record, resolver), records))


def _look(record: Record, resolver: dns.resolver.Resolver) -> Seen:
    try:
        answer = resolver.resolve(f"{record.name}.", record.type, search=False, raise_on_no_answer=False)
    except dns.resolver.NXDOMAIN:
        return Seen(record, State.MISSING)
    except dns.exception.Timeout:
        return Seen(record, State.UNKNOWN, problem="the resolver does not answer")
    except (dns.exception.DNSException, OSError, ValueError) as error:
        return Seen(record, State.UNKNOWN, problem=str(error))
    if answer.rrset is None:
        return Seen(record, State.MISSING)
    wanted = dns.rdataset.from_text("IN", record.type, record.ttl, record.rdata)[0]
    found = tuple(str(each) for each in answer.rrset)
    if wanted in answer.rrset and (answer.rrset.name.to_text(omit_final_dot=True).lower() == record.name):
        return Seen(record, State.RIGHT, found)
    related = found
    if record.type == "TXT":
        # Other texts at the name are none of ours.
        related = tuple(text for text in found if text.partition("=")[2][:4] == record.rdata.partition("=")[2][:4])
    return Seen(record, State.DIFFERENT if related else State.MISSING, related)
