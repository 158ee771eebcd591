"""The directory on plain files: definitions, passwd, shadow and alias files, read when they are first needed.

Every look-up compares the files' fingerprints with those that were read, so hand edits need no restart. What is
damaged stays local: a bad line costs that line, a bad definition keeps the domain's last good state (in memory,
or the copy that is kept of every definition once understood), and what cannot be read at all raises
LookupFailed for that domain alone.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from vmaild.address import AddressError, canonical_domain, fold
from vmaild.core.directory import (
    Account,
    AliasEntry,
    AliasFile,
    Directory,
    Domain,
    DomainDefinition,
    IncludeList,
    LookupFailed,
    ShadowEntry,
)
from vmaild.core.findings import Finding, Severity
from vmaild.formats.aliases import parse_aliases, parse_include
from vmaild.formats.domain import parse_definition
from vmaild.formats.passwd import parse_passwd
from vmaild.formats.shadow import parse_shadow
from vmaild.store.atomic import write_atomically
from vmaild.store.files import Files, Fingerprint, ReadFailed
from vmaild.store.layout import Layout

log = logging.getLogger("vmaild.store")

_SCAN_INTERVAL = 1.0
"""Seconds between looks at all definitions; a file added, removed or renamed is seen at once."""
_SCAN_SHARE = 50
"""A scan that takes long is repeated after this many times its own duration."""
_VANISH_AFTER = 2.0
"""Seconds until a file that vanished is believed to be gone: editors and copies leave it missing for a moment,
and in that moment its users must not become unknown."""

T = TypeVar("T")

_NO_ACCOUNTS: Mapping[str, Account] = {}
_NO_PASSWORDS: Mapping[str, ShadowEntry] = {}
_NO_ALIASES: Mapping[str, AliasEntry] = {}


class DirectoryStore(Directory, Protocol):
    """The seam: what everything above asks of wherever domains are kept."""

    def names(self) -> list[str]:
        """Canonical names of all domains, sorted."""
        ...

    def domain_at(self, address: str) -> str | None:
        """The domain that a service address stands for; None: none, or more than one."""
        ...

    def password_of(self, domain: str, login: str) -> ShadowEntry | None:
        """The shadow entry of a login (any case). Raises LookupFailed."""
        ...

    def any_password(self, domain: str) -> str:
        """Somebody's hash of a domain, empty where there is none; see password_of."""
        ...

    def findings(self, domain: str) -> tuple[Finding, ...]:
        """Every fault of the domain's files."""
        ...


