"""Backups of domains: one archive each, a compressed tar (POSIX.1-2001 pax) that other programs can read, too.

In this order: `manifest.json`; `definition.toml`, `passwd`, `shadow`, `aliases`, as far as they are there;
`homes/LOGIN/NAME`; `mail/LOGIN/PLACE`. What is no mail has its SHA-256 in the manifest; gzip's own checksum covers
the rest. An archive is readable by its owner alone: it holds passwords.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import BinaryIO, cast

from vmaild.store.atomic import make_folders, replacing
from vmaild.store.copies import Stored

FORMAT = 1
_MANIFEST = "manifest.json"
_MAIL = "mail/"
_LEVEL = 6
"""Of compression."""
_LARGEST = 1 << 30
"""Bytes of a file that is read whole."""


class BackupUnusable(Exception):
    """An archive is damaged, or none of ours; the text says why."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself."""

    domain: str
    made: str
    """When, as ISO 8601 in UTC."""
    by: str
    mail: bool
    """Whether the mailboxes are in it."""
    accounts: int
    digests: Mapping[str, str] = field(default_factory=dict, repr=False)
    """SHA-256 of each file, in hexadecimal."""
    format: int = FORMAT


def write_backup(
    path: str, manifest: Manifest, files: Mapping[str, bytes], mail: Iterable[tuple[str, Stored]]
) -> int:
    """Write an archive, whole or not at all, and durable; returns how many messages are in it.

    `mail`: logins with their messages; those of one login follow each other. Raises OSError.
    """
    make_folders(os.path.dirname(path), 0o700)
    with (
        replacing(path) as fd,
        os.fdopen(fd, "wb", closefd=False) as raw,
        gzip.GzipFile("", "wb", _LEVEL, raw) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as archive,
    ):
        return _fill(archive, manifest, files, mail)


def _fill(
    archive: tarfile.TarFile, manifest: Manifest, files: Mapping[str, bytes], mail: Iterable[tuple[str, Stored]]
) -> int:
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    text = json.dumps(asdict(manifest) | {"digests": digests}, indent=1).encode()
    for name, content in {_MANIFEST: text, **files}.items():
        archive.addfile(_header(name, len(content), 0), io.BytesIO(content))
    count = 0
    for login, message in mail:
        # One that its owner has removed by now is no loss.
        with suppress(FileNotFoundError), message.open() as source:
            name = f"{_MAIL}{login}/{message.place}"
            archive.addfile(_header(name, message.size, message.changed), source)
            _forget(archive)
            count += 1
    return count


def _header(name: str, size: int, changed: float) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.size, header.mtime, header.mode = size, int(changed), 0o600
    return header


def read_manifest(path: str) -> Manifest:
    """What an archive says of itself. Raises BackupUnusable, OSError."""
    with _opened(path) as archive:
        return _manifest(archive)


def read_files(path: str) -> tuple[Manifest, dict[str, bytes]]:
    """All that is no mail, by name; proved to be as it was. Raises BackupUnusable, OSError."""
    files: dict[str, bytes] = {}
    with _opened(path) as archive:
        manifest = _manifest(archive)
        for member in _rest(archive):
            if member.name.startswith(_MAIL):
                break
            files[member.name] = _content(archive, member)
    for name, digest in manifest.digests.items():
        if hashlib.sha256(files.get(name, b"")).hexdigest() != digest:
            raise BackupUnusable(f"{name} in it is not what it was")
    if files.keys() != manifest.digests.keys():
        raise BackupUnusable("it holds other files than it says")
    return manifest, files


def read_mail(path: str) -> Iterator[tuple[str, Stored]]:
    """The messages with their logins, in their order; each must be read before the next. Raises as above."""
    with _opened(path) as archive:
        _manifest(archive)
        for member in _rest(archive):
            login, slash, place = member.name.removeprefix(_MAIL).partition("/")
            if not member.name.startswith(_MAIL):
                continue
            if not member.isreg() or not slash:
                raise BackupUnusable(f"{member.name} is no message")
            source = archive.extractfile(member)
            yield login, Stored(place, member.size, float(member.mtime), partial(cast, BinaryIO, source))


def _rest(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """What has not been read yet, once."""
    while (member := archive.next()) is not None:
        _forget(archive)
        yield member


def _forget(archive: tarfile.TarFile) -> None:
    """Keep no list of what was read or written: there may be a million messages."""
    archive.members = []  # type: ignore[attr-defined]


def _manifest(archive: tarfile.TarFile) -> Manifest:
    member = archive.next()
    if member is None or member.name != _MANIFEST:
        raise BackupUnusable("it is no backup of vmaild")
    try:
        found = Manifest(**json.loads(_content(archive, member)))
    except (ValueError, TypeError) as error:
        raise BackupUnusable("its manifest cannot be read") from error
    if found.format != FORMAT:
        raise BackupUnusable(f"it has the format {found.format}, which this version of vmaild does not know")
    return found


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    source = archive.extractfile(member) if member.isreg() and member.size <= _LARGEST else None
    if source is None:
        raise BackupUnusable(f"{member.name} in it is no file")
    return source.read()


@contextmanager
def _opened(path: str) -> Iterator[tarfile.TarFile]:
    try:
        with open(path, "rb") as raw, tarfile.open(fileobj=raw, mode="r|gz") as archive:
            yield archive
    except (tarfile.TarError, zlib.error, EOFError, gzip.BadGzipFile) as error:
        raise BackupUnusable(f"it is damaged: {error}") from error
