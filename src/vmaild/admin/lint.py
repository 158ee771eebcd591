"""Aliases and fallbacks that lead nowhere: asked of the one routing function, not worked out anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from vmaild.address import Address, fold
from vmaild.admin.reroute import ANY
from vmaild.core.alias_lint import Fault
from vmaild.core.directory import AliasEntry, AliasFile, Directory, Domain, FallbackToDomain, NoFallback, Source
from vmaild.core.routing import Rejected, Undecided, route
from vmaild.formats.domain import render_fallback
from vmaild.formats.parsed import quoted
from vmaild.outcome import Condition


def alias_faults(directory: Directory, domain: Domain) -> Iterator[Fault]:
    """The targets that lead nowhere, of every alias of a domain that is in force."""
    seen: set[str] = set()
    for alias_file in domain.alias_files:
        for key, entry in alias_file.entries.items():
            if key not in seen:
                seen.add(key)
                yield from target_faults(directory, domain, alias_file, entry)


def target_faults(
    directory: Directory, domain: Domain, alias_file: AliasFile, entry: AliasEntry
) -> Iterator[Fault]:
    """The targets of one alias that lead nowhere, each looked at as if it were the only one."""
    for target, source in _single(alias_file, entry):
        alone = AliasEntry(entry.name, (target,), source)
        decided = route(
            _Changed(directory, _with_only(domain, alias_file, alone)), Address(entry.name, domain.name)
        )
        what = f"target {quoted(target)} of alias {quoted(entry.name)}"
        match decided:
            case Rejected(Condition.LOOP):
                problem, remedy = f"{what} leads back to itself only", "name an account, or another address"
            case Rejected():
                problem, remedy = f"{what} leads nowhere", "create it, or take it out of the alias"
            case Undecided(reason, why) if reason is not Condition.DOMAIN_DISABLED:
                problem = f"{what} cannot be used, so mail waits: {why.removeprefix(f'{source}: ')}"
                remedy = _remedy(target)
            case _:
                continue
        yield Fault(source, problem, remedy)


def fallback_fault(directory: Directory, domain: Domain) -> Fault | None:
    """What is wrong with the fallback of a domain."""
    fallback = domain.definition.fallback
    if isinstance(fallback, NoFallback):
        return None
    if isinstance(fallback, FallbackToDomain) and directory.find(fallback.domain) is not None:
        return None  # whom it finds depends on the name
    shown = quoted(render_fallback(fallback))
    source = domain.definition.source
    match route(directory, Address(ANY, domain.name)):
        case Rejected():
            return Fault(source, f"fallback {shown} names nobody", "name an account, an alias or another address")
        case Undecided(reason, why) if reason is not Condition.DOMAIN_DISABLED:
            return Fault(
                source, f"fallback {shown} cannot be used, so mail waits: {why}", "name another destination"
            )
        case _:
            return None


def _single(alias_file: AliasFile, entry: AliasEntry) -> Iterator[tuple[str, Source]]:
    """The targets of an entry, and those of the lists that it includes."""
    for target in entry.targets:
        yield target, entry.source
        if target.startswith(":include:") and alias_file.trusted:
            included = alias_file.includes.get(target.removeprefix(":include:").strip())
            yield from included.targets if included else ()


def _with_only(domain: Domain, alias_file: AliasFile, entry: AliasEntry) -> Domain:
    """The domain with an entry in the place of the one of that name, before everything else."""
    entries: Mapping[str, AliasEntry] = {fold(entry.name): entry}
    return replace(domain, alias_files=(replace(alias_file, entries=entries), *domain.alias_files))


def _remedy(target: str) -> str:
    if target.startswith((":include:", "|", "/")):
        return "put it in an alias file that only the site administrator can write, and see that it can be read"
    return "take it out of the alias"


@dataclass(frozen=True, slots=True)
class _Changed:
    """A Directory in which one domain is another."""

    directory: Directory
    domain: Domain

    @property
    def delimiter(self) -> str:
        return self.directory.delimiter

    def bounced_to(self, local_part: str) -> Address | None:
        return self.directory.bounced_to(local_part)

    def find(self, name: str) -> Domain | None:
        found = self.directory.find(name)
        return self.domain if found is not None and found.name == self.domain.name else found
