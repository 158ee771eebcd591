"""The definitions of all domains: found, understood, remembered.

A domain is known by the name of its file. Who has a domain alias or a service address only the content of all
files tells, so each is looked at: all at once at first, and then again and again, a little at a time, so that
even 100,000 of them never keep a server waiting. Where there are many, what was found in them is kept in an index
(`definitions.json` in the state folder) for the next start, which then reads only those that have changed.

A definition that is damaged keeps its last good state: in memory, or the copy that is made of every good one.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from vmaild import __version__
from vmaild.address import AddressError, canonical_domain
from vmaild.core.directory import DomainDefinition, LookupFailed
from vmaild.core.findings import Finding, Severity
from vmaild.core.permissions import canonical_principal, is_co_administrator
from vmaild.formats.domain import parse_definition
from vmaild.store.atomic import write_atomically
from vmaild.store.files import Files, Fingerprint, Part, ReadFailed, tell
from vmaild.store.layout import Layout

log = logging.getLogger("vmaild.store")

VANISH_AFTER = 2.0
"""Seconds until a file that vanished is believed to be gone: editors and copies leave it missing for a moment,
and in that moment its users must not become unknown. They count from the last change of its folder."""
_PAUSE = 1.0
"""Seconds between rounds; a file added, removed or replaced starts one at once."""
_SHARE, _HURRIED_SHARE = 0.02, 0.1
"""Of the time that passes, how much rounds may take; the latter when something is known to have changed."""
_BURST = 0.02
"""Seconds that they may take at once: enough for some thousand definitions."""
_MANY = 100
"""Definitions that are worth an index."""

DefinitionPart = Part[DomainDefinition | None]
"""A definition's file, and what is in force of it; None: it is damaged and there is no good copy."""


class _Claims(NamedTuple):
    """The names of a domain that only the content of its definition tells."""

    aliases: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    mail_hosts: tuple[str, ...] = ()
    admins: tuple[str, ...] = ()
    """Co-administrators."""


class _Owners(NamedTuple):
    """The domains that claim a name, sorted, by the name; as in _Claims."""

    aliases: dict[str, tuple[str, ...]]
    addresses: dict[str, tuple[str, ...]]
    mail_hosts: dict[str, tuple[str, ...]]
    admins: dict[str, tuple[str, ...]]


class _Index(NamedTuple):
    """What an earlier round found."""

    seen: dict[str, int]
    """See Definitions._seen."""
    claims: dict[str, _Claims]
    """Of those that have some."""


_NO_CLAIMS = _Claims()
_INDEX_FORMAT = f"{__version__}/2"
_SHORT_LIVED = 3600.0
"""Seconds that what is overlaid is not looked for again: a plan is made in less."""


def may_return(files: Files, path: str, vanished: dict[str, float], key: str) -> bool:
    """Whether a file that is not there may have been gone for a moment only, looked for or not.

    `vanished` keeps by key since when it has been missing, in seconds of time.monotonic().
    """
    since = vanished.setdefault(key, time.monotonic() - files.missing_for(path))
    return time.monotonic() - since < VANISH_AFTER


