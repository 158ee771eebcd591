"""Look after this machine: its disks, its clock, our sockets, the MTA."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from vmaild.core.evidence import Machine, Place
from vmaild.core.mta import Asked, Purpose, Socket
from vmaild.core.upkeep import Future, Owned, PostfixSettings, Upkeep, Volume
from vmaild.diagnose.mta import FOREIGN, Question, probe_mta, socket_problem
from vmaild.protocol.lmtp_client import converse, inquiry

TIMEOUT = 10.0
"""Seconds for one answer of an MTA or of a server of ours."""


@dataclass(frozen=True, slots=True)
class Premises:
    """What there is to look after."""

    folders: tuple[str, ...]
    """Whose file systems must have room."""
    owned: tuple[str, ...] = ()
    """Folders that belong to the user whom the servers run as."""
    user: str = ""
    files: tuple[str, ...] = ()
    """Whose times must not lie in the future."""
    sockets: tuple[tuple[str, str], ...] = ()
    mta: tuple[str, int] | None = None
    """None: it is not asked."""
    questions: tuple[Question, ...] = ()
    addresses: tuple[str, ...] = ()
    """Service addresses."""


def upkeep_evidence(premises: Premises, machine: Machine) -> Upkeep:
    """Look at all of it; blocks. Raises nothing: what cannot be seen is left out."""
    mta = probe_mta(premises.mta, premises.questions, timeout=TIMEOUT) if premises.mta else None
    return Upkeep(
        tuple(_volumes(premises.folders)),
        tuple(_owned(premises.owned)),
        premises.user,
        _future(premises.files),
        tuple(Socket(name, path, socket_problem(name, path, TIMEOUT)) for name, path in premises.sockets),
        mta,
        _relayed(premises, machine) if mta and not mta.problem else None,
        _postfix() if premises.mta else None,
    )


def _volumes(folders: Iterable[str]) -> Iterator[Volume]:
    seen = set()
    for path in folders:
        try:
            device, volume = os.stat(path).st_dev, os.statvfs(path)
        except OSError:
            continue  # that it is not there is told elsewhere
        if device not in seen:
            seen.add(device)
            size, free = volume.f_blocks * volume.f_frsize, volume.f_bavail * volume.f_frsize
            yield Volume(path, size, free, volume.f_files, volume.f_favail)


def _owned(folders: Iterable[str]) -> Iterator[Owned]:
    for path in folders:
        try:
            number = os.stat(path).st_uid
        except OSError:
            continue
        try:
            yield Owned(path, pwd.getpwuid(number).pw_name)
        except KeyError:
            yield Owned(path, f"the user number {number}")


def _future(files: Iterable[str]) -> Future | None:
    newest, when = "", 0.0
    for path in files:
        try:
            changed = os.stat(path).st_mtime
        except OSError:
            continue
        if changed > when:
            newest, when = path, changed
    return Future(newest, max(int(when - time.time()), 0)) if newest else None


def _relayed(premises: Premises, machine: Machine) -> tuple[str, Asked] | None:
    """Ask the MTA to relay from a service address, as a stranger would, not from the loopback interface."""
    assert premises.mta is not None
    outside = [each for each in premises.addresses if not each.startswith("127.") and each != "::1"]
    source = next((each for each in outside if machine.place(each) is Place.HERE), None)
    if source is None:
        return None
    run = inquiry(socket.gethostname(), [FOREIGN])
    try:
        with socket.create_connection((source, premises.mta[1]), TIMEOUT, (source, 0)) as connection:
            (answer,) = converse(run, lambda: connection.recv(65536), connection.sendall)
    except OSError:
        return None
    return source, Asked(Purpose.RELAY, *answer)


def _postfix() -> PostfixSettings | None:
    program = shutil.which("postconf", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    if program is None:
        return None
    values = [_setting(program, name) for name in ("mynetworks", "masquerade_domains", "mydestination")]
    return None if all(value is None for value in values) else PostfixSettings(*(value or () for value in values))


def _setting(program: str, name: str) -> tuple[str, ...] | None:
    command: Sequence[str] = (program, "-hx", name)
    try:
        done = subprocess.run(command, capture_output=True, timeout=TIMEOUT, check=False)  # noqa: S603  our own words
    except (OSError, subprocess.TimeoutExpired):
        return None
    text = done.stdout.decode("utf-8", "replace")
    return tuple(text.replace(",", " ").split()) if done.returncode == 0 else None
