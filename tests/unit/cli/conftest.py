"""`vmail` in this process, on a small root of its own."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from vmaild.cli.application import application, verb_of
from vmaild.store.layout import Layout


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command line ended."""

    status: int
    stdout: str
    stderr: str

    @property
    def document(self) -> Any:
        """The JSON document on standard output."""
        return json.loads(self.stdout)


Vmail = Callable[..., Ran]


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    where = Layout(str(tmp_path / "root"))
    for folder in (where.definitions, where.spool, where.state, where.run, where.path("/vhome")):
        os.makedirs(folder)
    (tmp_path / "root/etc/vmail/domains/va.toto.fr.toml").write_text('aliases = ["va.example"]\n')
    Path(where.passwd("va.toto.fr")).write_text("bob:x:1:1:Bob Martin:/h:/s\nalice:x:1:1::/h:/s\n")
    Path(where.shadow("va.toto.fr")).write_text("bob:!:1:0:99999:7:::\nalice:!:1:0:99999:7:::\n")
    Path(where.shadow("va.toto.fr")).chmod(0o640)
    Path(where.aliases("va.toto.fr")).write_text("team: bob, alice\n")
    return where


@pytest.fixture
def vmail(layout: Layout) -> Vmail:
    """Run a command line on the root: `vmail("user", "list", "va.toto.fr")`."""

    def run(*arguments: str, stdin: str = "") -> Ran:
        app, words = application(verb_of(arguments)), ["--root", layout.root, *arguments]
        result = CliRunner().invoke(app, words, input=stdin, prog_name="vmail")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ran(result.exit_code, result.stdout, result.stderr)

    return run