class Definitions:
    """The definitions of a layout. For one thread."""

    def __init__(self, layout: Layout, files: Files, *, keep_copies: bool) -> None:
        """Without `keep_copies` nothing is ever written."""
        self._layout = layout
        self._files = files
        self._keep_copies = keep_copies and not files.overlay
        self._parts: dict[str, DefinitionPart] = {}
        self._seen: dict[str, int] = {}
        """By name, the hash of the fingerprint that the last round saw: a tenth of the fingerprint's size."""
        self._spelt: dict[str, str] = {}
        """Stems of files that are not named as their domain canonically is."""
        self._vanished: dict[str, float] = {}
        """When a definition that was known was met no more, in seconds of time.monotonic()."""
        self._claims: dict[str, _Claims] = {}
        self._owners = _Owners({}, {}, {}, {})
        self._round: Iterator[None] | None = None
        self._folder: Fingerprint | None = None
        self._next_round = 0.0
        self._complete = False
        """Whether a first round has been finished."""
        self._credit = _BURST
        self._credited = time.monotonic()

    # -- the questions

    def get(self, name: str) -> DomainDefinition | None:
        """The definition in force for a domain of that very name. Raises LookupFailed when there is none good."""
        if not name:
            return None
        path = self._layout.definition(self.stem(name))
        part = self._parts.get(name)
        try:
            state = self._files.fingerprint(path)
            if state is None:
                self._miss(name, path)
                return None
            if part is None or part.state != state:
                part = self._read(name, path, part)
        except ReadFailed as failure:
            if part is None:
                raise LookupFailed(str(failure)) from failure
        if part is None:
            return None
        self._parts[name] = part
        if part.value is None:
            raise LookupFailed(f"{path}: the definition is damaged and there is no good copy")
        return part.value

    def with_alias(self, alias: str) -> DomainDefinition | None:
        """The definition of the domain that has a domain alias. Raises LookupFailed."""
        self._look()
        if not self._complete:
            raise LookupFailed(f"{self._layout.definitions}: cannot be listed")
        owners = (alias,) if alias in self._seen else self._owners.aliases.get(alias, ())
        if len(owners) > 1:
            raise LookupFailed(f"domain alias {alias} is claimed by {' and '.join(owners)}")
        definition = self.get(owners[0]) if owners else None
        if definition is None or alias in (definition.name, *definition.aliases):
            return definition
        return None  # taken out of the definition a moment ago

    def with_address(self, address: str) -> str | None:
        """The name of the domain that a service address stands for; None: none, or more than one."""
        self._look()
        owners = self._owners.addresses.get(address, ())
        return owners[0] if len(owners) == 1 else None

    def is_claimed(self, address: str) -> bool:
        """Whether the definition of any domain names a service address."""
        self._look()
        return address in self._owners.addresses

    def named(self, host: str) -> str | None:
        """The domain whose name, domain alias or mail host this is; None: none, or more than one."""
        self._look()
        if host in self._seen:
            return host
        owners = self._owners.aliases.get(host) or self._owners.mail_hosts.get(host, ())
        return owners[0] if len(owners) == 1 else None

    def administered(self, principal: str) -> list[str]:
        """The domains that name a co-administrator, in canonical spelling; sorted."""
        self._look()
        found = []
        for name in self._owners.admins.get(principal, ()):
            with suppress(LookupFailed):
                definition = self.get(name)  # as it is at this moment
                if definition is not None and is_co_administrator(principal, definition):
                    found.append(name)
        return found

    def overlaid(self, files: Files) -> Definitions:
        """These, as they would be with what `files` overlay; nothing else is looked at again."""
        self._look()
        copy = Definitions(self._layout, files, keep_copies=False)
        copy._parts, copy._seen, copy._spelt = dict(self._parts), dict(self._seen), dict(self._spelt)
        copy._claims, copy._owners = dict(self._claims), _Owners(*map(dict, self._owners))
        copy._complete, copy._next_round = self._complete, time.monotonic() + _SHORT_LIVED
        for path, content in files.overlay.items():
            folder, stem = os.path.dirname(path), os.path.basename(path).removesuffix(".toml")
            name = _canonical(stem)
            if folder != self._layout.definitions or not path.endswith(".toml") or not name:
                continue
            if content is not None:
                copy._spell(name, stem)
                copy._look_at(name, _Index({}, {}))
            elif stem == copy.stem(name):
                copy._forget(name)
        copy._folder = files.fingerprint(self._layout.definitions)
        return copy

    def names(self) -> list[str]:
        """All names as of now, sorted."""
        self._look(whole=True)
        return sorted(self._seen.keys() - self._vanished.keys())

    def stem(self, name: str) -> str:
        """How a domain's files spell its name, as far as is known."""
        return self._spelt.get(name, name)

    def stem_now(self, name: str) -> str:
        """How a domain's files spell its name, as of now."""
        if self._complete:
            self._look()
            return self.stem(name)
        # A round would read every definition.
        spelt = (stem for stem in self._files.stems(self._layout.definitions, ".toml") if _canonical(stem) == name)
        return min(spelt, default=name)

    def part(self, name: str) -> DefinitionPart | None:
        """What `get` has read last."""
        return self._parts.get(name)

    def release(self, name: str) -> None:
        """Nobody needs a definition for now: what is good and has a copy need not stay in memory."""
        part = self._parts.get(name)
        if part and not part.findings and os.path.exists(self._copy(name)):
            del self._parts[name]

    def clashes(self, name: str) -> Iterator[Finding]:
        """What this domain claims and another has too."""
        self._look(whole=True)
        part = self._parts.get(name)
        if part is None or part.value is None:
            return
        for alias in part.value.aliases:
            others = [other for other in self._owners.aliases.get(alias, ()) if other != name]
            others += [alias] if alias in self._seen and alias != name else []
            for other in others:
                yield _clash(part.value, f"domain alias '{alias}'", other)
        for address in part.value.addresses:
            for other in self._owners.addresses.get(address, ()):
                if other != name:
                    yield _clash(part.value, f"service address {address}", other)

    # -- one definition

    def _miss(self, name: str, path: str) -> None:
        """A definition is not there; raises LookupFailed for as long as it may only be on its way."""
        known = self._parts.pop(name, None) is not None or name in self._seen or name in self._vanished
        if known and self._may_return(name, path):
            raise LookupFailed(f"{path}: there a moment ago, and not any more")

    def _may_return(self, name: str, path: str) -> bool:
        """Whether a definition that was known may be there again in a moment, as where an editor renames files.

        Whoever removes a domain for good removes the copy, too.
        """
        if path in self._files.overlay or not os.path.exists(self._copy(name)):
            return False
        return may_return(self._files, path, self._vanished, name)

    def _read(self, name: str, path: str, last: DefinitionPart | None) -> DefinitionPart | None:
        found = self._files.read(path)
        if found is None:
            return None
        self._vanished.pop(name, None)
        text, state = found
        definition, findings = parse_definition(text, name, path)
        tell(findings, last.findings if last else ())
        if definition is not None:
            if self._keep_copies:
                self._keep_copy(name, text, state)
            return Part(state, definition, findings)
        good = last.value if last else None
        if good is None:
            with suppress(ReadFailed):
                kept = self._files.read(self._copy(name))
                good = parse_definition(kept[0], name, path)[0] if kept else None
        if good is not None:
            log.warning("%s: the last good definition stays in force", path)
        return Part(state, good, findings)

    def _copy(self, name: str) -> str:
        return f"{self._layout.last_good}/{name}.toml"

    def _keep_copy(self, name: str, text: str, state: Fingerprint) -> None:
        """Remember a good definition for the day when a restart meets a damaged one."""
        copy = self._copy(name)
        try:
            if os.stat(copy).st_mtime_ns == state.modified:
                return
        except OSError:
            pass
        # A process that may not write there (vdeliver under an MTA's user) leaves it to those that may.
        with suppress(OSError):
            write_atomically(copy, text.encode("utf-8", "surrogateescape"), durable=False)
            os.utime(copy, ns=(state.modified, state.modified))

    # -- all of them

    def _look(self, *, whole: bool = False) -> None:
        """Take the round as far as its share of the time allows; the first one, or if `whole`, to its end."""
        now = time.monotonic()
        try:
            has_changed = self._folder != self._files.fingerprint(self._layout.definitions)
            share = _HURRIED_SHARE if has_changed else _SHARE
            self._credit = min(_BURST, self._credit + share * (now - self._credited))
            self._credited = now
            if self._round is None and not has_changed and now < self._next_round:
                return
            if self._round is None or whole:
                self._round = self._looking()
            if whole or not self._complete:
                for _ in self._round:
                    pass
            elif self._credit > 0:
                for _ in self._round:
                    if time.monotonic() >= now + self._credit:
                        break
                self._credit -= time.monotonic() - now
        except ReadFailed as failure:
            self._round = None
            log.error("%s", failure)

    def _looking(self) -> Iterator[None]:
        """A round: look at every definition, and pause after each. Raises ReadFailed."""
        folder = self._files.fingerprint(self._layout.definitions)
        index = _Index({}, {}) if self._complete else self._load_index()
        not_indexed = 0
        met: dict[str, str] = {}
        for stem in self._files.stems(self._layout.definitions, ".toml"):
            name = stem if stem in self._seen or stem in index.seen else _canonical(stem)
            # Of two spellings of one name the first in the alphabet counts.
            if name and stem < met.get(name, "\U0010ffff"):
                met[name] = stem
                self._spell(name, stem)
                not_indexed += self._look_at(name, index)
            yield
        for name in self._seen.keys() - met.keys():
            # readdir(3) may miss what is replaced while it reads.
            path = self._layout.definition(self.stem(name))
            if self._files.fingerprint(path) is None and not self._may_return(name, path):
                self._forget(name)
        self._folder = folder and folder.if_settled()
        if not_indexed >= _MANY and self._keep_copies and not self._complete:
            self._save_index()
        now = time.monotonic()
        self._vanished = {name: since for name, since in self._vanished.items() if now - since < VANISH_AFTER}
        self._round, self._next_round, self._complete = None, now + _PAUSE, True

    def _look_at(self, name: str, index: _Index) -> bool:
        """See what a definition claims; whether it had to be read for that."""
        try:
            state = self._files.fingerprint(self._layout.definition(self.stem(name)))
        except ReadFailed:
            state = None  # `get` says it to those who ask
        stamp = hash(state)
        if self._seen.get(name) == stamp:
            return False
        if index.seen.get(name) == stamp:
            self._seen[name] = stamp
            self._claim(name, index.claims.get(name, _NO_CLAIMS))
            return False
        is_wanted = name in self._parts
        # Where the definition cannot be read its aliases stay as they are: mail for them waits with it.
        with suppress(LookupFailed):
            definition = self.get(name)
            self._claim(name, _claims(definition) if definition else _NO_CLAIMS)
        part = self._parts.get(name)
        self._seen[name] = hash(part.state) if part else 0
        if not is_wanted:
            self.release(name)
        return True

    def _spell(self, name: str, stem: str) -> None:
        if stem != name:
            self._spelt[name] = stem
        elif self._spelt:
            self._spelt.pop(name, None)

    def _claim(self, name: str, claims: _Claims) -> None:
        """Note what a domain claims now, in the place of what it did."""
        before = self._claims.pop(name, _NO_CLAIMS)
        if before == claims == _NO_CLAIMS:
            return
        if claims != _NO_CLAIMS:
            self._claims[name] = claims
        for owners, old, new in zip(self._owners, before, claims, strict=True):
            for key in old:
                owners[key] = tuple(owner for owner in owners[key] if owner != name)
                if not owners[key]:
                    del owners[key]
            for key in new:
                owners[key] = tuple(sorted((*owners.get(key, ()), name)))

    def _forget(self, name: str) -> None:
        self._claim(name, _NO_CLAIMS)
        self._seen.pop(name, None)
        self._spelt.pop(name, None)
        self._parts.pop(name, None)

    # -- the index

    def _index(self) -> str:
        return f"{self._layout.state}/definitions.json"

    def _load_index(self) -> _Index:
        """What the last start found, or nothing where that cannot be used."""
        import json  # noqa: PLC0415  most deliveries need no round

        path = self._index()
        with suppress(ReadFailed):
            found = self._files.read(path)
            try:
                kept = json.loads(found[0]) if found else {}
                if kept.get("version") == _INDEX_FORMAT:
                    claims = {name: _Claims(*map(tuple, each)) for name, each in kept["claims"].items()}
                    return _Index(dict(kept["seen"]), claims)
            except (ValueError, TypeError, LookupError, AttributeError) as error:
                log.warning("%s is damaged and made anew: %r", path, error)
        return _Index({}, {})

    def _save_index(self) -> None:
        """Keep what was found; but a definition with a fault is to be read, and told of, at each start."""
        import json  # noqa: PLC0415  as above

        faulty = {name for name, part in self._parts.items() if part.findings}
        seen = {name: stamp for name, stamp in self._seen.items() if name not in faulty}
        text = json.dumps({"version": _INDEX_FORMAT, "seen": seen, "claims": self._claims})
        with suppress(OSError):
            write_atomically(self._index(), text.encode(), durable=False)


def _claims(definition: DomainDefinition) -> _Claims:
    hosts = (definition.mail_host,) if definition.mail_host else ()
    admins = []
    for admin in definition.admins:
        with suppress(AddressError):  # one that is damaged means nobody
            admins.append(canonical_principal(admin))
    return _Claims(definition.aliases, definition.addresses, hosts, tuple(dict.fromkeys(admins)))


def _canonical(stem: str) -> str:
    """The domain that a file is named after; empty: none."""
    try:
        return canonical_domain(stem)
    except AddressError:
        return ""


def _clash(definition: DomainDefinition, what: str, other: str) -> Finding:
    return Finding(
        definition.source.path,
        0,
        f"{what} belongs to {other} too",
        "take it out of one of the two definitions",
        Severity.ERROR,
    )
