"""passwd files: as copied from a machine, damaged, and edited."""

from __future__ import annotations

import pytest

from vmaild.core.directory import Account, Source
from vmaild.formats.passwd import (
    parse_passwd,
    render_account,
    unfit_login,
    valid_login,
    with_account,
    without_account,
)

DEBIAN = """\
root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
_apt:x:42:65534::/nonexistent:/usr/sbin/nologin
systemd-network:x:998:998:systemd Network Management:/:/usr/sbin/nologin

# people
joe:x:1000:1000:Joe Who,Room 5,555-1234,,quota=50M:/home/joe:/bin/bash
"""
BOB = Account("bob", 60001, 60000, "Bob", "/vhome/bob", "/bin/false")


def accounts(text: str) -> dict[str, Account]:
    parsed = parse_passwd(text, "passwd")
    assert not parsed.findings
    return {account.login: account for account in parsed.entries}


def test_a_file_of_a_debian_machine() -> None:
    found = accounts(DEBIAN)
    assert list(found) == ["root", "daemon", "_apt", "systemd-network", "joe"]
    assert found["joe"] == Account(
        "joe", 1000, 1000, "Joe Who", "/home/joe", "/bin/bash", 50 << 20, source=Source("passwd", 7)
    )
    assert found["_apt"].full_name == ""
    assert found["root"].quota is None


@pytest.mark.parametrize(
    ("gecos", "full_name", "quota"),
    [
        ("Joe", "Joe", None),
        ("& Who,,,", "Bob Who", None),
        ("Joe,,,,quota=1k", "Joe", 1024),
        ("Joe,,,quota=1k", "Joe", 1024),
        ("Joe,,,,umask=077 quota=1k pri=5", "Joe", 1024),
        ("Joe,,,,umask=077,Quota=1k", "Joe", 1024),
        ("Joe,,,,quota=0", "Joe", 0),
        ("quota=5", "quota=5", None),
        ("Joe,,,,xquota=5", "Joe", None),
        ("Ren\u00e9", "Ren\u00e9", None),
        ("Ren\udce9", "Ren\u00e9", None),  # Latin-1, as old files are
        ("Joe\ud800", "Joe?", None),
    ],
)
def test_what_gecos_says(gecos: str, full_name: str, quota: int | None) -> None:
    account = accounts(f"bob:x:1:2:{gecos}:/:/bin/sh\n")["bob"]
    assert (account.full_name, account.quota) == (full_name, quota)


def test_line_ends_of_windows() -> None:
    assert accounts("bob:x:1:2:Bob:/h:/bin/sh\r\n")["bob"].shell == "/bin/sh"


@pytest.mark.parametrize("gecos", ["Bob,,,,quota=lots", "Bob,,,,quota=", "Bob,,,,quota=999999999T"])
def test_an_account_with_a_bad_quota_is_an_account(gecos: str) -> None:
    parsed = parse_passwd(f"bob:x:1:2:{gecos}:/:\n", "p")
    assert parsed.entries[0].quota is None
    assert "quota of 'bob'" in parsed.findings[0].problem


