"""Texts in two languages: none is missing, and each fits where the other stands."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import vmaild
from vmaild.protocol import pop3, pop3_events, sasl
from vmaild.protocol.pop3_texts import ENGLISH, FRENCH, LANGUAGES, Language, language_for

SAYS = {
    "_Refused",
    "_BadCommand",
    "_refuse",
    "_refuse_bad",
    "_prepared",
    "text",
    "Command",
    "MalformedResponse",
    "NotAcceptable",
    "LoginRefused",
    "TlsUnavailable",
    "MessageUnreadable",
    "close",
    "end",
}
"""Whose arguments are texts for people."""


CORE = [Path(module.__file__ or "") for module in (pop3, pop3_events, sasl)]
OUTSIDE = [
    path
    for path in sorted(Path(vmaild.__path__[0], "servers").glob("*.py"))
    if "vmaild.protocol.pop3" in path.read_text("utf-8")
]


def said_in(source: Path) -> Iterator[str]:
    """The literal texts that a module says, found in its source."""
    for node in ast.walk(ast.parse(source.read_text("utf-8"))):
        match node:
            case ast.Call(ast.Name(name) | ast.Attribute(attr=name), arguments) if name in SAYS:
                yield from literals(arguments)
            case ast.Subscript(ast.Attribute(attr="ok"), key):
                yield from literals([key])
            case ast.Assign([ast.Name("text")], value) | ast.AnnAssign(
                ast.Name("text"), value=ast.expr() as value
            ):
                yield from literals([value])
            case ast.Assign([ast.Name("_MISPLACED")], ast.Dict(values=values)):
                yield from literals(values)


def literals(nodes: list[ast.expr]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value:
            yield node.value


@pytest.mark.parametrize("source", [*CORE, *OUTSIDE], ids=lambda source: source.stem)
def test_every_text_has_its_french(source: Path) -> None:
    assert set(said_in(source)) - set(FRENCH.texts) == set()


def test_the_search_finds_texts_of_every_kind() -> None:
    said = {text for source in [*CORE, *OUTSIDE] for text in said_in(source)}
    assert said >= {
        "send PASS",
        "unknown command",
        "log in first",
        "usage: %s",
        "message lines",
        "TLS is not available now, try again later",
        "the response is not base64",
        "the login is not valid UTF-8",
        "wrong login or password",
    }


@pytest.mark.parametrize("english", FRENCH.texts)
def test_a_translation_fits_where_the_english_stands(english: str) -> None:
    french = FRENCH.texts[english]
    places = re.compile("%.")
    assert places.findall(french) == places.findall(english)
    assert french.isprintable()
    assert french.startswith("[") == english.startswith("["), "it would be a response code"
    assert len(french.encode()) < 200, "a reply has 512 octets"
    assert ENGLISH.text(english) == english
    assert english.isascii(), "RFC 1939 section 3"


def test_the_french_is_french() -> None:
    same = {english for english, french in FRENCH.texts.items() if english == french}
    assert same == {"%d message", "%d messages", "%d octets", "%s (%d octets)", "message", "[message]"}


@pytest.mark.parametrize(
    ("language", "count", "text"),
    [
        (ENGLISH, 0, "0 messages"),
        (ENGLISH, 1, "1 message"),
        (ENGLISH, 2, "2 messages"),
        (FRENCH, 0, "0 message"),
        (FRENCH, 1, "1 message"),
        (FRENCH, 2, "2 messages"),
    ],
)
def test_how_many_messages(language: Language, count: int, text: str) -> None:
    assert language.messages(count) == text


@pytest.mark.parametrize(
    ("language_range", "language"),
    [
        ("en", ENGLISH),
        ("fr", FRENCH),
        ("FR", FRENCH),
        ("fr-CA", FRENCH),
        ("fr-Latn-CA-x-joual", FRENCH),
        ("f", None),
        ("fra", None),
        ("de", None),
        ("de-fr", None),
        ("*", None),
        ("", None),
        ("-fr", None),
    ],
)
def test_the_language_of_a_range(language_range: str, language: Language | None) -> None:
    assert language_for(language_range) is language


def test_every_language_finds_itself() -> None:
    assert [language_for(language.tag) for language in LANGUAGES] == list(LANGUAGES)
