"""Lists of accounts as spreadsheets of several countries write them."""

from __future__ import annotations

import pytest

from vmaild.formats.accounts_csv import MAX_ROWS, AccountRow, parse_accounts
from vmaild.formats.parsed import FormatError

ANN = AccountRow(2, "ann", "Ann Martin", "5M", "a b c ")


@pytest.mark.parametrize(
    "text",
    [
        "login,full_name,quota,password\nann,Ann Martin,5M,a b c \n",
        "\ufeffIdentifiant;Nom complet;Quota;Mot de passe\r\nann;Ann Martin;5M;a b c \r\n",
        "password\tquota\tname\temail\na b c \t5M\tAnn Martin\tann\n\n\t\t\t\n",
        'login,full_name,quota,password\n"ann","Ann Martin", 5M ,"a b c "',
    ],
)
def test_one_list_in_many_spellings(text: str) -> None:
    assert parse_accounts(text.encode()) == [ANN]


def test_lines_are_those_of_the_file() -> None:
    rows = parse_accounts(b'login,full_name\n\nann,"Ann\nMartin"\n\njoe\n')
    assert [(row.line, row.login, row.full_name) for row in rows] == [(4, "ann", "Ann\nMartin"), (6, "joe", "")]


def test_a_password_is_not_shown() -> None:
    assert "a b c" not in repr(ANN)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "names no column 'login'; write 'login,full_name,quota,password' there"),
        (b"ann,Ann\n", "names no column 'login'"),
        (b"login,shoe size\nann,38\n", "there is no column 'shoe size'"),
        (b"login,address\nann,ann\n", "two columns hold the same"),
        (b"login,full_name\nann,Martin, Ann\n", "line 2 has 3 cells for 2 columns; put quotation marks"),
        (b"login\n\xe9ric\n", "line 2 is not UTF-8; save the list as 'CSV UTF-8'"),
        (b'login\n"ann\n', "close every quotation mark"),
        (b"login\n" + b"a\n" * (MAX_ROWS + 1), "the list is too long"),
        (b"login\nan\0n\n", "no text"),
    ],
)
def test_what_is_no_list_says_what_to_do(content: bytes, says: str) -> None:
    with pytest.raises(FormatError, match=says):
        parse_accounts(content)
