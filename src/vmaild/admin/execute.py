"""Carries out what was planned, one step at a time, each whole or not at all and durable when it returns."""

from __future__ import annotations

import os
import shlex
import shutil
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from vmaild.admin.plan import (
    AddressEffect,
    Deed,
    FileEdit,
    FolderMode,
    HomeEffect,
    Mail,
    MailEffect,
    RunProgram,
    Step,
    UpdateZone,
)
from vmaild.admin.refusal import Refused
from vmaild.store.atomic import fsync_folder, make_folders, remove_durably, write_atomically
from vmaild.store.messages import Mailbox, MessageStore


def carry_out(step: Step, messages: MessageStore) -> Step:
    """Do one step; returns it, completed by what only the doing tells. Raises OSError, StoreError."""
    match step:
        case FileEdit(path, moved_to=target) if target:
            make_folders(os.path.dirname(target), 0o750)
            _move(path, target)
        case FileEdit(path, after=None):
            with suppress(FileNotFoundError):  # it is gone, as was wanted
                remove_durably(path)
        case FileEdit(path, after=bytes(content), mode=mode):
            # A home that is used for the first time is its owner's alone.
            make_folders(os.path.dirname(path), 0o700 if mode is None else 0o755)
            write_atomically(path, content, mode=mode)
        case MailEffect():
            return _mail(step, messages)
        case HomeEffect(Mail.ARCHIVE, path, moved_to=target):
            make_folders(os.path.dirname(target), 0o755)
            _move(path, target)
        case HomeEffect(Mail.DELETE, path):
            shutil.rmtree(path)
        case RunProgram(argv):
            _run(argv)
        case FolderMode():
            _set_mode(step)
        case UpdateZone(send=send):
            send()
        case AddressEffect():
            _place(step)
        case Deed(do=do):
            do()
        case _:
            pass
    return step


def _set_mode(step: FolderMode) -> None:
    if step.before is not None:
        os.chmod(step.path, step.mode)
        return
    make_folders(step.path, step.mode)
    if step.owner:
        shutil.chown(step.path, step.owner)


def _run(argv: tuple[str, ...]) -> None:
    import subprocess  # noqa: PLC0415  seldom needed

    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False)  # noqa: S603  our own words
    if done.returncode:
        said = done.stderr.decode("utf-8", "backslashreplace").strip().rpartition("\n")[2]
        raise Refused(
            f"{shlex.join(argv)} failed: {said or f'exit status {done.returncode}'}",
            "see to that, then run it again; files were written already",
        )


def _place(step: AddressEffect) -> None:
    from vmaild.store import addresses  # noqa: PLC0415  seldom needed, and it takes its time to load

    if not step.up:
        addresses.take_down(step.record, step.placed)
        return
    try:
        addresses.put_up(step.record, step.placed, duplicate_detection=step.duplicate_detection)
    except addresses.AddressDuplicate as error:
        raise Refused(
            f"{step.placed.address} is used by another machine of the network",
            "take it away there, or give the domain another one; what is above it in the plan was done",
        ) from error


def archive_stamp() -> str:
    """What tells several archived things of one name apart."""
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S")


def _mail(step: MailEffect, messages: MessageStore) -> MailEffect:
    mailbox = Mailbox(step.domain, step.login)
    match step.mail:
        case Mail.CREATE:
            messages.create(mailbox)
        case Mail.ARCHIVE:
            stamp = archive_stamp()
            where = messages.archive(mailbox, stamp) if step.login else messages.archive_domain(step.domain, stamp)
            return replace(step, where=where)
        case Mail.DELETE:
            if step.login:
                messages.remove(mailbox)
            else:
                messages.remove_domain(step.domain)
        case Mail.KEEP:
            pass
    return step


def _move(path: str, target: str) -> None:
    os.rename(path, target)
    fsync_folder(os.path.dirname(target))
    fsync_folder(os.path.dirname(path))
