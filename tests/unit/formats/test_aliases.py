"""Alias files: what belongs together, what is passed over, and edits."""

from __future__ import annotations

import pytest

from vmaild.core.directory import IncludeList, Source
from vmaild.formats.aliases import parse_aliases, parse_include, render_alias, with_alias, without_alias

DEBIAN = """\
# /etc/aliases
mailer-daemon: postmaster
postmaster: root
nobody: root

root: joe
www-data : root
"""


def entries(text: str) -> dict[str, tuple[str, ...]]:
    parsed = parse_aliases(text, "a")
    assert parsed.findings == ()
    return {entry.name: entry.targets for entry in parsed.entries}


def test_a_file_of_a_debian_machine() -> None:
    assert entries(DEBIAN)["www-data"] == ("root",)
    assert parse_aliases(DEBIAN, "a").entries[3].source == Source("a", 6)


@pytest.mark.parametrize(
    ("text", "targets"),
    [
        ("x: a, b\n", ("a", "b")),
        ("x:a,b\n", ("a", "b")),
        ("x: a,\n b\n\tc\n", None),
        ("x: a,\n  b,\n\tc\n", ("a", "b", "c")),
        ("x:\n  a\n", ("a",)),
        ("x: a,\r\n  b\r\n", ("a", "b")),
        ("x: a,\n# a comment\n\n  # another\n  b\n", ("a", "b")),
        ("x: a,\nb\n", ("a", "b")),
        ("x: a,\n:include:/l\n", ("a", ":include:/l")),
        ("x: a,\n|/bin/cat a:b\n", ("a", "|/bin/cat a:b")),
        ("x: a, \\\nb\n", ("a", "b")),
        ("x: a\\\n  , b\n", ("a", "b")),
        ('x: "|prog a\n  b"\n', ("|prog a  b",)),
        ("x: a,,b,\n", ("a", "b")),
    ],
)
def test_lines_that_belong_together(text: str, targets: tuple[str, ...] | None) -> None:
    if targets is None:
        assert "put commas between targets" in parse_aliases(text, "a").findings[0].remedy
    else:
        assert entries(text + "y: z\n") == {"x": targets, "y": ("z",)}


@pytest.mark.parametrize("start", ["x: a,\n", "x: a, \\\n"])
def test_a_line_that_is_an_entry_continues_none(start: str) -> None:
    assert entries(f'{start}y: b\n"z (1)": c\n') == {"x": ("a",), "y": ("b",), "z (1)": ("c",)}


def test_a_comment_ends_what_a_comma_continues() -> None:
    parsed = parse_aliases("x: a,\n# c\nstray\n", "p")
    assert [(entry.name, entry.targets) for entry in parsed.entries] == [("x", ("a",))]
    assert [finding.line for finding in parsed.findings] == [3]


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("joe", "joe"),
        ("joe ", "joe"),
        ('"joe who"', "joe who"),
        ('"joe\\"s"', 'joe"s'),
        ('"a:b,c@d"', "a:b,c@d"),
        ("joe (the boss)", "joe"),
        ('"joe who" (the boss)', "joe who"),
        ("owner-list", "owner-list"),
        ("MAILER-DAEMON", "MAILER-DAEMON"),
        ("ren\u00e9", "ren\u00e9"),
    ],
)
def test_names(written: str, name: str) -> None:
    assert entries(f"{written}: x") == {name: ("x",)}


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("joe bob", "'joe bob' has no ':' after a name"),
        (": bob", "there is no name before the ':'"),
        ('"": bob', "there is no name before the ':'"),
        ("joe:", "alias 'joe' has no targets"),
        ("joe: , (nobody)", "alias 'joe' has no targets"),
        ("joe@va.toto.fr: bob", "the name 'joe@va.toto.fr' has a domain"),
        ("joe who: bob", "the name 'joe who' needs double quotes"),
        ('"joe: bob', "the double quote in '\"joe: bob' is not closed"),
        ('joe: "bob', "the double quote in '\"bob' is not closed"),
        ("caf\udce9: bob", "the name 'caf\\xe9' is not UTF-8"),
        ("\ufeffjoe: bob", "the name '\\ufeffjoe' contains a control or invisible character"),
        ("joe: :include:list", "the list 'list' of ':include:' is not an absolute path"),
        ("joe: alice,\n  ./x", "the target './x' is a relative path"),
    ],
)
def test_a_damaged_entry_costs_that_entry(statement: str, problem: str) -> None:
    parsed = parse_aliases(f"a: b\n{statement}\nc: d\n", "p")
    assert [entry.name for entry in parsed.entries] == ["a", "c"]
    assert [(finding.line, finding.problem) for finding in parsed.findings] == [(2, problem)]


