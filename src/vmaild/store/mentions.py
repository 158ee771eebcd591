"""Which domains alias files write of: whose mail a change of one domain may send elsewhere.

That is asked with each change, of all domains, so what stands in a file is kept until the file changes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Set
from typing import NamedTuple

from vmaild.core.directory import DomainDefinition, FallbackToAddress, FallbackToDomain
from vmaild.store.files import Files, ReadFailed
from vmaild.store.layout import Layout

_NAME = re.compile(r"@([^\s@,;:\"'()<>\\]+)")
"""What stands behind an at sign; nothing else of an alias file leads to another domain."""
_INCLUDE = re.compile(r":include:\s*([^\s\",]+)", re.IGNORECASE)


class _Mentioned(NamedTuple):
    """What a file writes of."""

    stamp: int
    """The hash of its fingerprint."""
    names: Set[str]
    includes: tuple[str, ...]


_NOTHING = _Mentioned(0, frozenset(), ())


class Mentions:
    """See the module. For one thread."""

    def __init__(self, layout: Layout, files: Files) -> None:
        self._layout = layout
        self._files = files
        self._known: dict[str, _Mentioned] = {}
        """By path."""

    def of(self, definition: DomainDefinition, aliases: str) -> Set[str]:
        """The names that aliases and fallback of a domain write of, casefolded; others may be among them.

        `aliases`: the path of its implicit alias file. What cannot be read leads nowhere.
        """
        found = {*_of_fallback(definition)}
        paths = [aliases, *map(self._layout.path, definition.alias_files)]
        for mentioned in map(self._of_file, paths):
            found |= mentioned.names
            for path in mentioned.includes:
                found |= self._of_file(self._layout.path(path)).names
        return found

    def _of_file(self, path: str) -> _Mentioned:
        known = self._known.get(path, _NOTHING)
        try:
            state = self._files.fingerprint(path)
            if state is None or hash(state) == known.stamp:
                return known if state else _NOTHING
            found = self._files.read(path)
        except ReadFailed:
            return _NOTHING
        if found is None:
            return _NOTHING
        text, state = found
        names = frozenset(name.casefold().rstrip(".") for name in _NAME.findall(text))
        self._known[path] = _Mentioned(hash(state), names, tuple(_INCLUDE.findall(text)))
        return self._known[path]


def _of_fallback(definition: DomainDefinition) -> Iterable[str]:
    match definition.fallback:
        case FallbackToAddress(address):
            yield address.domain
        case FallbackToDomain(domain):
            yield domain
