"""A directory for many threads: one at a time looks, and what it hands out is immutable."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Set

from vmaild.address import Address
from vmaild.core.directory import Account, Domain, DomainDefinition, ShadowEntry
from vmaild.core.findings import Finding
from vmaild.store.directory import DirectoryStore
from vmaild.store.files import Files
from vmaild.store.roster import Roster


class SharedDirectory:
    """DirectoryStore on another one, which is for one thread, in a process that lives long."""

    def __init__(self, directory: DirectoryStore) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self.delimiter = directory.delimiter

    def find(self, name: str) -> Domain | None:
        """See Directory."""
        with self._lock:
            return self._directory.find(name)

    def bounced_to(self, local_part: str) -> Address | None:
        """See Directory."""
        return self._directory.bounced_to(local_part)

    def password_of(self, domain: str, login: str) -> ShadowEntry | None:
        """See DirectoryStore, like all the rest."""
        with self._lock:
            return self._directory.password_of(domain, login)

    def passwords(self, domain: str) -> Mapping[str, ShadowEntry]:
        """The shadow entries of a domain."""
        with self._lock:
            return self._directory.passwords(domain)

    def accounts(self, domain: str) -> Mapping[str, Account]:
        """The accounts of a domain."""
        with self._lock:
            return self._directory.accounts(domain)

    def any_password(self, domain: str) -> str:
        """A hash to compare with where there is no account."""
        with self._lock:
            return self._directory.any_password(domain)

    def names(self) -> list[str]:
        """Canonical names of all domains, sorted."""
        with self._lock:
            return self._directory.names()

    def domain_at(self, address: str) -> str | None:
        """The domain that a service address stands for."""
        with self._lock:
            return self._directory.domain_at(address)

    def domain_named(self, host: str) -> str | None:
        """The domain of a host name."""
        with self._lock:
            return self._directory.domain_named(host)

    def findings(self, domain: str) -> tuple[Finding, ...]:
        """Every fault of the domain's files."""
        with self._lock:
            return self._directory.findings(domain)

    def administered(self, principal: str) -> list[str]:
        """The domains of a co-administrator."""
        with self._lock:
            return self._directory.administered(principal)

    def intact(self, domain: str) -> DomainDefinition | None:
        """The definition of a domain, unless it is damaged."""
        with self._lock:
            return self._directory.intact(domain)

    def roster(self, domain: str) -> Roster:
        """The accounts of a domain, to be looked through."""
        with self._lock:
            return self._directory.roster(domain)

    def mentioned(self, definition: DomainDefinition) -> Set[str]:
        """The domains to which one may lead."""
        with self._lock:
            return self._directory.mentioned(definition)

    def stem(self, domain: str) -> str:
        """How the files of a domain spell its name."""
        with self._lock:
            return self._directory.stem(domain)

    def overlaid(self, files: Files) -> DirectoryStore:
        """The same with what a change would write; for one thread."""
        with self._lock:
            return self._directory.overlaid(files)
