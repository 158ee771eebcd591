"""Verbs of the desk about aliases, and about where mail goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from vmaild.admin import aliases
from vmaild.admin.answers.seen import stamp, unless_changed
from vmaild.admin.answers.values import Values, Verb, dry, page, plan_values
from vmaild.admin.door import Door
from vmaild.admin.explain import explain
from vmaild.admin.names import parse_domain, parse_name
from vmaild.admin.plan import Plan
from vmaild.admin.refusal import Misused


def _aliases(door: Door, values: Values) -> Any:  # noqa: ANN401  likewise
    wanted = str(values.get("query", "")).lower()
    found = [
        record
        for record in aliases.list_aliases(door, parse_domain(values["domain"]))
        if wanted in record.entry.name.lower() or any(wanted in target.lower() for target in record.entry.targets)
    ]
    part = page(found, values)
    implicit = door.view().aliases_path(door.see(parse_domain(values["domain"]))[1].name)
    return part | {
        "items": [
            {
                "name": record.entry.name,
                "address": f"{record.entry.name}@{record.domain}",
                "targets": list(record.entry.targets),
                "editable": record.entry.source.path == implicit,
                "hidden": record.hidden,
                "seen": stamp(record.entry.targets),
            }
            for record in part["items"]
        ]
    }


def _alias_write(write: Callable[..., Plan]) -> Verb:
    def verb(door: Door, values: Values) -> Any:  # noqa: ANN401  likewise
        targets = [str(target).strip() for target in values.get("targets", ()) if str(target).strip()]
        if not targets:
            raise Misused("an alias needs a target", "name an account or an address")
        return plan_values(write(door, parse_name(values["address"]), targets, dry_run=dry(values)))

    return verb


def _targets_shown(door: Door, values: Values) -> object:
    return aliases.show_alias(door, parse_name(values["address"]))[0].entry.targets


def _alias_remove(door: Door, values: Values) -> Any:  # noqa: ANN401  likewise
    return plan_values(aliases.remove_alias(door, parse_name(values["address"]), dry_run=dry(values)))


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


VERBS: Mapping[str, Verb] = {
    "aliases": _aliases,
    "alias.add": _alias_write(aliases.add_alias),
    "alias.set": unless_changed(_targets_shown, _alias_write(aliases.set_alias)),
    "alias.remove": unless_changed(_targets_shown, _alias_remove),
    "explain": _explain,
}
