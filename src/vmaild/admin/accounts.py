"""Accounts: a line of the passwd file, a line of the shadow file, a mailbox, a home.

An account never exists without its password line: that is written before the account's own, and outlives it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from vmaild.address import Address
from vmaild.admin.access import end_access, end_sessions, tokens_of
from vmaild.admin.coadministrators import domains_of
from vmaild.admin.door import Change, Door, Draft
from vmaild.admin.leftovers import factor_of, of_account
from vmaild.admin.plan import FileEdit, Mail, MailEffect, Plan, Step
from vmaild.admin.records import account_of
from vmaild.admin.refusal import Code, Misused, Refused
from vmaild.admin.reroute import in_words
from vmaild.admin.view import View
from vmaild.core.directory import Account, Domain, ShadowEntry
from vmaild.core.permissions import Action, outranks
from vmaild.core.routing import Accepted, ToMailbox, route
from vmaild.formats.domain import parse_size
from vmaild.formats.passwd import (
    parse_count,
    parse_sub_folders,
    unfit_login,
    valid_login,
    with_account,
    without_account,
)
from vmaild.formats.shadow import with_entry, without_entry
from vmaild.formats.size import render_size
from vmaild.store.messages import Mailbox

NOLOGIN = "/usr/sbin/nologin"
NO_PASSWORD = "!"  # noqa: S105  the mark of a locked account in shadow(5)
_DAY = 86400
_FIRST_ID = 60000
"""User and group of accounts where mail is root's, as when something is tried out: none is ever root's own."""


@dataclass(frozen=True, slots=True)
class AccountSettings:
    """What `set_user` changes; None: stays."""

    full_name: str | None = None
    quota: str | None = None
    """A size, `none` for no limit, `default` for the domain's."""
    locked: bool | None = None
    quota_messages: str | None = None
    """A number, `none` or `default`, likewise."""
    sub_folders: str | None = None
    """Where mail for LOGIN+FOLDER@ goes: `none` (the inbox), `existing` folders only, or `create`."""


def add_user(
    door: Door,
    address: Address,
    *,
    password: bytes | None,
    full_name: str = "",
    quota: str = "",
    keep_mail: bool = False,
    dry_run: bool = False,
) -> Plan:
    """Create an account with its mailbox; without a password nobody can log in to it. Raises Refused."""
    hash_ = NO_PASSWORD if password is None else hashed(password)

    def draft(view: View) -> Draft:
        domain = view.domain(address.domain)
        check_new(domain, address)
        see_rank(view, domain, address)
        see_quota(view, domain, quota_in(quota), domain.definition.quota)
        warnings = list(_too_many(view, domain))
        uid, gid = mail_owner(view)
        login, name = address.local_part, domain.name
        account = Account(login, uid, gid, full_name, f"/vhome/{name}/{login}", NOLOGIN, quota_in(quota))
        entry = ShadowEntry(login, hash_, today())
        leftovers = list(of_account(door.messages, view, name, login, Mail.KEEP if keep_mail else Mail.ARCHIVE))
        if leftovers:
            kept = "this account inherits it" if keep_mail else "it is archived first"
            warnings.append(f"there is mail or a home of a former {login}@{name}: {kept}")
        privileges = domains_of(view, f"{login}@{name}")
        warnings += (f"{login}@{name} is named as a co-administrator of {each}" for each in privileges)
        steps: list[Step] = [
            *leftovers,
            *factor_of(view, name, login),
            MailEffect(Mail.CREATE, name, login),
            *_shadow_edit(view, domain, entry, _said(login, password)),
            *view.edit_account(domain, login, lambda text: with_account(text, account)),
        ]
        return Draft(f"add account {login}@{name}", steps, warnings, partial(_unreachable, name, login))

    return door.change(_change("user add", address, draft), dry_run=dry_run)


