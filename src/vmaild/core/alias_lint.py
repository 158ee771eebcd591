"""What is odd about aliases that all work: hidden entries, doubles, lists that grow large, domains that are gone.

Where an alias leads is asked of routing, never worked out here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from vmaild.address import Address, AddressError, fold, parse_address
from vmaild.core.directory import AliasEntry, Directory, Domain, Source
from vmaild.core.routing import Accepted, ToMailbox, route

MANY = 1000
"""Targets of one alias, all lists expanded, from which on one message becomes a flood."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something about a destination that is not as its writer will have meant it."""

    source: Source
    problem: str
    remedy: str


def oddities(directory: Directory, domain: Domain, removed: Collection[str] = ()) -> Iterator[Fault]:
    """What is odd about the aliases of a domain; `removed` are the names of domains that were here once."""
    in_force: dict[str, AliasEntry] = {}
    for alias_file in domain.alias_files:
        for key, entry in alias_file.entries.items():
            first = in_force.setdefault(key, entry)
            if first is not entry:
                yield Fault(
                    entry.source,
                    f"alias '{entry.name}' is hidden by that of {first.source}",
                    "remove one of the two, or write all targets in the first",
                )
                continue
            yield from _doubles(entry)
            yield from _gone(directory, entry, removed)
            yield from _routed(directory, domain, key, entry)


def _doubles(entry: AliasEntry) -> Iterator[Fault]:
    seen: set[str] = set()
    for target in entry.targets:
        if fold(target) in seen:
            yield Fault(entry.source, f"alias '{entry.name}' names '{target}' twice", "remove one of the two")
        seen.add(fold(target))


def _gone(directory: Directory, entry: AliasEntry, removed: Collection[str]) -> Iterator[Fault]:
    for target in entry.targets:
        try:
            name = parse_address(target).domain if "@" in target and target[0] not in '|/:"\\' else ""
        except AddressError:
            continue  # told as a target that leads nowhere
        if name in removed and directory.find(name) is None:
            yield Fault(
                entry.source,
                f"target '{target}' of alias '{entry.name}' is in {name}, a domain that was removed from here",
                "take it out, unless another server has that domain now",
            )


def _routed(directory: Directory, domain: Domain, key: str, entry: AliasEntry) -> Iterator[Fault]:
    decided = route(directory, Address(key, domain.name))
    if not isinstance(decided, Accepted):
        return  # told as targets that lead nowhere
    if len(decided.targets) >= MANY:
        yield Fault(
            entry.source,
            f"alias '{entry.name}' expands to {len(decided.targets)} targets: each message to it is sent as often",
            "let few people write to it, or use a list server",
        )
    account = domain.accounts.get(key)
    own = (domain.name, account.login if account else "")
    boxes = {(target.domain, target.login) for target in decided.targets if isinstance(target, ToMailbox)}
    if account is not None and account.forward is None and own not in boxes:
        yield Fault(
            entry.source,
            f"alias '{entry.name}' hides the account of that name, which gets no mail",
            f"name '\\{account.login}' as a target, too, or rename one of the two",
        )
