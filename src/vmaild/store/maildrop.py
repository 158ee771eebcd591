"""The POP3 maildrop of a maildir: lock, snapshot, read, delete.

The lock is flock(2) on the mailbox folder itself: no lock file to leave behind, and two sessions of one
process exclude each other too, because each has opened the folder for itself. Deliveries and IMAP sessions are
not kept out: maildir(5) needs no lock for them, and what they move or rename meanwhile is found again.

The snapshot takes sizes and names for UIDL from the file names alone. `Snapshots` keeps it for the next poll
for as long as neither `new` nor `cur` has changed.
"""

from __future__ import annotations

import logging
import os
import re
import stat
import threading
import time
from array import array
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from struct import Struct

from vmaild.store.content import transmitted_size
from vmaild.store.locks import try_exclusive
from vmaild.store.messages import MaildropBusy, MessageGone, StoreFailed, store_failure
from vmaild.store.quota import FILE_NAME as MAILDIRSIZE
from vmaild.store.quota import record, recorded, stored_size

_RACY = 2_000_000_000
"""Nanoseconds. A folder changed less than this before it was listed may change again and keep its time stamp:
the coarsest stamps that a file system gives are two seconds apart (git calls such stamps racy)."""
_ABANDONED = 36 * 3600
"""Seconds after which a file in `tmp` is nobody's any more (maildir(5))."""
_ATTEMPTS = 5
"""How often to look again for what somebody else renames meanwhile."""
_LONGEST_UID = 70  # RFC 1939 section 7, UIDL
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_BLOCK = 262144

_STAMP = Struct("QQQqq")
_BASE_NAMES = re.compile(r"(?:\A|\0)(?:new|cur)/([^:,\0]*)")
"""Of the entries of a snapshot; see base_name."""
_NOWHERE: Mapping[int, str | None] = {}

_log = logging.getLogger("vmaild.store")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The messages of a mailbox at one moment, in the order of their arrival; shared, so never changed.

    Few objects, because there is one for each mailbox that is polled: lists are made when they are asked for.
    """

    path: str
    """Of the maildir."""
    stamp: bytes
    """What `new` and `cur` looked like."""
    names: str = ""
    """`new/NAME` or `cur/NAME` of each message, with NUL between them."""
    sizes: Sequence[int] = ()
    octets: int = 0
    """The sum of the sizes."""
    odd: str | None = None
    """The names for UIDL, with NUL between them, where they are not the base names of the files as they are."""

    def entries(self) -> list[str]:
        """`new/NAME` or `cur/NAME` of each message."""
        return self.names.split("\0") if self.names else []

    def uids(self) -> list[str]:
        """The names for UIDL."""
        if self.odd is not None:
            return self.odd.split("\0")
        return _BASE_NAMES.findall(self.names)


class Snapshots:
    """The last snapshot of each mailbox, for all threads of a process.

    Bounded by the messages in all of them together; what was not polled for longest goes first.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0
        self._known: OrderedDict[str, Snapshot] = OrderedDict()
        self._counted: OrderedDict[tuple[int, ...], int] = OrderedDict()
        self._lock = threading.Lock()

    def has(self, path: str) -> bool:
        """Whether `take` would list nothing."""
        known = self._known.get(path)
        try:
            return known is not None and known.stamp == _stamp(path)[0]
        except OSError:
            return False

    def take(self, path: str) -> Snapshot:
        """The messages that the maildir `path` holds now. Raises OSError."""
        now = time.time_ns()
        stamp, changed = _stamp(path)
        with self._lock:
            known = self._known.get(path)
            if known is not None and known.stamp == stamp:
                self._known.move_to_end(path)
                return known
        snapshot = self._list(path, stamp)
        if changed + _RACY < now:
            self._remember(snapshot)
        return snapshot

    def _remember(self, snapshot: Snapshot) -> None:
        if len(snapshot.sizes) >= self._limit:
            return
        with self._lock:
            old = self._known.pop(snapshot.path, None)
            self._known[snapshot.path] = snapshot
            # An empty mailbox takes room, too.
            self._held += len(snapshot.sizes) - (len(old.sizes) if old else 0)
            while self._held + len(self._known) > self._limit:
                _, oldest = self._known.popitem(last=False)
                self._held -= len(oldest.sizes)

    def _list(self, path: str, stamp: bytes) -> Snapshot:
        remove_abandoned(f"{path}/tmp")  # noqa: S108  the maildir's own
        entries, sizes, uids = [], [], []
        taken: set[str] = set()
        is_odd = False
        for entry in sorted(listing(path), key=arrival):
            base = base_name(entry[4:])
            size = recorded(entry, ",W=")
            if size is None:
                size = self._count(f"{path}/{entry}")
                if size is None:
                    continue
            uid = unique_id(base)
            if uid in taken:
                uid = _unused(uid, taken)
            taken.add(uid)
            is_odd = is_odd or uid != base
            entries.append(entry)
            sizes.append(size)
            uids.append(uid)
        largest = max(sizes, default=0)
        return Snapshot(
            path,
            stamp,
            "\0".join(entries),
            array("I" if largest < 1 << 32 else "Q", sizes),
            sum(sizes),
            "\0".join(uids) if is_odd else None,
        )

    def _count(self, file: str) -> int | None:
        """The octets of a message whose name does not say; None: not there, or not a message."""
        try:
            status = os.lstat(file)
            if not stat.S_ISREG(status.st_mode):
                return None
            key = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
            size = self._counted.get(key)
            if size is None:
                with _open_regular(file) as source:
                    size = transmitted_size(iter(lambda: source.read(_BLOCK), b""))
                with self._lock:
                    self._counted[key] = size
                    if len(self._counted) > self._limit:
                        self._counted.popitem(last=False)
        except FileNotFoundError:
            return None
        return size


