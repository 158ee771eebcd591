"""Whose password a login is checked against, for every way to log in.

Unknown user, wrong password, wrong domain, locked, expired: all of them end in the check of some hash, so that no
answer comes sooner than another.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from vmaild.address import AddressError, canonical_domain, fold
from vmaild.auth.passwords import NOBODY
from vmaild.core.directory import Domain, Passwords

_DAY = 86400


@dataclass(frozen=True, slots=True)
class Candidate:
    """Whom a login may turn out to be."""

    domain: Domain | None
    """That the login means; None: it is not served here, or none was meant."""
    login: str
    """Of the account, as its passwd line spells it; empty: the check fails whatever the password."""
    key: str
    """The name, folded: what failures are counted by."""
    hashed: str = field(repr=False)
    """What the password is checked against."""

    @property
    def domain_name(self) -> str:
        """Canonical; empty where there is no domain."""
        return self.domain.name if self.domain else ""


def candidate(directory: Passwords, login: str, domain_name: str | None, now: float) -> Candidate:
    """Whose password is to be checked, at a time in seconds since the epoch. Raises LookupFailed.

    `login` is bare or has its domain behind `@` or `%`; `domain_name` (canonical) is the domain that was connected
    to, and no other can be logged in to there; None: the login has to tell. Blanks around it count for nothing:
    keyboards of telephones put one behind each word, and no login has any.
    """
    name, named = split_login(login.strip(" "), domain_name)
    domain = directory.find(named) if named else None
    key = fold(name)
    if domain is not None and domain_name in (None, domain.name):
        account = domain.accounts.get(key)
        entry = directory.password_of(domain.name, name) if account else None
        if account is not None and entry is not None:
            expired = entry.expires is not None and entry.expires * _DAY <= now
            if entry.password and not (entry.locked or expired):
                return Candidate(domain, account.login, key, entry.password)
    there = domain_name or (domain.name if domain else "")
    hashed = (directory.any_password(there) if there else "") or NOBODY
    return Candidate(domain, "", key, hashed)


def split_login(login: str, domain: str | None) -> tuple[str, str]:
    """A login as (name, canonical domain); the domain is empty where neither login nor connection tells it."""
    name, mark, named = login.rpartition("@")
    if not mark:
        name, mark, named = login.rpartition("%")
    if not mark:
        return login, domain or ""
    try:
        return name, canonical_domain(named)
    except AddressError:
        return name, ""
