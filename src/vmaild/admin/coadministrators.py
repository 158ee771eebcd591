"""Co-administrators: whom the definition of a domain names in `admins`."""

from __future__ import annotations

import pwd
from collections.abc import Iterator, Sequence

from vmaild.address import parse_address
from vmaild.admin.definitions import domain_itself, edited_definition
from vmaild.admin.door import Change, Door, Draft, refusals
from vmaild.admin.plan import Plan
from vmaild.admin.refusal import Code, Refused
from vmaild.admin.view import View
from vmaild.core.directory import Domain
from vmaild.core.permissions import (
    UNIX,
    Action,
    Right,
    canonical_principal,
    is_co_administrator,
    rights_of,
    same_principal,
    split_rights,
)
from vmaild.formats.domain import parse_principal, parse_rights


def list_admins(door: Door, domain_name: str) -> tuple[str, ...]:
    """The co-administrators of a domain, sorted. Raises Refused."""
    _, domain = door.see(domain_name)
    return tuple(sorted(domain.definition.admins))


def list_rights(door: Door, domain_name: str) -> dict[str, list[str]]:
    """What each co-administrator of a domain may do, by principal, sorted. Raises Refused."""
    _, domain = door.see(domain_name)
    return {
        admin: [right.value for right in Right if right in rights_of(admin, domain.definition)]
        for admin in sorted(domain.definition.admins)
    }


def grant(
    door: Door, principal: str, domain_name: str, rights: Sequence[str] = (), *, dry_run: bool = False
) -> Plan:
    """Let somebody manage the accounts and simple aliases of a domain, or no more than `rights` of that.

    Whom the domain names already has these rights afterwards, not those from before. Raises Refused.
    """
    with refusals():
        wanted = canonical_principal(parse_principal(principal))
        limited = parse_rights(f"{wanted}: {' '.join(rights)}") if rights else ""
    limited = "" if len(set(rights)) == len(Right) else limited

    def draft(view: View) -> Draft:
        domain = domain_itself(view, domain_name)
        admins = domain.definition.admins
        what = f"{limited.rpartition(': ')[2].replace(' ', ', ')} of " if limited else ""
        summary = f"let {wanted} manage {what}{domain.name}"
        kept = _without(domain, wanted)
        settings: dict[str, object | None] = {"rights": [*kept, limited] if limited else kept or None}
        warnings: list[str] = []
        if not is_co_administrator(wanted, domain.definition):
            warnings += _unknown(view, wanted)
            if not admins:
                warnings += _distrusted(view, domain)
            settings["admins"] = [*admins, wanted]
        elif rights_of(wanted, domain.definition) == frozenset(map(Right, rights or Right)):
            return Draft(summary)
        return Draft(summary, edited_definition(view, domain.name, settings), warnings)

    return door.change(Change("admin grant", domain_name, wanted, Action.DEFINITION, draft), dry_run=dry_run)


def revoke(door: Door, principal: str, domain_name: str, *, dry_run: bool = False) -> Plan:
    """Take that away again. Raises Refused."""

    def draft(view: View) -> Draft:
        domain = domain_itself(view, domain_name)
        admins = domain.definition.admins
        left = [admin for admin in admins if admin != principal and not same_principal(principal, admin)]
        if len(left) == len(admins):
            raise Refused(
                f"{principal} is no co-administrator of {domain.name}",
                f"'vmail admin list {domain.name}' shows who is",
                Code.NOT_FOUND,
            )
        edits = edited_definition(
            view, domain.name, {"admins": left or None, "rights": _without(domain, principal) or None}
        )
        return Draft(f"let {principal} no longer manage {domain.name}", edits)

    return door.change(Change("admin revoke", domain_name, principal, Action.DEFINITION, draft), dry_run=dry_run)


def domains_of(view: View, principal: str) -> list[str]:
    """The domains that name a principal as co-administrator: whoever bears that name next would be one."""
    return sorted(
        definition.name
        for definition in view.definitions()
        if any(same_principal(principal, admin) for admin in definition.admins)
    )


def _without(domain: Domain, principal: str) -> list[str]:
    """The entries of `rights` that are about others."""
    return [each for each in domain.definition.rights if not same_principal(split_rights(each)[0], principal)]


def _unknown(view: View, principal: str) -> Iterator[str]:
    if principal.startswith(UNIX):
        try:
            pwd.getpwnam(principal.removeprefix(UNIX))
        except KeyError:
            yield f"this machine has no user {principal.removeprefix(UNIX)}"
        return
    address = parse_address(principal)
    domain = view.find(address.domain)
    if domain is None or address.key not in domain.accounts:
        yield f"there is no account {principal}: whoever is given that name will be a co-administrator"


def _distrusted(view: View, domain: Domain) -> Iterator[str]:
    """Aliases that stop to work because a co-administrator could now write their file."""
    for alias_file in domain.alias_files[:1]:
        for entry in alias_file.entries.values():
            if any(target.startswith(("|", "/", ":")) for target in entry.targets):
                yield (
                    f"alias {entry.name} ({entry.source}) uses a command, file or list: move it to an alias file "
                    "of its own (vmail domain set --alias-file), for co-administrators may write this one"
                )
