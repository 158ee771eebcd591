"""Ask reverse DNS for the names of addresses: all at once, in a bounded time whatever the resolver does."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import suppress

import dns.asyncresolver
import dns.exception
import dns.resolver
import dns.reversename

from vmaild.address import AddressError, canonical_domain

PATIENCE = 4.0
"""Seconds for all of them together."""
_TRY = 1.5
"""Seconds until a question is asked again."""
_AT_A_TIME = 64


def pointers(addresses: Collection[str]) -> dict[str, tuple[str, ...]]:
    """The names in the PTR records of addresses, canonical and sorted, as the system's resolver tells them.

    An address without a record has no names; one of which nothing could be learnt is missing. Raises ValueError
    where this machine has no resolver.
    """
    try:
        resolver = dns.asyncresolver.Resolver()
    except dns.resolver.NoResolverConfiguration as error:
        raise ValueError(f"this machine has no resolver: {error}") from error
    resolver.lifetime, resolver.timeout = PATIENCE, _TRY
    return asyncio.run(_all(addresses, resolver))


async def _all(addresses: Collection[str], resolver: dns.asyncresolver.Resolver) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    places = asyncio.Semaphore(_AT_A_TIME)

    async def ask(address: str) -> None:
        async with places:
            names = await _pointers(address, resolver)
        if names is not None:
            found[address] = names

    tasks = [asyncio.create_task(ask(address)) for address in addresses]
    if tasks:
        _, late = await asyncio.wait(tasks, timeout=PATIENCE)
        for task in late:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return found


async def _pointers(address: str, resolver: dns.asyncresolver.Resolver) -> tuple[str, ...] | None:
    """The names of one address; None: it could not be looked up."""
    try:
        answer = await resolver.resolve(
            dns.reversename.from_address(address), "PTR", search=False, raise_on_no_answer=False
        )
    except dns.resolver.NXDOMAIN:
        return ()
    except (dns.exception.DNSException, OSError, ValueError):
        return None
    names = set()
    for each in answer.rrset or ():
        with suppress(AddressError):  # a name that cannot be a mail host is nobody's
            names.add(canonical_domain(each.target.to_text(omit_final_dot=True)))
    return tuple(sorted(names))
