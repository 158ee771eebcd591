"""Verbs of the desk about accounts, their vacation texts and forwarding included."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from vmaild.address import Address
from vmaild.admin import accounts, owner, records
from vmaild.admin.answers.seen import stamp, unless_changed
from vmaild.admin.answers.values import Values, Verb, dry, mail, page, plain, plan_values, strong
from vmaild.admin.door import Door
from vmaild.admin.names import parse_domain, parse_name


def _users(door: Door, values: Values) -> Any:  # noqa: ANN401  likewise
    view, domain = door.see(parse_domain(values["domain"]))
    by_name, descending = values.get("sort") == "name", bool(values.get("descending"))
    query = str(values.get("query", ""))
    part = page(view.roster(domain).found(query, by_name=by_name, descending=descending), values)
    items = [user_values(records.record_of(view, domain, domain.accounts[key])) for key in part["items"]]
    return part | {"items": items, "max_users": domain.definition.max_users}


def user_values(record: records.AccountRecord) -> dict[str, Any]:
    """An account as plain values."""
    account = record.account
    return {
        "address": record.address,
        "login": account.login,
        "domain": record.domain,
        "full_name": account.full_name,
        "quota": record.quota,
        "own_quota": account.quota,
        "has_password": record.has_password,
        "suspended": record.locked,
        "usage": plain(record.usage) if record.usage else None,
    }


def _user(door: Door, values: Values) -> Any:  # noqa: ANN401  likewise
    address = parse_name(values["address"])
    record = records.show_user(door, address)
    found = user_values(record) | own_mail(door, address)
    return found | {"seen": {"data": stamp(_data(record))} | found["seen"]}


def _data(record: records.AccountRecord) -> object:
    return record.account.full_name, record.account.quota


def _data_shown(door: Door, values: Values) -> object:
    return _data(records.show_user(door, parse_name(values["address"])))


def _user_add(door: Door, values: Values) -> Any:  # noqa: ANN401  likewise
    password = values.get("password")
    plan = accounts.add_user(
        door,
        parse_name(values["address"]),
        password=strong(str(password)) if password else None,
        full_name=str(values.get("full_name", "")),
        quota=str(values.get("quota", "")),
        dry_run=dry(values),
    )
    return plan_values(plan)


def _user_set(door: Door, values: Values) -> Any:  # noqa: ANN401  likewise
    settings = accounts.AccountSettings(values.get("full_name"), values.get("quota"), values.get("suspended"))
    return plan_values(accounts.set_user(door, parse_name(values["address"]), settings, dry_run=dry(values)))


def _user_password(door: Door, values: Values) -> Any:  # noqa: ANN401  likewise
    password = strong(str(values.get("password", "")))
    return plan_values(accounts.set_password(door, parse_name(values["address"]), password=password))


def _user_remove(door: Door, values: Values) -> Any:  # noqa: ANN401  likewise
    address = parse_name(values["address"])
    return plan_values(accounts.remove_user(door, address, mail(values), dry_run=dry(values)))


def _set_vacation(door: Door, values: Values) -> Any:  # noqa: ANN401  likewise
    address = parse_name(values["address"])
    if not str(values.get("text", "")).strip():
        return plan_values(owner.clear_vacation(door, address, dry_run=dry(values)))
    known = {field.name for field in fields(owner.VacationText)}
    wanted = owner.VacationText(**{key: value for key, value in values.items() if key in known})
    return plan_values(owner.set_vacation(door, address, wanted, dry_run=dry(values)))


def _set_forward(door: Door, values: Values) -> Any:  # noqa: ANN401  likewise
    address = parse_name(values["address"])
    targets = [str(target).strip() for target in values.get("targets", ()) if str(target).strip()]
    if not targets:
        return plan_values(owner.clear_forward(door, address, dry_run=dry(values)))
    keep = bool(values.get("keep_copy", True))
    return plan_values(owner.set_forward(door, address, targets, keep_copy=keep, dry_run=dry(values)))


def own_mail(door: Door, address: Address) -> dict[str, Any]:
    """Vacation text and forwarding of an account, and the stamps of what their forms show."""
    vacation, forward = owner.show_vacation(door, address), owner.show_forward(door, address)
    seen = {"vacation": stamp(_vacation(vacation)), "forward": stamp(_forward(forward))}
    return {"vacation": plain(vacation), "forward": plain(forward), "seen": seen}


def _vacation(record: owner.VacationRecord) -> object:
    return plain(record.vacation) if record.vacation else None


def _vacation_shown(door: Door, values: Values) -> object:
    return _vacation(owner.show_vacation(door, parse_name(values["address"])))


def _forward(record: owner.ForwardRecord) -> object:
    return record.targets, record.keep_copy


def _forward_shown(door: Door, values: Values) -> object:
    return _forward(owner.show_forward(door, parse_name(values["address"])))


set_vacation = unless_changed(_vacation_shown, _set_vacation)
"""Set the automatic reply of an account; an empty text clears it."""
set_forward = unless_changed(_forward_shown, _set_forward)
"""Set the forwarding of an account; without targets it is cleared."""

VERBS: Mapping[str, Verb] = {
    "users": _users,
    "user": _user,
    "user.add": _user_add,
    "user.set": unless_changed(_data_shown, _user_set),
    "user.password": _user_password,
    "user.remove": _user_remove,
    "user.vacation": set_vacation,
    "user.forward": set_forward,
}
