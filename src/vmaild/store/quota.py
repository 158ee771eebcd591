"""Quota of a maildir by the Maildir++ rules: the `maildirsize` file, as Courier and Dovecot keep it.

The first line of `maildirsize` is the limit, `<bytes>S` or `<bytes>S,<messages>C`; each line after it is a
change, `<bytes> <messages>`, and their sum is what the mailbox holds. Nothing is locked: whoever delivers or
removes appends a line. So the sum may drift a little, and is counted anew when the file has grown to 5120
bytes, when the limit is another one, and before a message is refused, unless the file was counted within the
last 15 minutes and not changed since. Several deliveries at one moment may together pass the limit a little.

Source: "Maildir++", Courier's README.maildirquota, sections "Contents of maildirsize", "Calculating" and
"Delivering". Sizes come from `,S=` in the names, so that counting costs no stat(2) per message.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from vmaild.core.directory import Quota
from vmaild.store.atomic import NEW_FILE, inherit_owner, write_fully
from vmaild.store.messages import OverQuota, Usage

FILE_NAME = "maildirsize"
_LARGEST = 5120
"""Bytes of maildirsize from which on it is counted anew."""
_TRUSTED = 15 * 60
"""Seconds for which a fresh count is enough to refuse a message."""
# Whatever stands there in its place is not waited for, and led nowhere by.
_SAFELY = os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NO_COUNT = {errno.ENOENT, errno.ELOOP, errno.EISDIR, errno.ENXIO}
"""It is not there, or no file: the mailbox is counted, and a file takes the place of whatever can be replaced."""

_log = logging.getLogger("vmaild.store")


@dataclass(frozen=True, slots=True)
class Tally:
    """What a maildirsize file says."""

    limit_bytes: int
    """0: none."""
    limit_messages: int
    usage: Usage
    changes: int
    """Lines after the count itself."""


@dataclass(slots=True)
class Count:
    """One message while it is counted."""

    passed: bool = False
    """Whether it made the mailbox pass the mark at which its owner is warned; known once it is counted."""


@contextmanager
def counted(path: str, size: int, quota: Quota, warning: int = 0) -> Iterator[Count]:
    """Make room for a message of `size` bytes in the maildir `path`; count it once the body has delivered it.

    Without a quota only a count that somebody else keeps is kept right. `warning` is the mark, in per cent.
    Raises OverQuota before the body runs; OSError where the maildir cannot be read.
    """
    count = Count()
    if not quota:
        yield count
        record(path, size, 1)
        return
    usage, fd = _admit(path, size, quota)
    try:
        yield count
        # Into the file that was read: if another has taken its place since, that one was counted later.
        line = 0 if fd is None else _append(fd, path, size, 1)
        if warning:
            before = usage if fd is None or not line else _before(fd, line, usage)
            count.passed = _passes(before, size, quota, warning)
    finally:
        if fd is not None:
            os.close(fd)


def record(path: str, size: int, messages: int) -> None:
    """Note a change of what the maildir `path` holds, if it is being counted. Never fails."""
    if not os.access(f"{path}/{FILE_NAME}", os.F_OK):
        return  # which an exception tells more slowly
    try:
        fd = os.open(f"{path}/{FILE_NAME}", os.O_WRONLY | _SAFELY)
    except FileNotFoundError:
        return
    except OSError as error:
        _log.warning("cannot count what changed in %s: %s", path, error)
        return
    try:
        _append(fd, path, size, messages)
    finally:
        with suppress(OSError):
            os.close(fd)


def measure(path: str) -> Usage:
    """Count what a maildir and its folders hold, Trash excepted, as Maildir++ asks. Raises OSError."""
    messages = total = 0
    for folder in _message_folders(path):
        for name in _names(folder):
            with suppress(FileNotFoundError):
                total += stored_size(folder, name)
                messages += 1
    return Usage(messages, total)


def stored_size(folder: str, name: str) -> int:
    """The bytes of one message for the quota: as its name says, else as its file has. Raises OSError."""
    size = recorded(name, ",S=")
    return os.lstat(f"{folder}/{name}").st_size if size is None else size


def recorded(name: str, key: str) -> int | None:
    """The number that a message's file name records under `,S=` (bytes) or `,W=` (octets with CRLF ends)."""
    digits = name.partition(key)[2]
    if not digits.isdecimal():
        digits = digits.partition(":")[0].partition(",")[0]
    return int(digits) if digits.isdecimal() else None


def parse_maildirsize(text: bytes) -> Tally | None:
    """Read the content of a maildirsize file; None: damaged, or not to be relied on."""
    definition, _, changes = text.partition(b"\n")
    limits = {b"S": 0, b"C": 0}
    try:
        for part in definition.strip().split(b","):
            limits[part[-1:]] = int(part[:-1])
        numbers = list(map(int, changes.split()))
    except ValueError:
        return None
    lines = changes.count(b"\n")
    usage = Usage(messages=sum(numbers[1::2]), bytes=sum(numbers[::2]))
    if not changes.endswith(b"\n") or len(numbers) != 2 * lines or usage.messages < 0 or usage.bytes < 0:
        return None
    return Tally(limits[b"S"], limits[b"C"], usage, lines - 1)


