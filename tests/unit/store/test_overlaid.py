"""A directory that is kept, and what a change would make of it: the same as one that is read anew."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vmaild.store.directory import FileDirectory
from vmaild.store.files import Files
from vmaild.store.layout import Layout
from vmaild.store.shared import SharedDirectory


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(str(tmp_path))
    for folder in (layout.definitions, layout.last_good):
        os.makedirs(folder)
    write(layout.definition("one.example"), 'aliases = ["uno.example"]\nadmins = ["Bob@two.example", "unix:al"]\n')
    write(layout.definition("two.example"), 'addresses = ["192.0.2.2"]\n')
    write(layout.passwd("one.example"), "ann:x:1:1:Ann:/h:/s\n")
    return layout


def write(path: str, text: str) -> None:
    Path(path).write_text(text)


def warm(layout: Layout) -> SharedDirectory:
    directory = SharedDirectory(FileDirectory(layout, keep_copies=False))
    assert directory.names() == ["one.example", "two.example"]
    for name in directory.names():
        assert directory.find(name)
    return directory


@pytest.mark.parametrize("warmed", [True, False])
def test_what_is_overlaid_is_seen_and_nothing_else_changes(layout: Layout, warmed: bool) -> None:
    directory = warm(layout) if warmed else FileDirectory(layout, keep_copies=False)
    after = directory.overlaid(
        Files(
            {
                layout.definition("two.example"): None,
                layout.definition("new.example"): b'aliases = ["neu.example"]\n',
                layout.definition("one.example"): b'aliases = ["eins.example"]\n',
                layout.passwd("one.example"): b"bob:x:1:1:Bob:/h:/s\n",
                layout.passwd("new.example"): b"cem:x:1:1::/h:/s\n",
            }
        )
    )
    assert after.names() == ["new.example", "one.example"]
    assert after.find("two.example") is None
    assert after.domain_at("192.0.2.2") is None
    assert after.find("uno.example") is None
    found, new = after.find("eins.example"), after.find("neu.example")
    assert found is not None
    assert list(found.accounts) == ["bob"]
    assert new is not None
    assert list(new.accounts) == ["cem"]
    assert after.administered("bob@two.example") == []
    before = directory.find("uno.example")
    assert before is not None
    assert list(before.accounts) == ["ann"]
    assert directory.domain_at("192.0.2.2") == "two.example"


def test_a_file_that_would_go_is_not_waited_for(layout: Layout) -> None:
    after = warm(layout).overlaid(Files({layout.passwd("one.example"): None}))
    found = after.find("one.example")
    assert found is not None
    assert not found.accounts


def test_whom_domains_name_is_known_and_taken_away_at_once(layout: Layout) -> None:
    directory = warm(layout)
    assert directory.administered("bob@two.example") == ["one.example"]
    assert directory.administered("unix:al") == ["one.example"]
    assert directory.administered("unix:root") == []
    before = os.stat(layout.definitions)
    write(layout.definition("one.example"), "")  # in place: the folder does not tell
    os.utime(layout.definitions, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert directory.administered("unix:al") == []


def test_a_damaged_definition_is_not_intact(layout: Layout) -> None:
    directory = warm(layout)
    assert directory.intact("one.example")
    write(layout.definition("one.example"), "aliases = 3\n")
    assert directory.find("one.example"), "its last good state is in force"
    assert directory.intact("one.example") is None
    assert directory.intact("nowhere.example") is None


def test_files_of_another_spelling_are_found_by_who_has_read_all_and_who_has_not(layout: Layout) -> None:
    os.rename(layout.definition("two.example"), layout.definition("Two.Example"))
    fresh = FileDirectory(layout, keep_copies=False)
    assert fresh.stem("two.example") == "Two.Example"
    fresh.names()
    assert (fresh.stem("two.example"), fresh.stem("none.example")) == ("Two.Example", "none.example")
