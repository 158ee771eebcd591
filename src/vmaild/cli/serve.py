"""`vmail serve`: everything that vmail.toml enables, in the foreground; in a demo, with what to try."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NoReturn

import typer

from vmaild import __version__
from vmaild.cli.conventions import examples, root_of
from vmaild.cli.output import console

if TYPE_CHECKING:
    from vmaild.admin.door import Door
    from vmaild.core.site import Listen, Site

EXAMPLES = examples("vmail serve", "vmail --root demo serve")


def serve(context: typer.Context) -> NoReturn:
    """Serve POP3, LMTP and SMTP until SIGTERM or Ctrl-C.

    Sessions in progress finish first; a second signal ends them. SIGHUP reads vmail.toml again. Domains,
    accounts and aliases need neither: their files are read when they change.
    """
    from vmaild.admin.door import open_door  # noqa: PLC0415  what a verb needs is loaded by that verb

    root = root_of(context)
    door = open_door(root)
    command = [sys.executable, "-P", "-X", "no_debug_ranges", "-m", "vmaild.servers", door.layout.root or "/"]
    if door.site.demo:
        command.append(str(_held(_welcome(door, door.site, root))))
    sys.stdout.flush()
    # The servers keep this process and nothing of what the command line has loaded: that is most of its memory.
    os.execv(command[0], command)  # noqa: S606  no shell is wanted


def _held(text: str) -> int:
    """A descriptor for the process that follows, open at the beginning of a text."""
    held = os.memfd_create("welcome", 0)
    os.write(held, text.encode(sys.stdout.encoding or "utf-8", "backslashreplace"))
    os.lseek(held, 0, os.SEEK_SET)
    return held


def _welcome(door: Door, site: Site, root: str | None) -> str:
    """What tells a newcomer where the demo listens and what to try."""
    out = console()
    owners = {address: each.name for each in door.view().definitions() for address in each.addresses}
    served = {owners[listen.host]: listen for listen in site.pop3.listen if listen.host in owners}
    with out.capture() as text:
        out.print(f"vmaild {__version__} serves the demo. Ctrl-C ends it.\n", style="bold green")
        for place in _places(door, site, owners):
            out.print("  {:5} {:12} {}".format(*place))
        for title, commands in _suggestions(site, served, [sys.argv[0], *(["--root", root] if root else [])]):
            out.print(f"\n{title}\n", style="bold")
            for command in commands:
                out.print(f"  {command}", style="cyan")
        out.print()
    return text.get()


def _places(door: Door, site: Site, owners: dict[str, str]) -> Iterator[tuple[str, str, str]]:
    """What is served, for whom, and where."""
    served = [("POP3", listen) for listen in site.pop3.listen]
    for speech, listen in [*served, *(("POP3S", listen) for listen in site.pop3.tls_listen)]:
        domain = owners.get(listen.host)
        yield (
            speech,
            domain or "every domain",
            f"{listen}" + ("" if domain else "   with logins like bob@va.toto.fr"),
        )
    for listen in site.lmtp.listen:
        yield "LMTP", "every domain", f"unix:{door.layout.path(listen.path)}" if listen.path else f"{listen}"
    for listen in site.smtp.listen:
        yield "SMTP", "every domain", f"{listen}"
    for listen in site.web.listen:
        domain = owners.get(listen.host)
        yield (
            "Web",
            domain or "every domain",
            f"http://{listen}/" + ("" if domain else "   alice@va.toto.fr administers"),
        )


def _suggestions(
    site: Site, served: dict[str, Listen], vmail: Sequence[str]
) -> Iterator[tuple[str, Sequence[str]]]:
    """What to try, each a title and lines for a shell."""
    bobs = [name for name in ("va.toto.fr", "vb.toto.fr") if name in served]
    if bobs:
        yield (
            "Fetch a message of bob at va.toto.fr, and of the bob at vb.toto.fr, who is somebody else:",
            [f"curl pop3://{served[name]}/1 --user bob:bob-{name[:2]}" for name in bobs],
        )
    if site.smtp.listen and "va.toto.fr" in served:
        yield (
            "Send a message to a list, and see that it is in alice's mailbox, too:",
            [
                r"printf 'Subject: Hello\n\nWho is on the team?\n' |",
                rf"  curl -sS smtp://{site.smtp.listen[0]} --crlf --upload-file - \ ".rstrip(),
                "    --mail-from carol@sender.example --mail-rcpt team@va.toto.fr",
                f"curl pop3://{served['va.toto.fr']}/ --user alice:alice-va",
                f"curl pop3://{served['va.toto.fr']}/2 --user alice:alice-va",
            ],
        )
    command = shlex.join(vmail)
    yield (
        "Ask where a message would go, and why; change something, and ask again:",
        [
            f"{command} explain everyone@va.toto.fr",
            f"{command} alias add sales@va.toto.fr bob alice",
            f"{command} explain sales@va.example",
        ],
    )
