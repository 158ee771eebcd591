"""The languages of the pages: chosen by hand (a cookie), else by the browser, else English.

Translations are `locale/LANGUAGE.po`, read when the server starts.
"""

from __future__ import annotations

import gettext
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from io import BytesIO

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

LANGUAGES = {"en": "English", "fr": "Français"}
COOKIE = "vmail_language"
GAP = "{}"
"""In a template, what a text is about."""
COLON, SEMICOLON = "\u00a0: ", "\u202f; "
"""Between two texts, as French spells them."""


def _read(language: str) -> Catalog:
    with files("vmaild.web").joinpath(f"locale/{language}.po").open("rb") as source:
        return read_po(source, locale=language)


@cache
def translations(language: str) -> gettext.NullTranslations:
    """The texts of a language."""
    if language == "en":
        return gettext.NullTranslations()
    compiled = BytesIO()
    write_mo(compiled, _read(language))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


@dataclass(frozen=True, slots=True)
class _Template:
    """A text with gaps, and what it is in another language."""

    pattern: re.Pattern[str]
    landmark: str
    """Its longest piece without a gap: what a text does not contain cannot be this one, which is seen at once."""
    words: str


@cache
def translator(language: str) -> Callable[[str], str]:
    """What turns an English text into one of that language.

    All below the web speaks English, which the command line and the API show as it is: refusals, steps, findings,
    warnings. Such a text is recognised by its template, "there is no domain {}", which stands in the catalogue;
    what fills the gaps goes over, translated where it is words itself. Texts may be joined by "; " or ": ".
    """
    if language == "en":
        return str
    texts, templates = _catalogue(language)

    def translated(text: str) -> str:
        if text in texts:
            return texts[text]
        for each in templates:
            if each.landmark in text:
                match = each.pattern.fullmatch(text)
                if match:
                    return each.words.format(*map(filled, match.groups()))
        return joined(text, "; ", SEMICOLON) or joined(text, ": ", COLON) or text

    def joined(text: str, mark: str, words: str) -> str:
        first, _, rest = text.partition(mark)
        told = f"{filled(first)}{words}{translated(rest)}" if rest else ""
        return told if told != f"{first}{words}{rest}" else ""

    def filled(value: str) -> str:
        # A login is no text, even where it is spelt like one.
        return translated(value) if " " in value else value

    return translated


def _catalogue(language: str) -> tuple[dict[str, str], list[_Template]]:
    """Texts by their English; and templates with what they are in that language, the most telling first."""
    texts = {str(message.id): str(message.string) for message in _read(language) if isinstance(message.id, str)}
    del texts[""]
    known = sorted(
        (text for text in texts if GAP in text), key=lambda text: len(text.replace(GAP, "")), reverse=True
    )
    return texts, [_template(text, texts[text]) for text in known]


def _template(text: str, words: str) -> _Template:
    pattern = re.compile(re.escape(text).replace(re.escape(GAP), "(.+)"), re.DOTALL)
    return _Template(pattern, max(text.split(GAP), key=len), words)


def chosen(cookie: str | None, accepted: str) -> str:
    """The language of a request: its cookie, or what its Accept-Language prefers (RFC 9110 12.5.4)."""
    if cookie in LANGUAGES:
        return cookie
    wanted: list[tuple[float, str]] = []
    for part in accepted.split(","):
        name, _, parameters = part.strip().partition(";")
        quality = parameters.strip().removeprefix("q=") or "1"
        try:
            wanted.append((-float(quality), name.strip().lower().partition("-")[0]))
        except ValueError:
            continue
    ranked = (name for quality, name in sorted(wanted, key=lambda each: each[0]) if quality < 0)
    return next((name for name in ranked if name in LANGUAGES), "en")
