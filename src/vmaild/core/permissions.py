"""Who may do what: one pure answer, for the command line and the web alike.

Site administrators may everything. A co-administrator, whom the definition of a domain names in `admins`, may
see that domain and manage its accounts and its simple aliases, or only some of that where `rights` says so. The
owner of an account may set its vacation text and its forwarding. A domain's definition (fallback, quota, names,
who its co-administrators are), and targets that run a command, write a file or read a list, stay with the site.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, StrEnum

from vmaild.address import Address, AddressError, parse_address
from vmaild.core.directory import DomainDefinition

UNIX = "unix:"
"""What the principal of a user of this machine starts with."""


class Action(Enum):
    """What somebody wants to do with a domain; the value completes "may not ... DOMAIN"."""

    SEE = "see"
    ACCOUNTS = "change accounts of"
    REMOVAL = "remove accounts of"
    ALIASES = "change aliases of"
    OWN_MAIL = "change vacation texts and forwarding of"
    OWN_PASSWORD = "change passwords of"  # noqa: S105  a word for people
    PROGRAMS = "use commands, files and lists in aliases of"
    DEFINITION = "change the definition of"
    MACHINE = "change the settings of"


class Right(StrEnum):
    """What a co-administrator may be limited to; all of them see their domain, its checks and its changes."""

    ACCOUNTS = "accounts"
    """Add accounts, change and suspend them."""
    REMOVAL = "removal"
    """Remove accounts."""
    PASSWORDS = "passwords"
    ALIASES = "aliases"
    MAIL = "mail"
    """Vacation texts and forwarding of accounts."""


_OF_CO_ADMINISTRATORS: dict[Action, Right | None] = {
    Action.SEE: None,
    Action.ACCOUNTS: Right.ACCOUNTS,
    Action.REMOVAL: Right.REMOVAL,
    Action.OWN_PASSWORD: Right.PASSWORDS,
    Action.ALIASES: Right.ALIASES,
    Action.OWN_MAIL: Right.MAIL,
}
"""What they may do, and the right that it wants."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks."""

    principal: str
    """`unix:alice` or `bob@va.toto.fr`, as `canonical_principal` spells it."""
    site_admin: bool = False
    via: str = ""
    """How they came to be that principal, for the audit log, such as `sudo: alice`."""

    def __str__(self) -> str:
        return f"{self.principal} ({self.via})" if self.via else self.principal


def allowed(actor: Actor, action: Action, definition: DomainDefinition | None) -> bool:
    """Whether `actor` may do that with a domain; None: a domain that has no readable definition."""
    if actor.site_admin:
        return True
    if definition is None or action not in _OF_CO_ADMINISTRATORS:
        return False
    if not is_co_administrator(actor.principal, definition):
        return False
    wanted = _OF_CO_ADMINISTRATORS[action]
    return wanted is None or wanted in rights_of(actor.principal, definition)


def is_co_administrator(principal: str, definition: DomainDefinition) -> bool:
    """Whether a definition names somebody."""
    return any(same_principal(principal, admin) for admin in definition.admins)


def rights_of(principal: str, definition: DomainDefinition) -> frozenset[Right]:
    """What a co-administrator may do: all, unless `rights` says less; of two entries, what both grant."""
    if not is_co_administrator(principal, definition):
        return frozenset()
    found = frozenset(Right)
    for entry in definition.rights:
        whose, rights = split_rights(entry)
        if same_principal(whose, principal):
            found &= rights
    return found


def split_rights(entry: str) -> tuple[str, frozenset[Right]]:
    """Whose rights an entry of `rights` tells, such as `unix:alice: aliases mail`, and which.

    Raises ValueError, whose text is the problem.
    """
    whose, _, words = entry.rpartition(":")
    wanted = words.replace(",", " ").split()
    known = {right.value for right in Right}
    unknown = [word for word in wanted if word not in known]
    if unknown or not wanted or not whose:
        raise ValueError(f"there is no right '{unknown[0]}'" if unknown and whose else "no right is named")
    return whose.strip(), frozenset(map(Right, wanted))


def outranks(principal: str, actor: Actor, site_admins: Iterable[str], all_of: Iterable[DomainDefinition]) -> bool:
    """Whether a principal may do anything that `actor` may not: who took it over would gain by it."""
    if actor.site_admin or same_principal(principal, actor.principal):
        return False
    if any(same_principal(principal, each) for each in site_admins):
        return True
    return any(
        is_co_administrator(principal, each)
        and not (
            is_co_administrator(actor.principal, each)
            and rights_of(principal, each) <= rights_of(actor.principal, each)
        )
        for each in all_of
    )


def owns(actor: Actor, action: Action, account: Address) -> bool:
    """Whether `actor` may do that with an account because it is the actor's own."""
    return action in {Action.OWN_MAIL, Action.OWN_PASSWORD} and same_principal(actor.principal, str(account))


def canonical_principal(text: str) -> str:
    """The one spelling of a principal: `unix:NAME`, or an address with its login and domain folded.

    Raises AddressError for anything else.
    """
    if text.startswith(UNIX):
        name = text.removeprefix(UNIX)
        if not name or not name.isprintable() or any(character in name for character in " :/"):
            raise AddressError(f"'{name}' is not the name of a user of this machine")
        return text
    address = parse_address(text)
    if not address.domain:
        raise AddressError(f"'{text}' is neither unix:NAME nor an address")
    return str(Address(address.key, address.domain))


def same_principal(one: str, other: str) -> bool:
    """Whether two spellings mean one principal; one that is damaged, written by hand perhaps, means nobody."""
    try:
        return canonical_principal(one) == canonical_principal(other)
    except AddressError:
        return False


def is_simple(target: str) -> bool:
    """Whether an alias target, unquoted, is a name or an address: no `|command`, `/file`, `:include:`."""
    return not target.lstrip().startswith(("|", "/", ":"))
