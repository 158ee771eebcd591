"""How a page carries out a change: what redirects mail, or cannot be undone, is shown first and confirmed."""

from __future__ import annotations

from typing import Any

from fastapi.responses import Response

from vmaild.web.desk import Refusal
from vmaild.web.visit import Visit

_ONCE = {"confirmed", "password", "code"}
"""Fields that the page of confirmation asks for anew."""


async def confirm(visit: Visit, fields: dict[str, str]) -> None:
    """Show the desk again who visits, before something dangerous. Raises Refusal."""
    await visit.ask("session.confirm", password=fields.get("password", ""), code=fields.get("code", ""))


async def change(
    visit: Visit,
    verb: str,
    fields: dict[str, str],
    values: dict[str, Any],
    back: str,
    *,
    dangerous: bool = False,
    new: bool = False,
    shown: bool = False,
) -> Response:
    """Show what a change would do, or do it where nobody's mail goes elsewhere by it or it is confirmed.

    `fields` are those of the form, which the page of confirmation sends again; `back` is where to go afterwards.
    A dangerous change wants the password again; what is `new` takes no mail from anywhere; what
    is `shown` is always shown first. Raises Refusal.
    """
    confirmed = fields.get("confirmed") == "yes"
    problem = ""
    if dangerous and confirmed:
        try:
            await confirm(visit, fields)
        except Refusal as refusal:
            problem = visit._(refusal.problem)
    try:
        if confirmed and not problem:
            plan = await visit.ask(verb, **values)
        elif dangerous or shown:
            plan = await visit.ask(verb, **values, dry_run=True)
        else:
            plan = await visit.ask(verb, **values, hold="taking" if new else "rerouting")
    except Refusal as refusal:
        if dangerous or refusal.code != "confirm-first":
            raise
        # It is dangerous for what it says, such as a program: the desk tells.
        return await change(visit, verb, fields, values, back, dangerous=True)
    if not plan["changed"] and (confirmed or not plan["warnings"]):
        return visit.go(back, visit._("Nothing to change."))
    if plan["carried_out"] or (confirmed and not problem):
        return visit.go(back, told(visit, plan))
    return visit.page(
        "confirm.html",
        plan=plan,
        fields={name: value for name, value in fields.items() if name not in _ONCE},
        back=back,
        dangerous=dangerous,
        factor=dangerous and (await visit.ask("factor"))["on"],
        problem=problem,
    )


def told(visit: Visit, plan: dict[str, Any]) -> str:
    """What was done, or goes on after this."""
    done = visit._("Done:") if plan["carried_out"] else visit._("Begun:")
    return f"{done} {visit._(plan['summary'])}"
