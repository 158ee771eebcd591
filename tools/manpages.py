"""Makes the manual pages in docs/man from what the programs themselves say.

    tools/manpages.py           write them
    tools/manpages.py --check   exit 1 where a committed page is not what would be written

vmail.1 comes from the verbs, vdeliver.8 and vpop3d.8 from the docstrings of their modules, vmail.toml.5 from the
file that `vmail init` writes, vmail-domain.5 from the options of `vmail domain add`.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import cast

import typer.main
from typer.core import TyperCommand, TyperGroup

from vmaild.cli.conventions import arguments_of, options_of
from vmaild.cli.verbs import app
from vmaild.core.directory import DomainDefinition
from vmaild.generate.site import render_site

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "docs" / "man"


def pages() -> dict[str, str]:
    """Every page, by its file name."""
    return {
        "vmail.1": _vmail(),
        "vdeliver.8": _from_docstring(ROOT / "src/vmaild/delivery/pipe.py", "8"),
        "vpop3d.8": _from_docstring(ROOT / "src/vmaild/servers/inetd.py", "8"),
        "vmail.toml.5": _site(),
        "vmail-domain.5": _domain(),
    }


# -- roff


def roff(text: str) -> str:
    """Text as roff takes it: nothing in it is a request or an escape."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    # An apostrophe or a full stop at the start of a line would be a request.
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.MULTILINE)


def _bold(text: str) -> str:
    return rf"\fB{roff(text)}\fR"


def _head(name: str, section: str, purpose: str) -> str:
    return f'.TH {name.upper()} {section} "" vmaild "vmaild manual"\n.SH NAME\n{roff(name)} \\- {roff(purpose)}\n'


def _paragraph(text: str) -> str:
    return f".PP\n{roff(' '.join(text.split()))}\n"


def _tagged(tag: str, text: str) -> str:
    return f".TP\n{_bold(tag)}\n{roff(' '.join(text.split()))}\n"


def _section(title: str, body: str) -> str:
    return f".SH {title}\n{body}"


def _code(lines: list[str]) -> str:
    return ".PP\n.nf\n" + "".join(f"{_bold(line)}\n" for line in lines) + ".fi\n"


# -- vmail(1)


def _vmail() -> str:
    command = cast(TyperGroup, typer.main.get_command(app))
    context = cast(typer.Context, command.make_context("vmail", [], resilient_parsing=True))
    page = _head("vmail", "1", "administer many independent mail domains on one machine")
    page += _section("SYNOPSIS", f"{_bold('vmail')} [{_bold('--root')} DIR] VERB [OPTION]... [ARGUMENT]...\n")
    page += _section("DESCRIPTION", "".join(map(_paragraph, (command.help or "").split("\n\n"))))
    page += _section("OPTIONS", "".join(_tagged(*option) for option in options_of(command, context)))
    body = "".join(_verb(name, verb) for name, verb in _verbs(command, "vmail"))
    page += _section("VERBS", body)
    page += _section(
        "ENVIRONMENT",
        _tagged("VMAIL_ROOT", "The prefix of every path, where --root is not given.")
        + _tagged("NO_COLOR", "Where it is set, there are no colours."),
    )
    page += _section(
        "FILES",
        _tagged("/etc/vmail", "All configuration: see vmail.toml(5) and vmail-domain(5).")
        + _tagged("/var/spool/vmail", "The mailboxes; what was archived is in .archive.")
        + _tagged("/vhome", "The homes of the accounts.")
        + _tagged("/var/lib/vmail/vmail.sqlite", "State that is not configuration, such as the audit log."),
    )
    see = "vmail.toml(5), vmail-domain(5), vdeliver(8), vpop3d(8), aliases(5), passwd(5), shadow(5)"
    return page + _section("SEE ALSO", _paragraph(see))


def _verbs(group: TyperGroup, name: str) -> Iterator[tuple[str, TyperCommand]]:
    for word, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from _verbs(command, f"{name} {word}")
        else:
            yield f"{name} {word}", cast(TyperCommand, command)


def _verb(name: str, command: TyperCommand) -> str:
    context = cast(
        typer.Context, command.make_context(name, [], resilient_parsing=True, help_option_names=["--help"])
    )
    arguments = list(arguments_of(command))
    written = " ".join(metavar for metavar, _ in arguments)
    body = f".SS {_bold(name)} [OPTION]... {roff(written)}\n"
    body += "".join(map(_paragraph, (command.help or "").split("\n\n")))
    options = [option for option in options_of(command, context) if option[0] != "--help"]
    body += "".join(_tagged(*item) for item in (*arguments, *options))
    lines = [line.strip() for line in (command.epilog or "").split("\n")[2:]]
    return body + _code(lines)


# -- pages of other sources


