"""Maildir++ folders for sub-addresses."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

from vmaild.core.directory import Quota
from vmaild.store import folders
from vmaild.store.content import Content
from vmaild.store.folders import folder_for, folder_name
from vmaild.store.maildir import MaildirStore, create_maildir
from vmaild.store.messages import Mailbox, OverQuota, Terms, Usage

BOB = Mailbox("va.toto.fr", "bob")


def deliver(spool: Path, folder: str, *, create: bool = True, quota: int = 0) -> None:
    with Content("/tmp") as content:
        content.append(b"x\n")
        content.finish()
        MaildirStore(str(spool)).deliver(BOB, b"", content, Terms(Quota(0, quota), 0, folder, create))


def places(spool: Path) -> list[str]:
    home = spool / "va.toto.fr/bob"
    return sorted(str(path.parent.relative_to(home)) for path in home.rglob("new/*"))


@pytest.mark.parametrize(
    ("detail", "name"),
    [
        ("lists", "lists"),
        ("Lists", "lists"),
        ("a.b", "a_b"),
        ("../../alice", "alice"),
        ("..", ""),
        ("a/b", "a_b"),
        ("\x00x", "x"),
        ("", ""),
        ("inbox", ""),
        ("Trash", ""),
        ("a&b", "a&-b"),
        ("été", "&AOk-t&AOk-"),
        ("x" * 100, "x" * 60),
        ("a+b", "a+b"),
    ],
)
def test_a_sub_address_names_a_folder_and_nothing_else(detail: str, name: str) -> None:
    assert folder_name(detail) == name


@pytest.mark.parametrize("character", ["a", "é", "aé", "日", "😀", "a😀"])
def test_a_name_of_any_characters_fits_on_disk(tmp_path: Path, character: str) -> None:
    folder = folder_for(str(tmp_path), character * 60, create=True)
    assert os.path.isdir(f"{folder}/new")
    assert folder_for(str(tmp_path), character * 59, create=True) != str(tmp_path)


def test_a_folder_is_made_where_that_is_wanted(tmp_path: Path) -> None:
    deliver(tmp_path, "lists", create=False)
    deliver(tmp_path, "lists")
    deliver(tmp_path, "LISTS", create=False)
    assert places(tmp_path) == [".lists/new", ".lists/new", "new"]
    assert (tmp_path / "va.toto.fr/bob/.lists/maildirfolder").is_file()
    assert MaildirStore(str(tmp_path)).usage(BOB) == Usage(3, 6)
    with closing(MaildirStore(str(tmp_path)).open_maildrop(BOB)) as maildrop:
        assert len(maildrop.sizes) == 1  # POP3 has the inbox only


def test_the_owner_s_spelling_of_a_folder_counts(tmp_path: Path) -> None:
    create_maildir(str(tmp_path / "va.toto.fr/bob"))
    create_maildir(str(tmp_path / "va.toto.fr/bob/.Lists"))
    deliver(tmp_path, "lists")
    assert places(tmp_path) == [".Lists/new"]


def test_anybody_can_make_up_sub_addresses_so_folders_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "MAX_FOLDERS", 2)
    for name in ("a", "b", "c", "d", "b"):
        deliver(tmp_path, name)
    assert places(tmp_path) == [".a/new", ".b/new", ".b/new", "new", "new"]


def test_folders_count_for_the_quota(tmp_path: Path) -> None:
    for folder in ("a", "", "b"):
        deliver(tmp_path, folder, quota=3)
    with pytest.raises(OverQuota, match="3 messages"):
        deliver(tmp_path, "c", quota=3)


def test_a_mailbox_that_is_not_there_yet(tmp_path: Path) -> None:
    assert folder_for(str(tmp_path / "none"), "x", create=False) == str(tmp_path / "none")
    with pytest.raises(FileNotFoundError):
        folder_for(str(tmp_path / "none"), "x", create=True)
