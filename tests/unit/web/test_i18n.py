"""Every text of the pages has its French."""

from __future__ import annotations

import re
import time
from importlib.resources import files
from pathlib import Path

import pytest
from babel.messages.pofile import read_po
from tests.unit.web import said_in_source

from vmaild.core.permissions import Action
from vmaild.core.routing import Rule
from vmaild.formats import domain
from vmaild.outcome import Condition
from vmaild.web.i18n import LONGEST, _catalogue, chosen, counted, size, translations, translator

WEB = Path(str(files("vmaild.web")))
SAID_OTHERWISE = {
    # By the operating system, as gaps have it
    "Connection refused",
    "Connection reset by peer",
    "Connection timed out",
    "Name or service not known",
    "Network is unreachable",
    "No route to host",
    "No space left on device",
    "No such file or directory",
    "Permission denied",
    "Read-only file system",
    "Temporary failure in name resolution",
    "connection refused",
    "connection reset by peer",
    "connection timed out",
    "network is unreachable",
    "no route to host",
    "no such file or directory",
    "permission denied",
    "timed out",
    # By single words of the source
    "begun",
    "done",
    *(rule.value for rule in Rule),
    *(condition.text for condition in Condition),
    # More exactly than by what the source says
    "{} may not see {}",
    "{} may not change the settings of this machine",
}
"""Texts that are not spelt so in the source."""


def texts() -> set[str]:
    found = set(SAID_OTHERWISE) | said_in_source.texts() | said_in_source.refusals_of_the_web()
    found |= {action.value for action in Action if action is not Action.SEE}
    for path in (*WEB.glob("templates/*.html"), *WEB.glob("*.py")):
        found |= set(
            re.findall(
                r"""\b_\(\s*["']((?:[^"'\\]|\\.|'(?=[a-z ]))*)["']\s*\)""", path.read_text(encoding="utf-8")
            )
        )
    return found


def catalogue() -> dict[str, str]:
    known = translations("fr")._catalog.items()  # type: ignore[attr-defined]
    return {english: french for english, french in known if english and isinstance(english, str)}


def test_every_text_about_a_number_is_translated() -> None:
    found = {
        pair
        for path in WEB.glob("templates/*.html")
        for pair in re.findall(r"""\b_n\("([^"]+)", "([^"]+)",""", path.read_text(encoding="utf-8"))
    }
    with (WEB / "locale/fr.po").open("rb") as source:
        known = {message.id for message in read_po(source) if isinstance(message.id, tuple)}
    assert found == known
    assert [counted("fr", "{} message", "{} messages", number) for number in (0, 1, 2)] == [
        "0 message",
        "1 message",
        "2 messages",
    ]
    assert counted("en", "{} message", "{} messages", 0) == "0 messages"


@pytest.mark.parametrize(
    ("number", "english", "french"),
    [
        (None, "0", "0"),
        (999, "999 B", "999 o"),
        (1536, "1.5 KiB", "1,5 Kio"),
        (50 << 20, "50 MiB", "50 Mio"),
        (5 << 50, "5,120 TiB", "5\u202f120 Tio"),
    ],
)
def test_sizes(number: int | None, english: str, french: str) -> None:
    assert size(number, "en").replace("\u00a0", " ") == english
    assert size(number, "fr").replace("\u00a0", " ") == french


def test_every_text_is_translated() -> None:
    assert sorted(texts() - catalogue().keys()) == []


@pytest.mark.parametrize(
    "text",
    [
        "there is no account {} in {}",  # a refusal
        "signed out",
        "no alias '{}' in {}",  # a step, with a part that may be missing
        "mail for the domain does not arrive, and clients find no server",  # a finding, of two constants
        "{}@{} is named as a co-administrator of {}",  # a warning
        "{}: no such file",  # a fault of a file
        "Mailbox full",  # an answer
        "the two new passwords differ",  # of the web itself
    ],
)
def test_texts_are_found_in_the_source(text: str) -> None:
    assert len(said_in_source.texts()) > 900
    assert text in texts()


def test_no_translation_is_left_over() -> None:
    assert sorted(catalogue().keys() - texts()) == []


