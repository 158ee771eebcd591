"""Secrets of this machine: made when they are first needed, kept in the state folder, never shown."""

from __future__ import annotations

import os

from vmaild.store.atomic import make_folders, write_atomically
from vmaild.store.layout import Layout
from vmaild.store.locks import exclusive

_LOCK_TIME = 10.0
_OCTETS = 32


def srs_secret(layout: Layout) -> bytes:
    """What proves that an address of sender rewriting is our own. Raises OSError, LockTimeout."""
    return _secret(layout, layout.srs_secret, "srs")


def form_secret(layout: Layout) -> bytes:
    """What proves that a form is one of our pages', also after a restart. Raises OSError, LockTimeout."""
    return _secret(layout, layout.form_secret, "forms")


def _secret(layout: Layout, path: str, lock: str) -> bytes:
    """A secret, which is made under a lock where there is none."""
    found = _read(path)
    if not found:
        make_folders(layout.state, 0o750)
        make_folders(layout.run, 0o755)
        with exclusive(layout.lock(lock), _LOCK_TIME):
            found = _read(path)
            if not found:
                found = os.urandom(_OCTETS).hex().encode()
                write_atomically(path, found + b"\n", mode=0o600)
    return found


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read().strip()
    except FileNotFoundError:
        return b""
