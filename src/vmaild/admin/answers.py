"""The verbs of the desk: plain values in, plain values out; each calls what the command line calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from vmaild.address import Address
from vmaild.admin import (
    accounts,
    aliases,
    audit,
    checks,
    coadministrators,
    dns,
    domains,
    overview,
    owner,
    records,
    tokens,
)
from vmaild.admin.door import Door, refusals
from vmaild.admin.explain import explain
from vmaild.admin.names import parse_domain, parse_name
from vmaild.admin.plan import Mail, Plan
from vmaild.admin.refusal import Misused, Refused
from vmaild.admin.token_rights import RIGHTS
from vmaild.core.clients import client_settings
from vmaild.core.permissions import UNIX, Action, allowed
from vmaild.formats.domain import settings_of
from vmaild.store.messages import Mailbox, Usage

Values = Mapping[str, Any]
Verb = Callable[[Door, Values], Any]

MAX_PAGE = 500
_LEAST = 8
"""Characters of a password that somebody sets on the web."""


def plain(value: object) -> dict[str, Any]:
    """A dataclass as plain values."""
    return asdict(value)  # type: ignore[call-overload,no-any-return]


def plan_values(plan: Plan) -> dict[str, Any]:
    """What a change does, for people and scripts alike."""
    return {
        "changed": plan.changes,
        "carried_out": plan.carried_out,
        "summary": plan.summary,
        "rerouted": [plain(each) for each in plan.rerouted],
        "effects": [str(effect) for effect in plan.effects],
        "warnings": list(plan.warnings),
    }


# -- domains


def _domains(door: Door, values: Values) -> Any:  # noqa: ANN401  plain values
    wanted = str(values.get("query", "")).lower()
    found = [record for record in domains.list_domains(door) if wanted in record.name]
    page = _page(found, values)
    return page | {"items": [_domain_values(record) for record in page["items"]]}


def _domain_values(record: domains.DomainRecord) -> dict[str, Any]:
    settings = settings_of(record.definition) if record.definition else {}
    return {
        "name": record.name,
        "users": record.users,
        "aliases": record.alias_count,
        "problem": record.problem,
        "settings": settings,
    }


def _domain(door: Door, values: Values) -> Any:  # noqa: ANN401  likewise
    record = domains.show_domain(door, parse_domain(values["domain"]))
    rights = {action.name.lower(): allowed(door.actor, action, record.definition) for action in Action}
    return _domain_values(record) | {
        "rights": rights,
        "admins": list(coadministrators.list_admins(door, record.name)),
        "admin_rights": coadministrators.list_rights(door, record.name),
    }


def _domain_add(door: Door, values: Values) -> Any:  # noqa: ANN401  likewise
    name = parse_domain(values["domain"])
    return plan_values(domains.add_domain(door, name, _domain_settings(values), dry_run=_dry(values)))


def _domain_set(door: Door, values: Values) -> Any:  # noqa: ANN401  likewise
    name = parse_domain(values["domain"])
    return plan_values(domains.set_domain(door, name, _domain_settings(values), dry_run=_dry(values)))


def _domain_settings(values: Values) -> domains.DomainSettings:
    given = values.get("settings") or {}
    known = {field.name for field in fields(domains.DomainSettings)}
    unknown = sorted(set(given) - known)
    if unknown:
        raise Misused(f"a domain has no setting {unknown[0]}", f"there are {', '.join(sorted(known))}")
    return domains.DomainSettings(**given)


def _domain_remove(door: Door, values: Values) -> Any:  # noqa: ANN401  likewise
    plan = domains.remove_domain(door, parse_domain(values["domain"]), _mail(values), dry_run=_dry(values))
    return plan_values(plan)


# -- accounts


def _users(door: Door, values: Values) -> Any:  # noqa: ANN401  likewise
    view, domain = door.see(parse_domain(values["domain"]))
    wanted = str(values.get("query", "")).lower()
    keys = [key for key in domain.accounts if wanted in key]
    if wanted and len(keys) < MAX_PAGE:
        named = (key for key, account in domain.accounts.items() if wanted in account.full_name.lower())
        keys = list(dict.fromkeys((*keys, *named)))
    match values.get("sort"):
        case "name":
            keys.sort(key=lambda key: domain.accounts[key].full_name.lower())
        case _:
            keys.sort()
    if values.get("descending"):
        keys.reverse()
    page = _page(keys, values)
    items = [_user_values(records.record_of(view, domain, domain.accounts[key])) for key in page["items"]]
    return page | {"items": items, "max_users": domain.definition.max_users}


def _user_values(record: records.AccountRecord) -> dict[str, Any]:
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
    return _user_values(records.show_user(door, address)) | _own_mail(door, address)


def _user_add(door: Door, values: Values) -> Any:  # noqa: ANN401  likewise
    password = values.get("password")
    plan = accounts.add_user(
        door,
        parse_name(values["address"]),
        password=_strong(str(password)) if password else None,
        full_name=str(values.get("full_name", "")),
        quota=str(values.get("quota", "")),
        dry_run=_dry(values),
    )
    return plan_values(plan)


def _user_set(door: Door, values: Values) -> Any:  # noqa: ANN401  likewise
    settings = accounts.AccountSettings(values.get("full_name"), values.get("quota"), values.get("suspended"))
    return plan_values(accounts.set_user(door, parse_name(values["address"]), settings, dry_run=_dry(values)))


def _user_password(door: Door, values: Values) -> Any:  # noqa: ANN401  likewise
    password = _strong(str(values.get("password", "")))
    return plan_values(accounts.set_password(door, parse_name(values["address"]), password=password))


def _user_remove(door: Door, values: Values) -> Any:  # noqa: ANN401  likewise
    address = parse_name(values["address"])
    return plan_values(accounts.remove_user(door, address, _mail(values), dry_run=_dry(values)))


# -- aliases


def _aliases(door: Door, values: Values) -> Any:  # noqa: ANN401  likewise
    wanted = str(values.get("query", "")).lower()
    found = [
        record
        for record in aliases.list_aliases(door, parse_domain(values["domain"]))
        if wanted in record.entry.name.lower() or any(wanted in target.lower() for target in record.entry.targets)
    ]
    page = _page(found, values)
    implicit = door.view().aliases_path(door.see(parse_domain(values["domain"]))[1].name)
    return page | {
        "items": [
            {
                "name": record.entry.name,
                "address": f"{record.entry.name}@{record.domain}",
                "targets": list(record.entry.targets),
                "editable": record.entry.source.path == implicit,
                "hidden": record.hidden,
            }
            for record in page["items"]
        ]
    }


def _alias_write(write: Callable[..., Plan]) -> Verb:
    def verb(door: Door, values: Values) -> Any:  # noqa: ANN401  likewise
        targets = [str(target).strip() for target in values.get("targets", ()) if str(target).strip()]
        if not targets:
            raise Misused("an alias needs a target", "name an account or an address")
        return plan_values(write(door, parse_name(values["address"]), targets, dry_run=_dry(values)))

    return verb


def _alias_remove(door: Door, values: Values) -> Any:  # noqa: ANN401  likewise
    return plan_values(aliases.remove_alias(door, parse_name(values["address"]), dry_run=_dry(values)))


# -- co-administrators, explanations, checks, the audit log


def _grant(door: Door, values: Values) -> Any:  # noqa: ANN401  likewise
    domain = parse_domain(values["domain"])
    rights = [str(right) for right in values.get("rights") or ()]
    plan = coadministrators.grant(door, str(values["principal"]), domain, rights, dry_run=_dry(values))
    return plan_values(plan)


def _revoke(door: Door, values: Values) -> Any:  # noqa: ANN401  likewise
    domain = parse_domain(values["domain"])
    return plan_values(coadministrators.revoke(door, str(values["principal"]), domain, dry_run=_dry(values)))


def _explain(door: Door, values: Values) -> Any:  # noqa: ANN401  likewise
    found = explain(door, parse_name(values["address"]))
    return {
        "address": str(found.address),
        "answer": str(found.answer),
        "accepted": found.answer.code // 100 == 2,
        "targets": [
            {"text": str(each.target), "kind": type(each.target).__name__, "quota": each.quota}
            for each in found.destinations
        ],
        "steps": [
            {
                "rule": step.rule.value,
                "text": step.text,
                "source": str(step.source) if step.source and door.actor.site_admin else "",
                "depth": step.depth,
            }
            for step in found.steps
        ],
        "problem": found.problem if door.actor.site_admin else "",
    }


def _check(door: Door, values: Values) -> Any:  # noqa: ANN401  likewise
    name = values.get("domain")
    found = checks.check_domain(door, parse_domain(name)) if name else checks.check_all(door)
    return [
        {
            "place": f"{each.path}:{each.line}" if each.line else each.path,
            "problem": each.problem,
            "remedy": each.remedy,
            "severity": each.severity.name.lower(),
        }
        for each in found
    ]


def _audit(door: Door, values: Values) -> Any:  # noqa: ANN401  likewise
    name = values.get("domain")
    page, size = int(values.get("page", 1)), min(int(values.get("size", audit.PAGE)), MAX_PAGE)
    return audit.changes(door, parse_domain(name) if name else None, page, size)


def _dns(door: Door, values: Values) -> Any:  # noqa: ANN401  likewise
    name = parse_domain(values["domain"])
    plan = dns.plan_of(door, name)
    return {
        "records": [
            {
                "name": each.record.name,
                "type": each.record.type,
                "data": each.record.rdata,
                "need": each.need.name.lower(),
                "why": each.why,
            }
            for each in plan.wanted
        ],
        "warnings": list(plan.warnings),
        "zones": dns.zones_of(door, name),
    }


def _dns_apply(door: Door, values: Values) -> Any:  # noqa: ANN401  likewise
    plan = dns.apply_dns(door, parse_domain(values["domain"]), dry_run=_dry(values))
    return plan_values(plan) | {"diffs": [edit.diff for edit in plan.edits]}


def _tokens(door: Door, values: Values) -> Any:  # noqa: ANN401  likewise
    return {"tokens": [plain(each) for each in tokens.list_tokens(door)], "rights": list(RIGHTS)}


def _token_add(door: Door, values: Values) -> Any:  # noqa: ANN401  likewise
    domain = str(values.get("domain") or "").strip()
    made = tokens.add_token(
        door,
        str(values.get("name", "")).strip() or "token",
        domain=parse_domain(domain) if domain else "",
        rights=[str(right) for right in values.get("rights") or ()],
        days=int(values.get("days") or 0),
    )
    return {"secret": made.secret if made else ""}


def _token_revoke(door: Door, values: Values) -> Any:  # noqa: ANN401  likewise
    tokens.revoke_token(door, int(values["number"]))


# -- one's own account


def set_own_password(door: Door, password: str) -> None:
    """Give the actor's own account a new password. Raises Refused."""
    accounts.set_password(door, own_address(door), password=_strong(password))


