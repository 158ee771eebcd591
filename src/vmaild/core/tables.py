"""The tables that an MTA asks: which domains are ours, and which addresses take mail.

Both ask `routing` and the directory, so that a recipient whom the MTA lets in is one that delivery knows. "It is
not there" and "it could not be looked up" are two answers: the first makes an MTA refuse for good.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from vmaild.address import AddressError, canonical_domain, parse_address
from vmaild.core.directory import Directory, LookupFailed
from vmaild.core.routing import Accepted, Undecided, route
from vmaild.outcome import Condition


@dataclass(frozen=True, slots=True)
class Present:
    """The key is there."""

    value: str


@dataclass(frozen=True, slots=True)
class Absent:
    """The key is not there, and that is certain."""


@dataclass(frozen=True, slots=True)
class CouldNotLook:
    """It cannot be said now."""

    reason: Condition
    problem: str
    """For the administrator, never for the sender."""


Answer = Present | Absent | CouldNotLook


def domain_answer(directory: Directory, key: str) -> Answer:
    """Whether a domain is ours, by its name or a domain alias; the value is its own name.

    A disabled domain still is: mail for it waits.
    """
    try:
        domain = directory.find(canonical_domain(key))
    except AddressError:
        return Absent()
    except LookupFailed as failure:
        return CouldNotLook(Condition.LOOKUP_FAILED, str(failure))
    return Present(domain.name) if domain else Absent()


def recipient_answer(directory: Directory, key: str) -> Answer:
    """Whether an address takes mail; the value is the address.

    MTAs also ask for parts of an address, such as `@va.toto.fr` or `bob`: those are not there.
    """
    try:
        address = parse_address(key)
    except AddressError:
        return Absent()
    if not address.domain:
        return Absent()
    match route(directory, address):
        case Accepted():
            return Present(str(address))
        case Undecided(reason, problem):
            return CouldNotLook(reason, problem)
    return Absent()


TABLES: Mapping[str, Callable[[Directory, str], Answer]] = {
    "domains": domain_answer,
    "recipients": recipient_answer,
}
"""By the name that MTAs call them."""
