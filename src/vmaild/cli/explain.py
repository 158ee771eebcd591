"""`vmail explain`: where mail for an address goes, and why."""

from __future__ import annotations

from typing import Annotated

import typer

from vmaild.admin import explain as routes
from vmaild.admin.door import open_door
from vmaild.admin.names import parse_name
from vmaild.cli.conventions import REFUSED, Json, examples, root_of
from vmaild.cli.output import console, print_json
from vmaild.cli.text import quota_in_words, safe
from vmaild.core.routing import AutoReply, Resend, Step, ToCommand, ToFile, ToMailbox
from vmaild.outcome import Delivered

EXAMPLES = examples("vmail explain sales@va.toto.fr", "vmail explain bob+lists@va.toto.fr --json")


def explain(
    context: typer.Context,
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="The recipient.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Say where mail for an address goes, and why.

    Shown are every step with the file and line that decided it, the targets, and the answer that a sender gets.
    Exit status 0 when the address is accepted, 1 when it is refused or has to wait.
    """
    explained = routes.explain(open_door(root_of(context)), parse_name(address))
    if as_json:
        print_json(_document(explained))
    else:
        _print(explained)
    if not isinstance(explained.answer, Delivered):
        raise typer.Exit(REFUSED)


def _print(explained: routes.Explanation) -> None:
    out = console()
    out.print(safe(str(explained.address)), style="bold")
    for number, step in enumerate(explained.steps, 1):
        out.print(f"{number:3}. {'   ' * step.depth}{safe(step.text)}", end="")
        out.print(f"  [{safe(str(step.source))}]" if step.source else "", style="dim")
    if explained.problem:
        out.print(f"mail waits: {safe(explained.problem)}", style="yellow")
    for destination in explained.destinations:
        out.print(f"  -> {safe(str(destination.target))}{safe(_remark(destination))}")
    style = "green" if isinstance(explained.answer, Delivered) else "red"
    out.print(safe(str(explained.answer)), style=style)


def _remark(destination: routes.Destination) -> str:
    target = destination.target
    if isinstance(target, ToMailbox) and destination.quota is not None:
        return f" (login {target.login}, quota {quota_in_words(destination.quota)})"
    return ""


def _document(explained: routes.Explanation) -> dict[str, object]:
    answer = explained.answer
    return {
        "address": str(explained.address),
        "answer": {
            "code": answer.condition.code,
            "enhanced": answer.condition.enhanced,
            "text": answer.text,
            "condition": answer.condition.name.lower(),
        },
        "problem": explained.problem,
        "targets": [_target(destination) for destination in explained.destinations],
        "steps": [_step(step) for step in explained.steps],
    }


def _target(destination: routes.Destination) -> dict[str, object]:
    match destination.target:
        case ToMailbox(domain, login, detail):
            fields: dict[str, object] = {"domain": domain, "login": login, "detail": detail}
            return {"kind": "mailbox", "quota": destination.quota} | fields
        case Resend(address, owner):
            return {"kind": "resend", "address": str(address), "owner": str(owner) if owner else None}
        case ToCommand(command, domain, user):
            return {"kind": "command", "command": command, "domain": domain, "user": user}
        case ToFile(path):
            return {"kind": "file", "path": path}
        case AutoReply(domain, login):
            return {"kind": "autoreply", "domain": domain, "login": login}


def _step(step: Step) -> dict[str, object]:
    source = step.source
    return {
        "rule": step.rule.value,
        "text": step.text,
        "file": source.path if source else None,
        "line": source.line if source else None,
        "depth": step.depth,
    }
