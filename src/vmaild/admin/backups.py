"""Backups of one domain each: made, listed and removed, by site administrators.

A backup has the definition, the accounts with their passwords, the alias file and what owners have set up
(forwarding, vacation texts); with `mail` the mailboxes too.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from vmaild.admin.door import Change, Door, Draft, refusals
from vmaild.admin.execute import archive_stamp
from vmaild.admin.overview import see_site
from vmaild.admin.plan import Deed, FileEdit, Plan
from vmaild.admin.refusal import Code, Misused, Refused
from vmaild.admin.view import View
from vmaild.core.directory import Domain
from vmaild.core.permissions import Action
from vmaild.formats import forward, vacation
from vmaild.store.backup import (
    BackupUnusable,
    Manifest,
    read_manifest,
    write_backup,
)
from vmaild.store.copies import Stored
from vmaild.store.files import ReadFailed
from vmaild.store.homes import MAX_FILE
from vmaild.store.messages import Mailbox, MessageStore

_SUFFIX = ".tar.gz"
_NAME = re.compile(r"([^/\0]+)\.([0-9]{8}T[0-9]{6}(?:\.[0-9]+)?)")


@dataclass(frozen=True, slots=True)
class BackupRecord:
    """A backup as people ask for it."""

    name: str
    """`DOMAIN.TIME`: what it is put back by."""
    domain: str
    path: str
    size: int
    """Bytes."""
    manifest: Manifest | None
    problem: str = ""
    """Why there is no manifest."""


# -- questions


def list_backups(door: Door, domain: str = "") -> list[BackupRecord]:
    """The backups of a domain, which need not exist any more, or of all (empty), newest first. Raises Refused."""
    see_backups(door, domain)
    with refusals():
        try:
            entries = os.listdir(door.layout.backups)
        except FileNotFoundError:
            return []
        names = [entry.removesuffix(_SUFFIX) for entry in entries if entry.endswith(_SUFFIX)]
        ours = [name for name in names if _NAME.fullmatch(name) and domain in ("", parts_of(name)[0])]
        return [_record(door, name) for name in sorted(ours, key=lambda name: parts_of(name)[1], reverse=True)]


def see_backups(door: Door, domain: str = "") -> None:
    """See that the actor may see the backups of a domain, or of all (empty). Raises Refused."""
    if domain and not door.actor.site_admin:
        door.see(domain)  # of one that is not theirs nobody learns anything
    see_site(door)


def _record(door: Door, name: str) -> BackupRecord:
    path = backup_path(door, name)
    domain, size = parts_of(name)[0], os.stat(path).st_size
    try:
        return BackupRecord(name, domain, path, size, read_manifest(path))
    except BackupUnusable as error:
        return BackupRecord(name, domain, path, size, None, str(error))


def parts_of(name: str) -> tuple[str, str]:
    """The domain and the time of a backup. Raises Misused."""
    found = _NAME.fullmatch(name)
    if found is None:
        raise Misused(f"'{name}' is not the name of a backup", "'vmail backup list' shows them")
    return found[1], found[2]


# -- changes


def make_backup(door: Door, name: str, *, mail: bool = False, dry_run: bool = False) -> Plan:
    """Pack one domain, with its mailboxes where `mail` says so. Raises Refused."""

    def draft(view: View) -> Draft:
        domain = view.domain(name)
        path = _fresh(door, domain.name)
        files = _steady(view, domain)
        manifest = Manifest(
            domain.name,
            datetime.now(UTC).isoformat(timespec="seconds"),
            str(door.actor),
            mail,
            len(domain.accounts),
        )

        def pack() -> None:
            write_backup(path, manifest, files, _mail_of(door.messages, domain.name) if mail else ())

        warnings = [
            f"alias file {view.layout.path(each)} is not in it: other domains may use it, too"
            for each in domain.definition.alias_files
        ]
        return Draft(
            f"back up {domain.name} with its mail" if mail else f"back up {domain.name} without its mail",
            [Deed(f"{path} written", pack)],
            warnings,
        )

    change = Change("backup make", name, name, Action.DEFINITION, draft, only_reads=True)
    return door.change(change, dry_run=dry_run)


def remove_backup(door: Door, name: str, *, dry_run: bool = False) -> Plan:
    """Remove a backup for good. Raises Refused."""
    domain = parts_of(name)[0]
    see_backups(door, domain)
    path = backup_path(door, name)
    if not os.path.lexists(path):
        raise no_backup(name)

    def draft(_view: View) -> Draft:
        return Draft(f"remove the backup {name}", [FileEdit(path, b"", None, instead="backup removed")])

    change = Change("backup remove", domain, name, Action.DEFINITION, draft, only_reads=True)
    return door.change(change, dry_run=dry_run)


# -- parts


def _steady(view: View, domain: Domain) -> dict[str, bytes]:
    """The files of a domain at one moment: no lock is held meanwhile, so that others can go on changing it."""
    files = _files(view, domain)
    for _ in range(10):
        again = _files(View(view.layout, view.site, view.actor), domain)
        if again == files:
            return files
        files = again
    raise Refused(f"{domain.name} is being changed all the time", "try again when it is quiet")


def _files(view: View, domain: Domain) -> dict[str, bytes]:
    own = {name: view.text(path) for name, path in paths_of(view, domain.name).items()}
    texts = {name: text for name, text in own.items() if text is not None} | home_files(view, domain)
    return {name: text.encode("utf-8", "surrogateescape") for name, text in texts.items()}


def home_files(view: View, domain: Domain) -> dict[str, str]:
    """What owners of accounts have set up, by the names in a backup. Raises Refused."""
    texts: dict[str, str] = {}
    for account in domain.accounts.values():
        home = view.layout.home(domain.name, account.login)
        for each in (forward.FILE_NAME, vacation.FILE_NAME) if os.path.isdir(home) else ():
            try:
                found = view.files.read_of_others(f"{home}/{each}", MAX_FILE)
            except ReadFailed as failure:
                raise Refused(str(failure), "see to that file, then run it again") from failure
            if found is not None:
                texts[f"homes/{account.login}/{each}"] = found[0]
    return texts


def paths_of(view: View, domain: str) -> dict[str, str]:
    """Where the files of a domain are, by their names in a backup: what puts it into service comes last."""
    return {
        "aliases": view.aliases_path(domain),
        "shadow": view.shadow_path(domain),
        "passwd": view.passwd_path(domain),
        "definition.toml": view.definition_path(domain),
    }


def _mail_of(messages: MessageStore, domain: str) -> Iterator[tuple[str, Stored]]:
    for login in messages.logins(domain):
        for message in messages.copies(Mailbox(domain, login)):
            yield login, message


def _fresh(door: Door, domain: str) -> str:
    stamp, number = archive_stamp(), 1
    path = wanted = f"{door.layout.backups}/{domain}.{stamp}"
    while os.path.lexists(f"{path}{_SUFFIX}"):
        number += 1
        path = f"{wanted}.{number}"
    return f"{path}{_SUFFIX}"


def backup_path(door: Door, name: str) -> str:
    """Where a backup is, whether or not it is there. Raises Misused."""
    parts_of(name)
    return f"{door.layout.backups}/{name}{_SUFFIX}"


@contextmanager
def usable(path: str) -> Iterator[None]:
    """Turn what is wrong with a backup into a refusal. Raises Refused."""
    try:
        with refusals():
            yield
    except BackupUnusable as error:
        raise Refused(
            f"{path} cannot be used: {error}", "use another backup; this one is left as it is"
        ) from error
    except Refused:
        if os.path.lexists(path):
            raise
        raise no_backup(os.path.basename(path).removesuffix(_SUFFIX)) from None


def no_backup(name: str) -> Refused:
    """The refusal where there is none of that name."""
    return Refused(f"there is no backup {name}", "'vmail backup list' shows those there are", Code.NOT_FOUND)