def test_what_continues_nothing_is_told_once() -> None:
    parsed = parse_aliases("# top\n  a: b\n  c\nd: e\n", "p")
    (finding,) = parsed.findings
    assert finding.line == 2
    assert finding.problem == "'a: b  c' is indented, but there is no entry above that it continues"
    assert [entry.name for entry in parsed.entries] == ["d"]


def test_the_first_of_two_entries_counts() -> None:
    parsed = parse_aliases("joe: a\nJOE: b\n", "p")
    assert [entry.targets for entry in parsed.entries] == [("a",)]
    assert parsed.findings[0].problem == "alias 'JOE' stands on line 1 already, which is in force"


def test_a_list() -> None:
    text = '# staff\nbob, alice\n\n  "Joe" <joe@example.org>,\n"|x\n/var/f\n'
    included, findings = parse_include(text, "l")
    assert included == IncludeList(
        (
            ("bob", Source("l", 2)),
            ("alice", Source("l", 2)),
            ("joe@example.org", Source("l", 4)),
            ("/var/f", Source("l", 6)),
        )
    )
    assert [finding.line for finding in findings] == [5]


def test_what_is_written() -> None:
    assert render_alias("joe", ["a", "b@x.org"]) == "joe: a, b@x.org"
    assert render_alias("joe who", ["|a b"]) == '"joe who": "|a b"'
    assert render_alias("#x", ["#y", "\\joe"]) == '"#x": "#y", \\joe'
    members = [f"member{number}@example.org" for number in range(9)]
    assert render_alias("list", members) == "list:\n    " + ",\n    ".join(members)


@pytest.mark.parametrize(
    ("name", "targets"),
    [("", ["a"]), ("a\nb", ["a"]), ("a", []), ("a", [""]), ("a", ["|x\ny: z"]), ("a", ["b\nc: d"]), ("a", ["b@"])],
)
def test_what_cannot_be_written(name: str, targets: list[str]) -> None:
    with pytest.raises(ValueError, match=r"; (write|remove)"):
        render_alias(name, targets)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("# c\njoe: a\nx: y\n", "# c\njoe: new\nx: y\n"),
        ("JOE: a,\n  b,\n# kept\n  c\n# d\nx: y\n", "joe: new\n# kept\n# d\nx: y\n"),
        ("joe: a,\nb\nx: y\n", "joe: new\nx: y\n"),
        ("x: y", "x: y\njoe: new\n"),
        ("x: y,\r\n", "x: y,\r\njoe: new\r\n"),
        ('joe: "bad\n', 'joe: "bad\njoe: new\n'),
        ("joe: (was a) new\n", "joe: (was a) new\n"),
    ],
)
def test_setting_an_entry(before: str, after: str) -> None:
    assert with_alias(before, "joe", ["new"]) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("# c\njoe: a,\n  b,\n\n  c\n# d\nx: y\n", "# c\n\n# d\nx: y\n"),
        ("joe: a\nx: y\nJoe: b\n", "x: y\n"),
        ("x: y\n", "x: y\n"),
        # The stray line below must not become part of the list above.
        ("x: y,\njoe: a\nstray\n", "x: y,\n\nstray\n"),
    ],
)
def test_removing_an_entry(before: str, after: str) -> None:
    assert without_alias(before, "joe") == after
