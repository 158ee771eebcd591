"""Lay out a root: its folders, a vmail.toml that explains itself and, if asked for, the demonstration.

Whatever exists stays as it is, so that doing it again does no harm and adds what is missing.
"""

from __future__ import annotations

import os
import pwd
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from email.utils import formatdate

from vmaild.admin.actor import user_name
from vmaild.admin.commands import command
from vmaild.admin.door import LOCK_WAIT, SITE_LOCK, refusals
from vmaild.admin.refusal import Refused
from vmaild.auth.passwords import hash_password
from vmaild.core.directory import Account, ShadowEntry
from vmaild.core.permissions import UNIX
from vmaild.core.site import DRAIN_TIME
from vmaild.formats.passwd import with_account
from vmaild.formats.shadow import with_entry
from vmaild.generate import demo as content
from vmaild.generate.site import render_site
from vmaild.generate.systemd import UNIT, service_text
from vmaild.store.atomic import make_folders, write_atomically
from vmaild.store.content import Content
from vmaild.store.directory import FileDirectory
from vmaild.store.layout import Layout, layout
from vmaild.store.locks import LockTimeout, exclusive
from vmaild.store.maildir import MaildirStore
from vmaild.store.messages import Mailbox
from vmaild.store.site import load_site

MAIL_USER = "vmail"
"""The user of a real machine who owns the mail and whom the servers run as."""
CREATE_MAIL_USER = f"adduser --system --group --home /var/spool/vmail --no-create-home {MAIL_USER}"
_BOOTED_BY_SYSTEMD = "/run/systemd/system"
"""A folder that only systemd makes (sd_booted(3))."""


@dataclass(frozen=True, slots=True)
class LaidOut:
    """What was laid out, or would be."""

    root: str
    demo: bool
    folders: tuple[str, ...]
    files: tuple[str, ...]
    messages: int
    """Sample messages delivered."""
    advice: str = ""
    """What is left to do, as a sentence; empty: nothing."""
    carried_out: bool = True

    @property
    def changes(self) -> bool:
        """Whether there was anything to do."""
        return bool(self.folders or self.files or self.messages)


@dataclass(frozen=True, slots=True)
class _Folder:
    path: str
    mode: int
    of_mail_user: bool = True
    """Whether it belongs to the mail user where there is one; else only to its group."""


@dataclass(frozen=True, slots=True)
class _File:
    path: str
    text: Callable[[], str]
    """Makes it when it is needed: hashing passwords takes a while."""
    mode: int = 0o644


def lay_out(layout: Layout, *, demo: bool = False, dry_run: bool = False) -> LaidOut:
    """Create what is missing of a root. Raises Refused, and then what was there is as it was.

    Files are laid out once only: where there is a vmail.toml, what has been removed since stays removed.
    """
    if demo:
        _check_for_demo(layout)
    user = _mail_user(layout)
    with refusals():
        folders = [folder for folder in _folders(layout) if not os.path.isdir(folder.path)]
        if not dry_run:
            for folder in _folders(layout):
                _create(folder, user)
        with nullcontext() if dry_run else _alone(layout):
            first = not os.path.lexists(layout.site)
            samples = _missing_mail(layout) if demo and first else []
            files = [file for file in _files(layout, demo) if not os.path.lexists(file.path)] if first else []
            if not dry_run:
                _deliver(layout, samples)
                for file in files:
                    write_atomically(file.path, file.text().encode(), mode=file.mode)
    return LaidOut(
        root=layout.root or "/",
        demo=demo,
        folders=tuple(folder.path for folder in folders),
        files=tuple(file.path for file in files),
        messages=len(samples),
        advice=_advice(layout, user),
        carried_out=not dry_run,
    )


def lay_out_root(root: str | None, *, demo: bool = False, dry_run: bool = False) -> LaidOut:
    """As `lay_out`, for the layout under `root` (None: VMAIL_ROOT, else the system's own)."""
    return lay_out(layout(root), demo=demo, dry_run=dry_run)


@contextmanager
def _alone(layout: Layout) -> Iterator[None]:
    """Keep out whoever adds a domain at this moment."""
    try:
        with exclusive(layout.lock(SITE_LOCK), LOCK_WAIT):
            yield
    except LockTimeout as error:
        raise Refused(str(error), "wait until that has ended, then run it again") from error


def _check_for_demo(layout: Layout) -> None:
    """Accounts with well-known passwords must never come to a machine that is meant in earnest."""
    if not layout.root:
        raise Refused(
            "the demo is never laid out in the system's own folders", "name another: vmail --root demo init --demo"
        )
    with refusals():
        site, _ = load_site(layout)
        names = FileDirectory(layout, keep_copies=False).names()
    laid_out = os.path.lexists(layout.site)
    if (laid_out and not site.demo) or (not laid_out and set(names) - {domain.name for domain in content.DOMAINS}):
        raise Refused(f"{layout.root} is in use, and not for a demo", "name another folder with --root")


