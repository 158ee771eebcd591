"""What an account's owner sets up: automatic replies and forwarding.

Open to the owner, to co-administrators and to site administrators alike, within the bounds of `[forwarding]` and
`[vacation]` in vmail.toml. Both are files in the account's home.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from vmaild.address import Address
from vmaild.admin.door import Change, Door, Draft, refusals
from vmaild.admin.plan import Plan
from vmaild.admin.records import account_of
from vmaild.admin.refusal import Refused
from vmaild.admin.view import View
from vmaild.core.autoreply import Vacation, is_in_force
from vmaild.core.directory import Account, Domain, Forward
from vmaild.core.forwarding import forwarding_problem
from vmaild.core.permissions import Action
from vmaild.core.routing import Rejected, Undecided, route
from vmaild.formats import forward as forward_format
from vmaild.formats import vacation as vacation_format


@dataclass(frozen=True, slots=True)
class VacationText:
    """What is to be set up, as somebody writes it; None: stays as it is, empty: goes back to the default."""

    text: str | None = None
    subject: str | None = None
    name: str | None = None
    """Of the owner, before the address in From."""
    first_day: str | None = None
    """As 2026-12-20; so is the last."""
    last_day: str | None = None
    days: str | None = None
    """In which a sender is answered once."""
    addresses: Sequence[str] | None = None
    """Other addresses of the owner, to which mail may have been sent."""
    any_recipient: bool | None = None


@dataclass(frozen=True, slots=True)
class VacationRecord:
    """The automatic replies of an account as people ask for them."""

    address: str
    path: str
    vacation: Vacation | None
    """None: nothing is set up, or the file is damaged: see `problems`."""
    in_force: bool
    """Whether mail that comes today is answered."""
    answered: int = 0
    """Senders that are remembered."""
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ForwardRecord:
    """The forwarding of an account as people ask for it."""

    address: str
    path: str
    targets: tuple[str, ...]
    keep_copy: bool
    """True as well where nothing is forwarded: the mail stays."""
    problems: tuple[str, ...] = ()
    """Why it is not, or not all, in force."""


# -- automatic replies


def show_vacation(door: Door, address: Address) -> VacationRecord:
    """The automatic replies of an account. Raises Refused."""
    view, domain = door.see_own(address)
    with refusals():
        account = account_of(domain, address)
        path = _path(view, domain, account, vacation_format.FILE_NAME)
        text = view.text(path)
        vacation, findings = vacation_format.parse_vacation(text, path) if text is not None else (None, ())
        problems = [f"{finding.problem}; {finding.remedy}" for finding in findings]
        memory = view.text(_path(view, domain, account, vacation_format.MEMORY_NAME)) or ""
    if vacation is not None and not view.site.vacation.allowed:
        problems.append("automatic replies are switched off on this site; ask a site administrator")
    in_force = vacation is not None and not problems and is_in_force(vacation, _today())
    return VacationRecord(_named(domain, account), path, vacation, in_force, memory.count("\n"), tuple(problems))


def set_vacation(door: Door, address: Address, wanted: VacationText, *, dry_run: bool = False) -> Plan:
    """Answer those who write, once each in a while; who was answered before is forgotten. Raises Refused."""

    def draft(view: View, domain: Domain, account: Account) -> Draft:
        if not view.site.vacation.allowed:
            raise Refused("automatic replies are switched off on this site", "ask a site administrator")
        path = _path(view, domain, account, vacation_format.FILE_NAME)
        vacation = _merged(vacation_format.parse_vacation(view.text(path) or "", path)[0], wanted)
        edits = view.edit(path, vacation_format.render_vacation(vacation))
        if edits:
            edits += view.edit(_path(view, domain, account, vacation_format.MEMORY_NAME), None)
        over = vacation.last_day and vacation.last_day < _today()
        warnings = [f"its last day, {vacation.last_day}, is over: nobody is answered"] if over else []
        return Draft(f"set the automatic reply of {_named(domain, account)}", edits, warnings)

    return door.change(_change("user vacation", address, draft), dry_run=dry_run)


def clear_vacation(door: Door, address: Address, *, dry_run: bool = False) -> Plan:
    """Answer nobody any more. Raises Refused."""

    def draft(view: View, domain: Domain, account: Account) -> Draft:
        names = (vacation_format.FILE_NAME, vacation_format.MEMORY_NAME)
        edits = [edit for name in names for edit in view.edit(_path(view, domain, account, name), None)]
        return Draft(f"switch off the automatic reply of {_named(domain, account)}", edits)

    return door.change(_change("user vacation", address, draft), dry_run=dry_run)


# -- forwarding


def show_forward(door: Door, address: Address) -> ForwardRecord:
    """Where an account forwards to. Raises Refused."""
    view, domain = door.see_own(address)
    with refusals():
        account = account_of(domain, address)
        path = _path(view, domain, account, forward_format.FILE_NAME)
        text = view.text(path)
    own = Address(account.login, domain.name)
    forward, findings = forward_format.parse_forward(text, path, own) if text is not None else (None, ())
    problems = [f"{finding.problem}; {finding.remedy}" for finding in findings]
    if forward is None:
        return ForwardRecord(str(own), path, (), keep_copy=True, problems=tuple(problems))
    refused = forwarding_problem(forward.targets, view.site.forwarding)
    if refused is not None:
        problems.append(f"{refused[0]}, so the mail stays here; {refused[1]}")
    return ForwardRecord(str(own), path, tuple(map(str, forward.targets)), forward.keep_copy, tuple(problems))


def set_forward(
    door: Door, address: Address, targets: Sequence[str], *, keep_copy: bool, dry_run: bool = False
) -> Plan:
    """Send the mail of an account on to these addresses, within what the site allows. Raises Refused."""

    def draft(view: View, domain: Domain, account: Account) -> Draft:
        own = Address(account.login, domain.name)
        wanted = [forward_format.parse_forward_target(target, domain.name) for target in targets]
        away = tuple(dict.fromkeys(each for each in wanted if (each.key, each.domain) != (own.key, own.domain)))
        if not away:
            raise Refused(
                "no other address is given", f"name one, or switch it off: 'vmail user forward {own} --off'"
            )
        problem = forwarding_problem(away, view.site.forwarding)
        if problem is not None:
            raise Refused(*problem)
        forward = Forward(away, keep_copy or len(away) < len(set(wanted)))
        path = _path(view, domain, account, forward_format.FILE_NAME)
        edits = view.edit(path, forward_format.render_forward(forward, own))
        kept = " and keep a copy" if forward.keep_copy else ""
        summary = f"forward mail of {own} to {', '.join(map(str, away))}{kept}"
        return Draft(summary, edits, inspect=partial(_dead_ends, away))

    return door.change(_change("user forward", address, draft), dry_run=dry_run)


def clear_forward(door: Door, address: Address, *, dry_run: bool = False) -> Plan:
    """Let the mail stay. Raises Refused."""

    def draft(view: View, domain: Domain, account: Account) -> Draft:
        edits = view.edit(_path(view, domain, account, forward_format.FILE_NAME), None)
        return Draft(f"switch off the forwarding of {_named(domain, account)}", edits)

    return door.change(_change("user forward", address, draft), dry_run=dry_run)


# -- parts


def _change(verb: str, address: Address, draft: Callable[[View, Domain, Account], Draft]) -> Change:
    def drafted(view: View) -> Draft:
        domain = view.domain(address.domain)
        return draft(view, domain, account_of(domain, address))

    return Change(verb, address.domain, str(address), Action.OWN_MAIL, drafted, owner=address)


def _merged(before: Vacation | None, wanted: VacationText) -> Vacation:
    """What was set up, with what is given in its place. Raises FormatError."""
    given: dict[str, Any] = {
        "text": wanted.text,
        "subject": wanted.subject and wanted.subject.strip(),
        "name": wanted.name and wanted.name.strip(),
        "first_day": wanted.first_day and vacation_format.parse_day(wanted.first_day),
        "last_day": wanted.last_day and vacation_format.parse_day(wanted.last_day),
        "any_recipient": wanted.any_recipient,
    }
    vacation = replace(before or Vacation(""), **{key: value for key, value in given.items() if value is not None})
    if wanted.days is not None:
        vacation = replace(vacation, days=vacation_format.parse_days(wanted.days) if wanted.days else None)
    if wanted.addresses is not None:
        own = (vacation_format.parse_own_address(each) for each in wanted.addresses if each.strip())
        vacation = replace(vacation, addresses=tuple(dict.fromkeys(own)))
    return vacation


def _path(view: View, domain: Domain, account: Account, name: str) -> str:
    return f"{view.layout.home(domain.name, account.login)}/{name}"


def _named(domain: Domain, account: Account) -> str:
    return str(Address(account.login, domain.name))


def _today() -> str:
    return time.strftime("%Y-%m-%d")


def _dead_ends(targets: Sequence[Address], after: View) -> Iterator[str]:
    """Targets on this machine that do not exist; an outside one only its own server knows."""
    for target in targets:
        if isinstance(route(after.visible, target), Rejected | Undecided):
            yield f"mail for {target} is not accepted here: it would stay where it is"
