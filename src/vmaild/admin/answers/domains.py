"""Verbs of the desk about domains: their definitions, co-administrators and DNS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from vmaild.admin import coadministrators, dns, domains
from vmaild.admin.answers.seen import stamp, unless_changed
from vmaild.admin.answers.values import Values, Verb, dry, mail, page, plan_values, shown_plan
from vmaild.admin.door import Door
from vmaild.admin.names import parse_domain
from vmaild.admin.refusal import Misused
from vmaild.core.permissions import Action, allowed
from vmaild.formats.domain import settings_of


def _domains(door: Door, values: Values) -> Any:  # noqa: ANN401  plain values
    wanted = str(values.get("query", "")).lower()
    part = page([name for name in domains.names_of_domains(door) if wanted in name], values)
    return part | {"items": [_domain_values(record) for record in domains.domain_records(door, part["items"])]}


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
    found, admin_rights = _domain_values(record), coadministrators.list_rights(door, record.name)
    return found | {
        "seen": stamp(_of_the_form(found["settings"])),
        "rights": rights,
        "admins": list(coadministrators.list_admins(door, record.name)),
        "admin_rights": admin_rights,
        "admin_seen": {principal: stamp(each) for principal, each in admin_rights.items()},
    }


def _settings_shown(door: Door, values: Values) -> object:
    return _of_the_form(_domain_values(domains.show_domain(door, parse_domain(values["domain"])))["settings"])


def _of_the_form(settings: Mapping[str, object]) -> object:
    """Co-administrators have forms of their own, one each."""
    return {key: value for key, value in settings.items() if key not in ("admins", "rights")}


def _rights_shown(door: Door, values: Values) -> object:
    return coadministrators.list_rights(door, parse_domain(values["domain"])).get(str(values["principal"]))


def _domain_add(door: Door, values: Values) -> Any:  # noqa: ANN401  likewise
    name = parse_domain(values["domain"])
    return plan_values(domains.add_domain(door, name, _domain_settings(values), dry_run=dry(values)))


def _domain_set(door: Door, values: Values) -> Any:  # noqa: ANN401  likewise
    name = parse_domain(values["domain"])
    return plan_values(domains.set_domain(door, name, _domain_settings(values), dry_run=dry(values)))


def _domain_settings(values: Values) -> domains.DomainSettings:
    given = values.get("settings") or {}
    known = {field.name for field in fields(domains.DomainSettings)}
    unknown = sorted(set(given) - known)
    if unknown:
        raise Misused(f"a domain has no setting {unknown[0]}", f"there are {', '.join(sorted(known))}")
    return domains.DomainSettings(**given)


def _domain_remove(door: Door, values: Values) -> Any:  # noqa: ANN401  likewise
    plan = domains.remove_domain(door, parse_domain(values["domain"]), mail(values), dry_run=dry(values))
    return plan_values(plan)


def _grant(door: Door, values: Values) -> Any:  # noqa: ANN401  likewise
    domain = parse_domain(values["domain"])
    rights = [str(right) for right in values.get("rights") or ()]
    plan = coadministrators.grant(door, str(values["principal"]), domain, rights, dry_run=dry(values))
    return plan_values(plan)


def _revoke(door: Door, values: Values) -> Any:  # noqa: ANN401  likewise
    domain = parse_domain(values["domain"])
    return plan_values(coadministrators.revoke(door, str(values["principal"]), domain, dry_run=dry(values)))


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
        "update_server": door.site.dns.update_server if door.actor.site_admin else "",
    }


def _dns_apply(door: Door, values: Values) -> Any:  # noqa: ANN401  likewise
    return shown_plan(dns.apply_dns(door, parse_domain(values["domain"]), dry_run=dry(values)))


VERBS: Mapping[str, Verb] = {
    "domains": _domains,
    "domain": _domain,
    "domain.add": _domain_add,
    "domain.set": unless_changed(_settings_shown, _domain_set),
    "domain.remove": _domain_remove,
    "admin.grant": unless_changed(_rights_shown, _grant),
    "admin.revoke": unless_changed(_rights_shown, _revoke),
    "dns": _dns,
    "dns.apply": _dns_apply,
}
