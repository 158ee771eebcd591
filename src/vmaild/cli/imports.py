"""How an import of accounts looks: every row with what becomes of it, and a bar while it is carried out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from vmaild.admin.account_import import Looked
from vmaild.cli.output import console, print_json, print_table


def print_import(rows: Sequence[Looked], failed: Sequence[Looked], *, carried_out: bool, as_json: bool) -> None:
    """Say of each row what becomes of it."""
    late = {row.row.line: row for row in failed}
    shown = [late.get(row.row.line, row) for row in rows]
    good = sum(not row.problem for row in shown)
    if as_json:
        documents = [
            {
                "line": row.row.line,
                "address": str(row.address or row.row.login),
                "full_name": row.row.full_name,
                "quota": row.row.quota,
                "problem": row.problem,
                "remedy": row.remedy,
                "warning": row.warning,
            }
            for row in shown
        ]
        print_json({"carried_out": carried_out, "added": good if carried_out else 0, "rows": documents})
        return
    print_table(
        ("line", "account", "full name", "what becomes of it"),
        [(str(row.row.line), str(row.address or row.row.login), row.row.full_name, _said(row)) for row in shown],
    )
    bad = len(shown) - good
    left = f"; {bad} left out" if bad and carried_out else f"; {bad} cannot be" if bad else ""
    print(f"Done: {good} accounts added{left}." if carried_out else f"{good} accounts can be added{left}.")
    if bad and not carried_out:
        print("Nothing was changed. Mend the list, or leave these rows out with --skip.")


def _said(row: Looked) -> str:
    if row.problem:
        return f"not added: {row.problem}; {row.remedy}"
    return f"added; {row.warning}" if row.warning else "added"


@contextmanager
def progress_of(what: str, total: int, *, shown: bool) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal; elsewhere nothing is shown."""
    out = console(error=True)
    if not shown or not out.is_terminal or not total:
        yield lambda _: None
        return
    from rich.progress import Progress  # noqa: PLC0415  most verbs need none of it

    with Progress(console=out, transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done: progress.update(task, completed=done)
