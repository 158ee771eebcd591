"""Accounts by the list: what becomes of each row, and that it does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from vmaild.admin import account_import
from vmaild.admin.account_import import carry_out, preview
from vmaild.admin.door import Door
from vmaild.admin.refusal import Misused
from vmaild.auth.passwords import verify
from vmaild.store.directory import FileDirectory
from vmaild.store.layout import Layout
from vmaild.store.state import AuditLog

LIST = """\
login,full_name,quota,password
ann,Ann Martin,5M,purple walrus
joe,,,
bob,Bob,,purple walrus
Ann,Ann again,,purple walrus
a b,,,
x,,5 elephants,
y,Colon : Name,,
z@vb.toto.fr,,,
w,,,short
"""


def test_every_row_is_looked_at_and_nothing_changes(
    door: Door, tree: Callable[[], dict[str, tuple[int, int, bytes]]]
) -> None:
    before = tree()
    rows = preview(door, LIST.encode(), "va.toto.fr", least=8)
    assert [(row.row.login, row.problem.partition(" (")[0]) for row in rows] == [
        ("ann", ""),
        ("joe", ""),
        ("bob", "bob@va.toto.fr exists already"),
        ("Ann", "Ann@va.toto.fr is in the list twice"),
        ("a b", "login 'a b' contains a blank"),
        ("x", "'5 elephants' is not a size"),
        ("y", rows[6].problem),
        ("z@vb.toto.fr", "z@vb.toto.fr is not of va.toto.fr"),
        ("w", "the password is too short"),
    ]
    assert "cannot stand in a passwd file" in rows[6].problem
    assert rows[1].warning == "nobody can log in: there is no password"
    assert all(row.remedy for row in rows if row.problem)
    assert tree() == before


def test_good_rows_become_accounts_that_work(door: Door, layout: Layout) -> None:
    told: list[int] = []
    rows = preview(door, LIST.encode(), "va.toto.fr", least=8)
    assert carry_out(door, rows, told.append) == []
    assert told == [2]
    directory = FileDirectory(layout, keep_copies=False)
    domain = directory.find("va.toto.fr")
    assert domain is not None
    assert set(domain.accounts) == {"bob", "alice", "ann", "joe"}
    assert (domain.accounts["ann"].full_name, domain.accounts["ann"].quota) == ("Ann Martin", 5 << 20)
    entries = {login: directory.password_of("va.toto.fr", login) for login in ("ann", "joe")}
    assert entries["ann"] is not None
    assert verify(b"purple walrus", entries["ann"].password)
    assert entries["joe"] is not None
    assert entries["joe"].locked
    assert Path(layout.spool, "va.toto.fr", "ann").is_dir()
    (record,) = AuditLog(layout).records()
    assert record.summary == "add 2 accounts to va.toto.fr: ann, joe"
    assert "purple" not in str(record)


def test_lots_domains_and_somebody_who_was_faster(
    door: Door, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account_import, "LOT", 3)
    text = "address\n" + "".join(f"p{n}@v{'ab'[n % 2]}.toto.fr\n" for n in range(10))
    rows = preview(door, text.encode())
    assert not any(row.problem for row in rows)
    carry_out(door, rows[:2])
    told: list[int] = []
    failed = carry_out(door, rows, told.append)
    assert [(row.row.login, "exists already" in row.problem) for row in failed] == [
        ("p0@va.toto.fr", True),
        ("p1@vb.toto.fr", True),
    ]
    assert told[-1] == 10
    for name in ("va.toto.fr", "vb.toto.fr"):
        passwd = Path(layout.passwd(name)).read_text()
        assert passwd.count("\np") == 5, passwd


def test_a_co_administrator_stays_within_limits(
    door_of: Callable[[str], Door], layout: Layout, door: Door
) -> None:
    Path(layout.definition("va.toto.fr")).write_text('admins = ["unix:alice"]\nmax_users = 4\n')
    text = b"login\nann\njoe\neve\n"
    rows = preview(door_of("unix:alice"), text, "va.toto.fr")
    assert [row.problem for row in rows] == ["", "", "va.toto.fr may have 4 accounts"]
    assert not any(row.problem for row in preview(door, text, "va.toto.fr"))
    elsewhere = preview(door_of("unix:alice"), b"address\nx@vb.toto.fr\nx@nowhere.example\n")
    assert [row.problem for row in elsewhere] == [
        "unix:alice may not change accounts of vb.toto.fr",
        "unix:alice may not change accounts of nowhere.example",
    ]


def test_what_is_no_list_is_wrong_usage(door: Door) -> None:
    with pytest.raises(Misused, match="names no column 'login'"):
        preview(door, b"name\nann\n", "va.toto.fr")