def test_a_translation_has_the_gaps_of_its_text() -> None:
    for english, french in catalogue().items():
        gaps = english.count("{}")
        assert len(re.findall(r"{[0-9]?}", french)) == gaps, english
        assert french.format(*map(str, range(gaps))), english


@pytest.mark.parametrize("value", ["x{}", "mailhost.va.example ({}, 192.0.2.1)"])
def test_a_text_is_told_from_all_others(value: str) -> None:
    """What fills its gaps, words as well, does not make it another."""
    told = translator("fr")
    astray = {}
    for english, french in catalogue().items():
        values = [value.format(place) for place in range(english.count("{}"))]
        if english.startswith("{}"):
            values[0] = "x.example"
        if values and told(english.format(*values)) != french.format(*values):
            astray[english] = told(english.format(*values))
    assert astray == {}


def test_french_is_typeset() -> None:
    """Apostrophes that are some, and no line that begins with a mark."""
    for french in catalogue().values():
        assert not re.search(r"[A-Za-zÀ-ÿ]'[A-Za-zÀ-ÿ]", french), french
        assert not re.search(r" [:;!?](\s|$)", french), french


@pytest.mark.parametrize(
    ("english", "french"),
    [
        ("there is no domain vb.toto.fr", "il n’y a pas de domaine vb.toto.fr"),
        (
            "bob@va.toto.fr may not change accounts of va.toto.fr",
            "bob@va.toto.fr n’a pas le droit de modifier les comptes de va.toto.fr",
        ),
        ("x is being changed by another process", "x est en train d’être modifié par un autre processus"),
        ("/etc/x: there is no second factor", "/etc/x\u00a0: il n’y a pas de second facteur"),
        ("there is no account Quota in va.toto.fr", "il n’y a pas de compte Quota dans va.toto.fr"),
        ("there is no account {0} in {}", "il n’y a pas de compte {0} dans {}"),
        ("nobody has written this: never", "nobody has written this: never"),
        ("450 4.7.1 that is what a server has written", "450 4.7.1 that is what a server has written"),
        ("mailbox of bob@va.toto.fr archived to /a b", "boîte de bob@va.toto.fr\u00a0: archivage dans /a b"),
        ("'a b' is no name; remove it", "«\u00a0a b\u00a0» n’est pas un nom\u202f; retirez-le"),
        (
            'let it be: _dmarc.va.toto.fr. 3600 IN TXT "v=DMARC1; p=none"',
            'l’enregistrement doit être\u00a0: _dmarc.va.toto.fr. 3600 IN TXT "v=DMARC1; p=none"',
        ),
    ],
)
def test_a_refusal_is_recognised_by_its_template(english: str, french: str) -> None:
    assert translator("fr")(english) == french
    assert translator("en")(english) == english


def test_every_setting_has_words_for_who_may_only_read_it() -> None:
    told = set(re.findall(r'"(\w+)": _\(', (WEB / "templates/settings.html").read_text(encoding="utf-8")))
    assert told == domain._KEYS.keys() - {"admins", "rights"}, "co-administrators have a page of their own"


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


@pytest.mark.parametrize(
    "piece",
    [
        "a@a is still a co-administrator of a: 'vmail admin revoke a@a a'",
        "a of a is not a number of days",
        "x moved to ",
        "; ",
        ": ",
        "'' as '' with ''",
    ],
)
def test_nobody_keeps_everybody_waiting_with_a_text_of_their_own(piece: str) -> None:
    for length in (LONGEST - 1, 100_000):
        text = (piece * length)[:length] + "\0"
        began = time.process_time()
        assert "\0" in translator("fr")(text)
        assert time.process_time() - began < 1.0


def test_gaps_are_found_as_a_regular_expression_finds_them() -> None:
    fillings = ["a", "bob@va.toto.fr", "x y", " of ", "", ": ", "'", "is "]
    asked = 0
    for template in _catalogue("fr")[1]:
        pattern = re.compile("(.+)".join(map(re.escape, template.pieces)), re.DOTALL)
        for number in range(4):
            filled = [fillings[(number + place * 3) % 8] for place in range(len(template.pieces) - 1)]
            text = "".join(map("".join, zip(template.pieces, [*filled, ""], strict=True)))
            match = pattern.fullmatch(text)
            assert template.gaps(text) == (match.groups() if match else None), text
            asked += match is not None
    assert asked > 1000
