"""Roots in which only the folders are."""

from __future__ import annotations

import os
from pathlib import Path

from vmaild.store.layout import Layout


def laid_out(path: Path) -> Layout:
    """The folders that a delivery needs, below `path`."""
    where = Layout(str(path))
    for folder in (where.definitions, where.last_good, where.spool, where.incoming):
        os.makedirs(folder)
    return where