def _stamp(path: str) -> tuple[bytes, int]:
    """What changes with the list of messages, and when it last did, in nanoseconds. Raises OSError."""
    new, cur = os.stat(f"{path}/new"), os.stat(f"{path}/cur")
    # The change time, unlike the modification time, cannot be set back by a tool that restores a mailbox.
    changes = new.st_ctime_ns, cur.st_ctime_ns
    return _STAMP.pack(new.st_dev, new.st_ino, cur.st_ino, *changes), max(changes)


class LockedMaildrop:
    """One session's hold on a mailbox; see messages.Maildrop."""

    __slots__ = ("_entries", "_fd", "_moved", "_snapshot", "_uids")

    def __init__(self, path: str, snapshots: Snapshots) -> None:
        """Lock the maildir `path` and look at it. Raises MaildropBusy, OSError."""
        self._moved: Mapping[int, str | None] = _NOWHERE
        """Where a message is now, by index; None: gone."""
        self._entries: Sequence[str] = ()
        self._uids: Sequence[str] = ()
        self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if not try_exclusive(self._fd):
                raise MaildropBusy(f"{path}: another session has the maildrop")
            self._snapshot = snapshots.take(path)
        except BaseException:
            self.close()
            raise

    @property
    def sizes(self) -> Sequence[int]:
        """See messages.Maildrop."""
        return self._snapshot.sizes

    @property
    def octets(self) -> int:
        """See messages.Maildrop."""
        return self._snapshot.octets

    @property
    def uids(self) -> Sequence[str]:
        """See messages.Maildrop."""
        if not self._uids:
            self._uids = self._snapshot.uids()
        return self._uids

    def forget_lists(self) -> None:
        """See messages.Maildrop."""
        self._entries = self._uids = ()

    def open_message(self, index: int) -> FileIO:
        """See messages.Maildrop."""
        try:
            for _ in range(_ATTEMPTS):
                if (file := self._file(index)) is None:
                    break
                with suppress(FileNotFoundError):
                    return _open_regular(file)
                self._look_again()
        except OSError as error:
            raise store_failure(f"cannot read a message in {self._path}", error) from error
        raise MessageGone(f"{self._path}: {self._listed()[index]} is gone")

    def delete(self, indices: Iterable[int]) -> int:
        """See messages.Maildrop. Not synced: a message that a power cut brings back has the uid it had."""
        left = list(indices)
        refused = removed = freed = 0
        is_counted = os.path.exists(f"{self._path}/{MAILDIRSIZE}")
        for _ in range(_ATTEMPTS):
            missing = []
            for index in left:
                if (file := self._file(index)) is None:
                    continue
                try:
                    size = stored_size(*os.path.split(file)) if is_counted else 0
                    os.unlink(file)
                except FileNotFoundError:
                    missing.append(index)
                except OSError as error:
                    _log.warning("cannot remove a message: %s", error)
                    refused += 1
                else:
                    removed += 1
                    freed += size
            if missing:
                self._look_again()
            left = missing
        if is_counted and removed:
            record(self._path, -freed, -removed)
        return refused + sum(self._file(index) is not None for index in left)

    def close(self) -> None:
        """See messages.Maildrop."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    @property
    def _path(self) -> str:
        return self._snapshot.path

    def _listed(self) -> Sequence[str]:
        """The entries of the snapshot; a list for as long as it is used."""
        if not self._entries:
            self._entries = self._snapshot.entries()
        return self._entries

    def _file(self, index: int) -> str | None:
        entry = self._moved.get(index, self._listed()[index])
        return None if entry is None else f"{self._path}/{entry}"

    def _look_again(self) -> None:
        """Find all messages that flags have renamed or that went from `new` to `cur`; the others are gone."""
        try:
            present = set(listing(self._path))
        except FileNotFoundError:  # the mailbox as a whole was set aside or removed
            present = set()
        entries = self._listed()
        missing = [index for index, entry in enumerate(entries) if entry not in present]
        strangers = {base_name(entry[4:]): entry for entry in present.difference(entries)}
        self._moved = {i: strangers.get(base_name(entries[i][4:])) for i in missing}


def listing(path: str) -> list[str]:
    """The messages of a maildir, as `new/NAME` and `cur/NAME`, each once. Raises OSError."""
    # `new` first: a message on its way to `cur` is then seen twice at worst, but never missed.
    fresh = [name for name in os.listdir(f"{path}/new") if name[0] != "."]
    cur = f"{path}/cur"
    for _ in range(_ATTEMPTS):
        before = os.stat(cur).st_ctime_ns
        settled = [name for name in os.listdir(cur) if name[0] != "."]
        # readdir(3) may miss a file that is renamed, to set a flag, while it reads.
        if os.stat(cur).st_ctime_ns == before:
            break
    if fresh and settled:
        twice = set(map(base_name, fresh)) & set(map(base_name, settled))
        if twice:
            fresh = [n for n in fresh if base_name(n) not in twice or os.path.lexists(f"{path}/new/{n}")]
    return [f"new/{name}" for name in fresh] + [f"cur/{name}" for name in settled]


def base_name(name: str) -> str:
    """The part of a file name that stays when flags (`:2,S`) or sizes (`,S=`, `,W=`) are added."""
    return name.partition(":")[0].partition(",")[0]


def arrival(entry: str) -> str:
    """Sort key of `new/NAME`: the seconds and microseconds of its delivery (maildir(5)), then the name."""
    name = entry[4:]
    if name[10:12] == ".M" and name[18:19] == "P":
        return name
    # Another program's name, brought into the form of ours, which can be compared as it is.
    seconds, _, rest = name.partition(".")
    micro = rest[1:].partition("P")[0] if rest[:1] == "M" else ""
    return f"{seconds if seconds.isdecimal() else '':0>10}.M{micro if micro.isdecimal() else '':0>6}P{name}"


def unique_id(base: str) -> str:
    """What UIDL says for a base name: itself where RFC 1939 section 7 allows it, else its hash."""
    if 0 < len(base) <= _LONGEST_UID and base.isascii() and base.isprintable() and " " not in base:
        return base
    return _hash(base)


def remove_abandoned(folder: str) -> None:
    """Remove what deliveries that never ended have left in `tmp` (maildir(5))."""
    with suppress(OSError):
        for name in os.listdir(folder):
            file = f"{folder}/{name}"
            if os.lstat(file).st_mtime + _ABANDONED < time.time():
                os.unlink(file)


def _unused(uid: str, taken: set[str]) -> str:
    """A uid for one of several files of one base name, the same at each poll."""
    copies = 0
    candidate = uid
    while candidate in taken:
        copies += 1
        candidate = _hash(f"{uid}:{copies}")
    return candidate


def _hash(text: str) -> str:
    import hashlib  # noqa: PLC0415  it loads OpenSSL, few names need it, and vdeliver has to start fast

    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:64]


def _open_regular(file: str) -> FileIO:
    """Open a message; nothing else that may bear such a name is followed or waited for."""
    fd = os.open(file, _READ)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise StoreFailed(f"{file} is not a regular file")
    return FileIO(fd)