def _from_docstring(path: Path, section: str) -> str:
    """A page from a docstring: `name - purpose`, then titles in capitals, each above its paragraphs."""
    docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
    first, *blocks = re.split(r"\n\s*\n", docstring)
    name, _, purpose = first.partition(" - ")
    page = _head(name, section, purpose)
    for block in blocks:
        lines = block.split("\n")
        if re.fullmatch(r"[A-Z][A-Z ]+", lines[0]):
            page += f".SH {lines.pop(0)}\n"
        elif len(lines) > 1 and set(lines[1]) == {"-"}:
            page += f".SH {lines[0].upper()}\n"
            del lines[:2]
        if not lines:
            continue
        option = re.match(r"(-\S[^:]*): (.*)", "\n".join(lines), re.DOTALL)
        page += _tagged(option[1], option[2]) if option else _paragraph("\n".join(lines))
    return page


def _site() -> str:
    """vmail.toml(5) from the file that explains itself: comments, then `# key = default`."""
    head, *tables = re.split(r"^\[(\w+)\]\n", render_site({}), flags=re.MULTILINE)
    page = _head("vmail.toml", "5", "settings of a site of virtual mail domains")
    page += _section(
        "DESCRIPTION", _paragraph("/etc/vmail/vmail.toml, in the format of TOML. " + _uncommented(head))
    )
    for table, body in zip(tables[::2], tables[1::2], strict=True):
        page += f".SH [{table}]\n"
        for block in body.strip().split("\n\n"):
            *comment, setting = _uncommented(block, "\n").split("\n")
            page += _tagged(setting, " ".join(comment))
    return page + _section("SEE ALSO", _paragraph("vmail(1), vmail-domain(5)"))


def _uncommented(text: str, joint: str = " ") -> str:
    return joint.join(line.removeprefix("#").strip() for line in text.strip().split("\n"))


_KEYS: dict[str, tuple[str, str]] = {
    "mail_host": ('"mailhost.va.toto.fr"', ""),
    "addresses": ('["172.16.0.1"]', "Service addresses, which stand for the domain."),
    "aliases": ('["va.example"]', "Domain aliases: other names of the domain, with the same users."),
    "fallback": ('""', ""),
    "alias_files": ('["/etc/vmail/aliases.extra"]', "Extra alias files, after the implicit one; at most two."),
    "quota": ('"100M"', 'Of each mailbox, with k, M, G or T; "0": no limit.'),
    "max_users": ("0", ""),
    "match_full_name": ("false", ""),
    "admins": ('["unix:alice"]', "Co-administrators: unix:alice for a user of this machine, or bob@va.toto.fr."),
    "rights": (
        '["unix:alice: passwords mail"]',
        "Co-administrators who may do less than all: of accounts, removal, passwords, aliases, mail.",
    ),
    "disabled": ("false", "Whether the domain is out of service; its mail waits."),
    "certificate": ('""', ""),
    "dkim_selector": ('"mail2026"', "The label below _domainkey where the key of signed mail stands."),
    "dkim_key": ('"/etc/vmail/dkim/va.toto.fr.pem"', "The PEM file of that public key, for 'vmail dns'."),
    "plain_logins": ("false", ""),
    "quota_messages": ("10000", ""),
    "max_message_size": ('"20M"', "The largest message, where the site's own limit is not lower still."),
    "filter": (
        '"/usr/local/bin/filter -x"',
        "A program that every message passes on its way to a mailbox, from standard input to standard output.",
    ),
    "recipient_delimiter": ('"+"', "What parts a login from its sub-address; absent: as the site has it."),
    "language": ('"fr"', ""),
}
"""An example of each key, and what it means where `vmail domain add` has no option that says so."""


def _domain() -> str:
    group = cast(TyperGroup, typer.main.get_command(app)).commands["domain"]
    add = cast(TyperGroup, group).commands["add"]
    help_of = {parameter.name: getattr(parameter, "help", "") for parameter in add.params}
    description = (
        "/etc/vmail/domains/DOMAIN.toml, in the format of TOML. The name of the file names the domain, and is all "
        "that is mandatory: every key may be absent, and an empty file is valid. Changes by hand are in force at "
        "once; 'vmail check' says what is wrong with them. A damaged file leaves in force what it said last."
    )
    page = _head("vmail-domain", "5", "definition of a virtual mail domain")
    page += _section("DESCRIPTION", _paragraph(description))
    body = ""
    for field in fields(DomainDefinition):
        if field.name not in {"name", "source"}:
            example, text = _KEYS[field.name]
            body += _tagged(f"{field.name} = {example}", text or help_of[field.name])
    page += _section("KEYS", body)
    files = "/etc/vmail/passwd.DOMAIN, /etc/vmail/shadow.DOMAIN, /etc/vmail/aliases.DOMAIN"
    page += _section("FILES", _paragraph(files))
    return page + _section("SEE ALSO", _paragraph("vmail(1), vmail.toml(5), passwd(5), shadow(5), aliases(5)"))


def main() -> int:
    """Write the pages, or compare them."""
    if sys.argv[1:] == ["--check"]:
        stale = [name for name, text in pages().items() if not _is(PAGES / name, text)]
        for name in stale:
            print(f"docs/man/{name} is not what tools/manpages.py makes: run it", file=sys.stderr)
        return 1 if stale else 0
    PAGES.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (PAGES / name).write_text(text)
    return 0


def _is(path: Path, text: str) -> bool:
    return path.exists() and path.read_text() == text


if __name__ == "__main__":
    sys.exit(main())
