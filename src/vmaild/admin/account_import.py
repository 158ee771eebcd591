"""Accounts by the list: every row is looked at before anything changes, then they are added some at a time.

Each lot is one change of the door, so others may work meanwhile, and an import that is cut short has added whole
accounts only; run again, it says of these that they are there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from vmaild.address import Address, AddressError
from vmaild.admin.accounts import NOLOGIN, check_new, hashed, mail_owner, quota_in, see_quota, see_rank, today
from vmaild.admin.door import Change, Door, Draft, refusals
from vmaild.admin.leftovers import of_account
from vmaild.admin.names import parse_name
from vmaild.admin.plan import Mail, MailEffect, Step
from vmaild.admin.refusal import Code, Refused
from vmaild.admin.view import View
from vmaild.core.directory import Account, Domain, ShadowEntry
from vmaild.core.permissions import Action, allowed
from vmaild.formats.accounts_csv import AccountRow, parse_accounts
from vmaild.formats.passwd import render_account, with_account
from vmaild.formats.shadow import with_entry

LOT = 50
"""Accounts of one change."""
NO_PASSWORD = "!"  # noqa: S105  the mark of a locked account in shadow(5)


@dataclass(frozen=True, slots=True)
class Looked:
    """A row, and what would become of it."""

    row: AccountRow
    address: Address | None
    problem: str = ""
    """Why it cannot be added; empty: it can."""
    remedy: str = ""
    warning: str = ""


def preview(door: Door, content: bytes, domain: str = "", *, least: int = 0) -> list[Looked]:
    """Look at every row of a list; nothing changes.

    `domain`: where logins without one belong, and the only one that is meant. `least`: characters of a password.
    Raises Refused for what is no list.
    """
    with refusals():
        rows = parse_accounts(content)
    view, seen = door.view(), defaultdict[str, set[str]](set)
    found = []
    for row in rows:
        looked = _look(door, view, row, domain, least, seen)
        if looked.address is not None and not looked.problem:
            seen[looked.address.domain].add(looked.address.key)
        found.append(looked)
    return found


def carry_out(
    door: Door, rows: Sequence[Looked], progress: Callable[[int], None] = lambda _: None
) -> list[Looked]:
    """Add the rows that can be; returns those that could not after all, each with its problem.

    `progress` is told how many rows are done. Raises Refused where a whole lot fails; what was added stays.
    """
    failed: list[Looked] = []
    done = 0
    good = [each for each in rows if each.address is not None and not each.problem]
    for name, of_domain in groupby(good, key=lambda each: each.address.domain if each.address else ""):
        listed = list(of_domain)
        for at in range(0, len(listed), LOT):
            lot = listed[at : at + LOT]
            failed += _add(door, name, lot)
            done += len(lot)
            progress(done)
    return failed


# -- parts


def _look(
    door: Door, view: View, row: AccountRow, only: str, least: int, seen: Mapping[str, Collection[str]]
) -> Looked:
    address = None
    try:
        with refusals():
            address = _address(row, only)
            domain = _permitted(door, view, address)
            address = Address(address.local_part, domain.name)
            if address.key in seen.get(domain.name, ()):
                raise Refused(f"{address} is in the list twice", "take one of them out")
            _check(view, domain, address, row, least)
            _check_number(view, domain, len(seen.get(domain.name, ())))
        warnings = [] if row.password else ["nobody can log in: there is no password"]
        if any(of_account(door.messages, view, domain.name, address.local_part, Mail.ARCHIVE)):
            warnings.append("there is mail or a home of a former account: it is archived first")
        if any(address.key in each.entries for each in domain.alias_files):
            warnings.append("there is an alias of that name: mail goes where that says")
        return Looked(row, address, warning="; ".join(warnings))
    except Refused as refusal:
        return Looked(row, address, refusal.problem, refusal.remedy)


def _address(row: AccountRow, only: str) -> Address:
    if not only:
        return parse_name(row.login)
    address = Address(row.login, only) if "@" not in row.login else parse_name(row.login)
    if address.domain != only:
        raise AddressError(f"{row.login} is not of {only}")
    return address


def _permitted(door: Door, view: View, address: Address) -> Domain:
    domain = view.find(address.domain)
    if not allowed(door.actor, Action.ACCOUNTS, domain.definition if domain else None):
        raise Refused(
            f"{door.actor.principal} may not {Action.ACCOUNTS.value} {address.domain}",
            "ask a site administrator",
            Code.NOT_FOUND,
        )
    return view.domain(address.domain)


def _check(view: View, domain: Domain, address: Address, row: AccountRow, least: int) -> None:
    check_new(domain, address)
    see_rank(view, domain, address)
    see_quota(view, domain, quota_in(row.quota), domain.definition.quota)
    if row.password and len(row.password) < least:
        raise Refused("the password is too short", f"choose one of {least} characters or more")
    render_account(_account(address, row, (0, 0)))


def _check_number(view: View, domain: Domain, more: int) -> None:
    most = domain.definition.max_users
    if most and not view.actor.site_admin and len(domain.accounts) + more >= most:
        raise Refused(
            f"{domain.name} may have {most} account{'s' if most > 1 else ''}", "ask a site administrator for more"
        )


def _account(address: Address, row: AccountRow, owner: tuple[int, int]) -> Account:
    login, home = address.local_part, f"/vhome/{address.domain}/{address.local_part}"
    return Account(login, *owner, row.full_name, home, NOLOGIN, quota_in(row.quota))


def _add(door: Door, name: str, lot: Sequence[Looked]) -> list[Looked]:
    """Add accounts of one domain as one change."""
    # Hashing takes long on purpose, and nobody should wait for a lock meanwhile.
    hashes = [hashed(each.row.password.encode()) if each.row.password else NO_PASSWORD for each in lot]
    failed: list[Looked] = []

    def draft(view: View) -> Draft:
        failed.clear()
        domain = view.domain(name)
        steps: list[Step] = []
        passwd, shadow = view.passwd_path(domain.name), view.shadow_path(domain.name)
        texts = [view.text(passwd) or "", view.text(shadow) or ""]
        added: list[str] = []
        for each, hash_ in zip(lot, hashes, strict=True):
            assert each.address is not None
            try:
                with refusals():
                    _check(view, domain, each.address, each.row, 0)
                    _check_number(view, domain, len(added))
            except Refused as refusal:
                # Somebody else was faster.
                failed.append(replace(each, problem=refusal.problem, remedy=refusal.remedy))
                continue
            login = each.address.local_part
            texts[0] = with_account(texts[0], _account(each.address, each.row, mail_owner(view)))
            texts[1] = with_entry(texts[1], ShadowEntry(login, hash_, today()))
            steps += _mailbox(door, view, domain.name, login)
            added.append(login)
        said = f"entries added: {len(added)}"
        edits = [*view.edit(shadow, texts[1], instead=said), *view.edit(passwd, texts[0], passwd=True)]
        all_ = f"add {len(added)} accounts to {domain.name}: {', '.join(added)}"
        summary = f"add account {added[0]}@{domain.name}" if len(added) == 1 else all_
        return Draft(summary, [*steps, *edits])

    door.change(Change("user import", name, name, Action.ACCOUNTS, draft))
    return failed


def _mailbox(door: Door, view: View, domain: str, login: str) -> Iterator[Step]:
    yield from of_account(door.messages, view, domain, login, Mail.ARCHIVE)
    yield MailEffect(Mail.CREATE, domain, login)
