"""How answers look: a JSON document for scripts, or text and tables as wide as the terminal for people.

Where there is no terminal nothing is folded, so that grep(1) finds an address or a path in one line.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from vmaild.admin.plan import FileEdit, HomeEffect, Mail, MailEffect, Plan, RunProgram
from vmaild.admin.refusal import Refused
from vmaild.cli.conventions import is_interactive
from vmaild.cli.text import safe, safe_lines

if TYPE_CHECKING:
    from rich.console import Console

    from vmaild.core.directory import Source

SHOWN_ROUTES = 20
"""Rows of the table of addresses that go elsewhere; --json has all."""
_UNFOLDED = 1 << 16
"""Columns of what is no terminal."""


def print_json(document: dict[str, object]) -> None:
    """One document on standard output."""
    print(json.dumps(document, indent=2, sort_keys=True))


def console(*, error: bool = False) -> Console:
    """Where text goes: with colours on a terminal only (and not where NO_COLOR is set)."""
    from rich.console import Console  # noqa: PLC0415  --json and errors need none of it

    stream = sys.stderr if error else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else _UNFOLDED
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False, soft_wrap=True)


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table that folds long cells and never cuts them."""
    from rich import box  # noqa: PLC0415  as above
    from rich.table import Table  # noqa: PLC0415  as above
    from rich.text import Text  # noqa: PLC0415  as above

    out = console()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(Text(safe(cell)) for cell in row))
    out.print(table, soft_wrap=False)


def print_fields(fields: Iterable[tuple[str, str]]) -> None:
    """Names and values, one pair a line."""
    out = console()
    pairs = list(fields)
    width = max(len(name) for name, _ in pairs)
    for name, value in pairs:
        out.print(f"{name:{width}}  ", style="bold", end="")
        out.print(safe(value))


@contextmanager
def progress(what: str, steps: int, *, shown: bool = True) -> Iterator[Callable[[], object]]:
    """A bar on standard error while something takes its time, where somebody is there to see it.

    Gives what to call at each step; more calls than steps do no harm.
    """
    if not (shown and sys.stderr.isatty()):
        yield lambda: None
        return
    from rich.progress import Progress  # noqa: PLC0415  as above

    with Progress(console=console(error=True), transient=True) as bars:
        bar = bars.add_task(what, total=steps)
        yield lambda: bars.advance(bar)


def place(source: Source) -> dict[str, object]:
    """Where something is written, for a JSON document."""
    return {"file": source.path, "line": source.line}


# -- changes


def print_plan(plan: Plan, *, dry_run: bool, as_json: bool) -> None:
    """Tell what was changed, or in a dry run what would be."""
    if as_json:
        print_json(plan_document(plan, dry_run=dry_run))
        return
    out = console()
    if not plan.changes:
        out.print(f"Nothing to change: {safe(plan.summary)}")
    elif dry_run:
        out.print(f"Would {safe(plan.summary)}", style="bold")
    else:
        out.print(f"Done: {safe(plan.summary)}", style="bold green")
    _print_parts(plan, files=dry_run)


def print_question(plan: Plan, *, mail: Mail, as_json: bool) -> None:
    """Show what is about to be removed and ask; raise Refused unless the answer is yes.

    Scripts are asked nothing, as long as it can be undone.
    """
    if as_json or not is_interactive():
        if mail is Mail.DELETE:
            raise Refused("nobody is there to confirm it", "add --yes, or --dry-run to see what would happen")
        return
    console().print(f"This will {safe(plan.summary)}:", style="bold")
    _print_parts(plan, files=False)
    if not typer.confirm("Go on?"):
        raise Refused("not confirmed", "nothing was changed")


def _print_parts(plan: Plan, *, files: bool) -> None:
    """The parts of a plan below its headline."""
    out = console()
    for effect in plan.effects:
        prefix = "run " if isinstance(effect, RunProgram) else ""
        out.print(f"  {prefix}{safe(str(effect))}")
    for update in plan.updates:
        out.print(f"  {safe(str(update))}")
        for line in update.lines:
            out.print(f"    {safe(line)}", style={"+": "green", "-": "red"}[line[0]])
    if plan.rerouted:
        print()
        rows = [(each.address, each.before, each.after) for each in plan.rerouted[:SHOWN_ROUTES]]
        headings = ("went to", "goes to") if plan.carried_out else ("goes to", "would go to")
        print_table(("address", *headings), rows)
        more = len(plan.rerouted) - SHOWN_ROUTES
        if more > 0:
            out.print(f"and {more} more addresses; --json lists them all")
    for edit in plan.edits if files else ():
        print()
        _print_diff(out, edit)
    for warning in plan.warnings:
        console(error=True).print(f"warning: {safe(warning)}", style="yellow")


def plan_document(plan: Plan, *, dry_run: bool) -> dict[str, object]:
    """A plan as JSON. `changed` says in a dry run whether there is anything that would be changed."""
    return {
        "changed": plan.changes,
        "dry_run": dry_run,
        "summary": plan.summary,
        "files": [{"path": edit.path, "diff": edit.diff, "moved_to": edit.moved_to} for edit in plan.edits],
        "mail": [_effect(effect) for effect in plan.effects if isinstance(effect, MailEffect | HomeEffect)],
        "rerouted": [
            {"address": each.address, "before": each.before, "after": each.after} for each in plan.rerouted
        ],
        "warnings": list(plan.warnings),
    }


def _effect(effect: MailEffect | HomeEffect) -> dict[str, object]:
    if isinstance(effect, HomeEffect):
        kind, what, where = "home", effect.path, effect.moved_to
    else:
        kind, where = "mailbox", effect.where
        what = f"{effect.login}@{effect.domain}" if effect.login else effect.domain
    return {"kind": kind, "what": what, "action": effect.mail.value, "where": where}


def _print_diff(out: Console, edit: FileEdit) -> None:
    styles = {"+": "green", "-": "red", "@": "cyan"}
    for line in safe_lines(edit.diff.rstrip("\n")).split("\n"):
        out.print(line, style="" if edit.instead else styles.get(line[:1], ""))