def test_a_password_in_the_file_is_told_and_not_shown() -> None:
    parsed = parse_passwd("bob:abJnggxhB/yWI:1:2::/:\n", "p")
    assert parsed.entries[0].login == "bob"
    assert "move it to the shadow file" in parsed.findings[0].remedy
    assert "abJ" not in str(parsed.findings)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("bob:x:1:2:Bob:/", "the line of 'bob' has 6 fields, not 7"),
        ("bob", "the line of 'bob' has 1 field, not 7"),
        ("bob:x:1:2:Bob:/:/bin/sh:", "the line of 'bob' has 8 fields, not 7"),
        (":x:1:2::/:", "login '' is empty"),
        (" bob:x:1:2::/:", "login ' bob' contains a blank"),
        ("bob:x::2::/:", "uid '' of 'bob' is not a number from 0 to 4294967294"),
        ("bob:x:1_0:2::/:", "uid '1_0' of 'bob' is not a number"),
        ("bob:x:-1:2::/:", "uid '-1' of 'bob' is not a number"),
        ("bob:x:1:4294967295::/:", "gid '4294967295' of 'bob' is not a number"),
        ("bob:x:1:\u0661::/:", "gid '\u0661' of 'bob' is not a number"),
        ("+bob::::::", "'+bob' is an entry of NIS"),
        ("-bob:x:1:2::/:", "'-bob' is an entry of NIS"),
        ("bob:x:1:2::/caf\udce9:", "home '/caf\\xe9' of 'bob' is not UTF-8"),
        ("bob:x:1:2::/:/bin/\x07sh", "shell '/bin/\\x07sh' of 'bob' has a control character"),
    ],
)
def test_a_damaged_line_costs_that_line(line: str, problem: str) -> None:
    parsed = parse_passwd(f"carl:x:1:2::/:\n{line}\nalice:x:1:2::/:\n", "p")
    assert [account.login for account in parsed.entries] == ["carl", "alice"]
    assert [(finding.line, problem in finding.problem) for finding in parsed.findings] == [(2, True)]


def test_the_first_of_two_lines_counts_whatever_the_case() -> None:
    parsed = parse_passwd("bob:x:1:2::/:\nBob:x:3:4::/:\n", "p")
    assert [account.uid for account in parsed.entries] == [1]
    assert str(parsed.findings[0]) == (
        "p:2: login 'Bob' stands on line 1 already, which is in force; remove one of the two lines"
    )


def test_a_damaged_line_hides_no_good_one() -> None:
    assert [account.uid for account in parse_passwd("bob:x:1\nbob:x:3:4::/:\n", "p").entries] == [3]


@pytest.mark.parametrize(
    "login", ["bob", "joe.who", "_x", "x-y", "joe+lists", "ren\u00e9", "x" * 64, "...", "a#", "$x"]
)
def test_logins(login: str) -> None:
    assert valid_login(login) is None


@pytest.mark.parametrize(
    ("login", "problem"),
    [
        ("", "is empty"),
        ("a/b", "contains '/'"),
        ("..", "is a name that every folder has already"),
        (".", "is a name that every folder has already"),
        ("-bob", "starts with '-'"),
        ("+bob", "starts with '+'"),
        ("#bob", "starts with '#'"),
        ("a b", "contains a blank"),
        ("a\u00a0b", "contains a blank"),
        ("a\nb", "contains a blank"),
        ("a\0b", "contains a control or invisible character"),
        ("\ufeffbob", "contains a control or invisible character"),
        ("bob\udce9", "is not UTF-8"),
        ("a:b", "contains ':'"),
        ("bob@va", "contains '@'"),
        ("bob%va", "contains '%'"),
        ("x" * 65, "is longer than 64 bytes"),
        ("\u00e9" * 33, "is longer than 64 bytes"),
    ],
)
def test_what_is_no_login(login: str, problem: str) -> None:
    assert str(valid_login(login)).endswith(problem)


def test_a_new_account() -> None:
    assert render_account(BOB) == "bob:x:60001:60000:Bob:/vhome/bob:/bin/false"
    assert render_account(Account("bob", 1, 2, "Bob", quota=50 << 20)) == "bob:x:1:2:Bob,,,,quota=50M::"
    assert with_account("root:x:0:0::/:", BOB) == f"root:x:0:0::/:\n{render_account(BOB)}\n"


@pytest.mark.parametrize(
    "account",
    [
        Account("a b", 1, 2),
        Account("bob", -1, 2),
        Account("bob", 1, 2**32),
        Account("bob", 1, 2, "Who, Bob"),
        Account("bob", 1, 2, "Bob:root"),
        Account("bob", 1, 2, "Bob & Sons"),
        Account("bob", 1, 2, "Bob\nroot:x:0:0"),
        Account("bob", 1, 2, "", "/a:b"),
        Account("bob", 1, 2, "", "/a", "/bin/sh\nroot::0:0"),
        Account("bob", 1, 2, quota=-1),
    ],
)
def test_what_a_line_cannot_hold(account: Account) -> None:
    with pytest.raises(ValueError, match=r"; (choose|give) "):
        render_account(account)


