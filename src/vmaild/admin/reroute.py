"""Which addresses a change sends elsewhere: every one is routed before and after, and the answers compared.

Looked at are all names of the changed domain, under its own name and under domain aliases that come or go; one
made-up name, which stands for every address that nothing names; and the aliases and fallbacks of other domains
whose files mention the changed one, or a domain that does.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress

from vmaild.address import Address, display_domain, fold
from vmaild.admin.plan import Plan, Rerouted
from vmaild.admin.view import View
from vmaild.core.directory import Directory, Domain, LookupFailed
from vmaild.core.permissions import Action, allowed
from vmaild.core.routing import Accepted, NotLocal, Rejected, Route, Undecided, route
from vmaild.store.directory import logins_apart

ANY = "any-other-address"
"""A name that nobody has; shown as `*`."""

_REFUSED, _ELSEWHERE = "refused: ", "not a domain of this server"
_LINE = re.compile(r"(?<=\w):[0-9]+(?=: )")


def rerouted(before: View, after: View, domain: str) -> tuple[Rerouted, ...]:
    """Every address whose destination differs, for a change of the domain of that (canonical) name."""
    if _only_of_accounts_that_stay(before, after, domain):
        return ()
    found = []
    for address in sorted(_candidates(before, after, domain), key=lambda each: (each.domain, each.local_part)):
        was, will = destination(before.visible, address), destination(after.visible, address)
        if was != will:
            found.append(Rerouted(_shown(str(address)), _shown(was), _shown(will)))
    return tuple(found)


def takes_mail(plan: Plan) -> bool:
    """Whether a change sends mail elsewhere that came somewhere before, but for that of a new account.

    That it gets its own mail, by login or full name, which a fallback took until now, is what was asked for.
    """
    others = (
        each
        for each in plan.rerouted
        if each.after.removeprefix("mailbox ") != plan.subject or not each.address.endswith(f"@{plan.domain}")
    )
    return any(not each.before.startswith((_REFUSED, _ELSEWHERE)) for each in others)


def destination(directory: Directory, address: Address) -> str:
    """Where mail for an address goes, in words."""
    return in_words(route(directory, address))


def in_words(decided: Route) -> str:
    """A route without its steps."""
    match decided:
        case Accepted(targets):
            return ", ".join(map(str, targets))
        case Rejected(reason):
            return f"{_REFUSED}{reason.text}"
        case NotLocal():
            return _ELSEWHERE
        case Undecided(_, problem):
            # A line that only moved is no news; 'vmail explain' tells its number.
            return f"waits: {_LINE.sub('', problem)}"


def names_of(domain: Domain) -> set[str]:
    """Every name that means something in a domain, folded."""
    return {*domain.accounts, *_other_names(domain)}


def _other_names(domain: Domain | None) -> set[str]:
    """Those that are no accounts, or not only."""
    if domain is None:
        return set()
    return set(domain.full_names).union(*(alias_file.entries.keys() for alias_file in domain.alias_files))


def _only_of_accounts_that_stay(before: View, after: View, name: str) -> bool:
    """Whether a change is one of passwords, quotas and the like, which decide nothing of where mail goes."""
    if not after.files.overlay.keys() <= {before.passwd_path(name), before.shadow_path(name)}:
        return False
    was, will = _found(before, name), _found(after, name)
    if was is None or will is None or was.full_names != will.full_names:
        return False
    return not logins_apart(was, will)


def _candidates(before: View, after: View, name: str) -> set[Address]:
    was, will = _found(before, name), _found(after, name)
    names = {ANY, *_moved(was, will), *_at_home(before, after, name)}
    found = {Address(local_part, name) for local_part in names}
    hosts = _hosts(was) ^ _hosts(will)
    if hosts:
        names = {ANY}.union(*(names_of(domain) for domain in (was, will) if domain is not None))
        found |= {Address(local_part, host) for local_part in names for host in hosts}
    for other in _related(before, {name, *_hosts(was), *_hosts(will)}):
        related = _found(before, other)
        if related is not None:
            for alias_file in related.alias_files:
                found |= {Address(local_part, other) for local_part in alias_file.entries}
            found.add(Address(ANY, other))
    return found


def _moved(was: Domain | None, will: Domain | None) -> set[str]:
    """Names that may lead elsewhere.

    For accounts that no alias hides, before and after, what comes first in the order has not changed. They are
    most names of a large domain, and routing each twice would take longer than all the rest.
    """
    if was is None or will is None or was.definition.disabled != will.definition.disabled:
        return set().union(*(names_of(domain) for domain in (was, will) if domain is not None))
    return _other_names(was) | _other_names(will) | logins_apart(was, will)


def _at_home(before: View, after: View, name: str) -> set[str]:
    """Accounts in whose homes something changes."""
    homes = os.path.dirname(after.layout.home(name, "login"))
    folders = map(os.path.dirname, after.files.overlay)
    logins = {fold(os.path.basename(folder)) for folder in folders if os.path.dirname(folder) == homes}
    there = [domain for domain in (_found(before, name), _found(after, name)) if domain is not None]
    return {login for login in logins if any(login in domain.accounts for domain in there)}


def _found(view: View, name: str) -> Domain | None:
    """The domain of that very name, if it can be looked up and seen."""
    with suppress(LookupFailed):
        domain = view.visible.find(name)
        if domain is not None and domain.name == name:
            return domain
    return None


def _hosts(domain: Domain | None) -> set[str]:
    return set(domain.definition.aliases) if domain else set()


def _related(view: View, names: set[str]) -> set[str]:
    """Other domains whose mail may go by way of these, straight or through yet others."""
    mentioned = {
        definition: view.mentioned(definition)
        for definition in view.definitions()
        if definition.name not in names and allowed(view.actor, Action.SEE, definition)
    }
    related: set[str] = set()
    wanted = set(names)
    while wanted:
        spellings = {spelling.casefold() for name in wanted for spelling in (name, display_domain(name))}
        wanted = set()
        for definition, written in mentioned.items():
            if definition.name not in related and not spellings.isdisjoint(written):
                related.add(definition.name)
                wanted |= {definition.name, *definition.aliases}
    return related


def _shown(text: str) -> str:
    return text.replace(ANY, "*")
