"""Plug vmaild into an MTA: what has to stand in its files, shown or written.

Written are files of our own, and marked blocks in those of others, each with a copy of the file as it was beside
it. The MTA is not reloaded: whoever runs it says when.
"""

from __future__ import annotations

import grp
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from vmaild.admin.commands import command
from vmaild.admin.door import Change, Door, Draft
from vmaild.admin.execute import archive_stamp
from vmaild.admin.plan import FileEdit, Plan, RunProgram, Step
from vmaild.admin.refusal import Refused
from vmaild.admin.tables import DOMAINS, Table, installed_tables, table_steps, tables_folder, tables_for
from vmaild.admin.view import View
from vmaild.core.permissions import Action
from vmaild.core.site import Listen
from vmaild.formats.site import with_site_setting
from vmaild.generate.exim import USER as EXIM_USER
from vmaild.generate.exim import exim_pieces, wired_exim
from vmaild.generate.mta import Conflict, Maps, Mta, Piece, Wired, Wiring
from vmaild.generate.postfix import GROUP as POSTFIX_GROUP
from vmaild.generate.postfix import postfix_pieces, wired_postfix
from vmaild.generate.sendmail import sendmail_pieces, wired_sendmail
from vmaild.generate.tables import hosts_of

_FOLDERS = {Mta.POSTFIX: "/etc/postfix", Mta.SENDMAIL: "/etc/mail", Mta.EXIM: "/etc/exim4"}
_GROUPS = {Mta.POSTFIX: POSTFIX_GROUP, Mta.EXIM: EXIM_USER}
_PIECES = {Mta.POSTFIX: postfix_pieces, Mta.SENDMAIL: sendmail_pieces, Mta.EXIM: exim_pieces}
_WIRED = {Mta.POSTFIX: wired_postfix, Mta.SENDMAIL: wired_sendmail, Mta.EXIM: wired_exim}
_READ = {Mta.SENDMAIL: ("local-host-names",), Mta.EXIM: ("exim4.conf.template",)}
"""What else is looked at, in the MTA's folder."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be plugged in, and how."""

    mta: Mta
    folder: str = ""
    """Of the MTA's configuration; empty: where Debian has it."""
    maps: Maps = Maps.SOCKETMAP
    vdeliver: bool = False
    """Whether a program is called for each message, instead of speaking LMTP."""


@dataclass(frozen=True, slots=True)
class Installed:
    """What was done, or would be."""

    plan: Plan
    commands: tuple[str, ...]
    """What is left to do, for a shell."""


def pieces(door: Door, wish: Wish) -> tuple[Piece, ...]:
    """What has to stand in which file of the MTA. Raises Refused."""
    return _PIECES[wish.mta](_wiring(door, wish))


def install(door: Door, wish: Wish, *, dry_run: bool = False) -> Installed:
    """Write it. Raises Refused, and then nothing is changed."""
    commands: list[str] = []

    def draft(view: View) -> Draft:
        wired = _wired(door, view, wish)
        edits = [edit for path, text in wired.files.items() for edit in view.edit(path, text)]
        steps: list[Step] = [*_tables(view, wish), *_with_copies(edits)]
        setting, warnings = _group_setting(view, wish.mta)
        commands[:] = wired.commands if edits else ()
        if setting:
            commands.append("pkill -HUP -o -f 'vmail serve'  # it lets the MTA in to its sockets")
        return Draft(f"plug vmaild into {wish.mta.title()}", [*setting, *steps], [*wired.warnings, *warnings])

    change = Change("mta install", "", wish.mta, Action.MACHINE, draft)
    return Installed(door.change(change, dry_run=dry_run), tuple(commands))


def refresh_tables(door: Door, *, dry_run: bool = False) -> Plan:
    """Bring the files that MTAs read up to date, after changes by hand. Raises Refused."""

    def draft(view: View) -> Draft:
        tables = installed_tables(view.layout)
        names = ", ".join(table.name for table in tables) or "none is installed"
        return Draft(f"bring the tables of the MTA up to date ({names})", list(table_steps(view, tables)))

    return door.change(Change("mta tables", "", "tables", Action.MACHINE, draft), dry_run=dry_run)


