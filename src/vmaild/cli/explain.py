"""`vmail explain`: where mail for an address goes, and why."""

from __future__ import annotations

from typing import Annotated

import typer

from vmaild.admin import explain as routes
from vmaild.admin.door import open_door
from vmaild.admin.names import parse_name
from vmaild.admin.refusal import Misused
from vmaild.cli.conventions import REFUSED, Json, examples, root_of
from vmaild.cli.mta import server_of
from vmaild.cli.output import console, print_json
from vmaild.cli.text import quota_in_words, safe, safe_lines, size_in_words
from vmaild.core.clients import ClientSettings, Connection
from vmaild.core.routing import AutoReply, Resend, Step, ToCommand, ToFile, ToMailbox
from vmaild.core.way import Way
from vmaild.diagnose.way import find_way
from vmaild.outcome import Delivered, Outcome

EXAMPLES = examples(
    "vmail explain sales@va.toto.fr",
    "vmail explain bob+lists@va.toto.fr --json",
    "vmail explain bob@va.toto.fr --server 192.0.2.1:25",
)


def explain(
    context: typer.Context,
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="The recipient.", show_default=False)],
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask neither DNS nor the MTA: what this machine decides alone.")
    ] = False,
    resolver: Annotated[
        str, typer.Option(metavar="HOST[:PORT]", help="Whom to ask; left away: [dns] resolver, or the system's.")
    ] = "",
    server: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="The MTA; left away: port 25 of the MX, or of 127.0.0.1.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Say where mail for an address goes, and how its owner reads it.

    Shown is the whole way: who stands in the MX, and what the MTA says to such a recipient; every step here with
    the file and line that decided it, the targets and their quota, the answer that a sender gets; and for an
    account what has to be typed into a mail program. The MTA is asked by RCPT alone, for domains of this machine
    only, and nothing is sent. Where nobody answers within seconds, that part is unknown.

    Exit status 0 when the address is accepted, 1 when it is refused or has to wait, here or by the MTA.
    """
    door = open_door(root_of(context))
    explained = routes.explain(door, parse_name(address))
    way = None
    if not offline:
        domain, asked = explained.address.domain, server_of(server) if server else None
        try:
            way = find_way(
                str(explained.address), domain, resolver or door.site.dns.resolver, asked, ours=explained.local
            )
        except ValueError as error:
            raise Misused(str(error), "give --resolver HOST[:PORT], or --offline") from error
    if as_json:
        print_json(_document(explained, way))
    else:
        _print(explained, way)
    if not isinstance(explained.answer, Delivered) or (way and way.mta and way.mta.refused):
        raise typer.Exit(REFUSED)


def _print(explained: routes.Explanation, way: Way | None) -> None:
    out = console()
    out.print(safe(str(explained.address)), style="bold")
    if way is not None:
        _print_way(explained.address.domain, way)
    for number, step in enumerate(explained.steps, 1):
        out.print(f"{number:3}. {'   ' * step.depth}{safe(step.text)}", end="")
        out.print(f"  [{safe(str(step.source))}]" if step.source else "", style="dim")
    if explained.problem:
        out.print(f"mail waits: {safe(explained.problem)}", style="yellow")
    for destination in explained.destinations:
        out.print(f"  -> {safe(str(destination.target))}{safe(_remark(destination))}")
        if _held(destination):
            out.print(f"     {_held(destination)}", style="dim")
    style = "green" if isinstance(explained.answer, Delivered) else "red"
    out.print(safe(str(explained.answer)), style=style)
    if explained.when_full is not None:
        out.print(f"the message itself, as a mailbox is full: {safe(str(explained.when_full))}", style="red")
    if explained.clients is not None:
        print()
        print(safe_lines(_for_mail_program(explained.clients)))


def _print_way(domain: str, way: Way) -> None:
    """What comes before this machine decides."""
    out = console()
    if way.problem:
        out.print(f"  MX: unknown: {safe(way.problem)}", style="yellow", soft_wrap=False)
    elif way.null:
        out.print(f"  MX: none, {safe(domain)} says that it takes no mail (RFC 7505)", style="red")
    elif not way.exchangers:
        out.print("  MX: none, other servers do not know where mail goes", style="red")
    for each in way.exchangers:
        what = f"no MX, so the address of {each.host}" if way.implicit else f"MX {each.preference} {each.host}"
        out.print(f"  {safe(what)}: {safe(each.words(way.machine))}", soft_wrap=False)
    if way.mta is not None:
        name = f" ({way.mta.name})" if way.mta.name else ""
        style = "red" if way.mta.refused else "yellow" if way.mta.problem else ""
        out.print(f"  MTA at {safe(way.mta.server + name)}: {safe(way.mta.reply)}", style=style, soft_wrap=False)


def _for_mail_program(settings: ClientSettings) -> str:
    """A text to be pasted into a letter."""
    lines, short = [f"Mail account {settings.address}"], settings.short_login
    for title, connection in (("Incoming mail (POP3)", settings.pop3), ("Outgoing mail (SMTP)", settings.smtp)):
        if connection is None:
            continue
        lines += [
            f"  {title}",
            f"    Server:   {settings.host}",
            f"    Port:     {connection.port}",
            f"    Security: {connection.security.value}",
            f"    Login:    {settings.login}"
            + (f", or just {short}" if short and connection is settings.pop3 else ""),
        ]
    if settings.pop3 is None:
        lines.append("  No POP3 server takes a password from elsewhere: see [pop3] certificate.")
    return "\n".join(lines)


def _remark(destination: routes.Destination) -> str:
    target = destination.target
    if isinstance(target, ToMailbox) and destination.quota is not None:
        quota = quota_in_words(destination.quota, destination.quota_messages)
        return f" (login {target.login}, quota {quota})"
    return ""


def _held(destination: routes.Destination) -> str:
    """What a mailbox holds; empty: not to be known."""
    usage = destination.usage
    if usage is None:
        return ""
    share = f" ({100 * usage.bytes // destination.quota} %)" if destination.quota else ""
    return f"holds {size_in_words(usage.bytes)} in {usage.messages} message{'s' * (usage.messages != 1)}{share}"


def _document(explained: routes.Explanation, way: Way | None) -> dict[str, object]:
    return {
        "address": str(explained.address),
        "answer": _outcome(explained.answer),
        "when_full": _outcome(explained.when_full) if explained.when_full else None,
        "problem": explained.problem,
        "targets": [_target(destination) for destination in explained.destinations],
        "steps": [_step(step) for step in explained.steps],
        "way": _way(way) if way else None,
        "client": _client(explained.clients) if explained.clients else None,
    }


def _outcome(answer: Outcome) -> dict[str, object]:
    return {
        "code": answer.condition.code,
        "enhanced": answer.condition.enhanced,
        "text": answer.text,
        "condition": answer.condition.name.lower(),
    }


def _way(way: Way) -> dict[str, object]:
    mta = way.mta
    return {
        "mx": [
            {
                "preference": each.preference,
                "host": each.host,
                "addresses": [{"address": a, "place": way.machine.place(a).name.lower()} for a in each.addresses],
                "problem": each.problem,
            }
            for each in way.exchangers
        ],
        "implicit": way.implicit,
        "null_mx": way.null,
        "problem": way.problem,
        "mta": mta
        and {
            "server": mta.server,
            "name": mta.name,
            "code": mta.code or None,
            "enhanced": mta.enhanced,
            "text": mta.text,
            "problem": mta.problem,
        },
    }


def _client(settings: ClientSettings) -> dict[str, object]:
    def connection(found: Connection | None) -> dict[str, object] | None:
        return {"port": found.port, "security": found.security.name.lower()} if found else None

    return {
        "address": settings.address,
        "host": settings.host,
        "login": settings.login,
        "pop3": connection(settings.pop3),
        "smtp": connection(settings.smtp),
    }


def _target(destination: routes.Destination) -> dict[str, object]:
    match destination.target:
        case ToMailbox(domain, login, detail):
            fields: dict[str, object] = {"domain": domain, "login": login, "detail": detail}
            usage = destination.usage
            held = {"bytes": usage.bytes, "messages": usage.messages} if usage else None
            quotas = {"quota": destination.quota, "quota_messages": destination.quota_messages}
            return {"kind": "mailbox", "usage": held, "full": destination.full} | quotas | fields
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
