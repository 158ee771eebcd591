"""A file that is read again after edits says what a reading of the whole says, whatever was edited."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vmaild.address import fold
from vmaild.core.directory import Account, ShadowEntry
from vmaild.formats.parsed import Parsed
from vmaild.formats.passwd import parse_passwd, with_account, without_account
from vmaild.formats.shadow import parse_shadow, with_entry, without_entry
from vmaild.store import lines as room
from vmaild.store.lines import PASSWD, SHADOW, LineFormat, Lines, apart, edited, read_lines

LOGINS = st.builds(lambda letter, number: f"{letter}{number}", st.sampled_from("abAéB"), st.integers(0, 99))
GOOD = {
    "passwd": st.builds("{}:x:1:1:Bob Martin:/h:/s".format, LOGINS),
    "shadow": st.builds("{}:$6$salt$hash:20000:0:99999:7:::".format, LOGINS),
}
ODD = st.sampled_from(
    [
        "",
        "# comment",
        "bob",
        "+nis::::::",
        "x:x:no:1:::",
        "y::::",
        "z:x:1:1:&,,,,quota=1X:/:/",
        "\udcff:x",
        "#\f:::",
    ]
)
END = st.sampled_from(["\n", "\n", "\n", "\r\n", ""])
EDIT = st.tuples(st.integers(0, 400), st.integers(0, 80))
FORMS: dict[str, tuple[LineFormat[Any], Callable[[str, str], Parsed[Any]]]] = {
    "passwd": (PASSWD, parse_passwd),
    "shadow": (SHADOW, parse_shadow),
}


def text_of(kind: str) -> st.SearchStrategy[str]:
    good = st.lists(st.tuples(GOOD[kind], END), max_size=12, unique_by=lambda line: line[0].lower())
    odd = st.lists(st.tuples(st.one_of(GOOD[kind], ODD), END), max_size=6)
    return st.one_of(good, good, odd).map(lambda rows: "".join(line + end for line, end in rows))


def octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def agrees(kind: str, found: tuple[Any, Any], text: str) -> None:
    parsed = FORMS[kind][1](text, "/file")
    entries, findings = found
    assert list(entries.items()) == [(entry.login.lower(), entry) for entry in parsed.entries]
    assert findings == parsed.findings
    assert len(entries) == len(parsed.entries)
    assert all(entry.login.lower() in entries for entry in parsed.entries)


@pytest.mark.parametrize("kind", FORMS)
@pytest.mark.parametrize("size", [1, 64, 32768])
def test_in_pieces_as_in_the_whole(kind: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "PIECE", size)

    @settings(max_examples=150, deadline=None)
    @given(text_of(kind), st.lists(st.tuples(EDIT, text_of(kind)), max_size=6))
    def run(text: str, edits: list[tuple[tuple[int, int], str]]) -> None:
        found = read_lines(FORMS[kind][0], octets(text), "/file")
        agrees(kind, found, text)
        for (start, length), inserted in edits:
            text = text[:start] + inserted + text[start + length :]
            before, earlier = found, text
            found = read_lines(FORMS[kind][0], octets(text), "/file", before[0])
            agrees(kind, found, text)
            assert apart(before[0], found[0]) == {*before[0]} ^ {*found[0]}
            if isinstance(before[0], Lines) and isinstance(found[0], Lines):
                assert read_lines(FORMS[kind][0], octets(earlier), "/file", found[0])[0] is found[0]

    run()


@pytest.mark.parametrize("kind", FORMS)
def test_what_was_read_before_stays_as_it_was(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "PIECE", 64)

    @settings(max_examples=100, deadline=None)
    @given(text_of(kind), text_of(kind), st.integers(0, 200))
    def run(text: str, other: str, place: int) -> None:
        before = read_lines(FORMS[kind][0], octets(text), "/file")
        read_lines(FORMS[kind][0], octets(text[:place] + other + text[place:]), "/file", before[0])
        agrees(kind, before, text)

    run()


EDITS: dict[str, list[Callable[[str, str], str]]] = {
    "passwd": [
        lambda text, login: with_account(text, Account(login, 7, 8, "Zoé", "/h", "/s")),
        without_account,
    ],
    "shadow": [
        lambda text, login: with_entry(text, ShadowEntry(login, "$6$salt$other", 20001)),
        without_entry,
    ],
}


@pytest.mark.parametrize("kind", FORMS)
@pytest.mark.parametrize("size", [1, 64])
def test_an_edit_of_a_part_is_that_of_the_whole(kind: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "PIECE", size)
    monkeypatch.setattr(room, "_FEW", 3)

    @settings(max_examples=150, deadline=None)
    @given(text_of(kind), st.lists(st.tuples(LOGINS, st.integers(0, 1)), min_size=1, max_size=8))
    @example("b0:x:1:1:Bob:/h:/s\nb0:x:1:1:Other:/h:/s\n", [("b0", 1)])
    @example("b0:$6$s$h:1:0:9:7:::\nB0:$6$s$i:1:0:9:7:::\n", [("b0", 1)])
    def run(text: str, edits: list[tuple[str, int]]) -> None:
        known: object = None
        for login, number in edits:
            edit = EDITS[kind][number]
            whole = edit(text, login)
            found = edited(
                FORMS[kind][0],
                octets(text),
                "/file",
                known,
                fold(login),
                lambda part: edit(part, login),  # noqa: B023
            )
            assert found == octets(whole)
            known = read_lines(FORMS[kind][0], found, "/file", known)[0]
            agrees(kind, (known, read_lines(FORMS[kind][0], found, "/file", known)[1]), whole)
            text = whole

    run()
