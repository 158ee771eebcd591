"""Mailboxes as maildirs: `SPOOL/DOMAIN/LOGIN/{tmp,new,cur}`.

A message is written to `tmp`, synced, renamed to `new`, and `new` is synced; only then is it delivered
(maildir(5), and D. J. Bernstein, "Using maildir format"). No lock is needed, whoever delivers or reads
meanwhile. File names are `SECONDS.MmicrosecondsPpidRrandom.HOST,S=SIZE,W=SIZE`: S= is the size with LF, W=
with CRLF line ends, as Dovecot and Courier read them. `SPOOL/.archive` takes what administrators set aside.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vmaild.store.atomic import NEW_FILE, fsync_folder, inherit_owner, make_folders
from vmaild.store.content import Content, bare_line_feeds
from vmaild.store.folders import folder_for
from vmaild.store.maildrop import LockedMaildrop, Snapshots
from vmaild.store.messages import FREELY, Mailbox, Once, Parcel, StoreFailed, Terms, Usage, store_failure
from vmaild.store.quota import counted, measure
from vmaild.store.syncs import Delivery, Syncs, results_of
from vmaild.store.unanswered import Unanswered

if TYPE_CHECKING:
    from vmaild.store.copies import Copies, Stored

log = logging.getLogger("vmaild.store")

CACHED_MESSAGES = 200_000
"""Messages in all snapshots that a process keeps for the next poll: some 250 bytes each."""
_LONGEST_HOST = 40


class MaildirStore:
    """See messages.MessageStore. One per process, for all threads.

    Where root writes, a new mailbox has the owner and group of its domain's folder, and messages those of
    their mailbox.
    """

    def __init__(
        self, spool: str, unanswered: Unanswered | None = None, *, cached_messages: int = CACHED_MESSAGES
    ) -> None:
        """`unanswered` notes what was not answered yet; None: what is repeated comes twice."""
        self._spool = spool
        self._unanswered = unanswered
        self._host = host_in_names(os.uname().nodename)
        self._snapshots = Snapshots(cached_messages)
        self._syncs = Syncs()

    def deliver(
        self,
        mailbox: Mailbox,
        header: bytes,
        content: Content,
        terms: Terms = FREELY,
        once: Once | None = None,
    ) -> bool:
        """See messages.MessageStore."""
        (result,) = self.deliver_all([Parcel(mailbox, header, content, terms, once)])
        if isinstance(result, Exception):
            raise result
        return result

    def deliver_all(self, parcels: Sequence[Parcel]) -> list[bool | Exception]:
        """See messages.MessageStore."""
        return results_of([self._delivery(parcel) for parcel in parcels], self._syncs)

    def _delivery(self, parcel: Parcel) -> Delivery[bool]:
        """One delivery, from sync to sync."""
        mailbox, header, content, terms = parcel.mailbox, parcel.header, parcel.content, parcel.terms
        path = self._path(mailbox)
        noted = _Noted(self._unanswered, parcel.once) if self._unanswered and parcel.once else None
        if noted is not None and noted.is_there():
            return False
        size = len(header) + content.size
        name = self._message_name(size, len(header) + bare_line_feeds(header) + content.virtual_size)
        placed = passed = False
        try:
            with counted(path, size, terms.quota, terms.warning) as count:
                try:
                    yield from _placed(_folder(path, terms), name, header, content, noted)
                except FileNotFoundError:
                    create_maildir(path)
                    yield from _placed(_folder(path, terms), name, header, content, noted)
                placed = True
            passed = count.passed
        except OSError as error:
            if not placed:
                raise store_failure(f"cannot deliver to {mailbox}", error) from error
            log.warning("%s has its message, which could not be counted: %s", mailbox, error)
        return passed

    def answered(self, deliveries: Iterable[Once]) -> None:
        """See messages.MessageStore."""
        if self._unanswered:
            self._unanswered.answered(deliveries)

    def abandoned(self, deliveries: Iterable[Once]) -> None:
        """See messages.MessageStore."""
        if self._unanswered:
            self._unanswered.abandoned(deliveries)

    def open_maildrop(self, mailbox: Mailbox) -> LockedMaildrop:
        """See messages.MessageStore."""
        path = self._path(mailbox)
        try:
            try:
                return LockedMaildrop(path, self._snapshots)
            except FileNotFoundError:
                create_maildir(path)
                return LockedMaildrop(path, self._snapshots)
        except OSError as error:
            raise store_failure(f"cannot open the maildrop of {mailbox}", error) from error

    def is_at_hand(self, mailbox: Mailbox) -> bool:
        """See messages.MessageStore."""
        return self._snapshots.has(self._path(mailbox))

    def exists(self, mailbox: Mailbox) -> bool:
        """See messages.MessageStore."""
        return os.path.isdir(self._path(mailbox))

    def usage(self, mailbox: Mailbox) -> Usage:
        """See messages.MessageStore; counts the folders of an IMAP server too, as the quota does."""
        try:
            return measure(self._path(mailbox))
        except OSError as error:
            raise store_failure(f"cannot count what {mailbox} holds", error) from error

    def create(self, mailbox: Mailbox) -> None:
        """See messages.MessageStore."""
        try:
            create_maildir(self._path(mailbox))
        except OSError as error:
            raise store_failure(f"cannot create the mailbox of {mailbox}", error) from error

    def archive(self, mailbox: Mailbox, stamp: str) -> str:
        """See messages.MessageStore."""
        return self._set_aside(self._path(mailbox), f"{mailbox.domain}/{mailbox.login}.{_checked(stamp)}")

    def remove(self, mailbox: Mailbox) -> None:
        """See messages.MessageStore."""
        self._discard(self._path(mailbox))

    def archive_domain(self, domain: str, stamp: str) -> str:
        """See messages.MessageStore."""
        return self._set_aside(self._domain_path(domain), f"{domain}.{_checked(stamp)}")

    def remove_domain(self, domain: str) -> None:
        """See messages.MessageStore."""
        self._discard(self._domain_path(domain))

    def logins(self, domain: str) -> list[str]:
        """See messages.MessageStore."""
        with _failing(f"cannot list the mailboxes of {domain}"):
            return self._copies.logins(self._domain_path(domain))

    def copies(self, mailbox: Mailbox) -> Iterator[Stored]:
        """See messages.MessageStore."""
        with _failing(f"cannot read the mailbox of {mailbox}"):
            yield from self._copies.messages(self._path(mailbox))

    def missing(self, mailbox: Mailbox, messages: Iterable[Stored]) -> int:
        """See messages.MessageStore."""
        with _failing(f"cannot read the mailbox of {mailbox}"):
            return self._copies.missing(self._path(mailbox), messages)

    def put_back(self, mailbox: Mailbox, messages: Iterable[Stored]) -> int:
        """See messages.MessageStore."""
        self.create(mailbox)
        with _failing(f"cannot put messages back for {mailbox}"):
            return self._copies.put_back(self._path(mailbox), messages)

    @property
    def _copies(self) -> Copies:
        from vmaild.store.copies import Copies  # noqa: PLC0415  seldom needed, and vdeliver has to start fast

        return Copies(self._spool)

    def _domain_path(self, domain: str) -> str:
        if domain.startswith("."):
            raise StoreFailed(f"{domain!r} cannot name a domain")
        return f"{self._spool}/{_checked(domain)}"

    def _path(self, mailbox: Mailbox) -> str:
        return f"{self._domain_path(mailbox.domain)}/{_checked(mailbox.login)}"

    def _message_name(self, size: int, virtual_size: int) -> str:
        seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
        # Never used before on any machine: time, process, and 64 random bits for a clock that was set back.
        unique = f"M{nanoseconds // 1000:06d}P{os.getpid()}R{os.urandom(8).hex()}"
        return f"{seconds}.{unique}.{self._host},S={size},W={virtual_size}"

    def _set_aside(self, path: str, name: str) -> str:
        """Move a folder to `.archive/NAME`, or NAME.2 and so on where that is taken; returns its new path."""
        target = wanted = f"{self._spool}/.archive/{name}"
        copies = 1
        try:
            if not os.path.lexists(path):
                return ""
            make_folders(os.path.dirname(target), 0o700)
            while os.path.lexists(target):
                copies += 1
                target = f"{wanted}.{copies}"
            os.rename(path, target)
            fsync_folder(os.path.dirname(target))
            fsync_folder(os.path.dirname(path))
        except OSError as error:
            raise store_failure(f"cannot archive {path}", error) from error
        return target

    def _discard(self, path: str) -> None:
        """Remove a folder and all in it: first from sight, as one step, then for good."""
        from shutil import rmtree  # noqa: PLC0415  seldom needed, and vdeliver has to start fast

        gone = self._set_aside(path, f".removed/{os.urandom(8).hex()}")
        if not gone:
            return
        try:
            # A delivery that began before may still put its message there, once, behind rmtree's back.
            with suppress(OSError):
                rmtree(gone)
            if os.path.lexists(gone):
                rmtree(gone)
        except OSError as error:
            raise store_failure(f"cannot remove {gone}", error) from error


@contextmanager
def _failing(doing: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise store_failure(doing, error) from error


@dataclass(frozen=True, slots=True)
class _Noted:
    """One delivery that is done once, and where that is noted."""

    notes: Unanswered
    once: Once

    def is_there(self) -> bool:
        return self.notes.is_there(self.once)

    def note(self, path: str) -> None:
        self.notes.note(self.once, path)

    def forget(self) -> None:
        self.notes.answered([self.once])


def create_maildir(path: str) -> None:
    """Create a maildir, or what is missing of it, durably. Raises OSError.

    `tmp` comes last, when all else is synced: a delivery begins there, and relies on the rest if it finds it.
    """
    for name in ("cur", "new"):
        make_folders(f"{path}/{name}", 0o700, durable=False)
    # All at once; somebody else may have made the folders above just now, and not have come to the sync yet.
    domain = os.path.dirname(path)
    for folder in (path, domain, os.path.dirname(domain)):
        fsync_folder(folder)
    make_folders(f"{path}/tmp", 0o700)  # noqa: S108  its own


def append_to_maildir(
    path: str, header: bytes, content: Content, unanswered: Unanswered | None = None, once: Once | None = None
) -> None:
    """Put a message in the maildir at `path`, which no account has; durable. Raises StoreFull, StoreFailed.

    With `once`, as MaildirStore.deliver.
    """
    spool, domain, login = path.rsplit("/", 2) if path.count("/") > 2 else ("", "", "")
    if not login:
        raise StoreFailed(f"{path} is too near the root for a maildir")
    MaildirStore(spool, unanswered).deliver(Mailbox(domain, login), header, content, FREELY, once)


def host_in_names(host: str) -> str:
    r"""A host name as file names bear it: `/` as `\057` and `:` as `\072` (maildir(5)), `,` likewise."""
    return host.replace("/", r"\057").replace(":", r"\072").replace(",", r"\054")[:_LONGEST_HOST]


def _folder(path: str, terms: Terms) -> str:
    """The maildir that takes a message: the mailbox itself, or a folder of it."""
    return folder_for(path, terms.folder, create=terms.create_folder) if terms.folder else path


def _placed(path: str, name: str, header: bytes, content: Content, once: _Noted | None) -> Delivery[None]:
    """Write a message to `tmp`, bring it to `new`, durably; or raise OSError and leave nothing."""
    visible = f"{path}/tmp/{name}"  # noqa: S108  the maildir's own
    final = f"{path}/new/{name}"
    # Opened first: when the message is in its place, nothing must be left that can fail but the sync.
    folder = os.open(f"{path}/new", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fd = os.open(visible, NEW_FILE, 0o600)
        try:
            try:
                inherit_owner(fd, folder)
                content.write_to(fd, header)
                yield fd
            finally:
                os.close(fd)
            if once is not None:
                once.note(visible)
            os.rename(visible, final)
            visible = final
            yield folder
        except BaseException:
            with suppress(OSError):
                os.unlink(visible)
            if once is not None:
                once.forget()
            raise
    finally:
        with suppress(OSError):  # what is synced is there
            os.close(folder)


def _checked(name: str) -> str:
    """A name that is one step of a path and stays in its folder, or StoreFailed."""
    if name in {"", ".", ".."} or "/" in name or "\0" in name:
        raise StoreFailed(f"{name!r} cannot name a mailbox")
    return name
