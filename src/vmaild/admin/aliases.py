"""Aliases of the implicit alias file; those of extra files are shown, and edited by hand only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from vmaild.address import Address, fold
from vmaild.admin.door import Change, Door, Draft
from vmaild.admin.lint import target_faults
from vmaild.admin.plan import Plan
from vmaild.admin.refusal import Code, Misused, Refused
from vmaild.admin.view import View
from vmaild.core.directory import AliasEntry, AliasFile, Domain
from vmaild.core.permissions import Action, allowed, is_simple
from vmaild.formats.aliases import parse_aliases, with_alias, without_alias


@dataclass(frozen=True, slots=True)
class AliasRecord:
    """An alias as people ask for it."""

    entry: AliasEntry
    domain: str
    trusted: bool
    """Whether commands, files and lists work in its file."""
    hidden: bool = False
    """Whether an alias of that name in a file before this one is in force instead."""


# -- questions


def list_aliases(door: Door, domain_name: str) -> list[AliasRecord]:
    """The aliases of a domain in all its files, sorted by name, those in force before those they hide."""
    _, domain = door.see(domain_name)
    seen: set[str] = set()
    records = []
    for alias_file in domain.alias_files:
        for key, entry in alias_file.entries.items():
            records.append((key, AliasRecord(entry, domain.name, alias_file.trusted, hidden=key in seen)))
        seen |= alias_file.entries.keys()
    return [record for _, record in sorted(records, key=lambda each: (each[0], each[1].hidden))]


def show_alias(door: Door, address: Address) -> list[AliasRecord]:
    """The aliases of that name: the one in force, then those it hides. Raises Refused."""
    records = [record for record in list_aliases(door, address.domain) if fold(record.entry.name) == address.key]
    if not records:
        raise _no_alias(address.local_part, address.domain)
    return records


# -- changes


def add_alias(door: Door, address: Address, targets: Sequence[str], *, dry_run: bool = False) -> Plan:
    """Create an alias; one of that name must not be there yet. Raises Refused."""
    return _write(door, "alias add", address, targets, dry_run, only_new=True)


def set_alias(door: Door, address: Address, targets: Sequence[str], *, dry_run: bool = False) -> Plan:
    """Create an alias, or give it these targets instead of those it has. Raises Refused."""
    return _write(door, "alias set", address, targets, dry_run, only_new=False)


def remove_alias(door: Door, address: Address, *, dry_run: bool = False) -> Plan:
    """Remove an alias from the implicit file. Raises Refused."""

    def draft(view: View) -> Draft:
        domain = view.domain(address.domain)
        implicit, *extra = _entries(domain, address.key)
        if implicit is None:
            elsewhere = next(filter(None, extra), None)
            if elsewhere is None:
                raise _no_alias(address.local_part, domain.name)
            raise Refused(f"alias {elsewhere.name} stands in {elsewhere.source}", "remove it there by hand")
        _check_rights(view, domain, implicit.targets)
        warnings = [f"alias {entry.name} of {entry.source} comes into force instead" for entry in extra if entry]
        path = view.aliases_path(domain.name)
        edits = view.edit(path, without_alias(view.text(path) or "", implicit.name))
        return Draft(f"remove alias {implicit.name}@{domain.name}", edits, warnings)

    return door.change(_change("alias remove", address, draft), dry_run=dry_run)


# -- parts


def _write(
    door: Door, verb: str, address: Address, targets: Sequence[str], dry_run: bool, *, only_new: bool
) -> Plan:
    targets = tuple(dict.fromkeys(targets))

    def draft(view: View) -> Draft:
        domain = view.domain(address.domain)
        implicit, *extra = _entries(domain, address.key)
        if implicit is not None:
            if only_new:
                raise Refused(
                    f"alias {implicit.name}@{domain.name} exists already ({implicit.source})",
                    "change it with 'vmail alias set'",
                    Code.EXISTS,
                )
            _check_rights(view, domain, implicit.targets)
        _check_rights(view, domain, targets)
        warnings = [f"alias {entry.name} of {entry.source} is hidden by it" for entry in extra if entry]
        if address.key in domain.accounts and address.key not in map(_own_name, targets):
            warnings.append(f"account {address.local_part} gets mail no more: name it as a target, too")
        name = implicit.name if implicit else address.local_part
        path = view.aliases_path(domain.name)
        text = with_alias(view.text(path) or "", name, targets)
        _check_reads_back(text, path, name, targets)
        inspect = partial(_leads_nowhere, domain.name, address.key)
        summary = f"add alias {name}@{domain.name}" if only_new else f"set alias {name}@{domain.name}"
        return Draft(summary, view.edit(path, text), warnings, inspect)

    return door.change(_change(verb, address, draft), dry_run=dry_run)


def _change(verb: str, address: Address, draft: Callable[[View], Draft]) -> Change:
    return Change(verb, address.domain, str(address), Action.ALIASES, draft)


def _entries(domain: Domain, key: str) -> list[AliasEntry | None]:
    """The entry of that name in each file, the implicit one first."""
    return [alias_file.entries.get(key) for alias_file in domain.alias_files]


def _check_rights(view: View, domain: Domain, targets: Sequence[str]) -> None:
    """A co-administrator must neither write a target that runs or reads something, nor lose one of the site's."""
    for target in targets:
        if not is_simple(target) and not allowed(view.actor, Action.PROGRAMS, domain.definition):
            raise Refused(
                f"{view.actor.principal} may not {Action.PROGRAMS.value} {domain.name}",
                "ask a site administrator",
                Code.NOT_PERMITTED,
            )


def _check_reads_back(text: str, path: str, name: str, targets: tuple[str, ...]) -> None:
    """Rights were checked on these very targets: nothing else may come out of the file."""
    for entry in parse_aliases(text, path).entries:
        if fold(entry.name) == fold(name) and entry.targets == targets:
            return
    raise Misused(
        f"alias {name} cannot be written with these targets", "write each like bob or bob@va.example.org"
    )


def _leads_nowhere(domain_name: str, key: str, after: View) -> Iterator[str]:
    domain = after.domain(domain_name)
    alias_file: AliasFile = domain.alias_files[0]
    for fault in target_faults(after.visible, domain, alias_file, alias_file.entries[key]):
        yield f"{fault.problem}; {fault.remedy}"


def _own_name(target: str) -> str:
    return fold(target.removeprefix("\\").partition("@")[0])


def _no_alias(name: str, domain: str) -> Refused:
    return Refused(
        f"there is no alias {name} in {domain}",
        f"'vmail alias list {domain}' shows which there are",
        Code.NOT_FOUND,
    )