def own_address(door: Door) -> Address:
    """The account that asks. Raises Refused where it is a user of this machine."""
    if door.actor.principal.startswith(UNIX):
        raise Refused("users of this machine change their password with passwd(1)", "use that")
    return parse_name(door.actor.principal)


def _own(door: Door, values: Values) -> Any:  # noqa: ANN401  likewise
    address = own_address(door)
    view = door.view()
    domain = view.domain(address.domain)
    record = records.record_of(view, domain, records.account_of(domain, address))
    mailbox = Mailbox(domain.name, record.account.login)
    with refusals():
        usage = door.messages.usage(mailbox) if door.messages.exists(mailbox) else Usage(0, 0)
    definition = domain.definition
    settings = client_settings(definition, door.site, record.account.login)
    return _user_values(record) | {
        "usage": plain(usage),
        **_own_mail(door, address),
        "mail_host": settings.host,
        "addresses": list(definition.addresses),
        "bare_login": bool(definition.addresses),
        "pop3": settings.nearby and {"port": settings.nearby.port, "security": settings.nearby.security.value},
        "smtp": settings.smtp and {"port": settings.smtp.port, "security": settings.smtp.security.value},
    }


def _of_own(verb: Verb) -> Verb:
    return lambda door, values: verb(door, {**values, "address": str(own_address(door))})


