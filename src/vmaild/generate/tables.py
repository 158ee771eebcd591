"""The directory as text, for MTAs that read files: which domains there are, and which recipients.

Every name is routed by `core.routing`, as RCPT would, so the files say what the server says. What cannot be
decided now counts as there: the MTA takes the message, and delivery defers it. A domain whose fallback takes
every name is written `@DOMAIN`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from vmaild.address import Address
from vmaild.core.directory import Directory, Domain, DomainDefinition, LookupFailed
from vmaild.core.routing import Accepted, Undecided, route

ANYBODY = "no-such-name-as-this"
"""A name that nobody has: where its mail goes, that of every unknown name does."""
_HEAD = "# Written by vmaild from its domains, anew after each change.\n"
_THERE = (Accepted, Undecided)


def hosts_of(definitions: Iterable[DomainDefinition]) -> set[str]:
    """Every name that a mail address of ours may have, domain aliases included."""
    return {host for definition in definitions for host in (definition.name, *definition.aliases)}


def render_domains(definitions: Iterable[DomainDefinition], damaged: Sequence[str], before: str) -> str:
    """The list of domains, one a line.

    While a definition is damaged, its domain aliases are not known: what stood in the list `before` stays.
    """
    hosts = hosts_of(definitions) | set(damaged)
    if damaged:
        hosts |= set(_keys(before))
    return _HEAD + "".join(f"{host}\n" for host in sorted(hosts))


def render_domain_table(definitions: Iterable[DomainDefinition], damaged: Sequence[str], before: str) -> str:
    """As `render_domains`, with a value on each line, for postmap(1)."""
    listed = render_domains(definitions, damaged, "".join(f"{key}\n" for key in _keys(before)))
    return _HEAD + "".join(f"{key} ours\n" for key in _keys(listed))


def render_recipients(directory: Directory, names: Iterable[str], before: str) -> str:
    """Every recipient of these domains, for postmap(1); of one that cannot be looked up, what stood `before`."""
    lines: set[str] = set()
    for name in names:
        try:
            domain = directory.find(name)
        except LookupFailed:
            lines |= {line for line in before.split("\n") if line.removesuffix(" ours").endswith(f"@{name}")}
        else:
            lines |= {f"{key} ours" for key in _recipients(directory, domain)} if domain else set()
    return _HEAD + "".join(f"{line}\n" for line in sorted(lines))


def _keys(text: str) -> list[str]:
    return [line.partition(" ")[0] for line in text.split("\n") if line and not line.startswith("#")]


def _recipients(directory: Directory, domain: Domain) -> Iterator[str]:
    hosts = (domain.name, *domain.definition.aliases)
    local_parts = {*domain.accounts, *domain.full_names}
    for alias_file in domain.alias_files:
        local_parts |= alias_file.entries.keys()
    known = [name for name in local_parts if isinstance(route(directory, Address(name, domain.name)), _THERE)]
    anybody = isinstance(route(directory, Address(ANYBODY, domain.name)), _THERE)
    for host in hosts:
        yield from (_key(name, host) for name in known)
        if anybody:
            yield f"@{host}"


def _key(name: str, host: str) -> str:
    """An address as postmap(1) takes a key: quoted as a whole where it has blanks."""
    key = str(Address(name, host))
    return f'"{key}"' if " " in key and not key.startswith('"') else key
