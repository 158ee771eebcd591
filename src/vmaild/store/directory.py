"""The directory on plain files: definitions, passwd, shadow and alias files, read when they are first needed.

Every look-up compares the files' fingerprints with those that were read, so hand edits need no restart. What is
damaged stays local: a bad line costs that line, a bad definition keeps the domain's last good state (in memory,
or the copy that is kept of every definition once understood), and what cannot be read at all raises
LookupFailed for that domain alone.
"""

from __future__ import annotations

import ipaddress
import logging
import stat
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Protocol, TypeVar

from vmaild.address import Address, AddressError, canonical_domain, fold
from vmaild.core.directory import (
    Account,
    AliasEntry,
    AliasFile,
    Domain,
    DomainDefinition,
    IncludeList,
    LookupFailed,
    Passwords,
    ShadowEntry,
)
from vmaild.core.findings import Finding, Severity
from vmaild.core.site import ForwardingSettings
from vmaild.core.srs import original
from vmaild.formats.aliases import MAX_INCLUDE, parse_aliases, parse_include
from vmaild.store.definitions import Definitions, may_return
from vmaild.store.files import Files, Fingerprint, Part, ReadFailed, state_of, tell, text_of
from vmaild.store.homes import Homes
from vmaild.store.layout import Layout
from vmaild.store.learnt import Learnt
from vmaild.store.lines import PASSWD, SHADOW, apart, read_lines
from vmaild.store.mentions import Mentions
from vmaild.store.roster import Roster
from vmaild.store.secret import srs_secret

log = logging.getLogger("vmaild.store")

CACHED_ENTRIES = 500_000
"""Accounts and aliases of all domains that a process keeps in memory: some 300 bytes each, twice that where
their passwords are asked for, too."""
_WEIGHT = 10
"""Entries that take as much room as a domain without any."""
_ROSTERS = 8
"""Domains whose rosters are kept."""

T = TypeVar("T")

_LIST_REMEDY = "name a regular file that the mail user may read, with no link of somebody else on the way to it"

_NO_ACCOUNTS: Mapping[str, Account] = {}
_NO_PASSWORDS: Mapping[str, ShadowEntry] = {}
_NO_ALIASES: Mapping[str, AliasEntry] = {}