def _set_vacation(door: Door, values: Values) -> Any:  # noqa: ANN401  likewise
    address = parse_name(values["address"])
    if not str(values.get("text", "")).strip():
        return plan_values(owner.clear_vacation(door, address, dry_run=_dry(values)))
    known = {field.name for field in fields(owner.VacationText)}
    wanted = owner.VacationText(**{key: value for key, value in values.items() if key in known})
    return plan_values(owner.set_vacation(door, address, wanted, dry_run=_dry(values)))


def _set_forward(door: Door, values: Values) -> Any:  # noqa: ANN401  likewise
    address = parse_name(values["address"])
    targets = [str(target).strip() for target in values.get("targets", ()) if str(target).strip()]
    if not targets:
        return plan_values(owner.clear_forward(door, address, dry_run=_dry(values)))
    keep = bool(values.get("keep_copy", True))
    return plan_values(owner.set_forward(door, address, targets, keep_copy=keep, dry_run=_dry(values)))


def _own_mail(door: Door, address: Address) -> dict[str, Any]:
    """Vacation text and forwarding of an account."""
    vacation, forward = owner.show_vacation(door, address), owner.show_forward(door, address)
    return {"vacation": plain(vacation), "forward": plain(forward)}


# -- parts


def _strong(password: str) -> bytes:
    if len(password) < _LEAST:
        raise Misused("the new password is too short", f"choose one of {_LEAST} characters or more")
    return password.encode("utf-8", "surrogatepass")


