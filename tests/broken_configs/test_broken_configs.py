"""Each folder here is a damaged set-up, with what an administrator must be told about it in expected.txt."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from vmaild.core.findings import Finding
from vmaild.formats.aliases import parse_aliases, parse_include
from vmaild.formats.domain import parse_definition
from vmaild.formats.passwd import parse_passwd
from vmaild.formats.shadow import parse_shadow
from vmaild.formats.site import parse_site

FOLDERS = sorted(path for path in Path(__file__).parent.iterdir() if path.is_dir() and path.name != "__pycache__")


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_fault_is_told_with_its_place_and_remedy(folder: Path) -> None:
    told = [str(finding) for finding in findings_of(folder)]
    assert told == (folder / "expected.txt").read_text(encoding="utf-8").splitlines()
    assert told, "the set-up is not broken"


def findings_of(folder: Path) -> Iterator[Finding]:
    for file in sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "expected.txt"):
        path = file.relative_to(folder).as_posix()
        yield from parse(path, file.read_bytes().decode("utf-8", "surrogateescape"))


def parse(path: str, text: str) -> tuple[Finding, ...]:
    match path.partition(".")[0].split("/"):
        case ["vmail"]:
            return parse_site(text, path)[1]
        case ["domains", _]:
            return parse_definition(text, Path(path).stem, path)[1]
        case ["passwd"]:
            return parse_passwd(text, path).findings
        case ["shadow"]:
            return parse_shadow(text, path).findings
        case ["aliases"]:
            return parse_aliases(text, path).findings
        case ["lists", _]:
            return parse_include(text, path)[1]
    raise AssertionError(f"what is {path}?")