def sockets(door: Door) -> list[tuple[str, str]]:
    """Names and paths of our sockets that an MTA may use."""
    listens = (("lmtp", door.site.lmtp.listen), ("socketmap", door.site.maps.listen))
    return [(name, door.layout.path(each.path)) for name, places in listens for each in places if each.path]


def _wiring(door: Door, wish: Wish) -> Wiring:
    if wish.mta is not Mta.POSTFIX and wish.maps is not Maps.SOCKETMAP:
        raise Refused(f"{wish.mta.title()} has no choice of maps", "leave --maps away")
    if wish.mta is not Mta.SENDMAIL and wish.vdeliver:
        raise Refused(f"{wish.mta.title()} speaks LMTP", "leave --vdeliver away; only Sendmail has the choice")
    layout, site = door.layout, door.site
    return Wiring(
        folder=os.path.abspath(wish.folder or _FOLDERS[wish.mta]),
        lmtp=layout.path(_socket(site.lmtp.listen, "lmtp")),
        socketmap=layout.path(_socket(site.maps.listen, "maps")) if wish.maps is Maps.SOCKETMAP else "",
        tables=tables_folder(layout),
        maps=wish.maps,
        vdeliver=_vdeliver(door) if wish.vdeliver else "",
        user=site.user if wish.vdeliver else "",
        root=layout.root if wish.vdeliver else "",
    )


def _socket(listens: Sequence[Listen], table: str) -> str:
    for listen in listens:
        if listen.path:
            return listen.path
    raise Refused(
        f"{table}.listen in vmail.toml names no Unix socket for the MTA",
        f'add "unix:/run/vmail/{"lmtp" if table == "lmtp" else "socketmap"}.sock" to it',
    )


def _vdeliver(door: Door) -> str:
    program = command("vdeliver")
    if program is None:
        raise Refused("there is no vdeliver on the search path", "install it, or leave --vdeliver away")
    if not door.site.user:
        raise Refused("vmail.toml names no user for the mail", "set site.user: vdeliver has to run as that one")
    return program


def _wired(door: Door, view: View, wish: Wish) -> Wired:
    wiring = _wiring(door, wish)
    paths = {piece.path for piece in _PIECES[wish.mta](wiring)}
    paths |= {f"{wiring.folder}/{name}" for name in _READ.get(wish.mta, ())}
    try:
        return _WIRED[wish.mta](
            wiring, {path: view.text(path) for path in paths}, hosts_of(view.definitions()) | {*view.names()}
        )
    except Conflict as conflict:
        raise Refused(conflict.problem, conflict.remedy) from conflict


def _tables(view: View, wish: Wish) -> Iterator[FileEdit | RunProgram]:
    wanted = tables_for(wish.maps) if wish.mta is Mta.POSTFIX else (Table(DOMAINS),)
    return table_steps(view, wanted)


def _with_copies(edits: Sequence[FileEdit]) -> Iterator[FileEdit]:
    """Each edit, after a copy of the file as it is; what is a folder of snippets gets none: all of it is read."""
    stamp = archive_stamp()
    for edit in edits:
        if edit.before is not None and "/conf.d/" not in edit.path:
            mode = os.stat(edit.path).st_mode & 0o777
            copy = f"{edit.path}.vmail-{stamp}"
            yield FileEdit(copy, None, edit.before, instead=f"copy of {os.path.basename(edit.path)}", mode=mode)
        yield replace(edit, mode=0o644)


def _group_setting(view: View, mta: Mta) -> tuple[list[FileEdit], list[str]]:
    """The edit of vmail.toml that lets the MTA in to our sockets, and warnings. Sendmail is root."""
    group = _GROUPS.get(mta)
    if group is None or view.site.mta_group == group:
        return [], []
    if view.site.mta_group:
        return [], [f"vmail.toml lets the group {view.site.mta_group} in to the sockets; {mta.title()} is {group}"]
    try:
        grp.getgrnam(group)
    except KeyError:
        return [], [f"there is no group {group} here: set site.mta_group in vmail.toml to that of the MTA's user"]
    path = view.layout.site
    return view.edit(path, with_site_setting(view.text(path) or "", "site", "mta_group", group)), []
