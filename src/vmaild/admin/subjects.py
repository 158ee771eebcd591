"""What there is to check from outside: each domain with its plan, and what domains are to each other."""

from __future__ import annotations

import os
from collections.abc import Sequence

from vmaild.admin.door import Door
from vmaild.admin.refusal import Refused
from vmaild.admin.view import View
from vmaild.core.dns_plan import Keys, plan_records
from vmaild.core.evidence import Neighbours, Subject
from vmaild.core.permissions import Action, allowed
from vmaild.formats.certificate import public_key
from vmaild.formats.named import NamedConfiguration, parse_named


def subjects_of(door: Door, names: Sequence[str] | None = None) -> tuple[list[Subject], Neighbours]:
    """The subjects of that names (canonical); None: of all that the actor may see.

    A name that is no virtual domain is a subject without a definition. Raises Refused where a file cannot be read.
    """
    view = door.view()
    definitions = {each.name: each for each in view.definitions()}
    bare = frozenset(name for each in definitions.values() for name in (each.name, *each.aliases))
    visible = {name for name, each in definitions.items() if allowed(door.actor, Action.SEE, each)}
    owners: dict[str, str] = {}
    for each in definitions.values():
        for address in each.addresses:
            owners.setdefault(address, each.name if each.name in visible else "another domain of this machine")
    found = []
    for name in sorted(visible) if names is None else names:
        definition = definitions.get(name)
        if definition is None:
            found.append(Subject(name))
        elif not definition.disabled or names is not None:
            key = _dkim_key(view, definition.dkim_key)
            plan = plan_records(definition, door.site, Keys(dkim=key), sorted(bare))
            found.append(Subject(name, definition, plan, key))
    return found, Neighbours(bare, owners, door.site)


def _dkim_key(view: View, path: str) -> str:
    try:
        return public_key(view.text(view.layout.path(path)) or "") if path else ""
    except Refused:
        return ""  # then it is not compared


def zones_in(path: str) -> NamedConfiguration:
    """The zones of a named.conf or named.boot, includes and views followed. Raises Refused."""

    def read(written: str) -> str | None:
        try:
            with open(written, encoding="utf-8", errors="surrogateescape") as file:
                return file.read()
        except OSError:
            return None

    where = os.path.abspath(path)
    found = parse_named(where, read)
    if where in found.unread:
        raise Refused(f"{where} cannot be read", "name the configuration of your name server")
    return found