def _admit(path: str, size: int, quota: Quota) -> tuple[Usage, int | None]:
    """Raise OverQuota unless a message fits; what there is, and maildirsize for appending if it is to be kept."""
    if quota.bytes and size > quota.bytes:
        raise OverQuota(f"{path}: a message of {size} bytes does not fit in a quota of {quota.bytes}")
    usage, fd = _read(path, size, quota) or _recount(path, quota)
    if not _fits(usage, size, quota):
        if fd is not None:
            os.close(fd)
        if quota.messages and usage.messages >= quota.messages:
            raise OverQuota(f"{path}: there are {usage.messages} messages in a quota of {quota.messages}")
        raise OverQuota(
            f"{path}: {usage.bytes} bytes of a quota of {quota.bytes} are used, {size} more do not fit"
        )
    return usage, fd


def _fits(usage: Usage, size: int, quota: Quota) -> bool:
    return (not quota.bytes or usage.bytes + size <= quota.bytes) and (
        not quota.messages or usage.messages < quota.messages
    )


def _passes(before: Usage, size: int, quota: Quota, warning: int) -> bool:
    """Whether a message takes a mailbox from below the mark to it or beyond."""
    after = Usage(before.messages + 1, before.bytes + size)
    return _is_past(after, quota, warning) and not _is_past(before, quota, warning)


def _is_past(usage: Usage, quota: Quota, warning: int) -> bool:
    return (quota.bytes > 0 and usage.bytes * 100 >= quota.bytes * warning) or (
        quota.messages > 0 and usage.messages * 100 >= quota.messages * warning
    )


def _before(fd: int, line: int, admitted: Usage) -> Usage:
    """What there was before the line that was appended last, of `line` bytes; as admitted where it is damaged.

    The lines of several deliveries at one moment stand one after the other, so exactly one of them passes a mark.
    """
    above = os.pread(fd, os.lseek(fd, 0, os.SEEK_CUR) - line, 0)
    tally = parse_maildirsize(above)
    return tally.usage if tally else admitted


def _read(path: str, size: int, quota: Quota) -> tuple[Usage, int] | None:
    """What maildirsize says and the file for appending; None: it cannot decide whether `size` bytes fit."""
    try:
        fd = os.open(f"{path}/{FILE_NAME}", os.O_RDWR | _SAFELY)
    except OSError as error:
        if error.errno not in _NO_COUNT:
            raise
        return None
    try:
        found = os.fstat(fd)
        text = os.read(fd, _LARGEST) if stat.S_ISREG(found.st_mode) else b""
        tally = parse_maildirsize(text) if len(text) < _LARGEST else None
        if tally is not None and (tally.limit_bytes, tally.limit_messages) == (quota.bytes, quota.messages):
            # A refusal has to be right: others may remove mail and say nothing.
            is_fresh = not tally.changes and 0 <= time.time() - found.st_mtime <= _TRUSTED
            if _fits(tally.usage, size, quota) or is_fresh:
                return tally.usage, fd
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    return None


def _recount(path: str, quota: Quota) -> tuple[Usage, int | None]:
    """Count anew and replace maildirsize; no descriptor where it could not be kept."""
    before = _stamps(path)
    usage = measure(path)
    temporary = f"{path}/tmp/{FILE_NAME}.{os.urandom(8).hex()}"  # noqa: S108  the maildir's own
    try:
        fd = os.open(temporary, NEW_FILE & ~os.O_WRONLY | os.O_RDWR | os.O_APPEND, 0o600)
    except OSError:  # no mailbox yet, or a full disk: the count alone will do
        return usage, None
    limits = [b"%dS" % quota.bytes] * bool(quota.bytes) + [b"%dC" % quota.messages] * bool(quota.messages)
    try:
        inherit_owner(fd, path)
        write_fully(fd, [b",".join(limits) + b"\n%d %d\n" % (usage.bytes, usage.messages)])
        os.rename(temporary, f"{path}/{FILE_NAME}")
    except OSError as error:
        _log.warning("cannot keep the count of %s: %s", path, error)
        os.close(fd)
        with suppress(OSError):
            os.unlink(temporary)
        return usage, None
    # Somebody delivered or removed while we counted, and may have noted it in the old file.
    if _stamps(path) != before:
        os.close(fd)
        _forget(path)
        return usage, None
    return usage, fd


def _append(fd: int, path: str, size: int, messages: int) -> int:
    """Add one change, and return the bytes of its line; 0: it could not be added.

    A file that can no longer be right, or is too large, is removed, and counted anew when next needed.
    """
    line = b"%d %d\n" % (size, messages)
    written = 0
    try:
        # One write, so that lines of two processes do not mix (O_APPEND).
        written = os.write(fd, line)
        if written == len(line) and os.lseek(fd, 0, os.SEEK_CUR) < _LARGEST:
            return written
    except OSError as error:
        _log.warning("cannot count what changed in %s: %s", path, error)
    _forget(path)
    return written if written == len(line) else 0


def _forget(path: str) -> None:
    with suppress(OSError):
        os.unlink(f"{path}/{FILE_NAME}")


def _message_folders(path: str) -> list[str]:
    """`new` and `cur` of a maildir and of its Maildir++ folders, Trash excepted."""
    try:
        below = [name for name in os.listdir(path) if name[0] == "." and name != ".Trash"]
    except FileNotFoundError:
        return []
    return [f"{path}/{folder}/{name}" for folder in (".", *sorted(below)) for name in ("new", "cur")]


def _names(folder: str) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if name[0] != "."]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _stamps(path: str) -> list[int]:
    """When names were last added to or taken from each of the folders."""
    stamps = []
    for folder in _message_folders(path):
        with suppress(FileNotFoundError, NotADirectoryError):
            stamps.append(os.stat(folder).st_ctime_ns)
    return stamps