@dataclass(frozen=True, slots=True)
class _Part(Generic[T]):
    """One file as it was last understood."""

    state: Fingerprint | None
    value: T
    findings: tuple[Finding, ...] = ()

    def is_now(self, state: Fingerprint | None) -> bool:
        return self.state == state and (state is None or (self.state is not None and self.state.settled))


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A domain with the parts it was made of."""

    domain: Domain
    parts: tuple[object, ...]


class _Accounts(Mapping[str, Account]):
    """Accounts by folded login; whether an owner has a vacation text is looked up with the account."""

    def __init__(self, accounts: Mapping[str, Account], homes: str) -> None:
        self._accounts = accounts
        self._homes = homes

    def __getitem__(self, key: str) -> Account:
        account = self._accounts[key]
        if os.path.exists(f"{self._homes}/{account.login}/vacation"):
            return dataclasses.replace(account, autoreply=True)
        return account

    def __contains__(self, key: object) -> bool:
        return key in self._accounts

    def __iter__(self) -> Iterator[str]:
        return iter(self._accounts)

    def __len__(self) -> int:
        return len(self._accounts)


class FileDirectory:
    """DirectoryStore on the plain files of a layout. For one thread."""

    def __init__(
        self, layout: Layout, delimiter: str = "+", files: Files | None = None, *, keep_copies: bool = True
    ) -> None:
        """Without `keep_copies` nothing is ever written: no copies of good definitions are made."""
        self._layout = layout
        self._keep_copies = keep_copies
        self._files = files or Files()
        self.delimiter = delimiter
        self._definitions: dict[str, _Part[DomainDefinition | None]] = {}
        self._stems: dict[str, str] = {}
        self._parts: dict[str, _Part[object]] = {}
        self._domains: dict[str, _Loaded] = {}
        self._by_alias: dict[str, list[str]] = {}
        self._by_address: dict[str, list[str]] = {}
        self._scanned: Fingerprint | None = None
        self._next_scan = 0.0
        self._vanished: dict[str, float] = {}

    # -- the questions

    def find(self, name: str) -> Domain | None:
        """See Directory."""
        definition = self._definition(name)
        if definition is None:
            self._scan()
            owners = self._by_alias.get(name, [])
            if len(owners) > 1:
                raise LookupFailed(f"domain alias {name} is claimed by {' and '.join(owners)}")
            definition = self._definition(owners[0] if owners else self._stems.get(name, ""))
            if definition is None:
                return None
        return self._domain(definition)

    def names(self) -> list[str]:
        """See DirectoryStore."""
        self._scan()
        return sorted(self._stems)

    def domain_at(self, address: str) -> str | None:
        """See DirectoryStore."""
        self._scan()
        owners = self._by_address.get(address, [])
        return owners[0] if len(owners) == 1 else None

    def password_of(self, domain: str, login: str) -> ShadowEntry | None:
        """See DirectoryStore."""
        return self._shadow(domain).value.get(fold(login))

    def any_password(self, domain: str) -> str:
        """See DirectoryStore."""
        entries = self._shadow(domain).value.values()
        return next((entry.password for entry in entries if entry.password and not entry.locked), "")

    def findings(self, domain: str) -> tuple[Finding, ...]:
        """See DirectoryStore."""
        self._scan()
        found = [*self._clashes(domain)]
        try:
            loaded = self.find(domain)
            found += loaded.findings if loaded else ()
            found += self._shadow(domain).findings
        except LookupFailed as failure:
            part = self._definitions.get(domain)
            found += part.findings if part else ()
            if not found:
                found.append(_unreadable(str(failure)))
        return tuple(dict.fromkeys(found))

    # -- definitions

    def _definition(self, name: str) -> DomainDefinition | None:
        """The definition in force for a domain of that very name. Raises LookupFailed when there is none good."""
        if not name:
            return None
        path = self._layout.definition(self._stems.get(name, name))
        part = self._definitions.get(name)
        try:
            state = self._files.fingerprint(path)
            if state is None:
                self._definitions.pop(name, None)
                return None
            if part is None or not part.is_now(state):
                part = self._read_definition(name, path, part)
        except ReadFailed as failure:
            if part is None:
                raise LookupFailed(str(failure)) from failure
        if part is None:
            return None
        self._definitions[name] = part
        if part.value is None:
            raise LookupFailed(f"{path}: the definition is damaged and there is no good copy")
        return part.value

    def _read_definition(
        self, name: str, path: str, last: _Part[DomainDefinition | None] | None
    ) -> _Part[DomainDefinition | None] | None:
        found = self._files.read(path)
        if found is None:
            return None
        text, state = found
        definition, findings = parse_definition(text, name, path)
        _tell(findings, last.findings if last else ())
        copy = f"{self._layout.last_good}/{name}.toml"
        if definition is not None:
            if self._keep_copies and path not in self._files.overlay:
                self._keep_copy(copy, text, state)
            return _Part(state, definition, findings)
        good = last.value if last else None
        if good is None:
            with suppress(ReadFailed):
                kept = self._files.read(copy)
                good = parse_definition(kept[0], name, path)[0] if kept else None
        if good is not None:
            log.warning("%s: the last good definition stays in force", path)
        return _Part(state, good, findings)

    @staticmethod
    def _keep_copy(copy: str, text: str, state: Fingerprint) -> None:
        """Remember a good definition for the day when a restart meets a damaged one."""
        try:
            if os.stat(copy).st_mtime_ns == state.modified:
                return
        except OSError:
            pass
        # A process that may not write there (vdeliver under an MTA's user) leaves it to those that may.
        with suppress(OSError):
            write_atomically(copy, text.encode("utf-8", "surrogateescape"), durable=False)
            os.utime(copy, ns=(state.modified, state.modified))

    def _scan(self) -> None:
        """Look at all definitions, for names that only their content tells: aliases and addresses."""
        try:
            state = self._files.fingerprint(self._layout.definitions)
            started = time.monotonic()
            if started < self._next_scan and state == self._scanned and (state is None or state.settled):
                return
            found = self._files.names(self._layout.definitions, ".toml")
        except ReadFailed as failure:
            log.error("%s", failure)
            return
        self._stems = {}
        for stem in found:
            with suppress(AddressError):
                self._stems.setdefault(canonical_domain(stem), stem)
        self._by_alias, self._by_address = {}, {}
        for name in self._stems:
            with suppress(LookupFailed):
                definition = self._definition(name)
                if definition is not None:
                    self._index(definition)
        for name in self._definitions.keys() - self._stems.keys():
            del self._definitions[name]
        self._scanned = state
        self._next_scan = time.monotonic() + max(_SCAN_INTERVAL, _SCAN_SHARE * (time.monotonic() - started))

    def _index(self, definition: DomainDefinition) -> None:
        for alias in definition.aliases:
            if alias not in self._stems:
                self._by_alias.setdefault(alias, []).append(definition.name)
        for address in definition.addresses:
            self._by_address.setdefault(address, []).append(definition.name)

    def _clashes(self, name: str) -> Iterator[Finding]:
        """What this domain claims and another has too."""
        part = self._definitions.get(name)
        if part is None or part.value is None:
            return
        definition = part.value
        for alias in definition.aliases:
            others = [other for other in self._by_alias.get(alias, []) if other != name]
            others += [alias] if alias in self._stems and alias != name else []
            for other in others:
                yield _clash(definition, f"domain alias '{alias}'", other)
        for address in definition.addresses:
            for other in self._by_address.get(address, []):
                if other != name:
                    yield _clash(definition, f"service address {address}", other)

    # -- domains

    def _domain(self, definition: DomainDefinition) -> Domain:
        suffix = self._stems.get(definition.name, definition.name)
        passwd = self._part(self._layout.passwd(suffix), _accounts, _NO_ACCOUNTS)
        paths = [self._layout.aliases(suffix), *map(self._layout.path, definition.alias_files)]
        aliases = [self._part(path, _aliases, _NO_ALIASES) for path in paths]
        includes = {
            path: self._part(self._layout.path(path), _include, None)
            for part in aliases
            for path in _include_paths(part.value)
        }
        parts: tuple[object, ...] = (definition, passwd, *aliases, *includes.values())
        loaded = self._domains.get(definition.name)
        if loaded is not None and all(map(_same, loaded.parts, parts)) and len(loaded.parts) == len(parts):
            return loaded.domain
        definition_part = self._definitions[definition.name]
        accounts = passwd.value
        lists = {path: part.value for path, part in includes.items() if part.value is not None}
        domain = Domain(
            definition,
            _Accounts(accounts, os.path.dirname(self._layout.home(definition.name, "x"))),
            _full_names(accounts) if definition.match_full_name else {},
            tuple(
                AliasFile(path, part.value, self._trusted(part.state, definition, extra=number > 0), lists)
                for number, (path, part) in enumerate(zip(paths, aliases, strict=True))
            ),
            (
                *definition_part.findings,
                *passwd.findings,
                *(finding for part in aliases for finding in part.findings),
                *(finding for part in includes.values() for finding in part.findings),
                *(
                    _unreadable(f"{path}: no such file", "create it, or take it out of alias_files")
                    for path, part in zip(paths[1:], aliases[1:], strict=True)
                    if part.state is None
                ),
            ),
        )
        self._domains[definition.name] = _Loaded(domain, parts)
        return domain

    def _shadow(self, domain: str) -> _Part[Mapping[str, ShadowEntry]]:
        return self._part(self._layout.shadow(self._stems.get(domain, domain)), _passwords, _NO_PASSWORDS)

    def _trusted(self, state: Fingerprint | None, definition: DomainDefinition, *, extra: bool) -> bool:
        """Whether only the site administrator can write an alias file.

        Co-administrators edit the implicit file through the administration, so with any of them it is theirs.
        """
        if definition.admins and not extra:
            return False
        owner = self._files.fingerprint(self._layout.configuration)
        if state is None or owner is None:
            return True
        others_write = state.mode & 0o002 or (state.mode & 0o020 and state.group not in (0, owner.group))
        return not others_write and state.owner in (0, owner.owner)

    def _part(self, path: str, parse: Callable[[str, str], tuple[T, tuple[Finding, ...]]], empty: T) -> _Part[T]:
        """One file of a domain, read again only when it has changed. Raises LookupFailed."""
        last: _Part[T] | None = self._parts.get(path)  # type: ignore[assignment]  # one parser for each path
        try:
            state = self._files.fingerprint(path)
            if last is not None and last.is_now(state):
                return last
            found = self._files.read(path) if state is not None else None
        except ReadFailed as failure:
            if last is None:
                raise LookupFailed(str(failure)) from failure
            log.error("%s: what was read last stays in force", failure)
            return last
        if found is None:
            if last is not None and last.state is not None:
                since = self._vanished.setdefault(path, time.monotonic())
                if time.monotonic() - since < _VANISH_AFTER:
                    return last
            part: _Part[T] = _Part(None, empty)
        else:
            self._vanished.pop(path, None)
            value, findings = parse(found[0], path)
            _tell(findings, last.findings if last else ())
            part = _Part(found[1], value, findings)
        self._parts[path] = part  # type: ignore[assignment]  # see above
        return part


def _same(one: object, other: object) -> bool:
    return one is other


def _accounts(text: str, path: str) -> tuple[Mapping[str, Account], tuple[Finding, ...]]:
    parsed = parse_passwd(text, path)
    return {fold(account.login): account for account in reversed(parsed.entries)}, parsed.findings


def _passwords(text: str, path: str) -> tuple[Mapping[str, ShadowEntry], tuple[Finding, ...]]:
    parsed = parse_shadow(text, path)
    return {fold(entry.login): entry for entry in reversed(parsed.entries)}, parsed.findings


def _aliases(text: str, path: str) -> tuple[Mapping[str, AliasEntry], tuple[Finding, ...]]:
    parsed = parse_aliases(text, path)
    return {fold(entry.name): entry for entry in reversed(parsed.entries)}, parsed.findings


def _include(text: str, path: str) -> tuple[IncludeList | None, tuple[Finding, ...]]:
    return parse_include(text, path)


def _include_paths(entries: Mapping[str, AliasEntry]) -> Iterator[str]:
    for entry in entries.values():
        for target in entry.targets:
            if target.startswith(":include:"):
                yield target.removeprefix(":include:").strip()


def _full_names(accounts: Mapping[str, Account]) -> dict[str, tuple[str, ...]]:
    """Full names with dots for spaces, folded, each with the logins that bear it."""
    names: dict[str, tuple[str, ...]] = {}
    for key, account in accounts.items():
        name = ".".join(fold(account.full_name).split())
        if name:
            names[name] = (*names.get(name, ()), key)
    return names


def _unreadable(problem: str, remedy: str = "see that it exists and that the mail user may read it") -> Finding:
    path, _, text = problem.partition(": ")
    return Finding(path, 0, text, remedy, Severity.ERROR)


def _clash(definition: DomainDefinition, what: str, other: str) -> Finding:
    return Finding(
        definition.source.path,
        0,
        f"{what} belongs to {other} too",
        "take it out of one of the two definitions",
        Severity.ERROR,
    )


def _tell(findings: tuple[Finding, ...], before: tuple[Finding, ...]) -> None:
    """Log what is newly wrong, once."""
    for finding in findings:
        if finding not in before:
            log.log(logging.ERROR if finding.severity is Severity.ERROR else logging.WARNING, "%s", finding)


def canonical_address(address: str) -> str:
    """An IP address as it stands in a DomainDefinition; IPv4 mapped into IPv6 is the IPv4 address."""
    parsed = ipaddress.ip_address(address)
    mapped = getattr(parsed, "ipv4_mapped", None)
    return str(mapped or parsed)