class DirectoryStore(Passwords, Protocol):
    """The seam: what everything above asks of wherever domains are kept."""

    def names(self) -> list[str]:
        """Canonical names of all domains, sorted."""
        ...

    def domain_at(self, address: str) -> str | None:
        """The domain that a service address stands for; None: none, or more than one."""
        ...

    def domain_named(self, host: str) -> str | None:
        """The domain whose name, domain alias or mail host is `host`; None: none, or more than one."""
        ...

    def findings(self, domain: str) -> tuple[Finding, ...]:
        """Every fault of the domain's files."""
        ...

    def administered(self, principal: str) -> list[str]:
        """The domains that name a co-administrator, in canonical spelling; sorted."""
        ...

    def intact(self, domain: str) -> DomainDefinition | None:
        """The definition of a domain of that very name, as it is now; None: it is damaged. Raises LookupFailed."""
        ...

    def roster(self, domain: str) -> Roster:
        """The accounts of a domain, to be looked through. Raises LookupFailed."""
        ...

    def passwords(self, domain: str) -> Mapping[str, ShadowEntry]:
        """The shadow entries of a domain by folded login. Raises LookupFailed."""
        ...

    def accounts(self, domain: str) -> Mapping[str, Account]:
        """The accounts of a domain by folded login, as its passwd file has them. Raises LookupFailed."""
        ...

    def mentioned(self, definition: DomainDefinition) -> Set[str]:
        """The names, casefolded, of domains to which aliases or fallback of a domain may lead; see Mentions."""
        ...

    def stem(self, domain: str) -> str:
        """How the files of a domain spell its name."""
        ...

    def overlaid(self, files: Files) -> DirectoryStore:
        """The same with what a change would write in the place of what is there."""
        ...


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A domain, and the files that it was made of."""

    domain: Domain
    made_of: tuple[str, ...]
    """Their paths."""
    state: int
    """What Files.state said of them."""
    weight: int


class _Accounts(Mapping[str, Account]):
    """Accounts by folded login; what their owners have set up in their homes is looked up with the account."""

    def __init__(self, accounts: Mapping[str, Account], homes: Homes) -> None:
        self._accounts = accounts
        self._homes = homes

    def __getitem__(self, key: str) -> Account:
        return self._homes.completed(self._accounts[key])

    def get(self, key: str, default: Any = None) -> Any:  # noqa: ANN401  as Mapping has it
        """See Mapping, whose own asks by an exception whether there is one."""
        account = self._accounts.get(key)
        return default if account is None else self._homes.completed(account)

    def __contains__(self, key: object) -> bool:
        return key in self._accounts

    def __iter__(self) -> Iterator[str]:
        return iter(self._accounts)

    def __len__(self) -> int:
        return len(self._accounts)

    def apart(self, other: _Accounts) -> Set[str]:
        return apart(self._accounts, other._accounts)


def logins_apart(one: Domain, other: Domain) -> Set[str]:
    """The folded logins that are accounts of only one of two states of a domain."""
    if isinstance(one.accounts, _Accounts) and isinstance(other.accounts, _Accounts):
        return one.accounts.apart(other.accounts)
    return {*one.accounts} ^ {*other.accounts}


class FileDirectory:
    """DirectoryStore on the plain files of a layout. For one thread."""

    def __init__(
        self,
        layout: Layout,
        delimiter: str = "+",
        files: Files | None = None,
        *,
        forwarding: ForwardingSettings = ForwardingSettings(),  # noqa: B008  immutable
        keep_copies: bool = True,
        srs: bool = False,
        learnt: Learnt = MappingProxyType({}),
    ) -> None:
        """Without `keep_copies` nothing is ever written: no copies of good definitions, no index of them.

        `learnt`: what reverse DNS says of addresses; it counts for those that no definition names.
        """
        self._layout = layout
        self._files = files or Files()
        self.delimiter = delimiter
        self._secret = srs_secret(layout) if srs else None
        self._forwarding = forwarding
        self._learnt = learnt
        self._definitions = Definitions(layout, self._files, keep_copies=keep_copies)
        self._parts: dict[tuple[str, object], Part[Any]] = {}
        """By path and parser."""
        self._domains: OrderedDict[str, _Loaded] = OrderedDict()
        self._held = 0
        self._vanished: dict[str, float] = {}
        self._rosters: OrderedDict[str, Roster] = OrderedDict()
        self._mentions = Mentions(layout, self._files)

    # -- the questions

    def find(self, name: str) -> Domain | None:
        """See Directory."""
        loaded = self._domains.get(name)
        if loaded is not None and self._is_now(loaded):
            if self._held > CACHED_ENTRIES // 2:  # else none will have to give way soon
                self._domains.move_to_end(name)
            return loaded.domain
        definition = self._definitions.get(name)
        if definition is None:
            definition = self._definitions.with_alias(name)
            if definition is None:
                return None
            if definition.name != name:
                return self.find(definition.name)
        return self._load(definition)

    def bounced_to(self, local_part: str) -> Address | None:
        """See Directory."""
        return original(local_part, self._secret, int(time.time()) // 86400) if self._secret else None

    def names(self) -> list[str]:
        """See DirectoryStore."""
        return self._definitions.names()

    def domain_at(self, address: str) -> str | None:
        """See DirectoryStore."""
        if address in self._learnt and not self._definitions.is_claimed(address):
            found = {self._named_by_pointer(name) for name in self._learnt[address]} - {None}
            return found.pop() if len(found) == 1 else None
        return self._definitions.with_address(address)

    def _named_by_pointer(self, name: str) -> str | None:
        """The domain whose mail host has that name, be it written in the definition or the usual one."""
        return self._definitions.named(name) or self._definitions.named(name.removeprefix("mailhost."))

    def domain_named(self, host: str) -> str | None:
        """See DirectoryStore."""
        with suppress(AddressError):
            return self._definitions.named(canonical_domain(host))
        return None

    def password_of(self, domain: str, login: str) -> ShadowEntry | None:
        """See DirectoryStore."""
        return self._shadow(domain).value.get(fold(login))

    def passwords(self, domain: str) -> Mapping[str, ShadowEntry]:
        """See DirectoryStore."""
        return self._shadow(domain).value

    def accounts(self, domain: str) -> Mapping[str, Account]:
        """See DirectoryStore."""
        return self._part(self._layout.passwd(self._definitions.stem(domain)), _accounts, _NO_ACCOUNTS).value

    def any_password(self, domain: str) -> str:
        """See DirectoryStore."""
        entries = self._shadow(domain).value.values()
        return next((entry.password for entry in entries if entry.password and not entry.locked), "")

    def findings(self, domain: str) -> tuple[Finding, ...]:
        """See DirectoryStore."""
        found: list[Finding] = []
        try:
            loaded = self.find(domain)
            found += loaded.findings if loaded else ()
            found += self._shadow(domain).findings
            found += self._homes(loaded.name).findings(loaded) if loaded else ()
        except LookupFailed as failure:
            part = self._definitions.part(domain)
            found += part.findings if part else ()
            if not found:
                found.append(_unreadable(str(failure)))
        return tuple(dict.fromkeys((*self._definitions.clashes(domain), *found)))

    def administered(self, principal: str) -> list[str]:
        """See DirectoryStore."""
        return self._definitions.administered(principal)

    def intact(self, domain: str) -> DomainDefinition | None:
        """See DirectoryStore."""
        definition = self._definitions.get(domain)
        part = self._definitions.part(domain)
        damaged = part is not None and any(each.severity is Severity.ERROR for each in part.findings)
        return None if damaged else definition

    def roster(self, domain: str) -> Roster:
        """See DirectoryStore."""
        accounts = self.accounts(domain)
        roster = self._rosters.pop(domain, None)
        if roster is None or roster.accounts is not accounts:
            roster = Roster(accounts, roster)
        self._rosters[domain] = roster
        if len(self._rosters) > _ROSTERS:
            self._rosters.popitem(last=False)
        return roster

    def mentioned(self, definition: DomainDefinition) -> Set[str]:
        """See DirectoryStore."""
        return self._mentions.of(definition, self._layout.aliases(self._definitions.stem(definition.name)))

    def stem(self, domain: str) -> str:
        """See DirectoryStore."""
        return self._definitions.stem_now(domain)

    def overlaid(self, files: Files) -> FileDirectory:
        """See DirectoryStore."""
        copy = FileDirectory(
            self._layout,
            self.delimiter,
            files,
            forwarding=self._forwarding,
            keep_copies=False,
            learnt=self._learnt,
        )
        copy._secret = self._secret
        copy._definitions = self._definitions.overlaid(files)
        # What a file would be without is not waited for.
        gone = {path for path, content in files.overlay.items() if content is None}
        copy._parts = {key: part for key, part in self._parts.items() if key[0] not in gone}
        return copy

    # -- domains

    def _is_now(self, loaded: _Loaded) -> bool:
        """Whether nothing that a domain was made of has changed."""
        try:
            return self._files.state(loaded.made_of) == loaded.state
        except ReadFailed:
            return False

    def _load(self, definition: DomainDefinition) -> Domain:
        """Put a domain together. Raises LookupFailed."""
        name = definition.name
        suffix = self._definitions.stem(name)
        part = self._definitions.part(name)
        assert part is not None  # it has just been read
        passwd = self._part(self._layout.passwd(suffix), _accounts, _NO_ACCOUNTS)
        paths = [self._layout.aliases(suffix), *map(self._layout.path, definition.alias_files)]
        aliases = {path: self._part(path, _aliases, _NO_ALIASES) for path in paths}
        trusted = {
            path: self._trusted(each.state, definition, extra=path != paths[0]) for path, each in aliases.items()
        }
        # Of a file that a co-administrator writes no list counts, so none is read: its faults are told.
        includes = {
            path: self._list(self._layout.path(path))
            for written, entries in aliases.items()
            if trusted[written]
            for path in _include_paths(entries.value)
        }
        lists = {path: each.value for path, each in includes.items() if each.value is not None}
        domain = Domain(
            definition,
            _Accounts(passwd.value, self._homes(name)),
            _full_names(passwd.value) if definition.match_full_name else {},
            tuple(AliasFile(path, each.value, trusted[path], lists) for path, each in aliases.items()),
            (
                *part.findings,
                *passwd.findings,
                *(finding for each in aliases.values() for finding in each.findings),
                *(finding for each in includes.values() for finding in each.findings),
                *(
                    _unreadable(f"{path}: no such file", "create it, or take it out of alias_files")
                    for path in paths[1:]
                    if aliases[path].state is None
                ),
            ),
        )
        made_of = {
            self._layout.definition(suffix): part.state,
            self._layout.passwd(suffix): passwd.state,
            **{path: each.state for path, each in aliases.items()},
            **{self._layout.path(path): each.state for path, each in includes.items()},
        }
        entries = len(passwd.value) + sum(len(each.value) for each in aliases.values())
        self._keep(name, _Loaded(domain, tuple(made_of), state_of(made_of.values()), entries + _WEIGHT))
        return domain

    def _homes(self, name: str) -> Homes:
        return Homes(self._layout, name, self._files, self._forwarding)

    def _keep(self, name: str, loaded: _Loaded) -> None:
        """Hold a domain in memory; those that were not asked for longest give way."""
        before = self._domains.pop(name, None)
        self._held += loaded.weight - (before.weight if before else 0)
        self._domains[name] = loaded
        while self._held > CACHED_ENTRIES and len(self._domains) > 1:
            oldest, left = self._domains.popitem(last=False)
            self._held -= left.weight
            self._definitions.release(oldest)
            for path in (*left.made_of, self._layout.shadow(self._definitions.stem(oldest))):
                for parse in _PARSERS:
                    self._parts.pop((path, parse), None)

    def _shadow(self, domain: str) -> Part[Mapping[str, ShadowEntry]]:
        return self._part(self._layout.shadow(self._definitions.stem(domain)), _passwords, _NO_PASSWORDS)

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

    def _list(self, path: str) -> Part[IncludeList | None]:
        """A list that `:include:` names. One that cannot be read costs that list: mail for it waits."""
        last: Part[IncludeList | None] | None = self._parts.get((path, _include))
        state: Fingerprint | None = None
        try:
            state = self._files.fingerprint(path)
            if last is not None and last.state == state:
                return last
            found = self._files.read_of_others(path, MAX_INCLUDE)
            value, findings = _include(found[0], path) if found else (None, ())
            state = found[1] if found else None
            # Others may read what is told than may read the list.
            if state is not None and not state.mode & stat.S_IROTH:
                findings = tuple(map(_without_content, findings))
        except ReadFailed as failure:
            value, findings = None, (_unreadable(str(failure), _LIST_REMEDY),)
            # Why it cannot be read may change without the file.
            state = state._replace(inode=-1) if state else None
        tell(findings, last.findings if last else ())
        part = Part(state, value, findings)
        self._parts[path, _include] = part
        return part

    def _part(
        self, path: str, parse: Callable[[bytes, str, object], tuple[T, tuple[Finding, ...]]], empty: T
    ) -> Part[T]:
        """One file of a domain, read again only when it has changed. Raises LookupFailed."""
        last: Part[T] | None = self._parts.get((path, parse))
        try:
            state = self._files.fingerprint(path)
            if last is not None and last.state == state:
                return last
            found = self._files.content(path) if state is not None else None
        except ReadFailed as failure:
            if last is None:
                raise LookupFailed(str(failure)) from failure
            log.error("%s: what was read last stays in force", failure)
            return last
        if found is None:
            if last is not None and last.state is not None and may_return(self._files, path, self._vanished, path):
                return last
            part: Part[T] = Part(None, empty)
        else:
            self._vanished.pop(path, None)
            value, findings = parse(found[0], path, last.value if last else None)
            tell(findings, last.findings if last else ())
            part = Part(found[1], value, findings)
        self._parts[path, parse] = part
        return part


def _accounts(content: bytes, path: str, before: object) -> tuple[Mapping[str, Account], tuple[Finding, ...]]:
    return read_lines(PASSWD, content, path, before)


def _passwords(content: bytes, path: str, before: object) -> tuple[Mapping[str, ShadowEntry], tuple[Finding, ...]]:
    return read_lines(SHADOW, content, path, before)


def _aliases(content: bytes, path: str, _before: object) -> tuple[Mapping[str, AliasEntry], tuple[Finding, ...]]:
    parsed = parse_aliases(text_of(content), path)
    return {fold(entry.name): entry for entry in parsed.entries}, parsed.findings


def _include(text: str, path: str) -> tuple[IncludeList | None, tuple[Finding, ...]]:
    return parse_include(text, path)


_PARSERS = (_accounts, _passwords, _aliases, _include)


def _without_content(finding: Finding) -> Finding:
    """A fault of a list, without the text that it quotes."""
    return replace(finding, problem="this is no list of targets") if finding.line else finding


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


def canonical_address(address: str) -> str:
    """An IP address as it stands in a DomainDefinition; IPv4 mapped into IPv6 is the IPv4 address."""
    parsed = ipaddress.ip_address(address)
    mapped = getattr(parsed, "ipv4_mapped", None)
    return str(mapped or parsed)
