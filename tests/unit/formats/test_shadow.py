"""shadow files: as copied from a machine, damaged, and edited."""

from __future__ import annotations

import pytest

from vmaild.core.directory import ShadowEntry, Source
from vmaild.formats.shadow import parse_shadow, with_entry, without_entry

HASH = "$6$saltsalt$c2VjcmV0"
DEBIAN = f"""\
root:*:19700:0:99999:7:::
daemon:!*:19700:0:99999:7:::
joe:{HASH}:19701:0:99999:7:::
ann:!{HASH}:19701:0:99999:7::20000:
new:!!:::::::
old:abJnggxhB/yWI:19701::::::
"""


def test_a_file_of_a_debian_machine() -> None:
    parsed = parse_shadow(DEBIAN, "shadow")
    assert parsed.findings == ()
    found = {entry.login: entry for entry in parsed.entries}
    assert found["joe"] == ShadowEntry("joe", HASH, 19701, None, Source("shadow", 3))
    assert (found["ann"].locked, found["ann"].expires) == (True, 20000)
    assert found["new"].last_change is None


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("bob", "the line of 'bob' has 1 field, not 9"),
        (f"bob:{HASH}:1:2:3:4:5:6:7:8", "the line of 'bob' has 10 fields, not 9"),
        (f":{HASH}:::::::", "login '' is empty"),
        (f"b/b:{HASH}:::::::", "login 'b/b' contains '/'"),
        (f"bob:{HASH}:today::::::", "last change 'today' of 'bob' is not a number of days"),
        (f"bob:{HASH}::::::2026-01-01:", "expiry '2026-01-01' of 'bob' is not a number of days"),
        ("+:::::::::", "'+' is an entry of NIS"),
    ],
)
def test_a_damaged_line_costs_that_line(line: str, problem: str) -> None:
    parsed = parse_shadow(f"carl:*:::::::\n{line}\nalice:*:::::::\n", "s")
    assert [entry.login for entry in parsed.entries] == ["carl", "alice"]
    assert [(finding.line, finding.problem.startswith(problem)) for finding in parsed.findings] == [(2, True)]


@pytest.mark.parametrize("password", ["", "secret", "{SSHA}c2VjcmV0", "x", "$6$a b", "$6$caf\u00e9"])
def test_what_no_password_can_match_is_told_and_never_shown(password: str) -> None:
    parsed = parse_shadow(f"bob:{password}:::::::\n", "s")
    assert parsed.entries[0].password == password
    assert "nobody can log in" in parsed.findings[0].problem
    assert len(password) < 2 or password not in str(parsed.findings)


@pytest.mark.parametrize(
    "password",
    [
        "*",
        "!",
        "!!",
        "!$6$a$b",
        "*NP*",
        "$y$j9T$a$b",
        "$2b$12$abc",
        "$1$a$b",
        "$md5,rounds=5$a$$b",
        "_J9..rasmBYk8r9AiWNc",
    ],
)
def test_what_crypt_and_shadow_know(password: str) -> None:
    assert parse_shadow(f"bob:{password}:::::::\n", "s").findings == ()


def test_the_first_of_two_lines_counts() -> None:
    parsed = parse_shadow("bob:*:::::::\nBOB:!:::::::\n", "s")
    assert [entry.password for entry in parsed.entries] == ["*"]
    assert parsed.findings[0].problem == "login 'BOB' stands on line 1 already, which is in force"


def test_no_expiry_as_chage_writes_it() -> None:
    assert parse_shadow("bob:*::::::-1:\n", "s").entries[0].expires is None


def test_a_new_entry_is_like_that_of_useradd() -> None:
    assert with_entry("", ShadowEntry("bob", HASH, 20000)) == f"bob:{HASH}:20000:0:99999:7:::\n"


def test_an_edit_keeps_what_it_does_not_change() -> None:
    text = f"# first\nbob\nBOB:old:019:1:2:3:4:-1:9\r\nann:{HASH}:::::::\nbob:*:::::::\n"
    edited = with_entry(text, ShadowEntry("bob", HASH, 19))
    assert edited == f"# first\nbob\nbob:{HASH}:019:1:2:3:4:-1:9\r\nann:{HASH}:::::::\nbob:*:::::::\n"
    assert with_entry(edited, ShadowEntry("bob", "!", None, 7)).split("\n")[2] == "bob:!::1:2:3:4:7:9\r"


@pytest.mark.parametrize(
    "entry",
    [
        ShadowEntry("a b", HASH),
        ShadowEntry("bob", "a:b"),
        ShadowEntry("bob", "a\nroot:"),
        ShadowEntry("bob", HASH, -5),
        ShadowEntry("bob", HASH, None, 10**9),
    ],
)
def test_what_a_line_cannot_hold(entry: ShadowEntry) -> None:
    with pytest.raises(ValueError, match="; give ") as raised:
        with_entry("", entry)
    assert entry.password not in str(raised.value)


def test_a_removed_entry_does_not_come_back_from_a_later_line() -> None:
    assert without_entry("bob:*:::::::\n# c\nBob:x:::::::\nann:*:::::::", "BOB") == "# c\nann:*:::::::"


def test_a_short_line_is_told_and_works() -> None:
    parsed = parse_shadow(f"bob:{HASH}\nalice:{HASH}:19700\n", "shadow")
    assert [(entry.login, entry.password, entry.last_change) for entry in parsed.entries] == [
        ("bob", HASH, None),
        ("alice", HASH, 19700),
    ]
    assert [finding.problem for finding in parsed.findings] == [
        "the line of 'bob' has 2 fields, not 9",
        "the line of 'alice' has 3 fields, not 9",
    ]
    assert with_entry(f"bob:{HASH}\n", ShadowEntry("bob", "!", 1)) == "bob:!:1::::::\n"
