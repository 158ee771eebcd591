"""Sends a message through the filter program of its domain, from standard input to standard output.

The program sees the message as it would be stored, header lines of this server included, and what it writes is
stored instead. Whatever goes wrong with it (its status, its time, an empty or endless output) makes the message
wait: none is lost, and none comes through unfiltered.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from vmaild.address import Address
from vmaild.delivery.command import Run, execute
from vmaild.delivery.mailboxes import Copy, FilterFailed
from vmaild.delivery.message import Message
from vmaild.store.content import Content, scratch_file

log = logging.getLogger("vmaild.delivery")

_BLOCK = 262144
_MOST, _ROOM = 2, 16 << 20
"""What comes out may be so many times as large as what went in, and so many bytes larger still."""


@contextmanager
def filtered(
    copy: Copy, message: Message, recipient: Address, header: bytes, folder: str, seconds: float
) -> Iterator[Content]:
    """What the filter makes of a message and the header lines above it. Raises FilterFailed, StoreError.

    `folder` takes what goes in and what comes out; nothing of it is held in memory.
    """
    what = Run(copy.filter, message.sender, recipient, copy.mailbox.domain, copy.mailbox.login)
    with scratch_file(folder) as given, scratch_file(folder) as made:
        try:
            words, limit = what.words(), _MOST * message.content.size + _ROOM
            message.content.write_to(given, header)
            os.lseek(given, 0, os.SEEK_SET)
            status, said = execute(words, what.environment(), given, folder, seconds, stdout=made, limit=limit)
        except (OSError, ValueError) as error:
            raise FilterFailed(f"filter {copy.filter} cannot be run: {error}") from error
        if status != 0:
            told = "out of time, or endless" if status is None else f"status {status}"
            raise FilterFailed(
                f"filter {copy.filter}: {told}: {said.decode('utf-8', 'backslashreplace').strip()!r}"
            )
        size = os.fstat(made).st_size
        if not 0 < size < limit:
            raise FilterFailed(f"filter {copy.filter} wrote {'too much' if size else 'nothing'}")
        with Content(folder) as content:
            position = 0
            while block := os.pread(made, _BLOCK, position):
                position += len(block)
                content.append(block)
            content.finish()
            yield content
