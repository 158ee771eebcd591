"""Verbs of the desk about the whole site: checks, what was changed, tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vmaild.admin import audit, checks, tokens
from vmaild.admin.answers.values import MAX_PAGE, Values, Verb, plain
from vmaild.admin.door import Door
from vmaild.admin.names import parse_domain
from vmaild.admin.token_rights import RIGHTS


def _check(door: Door, values: Values) -> Any:  # noqa: ANN401  likewise
    name = values.get("domain")
    found = checks.check_domain(door, parse_domain(name)) if name else checks.check_all(door)
    return [
        {
            "place": each.place,
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


VERBS: Mapping[str, Verb] = {
    "check": _check,
    "audit": _audit,
    "tokens": _tokens,
    "token.add": _token_add,
    "token.revoke": _token_revoke,
}
