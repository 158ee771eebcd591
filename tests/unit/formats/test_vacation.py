"""`vacation` in the home of an account."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmaild.address import parse_address
from vmaild.core.autoreply import Vacation
from vmaild.formats.parsed import FormatError
from vmaild.formats.vacation import parse_day, parse_days, parse_vacation, render_vacation

WHOLE = """\
Subject: Absent jusqu'au 4 janvier
From: Bob Martin
Start: 2026-12-20
End: 2027-01-04
days: 3
Addresses: bob@example.org, martin@example.org
Any-Recipient: yes

Bonjour,

je suis absent : à bientôt.
"""


def test_all_it_can_say() -> None:
    vacation, findings = parse_vacation(WHOLE, "v")
    assert findings == ()
    assert vacation == Vacation(
        "Bonjour,\n\nje suis absent : à bientôt.\n",
        "Absent jusqu'au 4 janvier",
        "Bob Martin",
        "2026-12-20",
        "2027-01-04",
        3,
        (parse_address("bob@example.org"), parse_address("martin@example.org")),
        any_recipient=True,
    )


@pytest.mark.parametrize(
    ("text", "subject", "body"),
    [
        ("I am away.\n", "", "I am away.\n"),
        ("\ufeffSubject: A\r\n\r\nI am away.\r\n", "A", "I am away.\n"),
        ("\nSubject: not one\n", "", "Subject: not one\n"),
        ("Note: I am away.\n", "", "Note: I am away.\n"),
        ("Subject: A\nI am away.\n", "A", "I am away.\n"),
        (b"Subject: \xe9t\xe9\n\n\xe0 bient\xf4t\n".decode("utf-8", "surrogateescape"), "été", "à bientôt\n"),
    ],
)
def test_header_lines_may_be_missing(text: str, subject: str, body: str) -> None:
    assert parse_vacation(text, "v") == (Vacation(body, subject), ())


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 0),
        ("Subject: x\n\n \n", 0),
        ("Subject: x\nStart: tomorrow\n\nx\n", 2),
        ("End: 2026-02-29\n\nx\n", 1),
        ("Start: 2026-12-20\nEnd: 2026-12-19\n\nx\n", 2),
        ("Days: 0\n\nx\n", 1),
        ("Addresses: bob\n\nx\n", 1),
        ("Any-Recipient: perhaps\n\nx\n", 1),
        ("Subject: a\x07b\n\nx\n", 1),
    ],
)
def test_a_damaged_one_is_not_sent(text: str, line: int) -> None:
    vacation, findings = parse_vacation(text, "v")
    assert vacation is None
    assert [finding.line for finding in findings] == [line]
    assert all(finding.remedy for finding in findings)


@pytest.mark.parametrize(
    "vacation",
    [
        Vacation("  \n"),
        Vacation("a\x00b"),
        Vacation("x" * 70_000),
        Vacation("x", subject="a\nBcc: all@example.org"),
        Vacation("x", name="a\rb"),
        Vacation("x", first_day="2026-01-02", last_day="2026-01-01"),
    ],
)
def test_what_cannot_be_written(vacation: Vacation) -> None:
    with pytest.raises(FormatError):
        render_vacation(vacation)


LINE = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="\n"), max_size=20).map(str.strip)


@given(
    st.builds(
        Vacation,
        text=st.text(st.characters(exclude_categories=["C"]) | st.just("\n"), min_size=1).filter(str.strip),
        subject=LINE,
        name=LINE,
        first_day=st.sampled_from(["", "2026-01-01"]),
        last_day=st.sampled_from(["", "2028-02-29"]),
        days=st.none() | st.integers(1, 366),
        any_recipient=st.booleans(),
    )
)
def test_what_is_written_reads_back(vacation: Vacation) -> None:
    text = vacation.text.strip("\n") + "\n"
    found, findings = parse_vacation(render_vacation(vacation), "v")
    assert findings == ()
    assert found is not None
    assert found.text == text
    assert (found.subject, found.name, found.days) == (vacation.subject, vacation.name, vacation.days)
    assert (found.first_day, found.last_day) == (vacation.first_day, vacation.last_day)
    assert found.any_recipient == vacation.any_recipient


def test_days() -> None:
    assert parse_day(" 2028-02-29 ") == "2028-02-29"
    for wrong in ("2027-02-29", "2026-13-01", "2026-1-1", "20261201", "", "0000-00-00", "2026-04-31"):
        with pytest.raises(FormatError):
            parse_day(wrong)
    assert parse_days("7") == 7
    for wrong in ("0", "-1", "367", "x", "9" * 5000):
        with pytest.raises(FormatError):
            parse_days(wrong)
