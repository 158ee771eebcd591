"""`vmail init`: lay out a root, and the demonstration in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from vmaild.cli.conventions import DryRun, Json, examples, root_of
from vmaild.cli.output import console, print_json
from vmaild.cli.text import safe

if TYPE_CHECKING:
    from vmaild.admin.setup import LaidOut

EXAMPLES = examples("vmail init", "vmail --root demo init --demo", "vmail init --dry-run")


def init(
    context: typer.Context,
    demo: Annotated[
        bool, typer.Option("--demo", help="With three domains, accounts and sample mail; wants --root.")
    ] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Create the folders and a vmail.toml that explains itself.

    What exists stays as it is; where there is a vmail.toml already, only missing folders are created.
    """
    from vmaild.admin.setup import lay_out_root  # noqa: PLC0415  what a verb needs is loaded by that verb

    done = lay_out_root(root_of(context), demo=demo, dry_run=dry_run)
    if as_json:
        print_json(
            {
                "changed": done.changes,
                "dry_run": dry_run,
                "root": done.root,
                "demo": done.demo,
                "folders": list(done.folders),
                "files": list(done.files),
                "messages": done.messages,
                "advice": done.advice,
            }
        )
        return
    _print(done)


def _print(done: LaidOut) -> None:
    out = console()
    what = "the demo" if done.demo else "vmaild"
    counts = [(len(done.folders), "folder"), (len(done.files), "file"), (done.messages, "sample message")]
    parts = [f"{count} {name}" if count == 1 else f"{count} {name}s" for count, name in counts if count]
    if not done.changes:
        out.print(f"Nothing to lay out: {safe(done.root)} is complete")
    elif done.carried_out:
        out.print(f"Done: lay out {what} in {safe(done.root)}: {', '.join(parts)}", style="bold green")
    else:
        out.print(f"Would lay out {what} in {safe(done.root)}: {', '.join(parts)}", style="bold")
        for path in (*done.folders, *done.files):
            out.print(f"  {safe(path)}")
    if done.advice:
        out.print(done.advice)
