"""A backup put back: a change like any other, with its lock, its dry run and its routes before and after.

Of the mail what is missing is put back; no message is changed or removed.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import groupby
from operator import itemgetter

from vmaild.address import fold
from vmaild.admin.backups import backup_path, home_files, parts_of, paths_of, see_backups, usable
from vmaild.admin.domains import DomainSettings, check_free, new_faults
from vmaild.admin.door import Change, Door, Draft
from vmaild.admin.plan import Deed, FileEdit, Plan, Step
from vmaild.admin.refusal import Refused
from vmaild.admin.view import View
from vmaild.core.directory import Domain, DomainDefinition
from vmaild.core.permissions import Action
from vmaild.formats import forward, vacation
from vmaild.formats.domain import parse_definition
from vmaild.formats.passwd import parse_passwd
from vmaild.store.backup import read_files, read_mail
from vmaild.store.messages import Mailbox, MessageStore

_TOLD = 10
"""Accounts that are told by name."""


def restore_backup(
    door: Door, name: str, *, mail: bool = False, counted: bool = True, dry_run: bool = False
) -> Plan:
    """Put a domain into the state of a backup; with `mail` also the messages that are missing. Raises Refused.

    `counted`: the messages to put back are counted first, for which all of the archive is read.
    """
    see_backups(door, parts_of(name)[0])
    path = backup_path(door, name)
    with usable(path):
        manifest, files = read_files(path)
    if mail and not manifest.mail:
        raise Refused(f"there is no mail in {name}", "put it back without mail")
    domain = manifest.domain

    def draft(view: View) -> Draft:
        definition = _definition(view, domain, files)
        there = _there(view, domain)
        settings = DomainSettings(aliases=definition.aliases, addresses=definition.addresses)
        check_free(view, domain, settings, new=view.text(view.definition_path(domain)) is None)
        accounts = _logins(files)
        steps: list[Step] = [*_edits(view, domain, there, files, manifest.made)]
        if mail:
            with usable(path):
                steps += _put_back(door.messages, path, domain, accounts, counted)
        warnings = _losses(there, accounts) if there else ()
        return Draft(
            f"put {domain} back as of {manifest.made}", steps, list(warnings), partial(new_faults, domain)
        )

    change = Change("backup restore", domain, name, Action.DEFINITION, draft, names=True)
    return door.change(change, dry_run=dry_run)


# -- parts


def _definition(view: View, domain: str, files: dict[str, bytes]) -> DomainDefinition:
    if "definition.toml" not in files:
        raise Refused("there is no definition in that backup", "use another one")
    text = files["definition.toml"].decode("utf-8", "surrogateescape")
    definition, findings = parse_definition(text, domain, view.definition_path(domain))
    if definition is None:
        raise Refused(f"the definition in that backup is damaged: {findings[0].problem}", "use another backup")
    return definition


def _there(view: View, domain: str) -> Domain | None:
    """The domain as it is now; None: it is not there, or cannot be read."""
    try:
        found = view.find(domain)
    except Refused:
        return None  # which may be why somebody wants the backup
    return found if found and found.name == domain else None


def _edits(
    view: View, domain: str, there: Domain | None, files: dict[str, bytes], made: str
) -> Iterator[FileEdit]:
    texts: dict[str, str | None] = {
        name: content.decode("utf-8", "surrogateescape") for name, content in files.items()
    }
    now = home_files(view, there) if there else {}
    for name in dict.fromkeys([*now, *texts]):
        folder, _, rest = name.partition("/")
        login, _, file = rest.partition("/")
        if folder != "homes":
            continue
        if login in {"", ".", ".."} or file not in (forward.FILE_NAME, vacation.FILE_NAME):
            raise Refused(f"{name} in that backup leads elsewhere", "use another one")
        yield from view.edit(f"{view.layout.home(domain, login)}/{file}", texts.get(name))
    for name, path in paths_of(view, domain).items():
        instead = f"passwords as of {made}" if name == "shadow" else ""
        yield from view.edit(path, texts.get(name), instead=instead, passwd=name == "passwd")


def _put_back(messages: MessageStore, path: str, domain: str, accounts: set[str], counted: bool) -> Iterator[Deed]:
    """What puts the messages back that are missing, for accounts that there will be."""
    text = "messages that are missing put back"
    if counted:
        missing = [
            messages.missing(Mailbox(domain, login), (each for _, each in found))
            for login, found in groupby(read_mail(path), itemgetter(0))
            if fold(login) in accounts
        ]
        if not any(missing):
            return
        text = f"messages put back: {sum(missing)}, mailboxes: {sum(map(bool, missing))}"

    def put() -> None:
        with usable(path):
            for login, found in groupby(read_mail(path), itemgetter(0)):
                if fold(login) in accounts:
                    messages.put_back(Mailbox(domain, login), (each for _, each in found))

    yield Deed(text, put)


def _logins(files: dict[str, bytes]) -> set[str]:
    text = files.get("passwd", b"").decode("utf-8", "surrogateescape")
    return {fold(account.login) for account in parse_passwd(text, "passwd").entries}


def _losses(there: Domain, accounts: set[str]) -> Iterator[str]:
    gone = [account.login for key, account in there.accounts.items() if key not in accounts]
    for login in gone[:_TOLD]:
        yield f"{login}@{there.name} is not in the backup and will be no account any more; its mailbox stays"
    if len(gone) > _TOLD:
        yield f"accounts that are not in the backup, besides these: {len(gone) - _TOLD}"