def _dry(values: Values) -> bool:
    return bool(values.get("dry_run"))


def _mail(values: Values) -> Mail:
    try:
        return {"archive": Mail.ARCHIVE, "keep": Mail.KEEP, "delete": Mail.DELETE}[
            str(values.get("mail", "archive"))
        ]
    except KeyError:
        raise Misused("mail can be archived, kept or deleted", "write archive, keep or delete") from None


def _page(found: Sequence[Any], values: Values) -> dict[str, Any]:
    """One page of many; pages are counted from 1."""
    size = max(1, min(int(values.get("size", 50)), MAX_PAGE))
    pages = max(1, -(-len(found) // size))
    page = max(1, min(int(values.get("page", 1)), pages))
    return {
        "items": list(found[(page - 1) * size : page * size]),
        "total": len(found),
        "page": page,
        "pages": pages,
        "size": size,
    }


VERBS: Mapping[str, Verb] = {
    "domains": _domains,
    "domain": _domain,
    "domain.add": _domain_add,
    "domain.set": _domain_set,
    "domain.remove": _domain_remove,
    "users": _users,
    "user": _user,
    "user.add": _user_add,
    "user.set": _user_set,
    "user.password": _user_password,
    "user.remove": _user_remove,
    "user.vacation": _set_vacation,
    "user.forward": _set_forward,
    "aliases": _aliases,
    "alias.add": _alias_write(aliases.add_alias),
    "alias.set": _alias_write(aliases.set_alias),
    "alias.remove": _alias_remove,
    "admin.grant": _grant,
    "admin.revoke": _revoke,
    "explain": _explain,
    "check": _check,
    "audit": _audit,
    "overview": overview.overview,
    "dns": _dns,
    "dns.apply": _dns_apply,
    "tokens": _tokens,
    "token.add": _token_add,
    "token.revoke": _token_revoke,
    "own": _own,
    "own.vacation": _of_own(_set_vacation),
    "own.forward": _of_own(_set_forward),
}
