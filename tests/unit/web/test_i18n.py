"""Every text of the pages has its French."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import pytest

from vmaild.web.i18n import chosen, translations

WEB = Path(str(files("vmaild.web")))
SAID_BY_THE_DESK = {
    "this cannot be done now",
    "try again later",
    "wrong login or password",
    "too many failed logins",
    "the two new passwords differ",
    "wrong code",
    "wait for the next code, or use a recovery code",
    "wait for the next code; see that the clock of the telephone is right",
    "that took too long",
    "sign in again",
    "begin again",
    "another check is still running",
    "wait until it has ended",
    "the check took too long, and was ended",
    "run 'vmail check' on the machine itself: there it takes the time it needs",
    "no right is chosen",
    "choose one, or revoke it all",
    "the list is not UTF-8",
    "save the list as 'CSV UTF-8'",
    "that list is not here any more",
    "send it again",
    "nobody can log in: there is no password",
    "the password is too short",
    "choose one of 8 characters or more",
}


def texts() -> set[str]:
    found = set(SAID_BY_THE_DESK)
    for path in (*WEB.glob("templates/*.html"), *WEB.glob("*.py")):
        found |= set(
            re.findall(
                r"""\b_\(\s*["']((?:[^"'\\]|\\.|'(?=[a-z ]))*)["']\s*\)""", path.read_text(encoding="utf-8")
            )
        )
    return found


def test_every_text_is_translated() -> None:
    catalog = translations("fr")._catalog  # type: ignore[attr-defined]
    assert len(texts()) > 100
    assert sorted(texts() - catalog.keys()) == []


def test_no_translation_is_left_over() -> None:
    known = texts() | {"the new password is too short", ""}
    assert sorted(translations("fr")._catalog.keys() - known) == []  # type: ignore[attr-defined]


def test_no_text_of_a_page_stands_outside_of_the_translation() -> None:
    for path in WEB.glob("templates/*.html"):
        text = re.sub(r"{[{%#].*?[}%#]}", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        words = re.findall(r">\s*([A-Za-z][A-Za-z ]{2,})\s*<", text)
        assert set(words) <= {"vmaild", "vmaild "}, path.name


@pytest.mark.parametrize(
    ("cookie", "accepted", "language"),
    [
        (None, "", "en"),
        (None, "fr-FR,fr;q=0.9,en;q=0.8", "fr"),
        (None, "de, fr;q=0.5", "fr"),
        (None, "fr;q=0, en;q=0.1", "en"),
        (None, "fr;q=x", "en"),
        ("en", "fr", "en"),
        ("fr", "en", "fr"),
        ("xx", "fr", "fr"),
    ],
)
def test_the_language_of_a_request(cookie: str | None, accepted: str, language: str) -> None:
    assert chosen(cookie, accepted) == language
