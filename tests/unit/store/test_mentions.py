"""Which domains alias files write of, as of now."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vmaild.address import Address
from vmaild.core.directory import DomainDefinition, FallbackToAddress, FallbackToDomain
from vmaild.store.files import Files
from vmaild.store.layout import Layout
from vmaild.store.mentions import Mentions

VA = DomainDefinition("va.toto.fr")


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    where = Layout(str(tmp_path))
    os.makedirs(where.definitions)
    return where


def test_every_name_behind_an_at_sign_counts_whatever_its_case_or_script(layout: Layout) -> None:
    aliases = Path(layout.aliases("va.toto.fr"))
    aliases.write_text(
        'one: bob, Joe@VB.toto.fr, "a b"@vc.toto.fr., x@MÜLLER.example\n# nobody@commented.example\n'
    )
    mentions = Mentions(layout, Files())
    found = mentions.of(VA, str(aliases))
    assert found >= {"vb.toto.fr", "vc.toto.fr", "müller.example"}
    assert "bob" not in found


def test_lists_extra_files_and_the_fallback_count(layout: Layout) -> None:
    Path(layout.aliases("va.toto.fr")).write_text("all: :include:/etc/vmail/list\n")
    Path(layout.path("/etc/vmail/list")).write_text("bob@in.list\n")
    Path(layout.path("/etc/vmail/more")).write_text("bob: bob@in.more\n")
    mentions, aliases = Mentions(layout, Files()), layout.aliases("va.toto.fr")
    assert mentions.of(VA, aliases) == {"in.list"}
    for fallback in (FallbackToDomain("other.example"), FallbackToAddress(Address("joe", "other.example"))):
        more = DomainDefinition("va.toto.fr", fallback=fallback, alias_files=("/etc/vmail/more", "/not/there"))
        assert mentions.of(more, aliases) == {"in.list", "in.more", "other.example"}


def test_an_edit_counts_at_once_and_so_does_a_file_that_goes(layout: Layout) -> None:
    aliases = Path(layout.aliases("va.toto.fr"))
    mentions = Mentions(layout, Files())
    assert mentions.of(VA, str(aliases)) == set()
    for name in ("vb.toto.fr", "vc.toto.fr", "vd.toto.fr"):  # of one length, within one tick of the clock
        aliases.write_text(f"one: bob@{name}\n")
        assert mentions.of(VA, str(aliases)) == {name}
    aliases.unlink()
    assert mentions.of(VA, str(aliases)) == set()
    aliases.mkdir()
    assert mentions.of(VA, str(aliases)) == set()
