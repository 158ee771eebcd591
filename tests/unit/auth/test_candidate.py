"""Whose password a login is checked against, on real files."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmaild.auth.candidate import candidate
from vmaild.store.directory import FileDirectory
from vmaild.store.layout import Layout

VA = "va.toto.fr"


@pytest.fixture
def directory(tmp_path: Path) -> FileDirectory:
    layout = Layout(str(tmp_path))
    for path, text in (
        (layout.definition(VA), ""),
        (layout.passwd(VA), "bob:x:60000:60000:Bob:/vhome/va.toto.fr/bob:/bin/false\n"),
        (layout.shadow(VA), "bob:$6$salt$hash:20000:0:99999:7:::\n"),
    ):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text)
    return FileDirectory(layout, keep_copies=False)


@pytest.mark.parametrize(
    ("login", "domain"),
    [("bob", VA), ("BOB", VA), ("bob ", VA), ("  bob", VA), (" bob@va.toto.fr ", VA), ("bob%va.toto.fr. ", None)],
)
def test_ways_to_type_a_login(directory: FileDirectory, login: str, domain: str | None) -> None:
    """Telephones put a blank behind the word, and tests of servers put several before it."""
    meant = candidate(directory, login, domain, 1e9)
    assert (meant.login, meant.hashed) == ("bob", "$6$salt$hash")


@pytest.mark.parametrize("login", ["", " ", "bo b", "bob @va.toto.fr", "bob\t", "@va.toto.fr"])
def test_what_is_no_login(directory: FileDirectory, login: str) -> None:
    assert candidate(directory, login, VA, 1e9).login == ""
