"""How it is told what `vmail check --fix` did."""

from __future__ import annotations

from collections.abc import Sequence

from vmaild.admin.mend import Mended
from vmaild.cli.output import console, plan_document, print_plan
from vmaild.cli.text import safe
from vmaild.core.findings import FixKind


def print_mended(mended: Sequence[Mended], *, dry_run: bool, reloads: bool) -> None:
    """For people; `reloads`: the name server is told of changed zones."""
    out = console()
    for each in mended:
        if each.plan is not None:
            print_plan(each.plan, dry_run=dry_run, as_json=False)
        else:
            out.print(f"Cannot mend {each.fix.kind.value} of {safe(each.fix.subject)}: {safe(each.problem)}")
    written = any(each.fix.kind is FixKind.DNS and each.plan and each.plan.edits for each in mended)
    if written and not reloads and not dry_run:
        out.print("Zone files were written: tell the name server ('rndc reload'), then check again.", style="bold")
    if mended:
        out.print()


def mended_document(mended: Sequence[Mended], *, dry_run: bool) -> list[dict[str, object]]:
    """For scripts."""
    return [
        {
            "fix": each.fix.kind.value,
            "subject": each.fix.subject,
            "plan": plan_document(each.plan, dry_run=dry_run) if each.plan else None,
            "effects": [str(effect) for effect in each.plan.effects] if each.plan else [],
            "problem": each.problem,
        }
        for each in mended
    ]
