"""A file that is read again after edits says what a reading of the whole says, whatever was edited."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vmaild.formats.parsed import Parsed
from vmaild.formats.passwd import parse_passwd
from vmaild.formats.shadow import parse_shadow
from vmaild.store import lines as room
from vmaild.store.lines import PASSWD, SHADOW, LineFormat, Lines, apart, read_lines

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
        "\ud8ff:x",
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
        found = read_lines(FORMS[kind][0], text, "/file")
        agrees(kind, found, text)
        for (start, length), inserted in edits:
            text = text[:start] + inserted + text[start + length :]
            before, earlier = found, text
            found = read_lines(FORMS[kind][0], text, "/file", before[0])
            agrees(kind, found, text)
            assert apart(before[0], found[0]) == {*before[0]} ^ {*found[0]}
            if isinstance(before[0], Lines) and isinstance(found[0], Lines):
                assert read_lines(FORMS[kind][0], earlier, "/file", found[0])[0] is found[0]

    run()


@pytest.mark.parametrize("kind", FORMS)
def test_what_was_read_before_stays_as_it_was(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "PIECE", 64)

    @settings(max_examples=100, deadline=None)
    @given(text_of(kind), text_of(kind), st.integers(0, 200))
    def run(text: str, other: str, place: int) -> None:
        before = read_lines(FORMS[kind][0], text, "/file")
        read_lines(FORMS[kind][0], text[:place] + other + text[place:], "/file", before[0])
        agrees(kind, before, text)

    run()
