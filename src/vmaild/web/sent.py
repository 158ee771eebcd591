"""What a form shows again where it could not be taken: what somebody wrote, not what was there before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def account_as_sent(account: Mapping[str, Any], act: str, fields: Mapping[str, str]) -> dict[str, Any]:
    """An account (see admin.answers) with what the form `act` sent in the place of what is stored."""
    shown = dict(account)
    match act:
        case "save":
            shown |= {"full_name": fields.get("full_name", ""), "quota_sent": fields.get("quota", "")}
        case "vacation":
            written = {name: fields.get(name, "") for name in ("subject", "text", "first_day", "last_day")}
            shown["vacation"] = {**account["vacation"], "vacation": written}
        case "forward":
            targets, keep = fields.get("targets", "").splitlines(), bool(fields.get("keep_copy"))
            shown["forward"] = {**account["forward"], "targets": targets, "keep_copy": keep}
    return shown


def settings_as_sent(settings: Mapping[str, Any], fields: Mapping[str, str]) -> dict[str, Any]:
    """The settings of a domain as its form sent them; `settings` tell of which kind each is."""
    shown: dict[str, Any] = {}
    for name, before in settings.items():
        value = fields.get(name, "").strip()
        match before:
            case bool():
                shown[name] = bool(value)
            case list():
                shown[name] = value.replace(",", " ").split()
            case _:
                shown[name] = value
    return shown


def written_size(number: int | None) -> str:
    """A quota as it may be written in a form: 50M, none; empty: as the domain says."""
    if number is None:
        return ""
    if not number:
        return "none"
    exponent = next(each for each in (4, 3, 2, 1, 0) if number % 1024**each == 0)
    return f"{number // 1024**exponent}{' KMGT'[exponent].strip()}"