def set_user(door: Door, address: Address, settings: AccountSettings, *, dry_run: bool = False) -> Plan:
    """Change full name, quota, or whether the account may log in. Raises Refused.

    Who is suspended is signed out everywhere, and the tokens of the account are gone for good.
    """
    principals: set[str] = set()

    def draft(view: View) -> Draft:
        domain = view.domain(address.domain)
        account = account_of(domain, address)
        principals.add(f"{account.login}@{domain.name}")
        see_rank(view, domain, address)
        changed = account
        if settings.full_name is not None:
            changed = changed._replace(full_name=settings.full_name)
        if settings.quota is not None:
            changed = changed._replace(quota=quota_in(settings.quota))
            if changed.quota != account.quota:
                see_quota(view, domain, changed.quota, domain.definition.quota)
        if settings.quota_messages is not None:
            changed = changed._replace(quota_messages=quota_in(settings.quota_messages, parse_count))
            if changed.quota_messages != account.quota_messages:
                see_quota(view, domain, changed.quota_messages, domain.definition.quota_messages)
        if settings.sub_folders is not None:
            changed = changed._replace(sub_folders=parse_sub_folders(settings.sub_folders))
        steps: list[Step] = []
        if changed != account:
            steps += view.edit_account(domain, account.login, lambda text: with_account(text, changed))
        warnings = []
        if settings.locked is not None:
            locking = _lock(view, domain, account.login, settings.locked)
            steps += locking
            tokens = tokens_of(door, f"{account.login}@{domain.name}") if locking and settings.locked else 0
            told = f"{account.login}@{domain.name} has " + (
                "a token for scripts, which ends" if tokens == 1 else f"{tokens} tokens for scripts, which end"
            )
            warnings = [told] if tokens else []
        return Draft(f"change account {account.login}@{domain.name}", steps, warnings)

    plan = door.change(_change("user set", address, draft), dry_run=dry_run)
    if plan.carried_out and settings.locked:
        for principal in principals:
            end_access(door, principal)
    return plan


def set_password(door: Door, address: Address, *, password: bytes, dry_run: bool = False) -> Plan:
    """Give an account a new password; one that is locked stays so. Raises Refused."""
    hash_ = hashed(password)
    principals: set[str] = set()

    def draft(view: View) -> Draft:
        domain = view.domain(address.domain)
        login = account_of(domain, address).login
        principals.add(f"{login}@{domain.name}")
        see_rank(view, domain, address)
        entry = view.password_of(domain, login) or ShadowEntry(login, "")
        suspended = entry.locked and len(entry.password) > 1
        changed = replace(entry, password=f"!{hash_}" if suspended else hash_, last_change=today())
        warnings = [f"{login}@{domain.name} stays locked until 'vmail user set --unlock'"] if suspended else []
        steps = _shadow_edit(view, domain, changed, f"password of {login} set")
        return Draft(f"set the password of {login}@{domain.name}", steps, warnings)

    change = Change("user passwd", address.domain, str(address), Action.OWN_PASSWORD, draft, owner=address)
    plan = door.change(change, dry_run=dry_run)
    if plan.carried_out:
        for principal in principals:
            end_sessions(door, principal)
    return plan


def remove_user(door: Door, address: Address, mail: Mail = Mail.ARCHIVE, *, dry_run: bool = False) -> Plan:
    """Remove an account; its mail and its home are archived, kept or deleted. Raises Refused.

    What an earlier attempt left behind is cleared away as well.
    """
    principals: set[str] = set()

    def draft(view: View) -> Draft:
        domain = view.domain(address.domain)
        see_rank(view, domain, address)
        login, name = _login_or_leftover(door, view, domain, address), domain.name
        principals.add(f"{login}@{name}")
        gone = f"password of {login} removed"
        steps: list[Step] = [
            *view.edit_account(domain, login, lambda text: without_account(text, login)),
            *view.edit_password(domain, login, lambda text: without_entry(text, login), instead=gone),
            *factor_of(view, name, login),
            *of_account(door.messages, view, name, login, mail),
        ]
        warnings = [
            f"{login}@{name} is still a co-administrator of {each}: 'vmail admin revoke {login}@{name} {each}'"
            for each in domains_of(view, f"{login}@{name}")
        ]
        what = "" if address.key in domain.accounts else "what is left of "
        return Draft(f"remove {what}account {login}@{name}", steps, warnings)

    plan = door.change(_change("user remove", address, draft, Action.REMOVAL), dry_run=dry_run)
    if plan.carried_out:
        for principal in principals:
            end_access(door, principal)
    return plan


# -- parts


def _change(
    verb: str, address: Address, draft: Callable[[View], Draft], action: Action = Action.ACCOUNTS
) -> Change:
    return Change(verb, address.domain, str(address), action, draft)


def see_rank(view: View, domain: Domain, address: Address) -> None:
    """See that nobody gains rights by an account: whoever can log in to it has what it may do."""
    principal = str(Address(address.key, domain.name))
    if view.actor.site_admin or principal not in view.administrators:
        return  # nearly everybody, and a list may name thousands
    if outranks(principal, view.actor, view.site.admins, view.definitions()):
        raise Refused(f"{principal} administers more than you", "ask a site administrator", Code.NOT_PERMITTED)


