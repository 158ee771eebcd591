"""The files that an MTA reads instead of asking: `/etc/vmail/mta`, kept up to date by every change.

`domains` is a plain list, for Exim and Sendmail. `postfix-domains` and `postfix-recipients` are compiled by
postmap(1), for a Postfix that is to need no server. Only files that are there are kept: `vmail mta install` makes
those that its MTA wants.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from vmaild.admin.plan import FileEdit, RunProgram
from vmaild.admin.view import View
from vmaild.generate.mta import Maps
from vmaild.generate.tables import render_domain_table, render_domains, render_recipients
from vmaild.store.layout import Layout

DOMAINS, POSTFIX_DOMAINS, POSTFIX_RECIPIENTS = "domains", "postfix-domains", "postfix-recipients"
_SUFFIXES = {Maps.LMDB: ".lmdb", Maps.HASH: ".db"}


@dataclass(frozen=True, slots=True)
class Table:
    """One of the files."""

    name: str
    maps: Maps = Maps.SOCKETMAP
    """What postmap(1) makes of it; SOCKETMAP: nothing, it is read as it is."""


def tables_folder(layout: Layout) -> str:
    """Where they are."""
    return f"{layout.configuration}/mta"


def tables_for(maps: Maps) -> tuple[Table, ...]:
    """Those that a Postfix wants."""
    return () if maps is Maps.SOCKETMAP else (Table(POSTFIX_DOMAINS, maps), Table(POSTFIX_RECIPIENTS, maps))


def installed_tables(layout: Layout) -> tuple[Table, ...]:
    """Those that are there."""
    folder = tables_folder(layout)
    found = [Table(DOMAINS)] if os.path.exists(f"{folder}/{DOMAINS}") else []
    for name in (POSTFIX_DOMAINS, POSTFIX_RECIPIENTS):
        found += [Table(name, maps) for maps, end in _SUFFIXES.items() if os.path.exists(f"{folder}/{name}{end}")]
    return tuple(found)


def table_steps(view: View, tables: Collection[Table], *, names: bool = True) -> Iterator[FileEdit | RunProgram]:
    """What brings these files up to date; with `names` false those that only list domains are left alone."""
    for table in tables:
        if not names and table.name != POSTFIX_RECIPIENTS:
            continue
        path = f"{tables_folder(view.layout)}/{table.name}"
        edits = view.edit(path, _text(view, table.name, view.text(path) or ""))
        yield from (replace(edit, mode=0o644) for edit in edits)
        if table.maps in _SUFFIXES and (edits or _is_older(path + _SUFFIXES[table.maps], path)):
            yield RunProgram(("postmap", f"{table.maps}:{path}"))


def _is_older(compiled: str, source: str) -> bool:
    """Whether a table has still to be compiled, perhaps because that failed the last time."""
    try:
        return os.stat(compiled).st_mtime_ns < os.stat(source).st_mtime_ns
    except FileNotFoundError:
        return True


def _text(view: View, name: str, before: str) -> str:
    if name == POSTFIX_RECIPIENTS:
        return render_recipients(view.directory, view.names(), before)
    definitions = view.definitions()
    damaged = sorted({*view.names()} - {definition.name for definition in definitions})
    render = render_domains if name == DOMAINS else render_domain_table
    return render(definitions, damaged, before)
