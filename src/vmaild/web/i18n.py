"""The languages of the pages: chosen by hand (a cookie), else by the browser, else English.

Translations are `locale/LANGUAGE.po`, read when the server starts.
"""

from __future__ import annotations

import gettext
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from io import BytesIO

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

LANGUAGES = {"en": "English", "fr": "Français"}
COOKIE = "vmail_language"


@cache
def translations(language: str) -> gettext.NullTranslations:
    """The texts of a language."""
    if language == "en":
        return gettext.NullTranslations()
    with files("vmaild.web").joinpath(f"locale/{language}.po").open("rb") as source:
        catalog = read_po(source, locale=language)
    compiled = BytesIO()
    write_mo(compiled, catalog)
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


def translator(language: str) -> Callable[[str], str]:
    """What turns an English text into one of that language."""
    return translations(language).gettext


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