def _login_or_leftover(door: Door, view: View, domain: Domain, address: Address) -> str:
    """The login of an account, or of what is left of one whose removal was interrupted. Raises Refused."""
    if address.key not in domain.accounts:
        entry = view.password_of(domain, address.local_part)
        if entry is not None:
            return entry.login
        if valid_login(address.local_part) is None and door.messages.exists(
            Mailbox(domain.name, address.local_part)
        ):
            return address.local_part
    return account_of(domain, address).login


def check_new(domain: Domain, address: Address) -> None:
    """See that an account of that login may come to be. Raises Refused."""
    problem = valid_login(address.local_part) or unfit_login(address.local_part)
    if problem is not None:
        raise Misused(problem, "choose one of letters, digits, '.', '-' and '_'")
    there = domain.accounts.get(address.key)
    if there is not None:
        raise Refused(
            f"{there.login}@{domain.name} exists already ({there.source})",
            "change it with 'vmail user set'",
            Code.EXISTS,
        )


def _too_many(view: View, domain: Domain) -> Iterator[str]:
    """Refuse a co-administrator the account that is one too many; a site administrator is only told."""
    most = domain.definition.max_users
    if most and len(domain.accounts) >= most:
        problem = f"{domain.name} has {len(domain.accounts)} accounts of {most} allowed"
        if not view.actor.site_admin:
            raise Refused(problem, "remove one, or ask a site administrator for more")
        yield problem


def see_quota(view: View, domain: Domain, quota: int | None, most: int) -> None:
    """See that a co-administrator gives no mailbox more than the domain's quota, `most`. Raises Refused.

    Quotas are those of bytes or of messages; 0: no limit; None: the domain's.
    """
    if most and quota is not None and not view.actor.site_admin and not 0 < quota <= most:
        raise Refused(
            f"a mailbox of {domain.name} may have at most its quota, {render_size(most)}",
            "give less, or ask a site administrator for more",
        )


def mail_owner(view: View) -> tuple[int, int]:
    """Whom mailboxes belong to, as (user, group)."""
    try:
        found = os.stat(view.layout.spool)
    except FileNotFoundError as error:
        raise Refused(f"{view.layout.spool} does not exist", "lay everything out with 'vmail init'") from error
    return found.st_uid or _FIRST_ID, found.st_gid or _FIRST_ID


def _lock(view: View, domain: Domain, login: str, locked: bool) -> list[FileEdit]:
    entry = view.password_of(domain, login) or ShadowEntry(login, "")
    if locked:
        if entry.locked:
            return []
        return _shadow_edit(view, domain, replace(entry, password=f"!{entry.password}"), f"{login} locked")
    if not entry.password.lstrip("!*"):
        address = f"{login}@{domain.name}"
        raise Refused(f"{address} has no password", f"set one: 'vmail user passwd {address}'")
    return _shadow_edit(view, domain, replace(entry, password=entry.password.lstrip("!*")), f"{login} unlocked")


def _shadow_edit(view: View, domain: Domain, entry: ShadowEntry, said: str) -> list[FileEdit]:
    return view.edit_password(domain, entry.login, lambda text: with_entry(text, entry), instead=said)


def _said(login: str, password: bytes | None) -> str:
    return f"{login} without a password" if password is None else f"password of {login} set"


def hashed(password: bytes) -> str:
    """What is kept of a password. Raises Refused."""
    # Finding libcrypt starts a process, and most verbs need no password.
    from vmaild.auth.passwords import PasswordError, hash_password  # noqa: PLC0415

    try:
        return hash_password(password)
    except PasswordError as error:
        raise Refused(str(error), "choose another one") from error


def quota_in(text: str, parse: Callable[[str], int] = parse_size) -> int | None:
    """A quota as it is written; None: the domain's. Raises FormatError."""
    match text.strip().lower():
        case "" | "default":
            return None
        case "none":
            return 0
        case size:
            return parse(size)


def today() -> int:
    """The day, as shadow(5) counts them."""
    return int(time.time() // _DAY)


def _unreachable(domain: str, login: str, after: View) -> Iterator[str]:
    """Says so where mail for an account's own address would not come to its mailbox."""
    decided = route(after.visible, Address(login, domain))
    targets = decided.targets if isinstance(decided, Accepted) else ()
    boxes = {(target.domain, target.login) for target in targets if isinstance(target, ToMailbox)}
    if (domain, login) not in boxes:
        yield f"mail for {login}@{domain} does not come to this mailbox: {in_words(decided)}"
