"""Rules: what ails the machine, and with it every domain. Disks, owners, the clock, our own sockets."""

from __future__ import annotations

from collections.abc import Iterator

from vmaild.core.findings import Diagnosis, Severity
from vmaild.core.upkeep import Upkeep, Volume

FULL, LOW = 0.01, 0.05
"""Shares of a file system that are free, from which on it is told of."""
ENOUGH = 5 << 30
"""Bytes free that are no matter for a warning, however large the disk."""
AHEAD = 600
"""Seconds that a file may be ahead of the clock: another machine may have written it."""


def machine_diagnoses(seen: Upkeep) -> Iterator[Diagnosis]:
    """What is wrong with the machine; the MTA has rules of its own."""
    for volume in seen.volumes:
        yield from _space(volume)
        yield from _inodes(volume)
    for folder in seen.folders:
        if seen.user and folder.owner != seen.user:
            what = f"{folder.path} belongs to {folder.owner}, and the servers run as {seen.user}"
            remedy = f"chown -R {seen.user} {folder.path}"
            yield _error("spool.owner", what, "mail cannot be stored there, or not be read", remedy)
    if seen.future is not None and seen.future.seconds > AHEAD:
        what = f"{seen.future.path} was changed {_span(seen.future.seconds)} from now"
        why = "the clock is behind (or was ahead): certificates, automatic replies and logs depend on it"
        remedy = f"see 'timedatectl status' and 'date'; if the clock is right now: touch {seen.future.path}"
        yield _error("clock.behind", what, why, remedy)
    for socket in seen.sockets:
        if socket.problem:
            what = f"nobody answers at the {socket.name} socket {socket.path}: {socket.problem}"
            why = "mail of all virtual domains waits in the MTA"
            yield _error(f"{socket.name}.dead", what, why, "start the servers: vmail serve")


def _space(volume: Volume) -> Iterator[Diagnosis]:
    share = volume.free / volume.size if volume.size else 1.0
    what = f"{volume.path} has {volume.free >> 20} MiB left of {volume.size >> 20}"
    remedy = "see what is large: vmail domain list, du -x; or set quotas: vmail domain set DOMAIN --quota SIZE"
    if share < FULL:
        yield _error("disk.full", what, "new mail is refused for now, and waits at its senders", remedy)
    elif share < LOW and volume.free < ENOUGH:
        why = "when it is full, new mail waits at its senders"
        yield Diagnosis("disk.low", Severity.WARNING, "", what, why, remedy)


def _inodes(volume: Volume) -> Iterator[Diagnosis]:
    if not volume.inodes:
        return
    share = volume.free_inodes / volume.inodes
    what = f"{volume.path} can take {volume.free_inodes} more files, of {volume.inodes}"
    remedy = "remove what has many small files; a file system gets more inodes only when it is made (mkfs -N)"
    if share < FULL:
        yield _error("inodes.full", what, "each message is a file: new mail is refused for now", remedy)
    elif share < LOW:
        why = "each message is a file: when there are no more, new mail waits at its senders"
        yield Diagnosis("inodes.low", Severity.WARNING, "", what, why, remedy)


def _error(code: str, seen: str, why: str, remedy: str) -> Diagnosis:
    return Diagnosis(code, Severity.ERROR, "", seen, why, remedy)


def _span(seconds: int) -> str:
    if seconds >= 2 * 86400:
        return f"{seconds // 86400} days"
    if seconds >= 2 * 3600:
        return f"{seconds // 3600} hours"
    if seconds >= 2 * 60:
        return f"{seconds // 60} minutes"
    return f"{seconds} seconds"
