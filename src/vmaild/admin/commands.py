"""Where our own commands are installed, for whoever has to call them from elsewhere."""

from __future__ import annotations

import os
import shutil
import sysconfig


def command(name: str) -> str | None:
    """Its path, that of the one installed with this program before any other on the search path; None: none."""
    return shutil.which(name, path=f"{sysconfig.get_path('scripts')}:{os.environ.get('PATH', '')}")