def _mail_user(layout: Layout) -> pwd.struct_passwd | None:
    """The mail user of a real machine; None: there is none, or we are not root and could give it nothing."""
    if layout.root or os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(MAIL_USER)
    except KeyError:
        return None


def _advice(layout: Layout, user: pwd.struct_passwd | None) -> str:
    if layout.root:
        return ""
    if user is None:
        return f"Mail wants a user of its own. As root: {CREATE_MAIL_USER} && vmail init"
    if os.path.exists(_unit(layout)):
        return f"To start the servers, now and at every boot: systemctl enable --now {UNIT}"
    return ""


def _unit(layout: Layout) -> str:
    return layout.path(f"/etc/systemd/system/{UNIT}")


def _folders(layout: Layout) -> list[_Folder]:
    """All folders of a root, each after those that it is in."""
    return [
        _Folder(layout.configuration, 0o755, of_mail_user=False),
        _Folder(layout.definitions, 0o755, of_mail_user=False),
        _Folder(layout.spool, 0o750),
        _Folder(layout.incoming, 0o700),
        _Folder(layout.path("/vhome"), 0o755),
        _Folder(layout.state, 0o750),
        _Folder(layout.last_good, 0o750),
        _Folder(layout.run, 0o755),
    ]


def _create(folder: _Folder, user: pwd.struct_passwd | None) -> None:
    """Create a folder, and give it to the mail user where it is still root's."""
    make_folders(os.path.dirname(folder.path), 0o755)
    make_folders(folder.path, folder.mode)
    if user is not None and os.stat(folder.path).st_gid == 0:
        # The group of the configuration is what lets the mail user read the shadow files in it.
        os.chown(folder.path, user.pw_uid if folder.of_mail_user else -1, user.pw_gid)


def _files(layout: Layout, demo: bool) -> Iterator[_File]:
    """Every file, in the order in which they are written."""
    for domain in content.DOMAINS if demo else ():
        yield from _files_of(layout, domain)
    vmail = command("vmail")
    if vmail and not layout.root and os.path.isdir(_BOOTED_BY_SYSTEMD):
        yield _File(_unit(layout), lambda: service_text(vmail, drain=DRAIN_TIME))
    # Last: it says that all is there.
    yield _File(layout.site, lambda: render_site(_settings(layout, demo)))


def _settings(layout: Layout, demo: bool) -> dict[str, object]:
    admins = dict.fromkeys([f"{UNIX}root", UNIX + user_name(os.getuid()), *([content.ADMIN] if demo else [])])
    settings: dict[str, object] = {"site.admins": list(admins)}
    if not layout.root:
        settings["site.user"] = MAIL_USER
    return settings | (dict(content.SITE) if demo else {})


def _files_of(layout: Layout, domain: content.DemoDomain) -> Iterator[_File]:
    if domain.accounts:
        yield _File(layout.passwd(domain.name), lambda: _passwd(domain))
        yield _File(layout.shadow(domain.name), lambda: _shadow(domain), 0o640)
    if domain.aliases:
        yield _File(layout.aliases(domain.name), lambda: domain.aliases)
    for path, text in domain.extra_aliases.items():
        yield _File(layout.path(path), _constant(text))
    # Last: only with its definition is a domain in force.
    yield _File(layout.definition(domain.name), lambda: domain.definition)


def _constant(text: str) -> Callable[[], str]:
    return lambda: text


def _passwd(domain: content.DemoDomain) -> str:
    text = ""
    for number, account in enumerate(domain.accounts, 60000):
        home = f"/vhome/{domain.name}/{account.login}"
        text = with_account(text, Account(account.login, number, 60000, account.full_name, home, "/bin/false"))
    return text


def _shadow(domain: content.DemoDomain) -> str:
    text, today = "", int(time.time() // 86400)
    for account in domain.accounts:
        text = with_entry(text, ShadowEntry(account.login, hash_password(account.password.encode()), today))
    return text


def _missing_mail(layout: Layout) -> list[content.SampleMessage]:
    """The sample mail of mailboxes that do not exist yet."""
    store = MaildirStore(layout.spool)
    samples = content.sample_messages(formatdate(localtime=True))
    return [sample for sample in samples if not store.exists(Mailbox(sample.domain, sample.login))]


def _deliver(layout: Layout, samples: list[content.SampleMessage]) -> None:
    store = MaildirStore(layout.spool)
    for sample in samples:
        mailbox = Mailbox(sample.domain, sample.login)
        with Content(layout.incoming) as message:
            message.append(sample.content)
            message.finish()
            header = f"Return-Path: <{sample.sender}>\nDelivered-To: {mailbox}\n".encode()
            store.deliver(mailbox, header, message)
