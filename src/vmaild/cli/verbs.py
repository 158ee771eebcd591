"""All verbs of `vmail`, for who wants to know of all."""

from __future__ import annotations

from vmaild.cli.application import application

app = application()