@pytest.mark.parametrize(
    ("before", "account", "after"),
    [
        # What an account does not hold stays: password field, rooms, other words, spelling.
        (
            "bob:*:01:2:& Old,Room 5,555,,umask=077 quota=1024 pri=1:/h:/s",
            Account("bob", 1, 2, "Bob Old", "/h", "/s", 2048),
            "bob:*:01:2:& Old,Room 5,555,,umask=077 quota=2k pri=1:/h:/s",
        ),
        (
            "bob:x:1:2:Bob,Room 5,555,,quota=1024k:/h:/s",
            Account("bob", 9, 8, "Robert", "/i", "/t", 1 << 20),
            "bob:x:9:8:Robert,Room 5,555,,quota=1024k:/i:/t",
        ),
        ("bob:x:1:2:Bob:/h:/s", Account("bob", 1, 2, "Bob", "/h", "/s", 0), "bob:x:1:2:Bob,,,,quota=0:/h:/s"),
        (
            "bob:x:1:2:Bob,,,,umask=077:/h:/s",
            Account("bob", 1, 2, "Bob", "/h", "/s", 5),
            "bob:x:1:2:Bob,,,,umask=077 quota=5:/h:/s",
        ),
        (
            "bob:x:1:2:Bob,,,,quota=5,quota=6:/h:/s",
            Account("bob", 1, 2, "Bob", "/h", "/s"),
            "bob:x:1:2:Bob,,,,,:/h:/s",
        ),
        (
            "bob:x:1:2:My quota=5,,,,quota=6:/h:/s",
            Account("bob", 1, 2, "My quota=5", "/h", "/s"),
            "bob:x:1:2:My quota=5,,,,:/h:/s",
        ),
        (
            "bob:x:1:2:Bob,,,,quota=lots:/h:/s",
            Account("bob", 1, 2, "Bob", "/h", "/s", 5),
            "bob:x:1:2:Bob,,,,quota=5:/h:/s",
        ),
        (
            "bob:x:1:2:Bob,,,,quota=lots:/h:/s",
            Account("bob", 1, 2, "Bob", "/h", "/s"),
            "bob:x:1:2:Bob,,,,quota=lots:/h:/s",
        ),
        (
            "bob:x:1:2:Ren\udce9,Caf\udce9:/h:/s",
            Account("bob", 1, 2, "Ren\u00e9", "/h", "/s", 5),
            "bob:x:1:2:Ren\udce9,Caf\udce9,,,quota=5:/h:/s",
        ),
        ("BOB:x:1:2:B:/h:/s\r", Account("bob", 1, 2, "B", "/h", "/s"), "bob:x:1:2:B:/h:/s\r"),
    ],
)
def test_an_edit_keeps_what_it_does_not_change(before: str, account: Account, after: str) -> None:
    around = "# first\nbob:x:9\n{}\nalice:x:1:2::/:\nBob:x:7:7::/:\n\n# last"
    assert with_account(around.format(before), account) == around.format(after)


def test_a_removed_account_does_not_come_back_from_a_later_line() -> None:
    text = "# a\nbob:x:1:2::/:\nalice:x:1:2::/:\nBob:x:0:0::/:\nbob\n"
    assert without_account(text, "bob") == "# a\nalice:x:1:2::/:\nbob\n"
    assert without_account(text, "carl") == text


@pytest.mark.parametrize(
    "login", ["|cmd", '"bob"', "a,b", "a\\b", "uucp!bob", ".archive", "bob.", "a..b", "(bob)", "<bob>"]
)
def test_what_a_copied_file_may_have_is_not_given_to_new_accounts(login: str) -> None:
    assert valid_login(login) is None
    assert unfit_login(login) is not None


@pytest.mark.parametrize("login", ["bob", "root", "postmaster", "a.b-c_d", "bob+lists", "zoé", "_x", "o'neil"])
def test_other_logins_are_fit(login: str) -> None:
    assert unfit_login(login) is None
