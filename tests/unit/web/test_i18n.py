"""Every text of the pages has its French."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import pytest
from tests.unit.web import said_by_the_desk

from vmaild.core.permissions import Action
from vmaild.web.i18n import chosen, translations, translator

WEB = Path(str(files("vmaild.web")))
SAID_OTHERWISE = {
    "the check took too long, and was ended",
    "run 'vmail check' on the machine itself: there it takes the time it needs",
    "no right is chosen",
    "choose one, or revoke it all",
    "the list is not UTF-8",
    "save the list as 'CSV UTF-8'",
    "'{}' is not a number",
    "write digits only, 0 for no limit",
    "the two new passwords differ",
    "nobody can log in: there is no password",
    "wrong code",
    "this cannot be done now",
    # Of the system's errors
    "free some space, then run it again",
    "mount the file system for writing, then run it again",
    # What fills gaps, or is told more exactly than by what the source says
    "{} may not see {}",
    "{} may not {} {}",
    "{} may not change the settings of this machine",
    "this machine",
    "another process",
    "the list of domains",
    "{} has {} accounts of {} allowed",
    "login {} is empty",
    "login {} is not UTF-8",
    "login {} contains a blank",
    "login {} contains a control or invisible character",
    "login {} is a name that every folder has already",
    "login {} starts with '{}'",
    "login {} is longer than {} bytes",
    "login {} contains '{}'",
    # What a change does, warns of, and where mail goes
    "remove account {}@{}",
    "remove what is left of account {}@{}",
    "add alias {}@{}",
    "set alias {}@{}",
    "let {} manage {}",
    "forward mail of {} to {}",
    "forward mail of {} to {} and keep a copy",
    "{} stays locked until 'vmail user set --unlock'",
    "there is mail or a home of a former {}@{}: {}",
    "it is archived first",
    "this account inherits it",
    "there is no account {}: whoever is given that name will be a co-administrator",
    "this machine has no user {}",
    "refused: {}",
    "refused: No such user here",
    "not a domain of this server",
    "waits: {}",
    "mailbox {}",
    "mailbox of {}@{} {}",
    "mailbox of {}@{} created",
    "mailbox of {}@{} archived",
    "all mailboxes of {} archived",
    "resend to {}",
    "resend to {} as {}",
    "automatic reply of {}@{}",
    "file {}",
}
"""Texts that neither a page nor the source of a refusal shows as they are."""


def texts() -> set[str]:
    found = (
        set(SAID_OTHERWISE)
        | said_by_the_desk.texts()
        | {action.value for action in Action if action is not Action.SEE}
    )
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


def test_every_refusal_of_the_desk_is_found_in_its_source() -> None:
    found = said_by_the_desk.texts()
    assert len(found) > 300
    assert {"there is no account {} in {}", "the new password is too short", "signed out", "ask for {}"} <= found


@pytest.mark.parametrize(
    ("english", "french"),
    [
        ("there is no domain vb.toto.fr", "il n'y a pas de domaine vb.toto.fr"),
        (
            "bob@va.toto.fr may not change accounts of va.toto.fr",
            "bob@va.toto.fr n'a pas le droit de modifier les comptes de va.toto.fr",
        ),
        ("x is being changed by another process", "x est en train d'être modifié par un autre processus"),
        ("/etc/x: there is no second factor", "/etc/x : il n'y a pas de second facteur"),
        ("there is no account Quota in va.toto.fr", "il n'y a pas de compte Quota dans va.toto.fr"),
        ("there is no account {0} in {}", "il n'y a pas de compte {0} dans {}"),
        ("nobody has written this: never", "nobody has written this: never"),
    ],
)
def test_a_refusal_is_recognised_by_its_template(english: str, french: str) -> None:
    assert translator("fr")(english) == french
    assert translator("en")(english) == english


def test_no_translation_is_left_over() -> None:
    known = texts() | {""}
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
