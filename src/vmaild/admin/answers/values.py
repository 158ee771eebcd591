"""What the verbs of the desk have in common: plain values, pages of many, words that stand for choices."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from vmaild.admin.door import Door
from vmaild.admin.plan import Mail, Plan
from vmaild.admin.refusal import Misused

Values = Mapping[str, Any]
Verb = Callable[[Door, Values], Any]

MAX_PAGE = 500
LEAST = 8
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


def shown_plan(plan: Plan) -> dict[str, Any]:
    """A plan with every line that it would change in files and zones."""
    zones = [f"{each}\n" + "\n".join(each.lines) for each in plan.updates]
    return plan_values(plan) | {"diffs": [*(edit.diff for edit in plan.edits), *zones]}


def strong(password: str) -> bytes:
    """A password of enough characters. Raises Misused."""
    if len(password) < LEAST:
        raise Misused("the new password is too short", f"choose one of {LEAST} characters or more")
    return password.encode("utf-8", "surrogatepass")


def dry(values: Values) -> bool:
    """Whether nothing is to be changed."""
    return bool(values.get("dry_run"))


def mail(values: Values) -> Mail:
    """What is to become of stored mail. Raises Misused."""
    try:
        return {"archive": Mail.ARCHIVE, "keep": Mail.KEEP, "delete": Mail.DELETE}[
            str(values.get("mail", "archive"))
        ]
    except KeyError:
        raise Misused("mail can be archived, kept or deleted", "write archive, keep or delete") from None


def page(found: Sequence[Any], values: Values) -> dict[str, Any]:
    """One page of many; pages are counted from 1."""
    size = max(1, min(int(values.get("size", 50)), MAX_PAGE))
    pages = max(1, -(-len(found) // size))
    number = max(1, min(int(values.get("page", 1)), pages))
    return {
        "items": list(found[(number - 1) * size : number * size]),
        "total": len(found),
        "page": number,
        "pages": pages,
        "size": size,
    }
