"""The manual pages: as made from the programs, and good roff."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[3]
PAGES = sorted(path.name for path in (ROOT / "docs/man").iterdir())


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("manpages", ROOT / "tools/manpages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pages_are_what_the_programs_say(generator: ModuleType) -> None:
    pages = generator.pages()
    assert sorted(pages) == PAGES
    for name, text in pages.items():
        assert (ROOT / "docs/man" / name).read_text() == text, f"{name} is stale: run tools/manpages.py"


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
@pytest.mark.parametrize("page", PAGES)
def test_groff_has_nothing_to_say(page: str) -> None:
    command = ["groff", "-man", "-ww", "-Tutf8", "-Kutf8", "-P-cbu", str(ROOT / "docs/man" / page)]
    ran = subprocess.run(command, text=True, capture_output=True, check=True)
    assert ran.stderr == ""
    for title in ("NAME", "DESCRIPTION", "SEE ALSO"):
        assert title in ran.stdout


def test_every_verb_has_its_place_in_the_page() -> None:
    page = (ROOT / "docs/man/vmail.1").read_text()
    for verb in ("domain add", "user passwd", "alias set", "admin grant", "explain", "check", "init", "serve"):
        assert f".SS \\fBvmail {verb}\\fR" in page


def test_what_looks_like_roff_is_text(generator: ModuleType) -> None:
    assert generator.roff(".SH\n'quoted' --dry-run \\n") == "\\&.SH\n\\&'quoted' \\-\\-dry\\-run \\en"
