"""The languages of the pages: chosen by hand (a cookie), else by the browser, else English.

Translations are `locale/LANGUAGE.po`, read when the server starts.
"""

from __future__ import annotations

import gettext
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from io import BytesIO

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal

LANGUAGES = {"en": "English", "fr": "Français"}
COOKIE = "vmail_language"
_UNITS = {"en": ("B", "KiB", "MiB", "GiB", "TiB"), "fr": ("o", "Kio", "Mio", "Gio", "Tio")}
GAP = "{}"
"""In a template, what a text is about."""
JOINTS = {"en": "; ", "fr": "\u202f; "}
"""Between two texts, such as a problem and its remedy."""
_JOINT = JOINTS["en"]
_FAINT = 10
"""Letters of a template that begins with a gap, below which it is easily taken for what it is not."""
_QUOTED = re.compile("'([^']+)'")
"""A piece of a file, as messages show it."""


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


LONGEST, _MOST_JOINTS = 1500, 40
"""Characters, and further texts in it, of a text that is gone through; ours are far shorter."""


@dataclass(frozen=True, slots=True)
class _Template:
    """A text with gaps, and what it is in another language."""

    pieces: tuple[str, ...]
    """What stands before, between and behind the gaps."""
    landmark: str
    """Its longest piece without a gap: what a text does not contain cannot be this one, which is seen at once."""
    words: str
    faint: bool
    """Whether it is "{} kept" or the like: after words that nobody knows it is a part of their sentence."""

    def gaps(self, text: str) -> tuple[str, ...] | None:
        """What fills the gaps of a text, as `(.+)` would find it; None: it is another.

        That is sought from behind, in a time that grows with the text and no faster, whatever somebody put there.
        """
        first, *between, last = self.pieces
        start, end = len(first), len(text) - len(last)
        if not (text.startswith(first) and text.endswith(last)):
            return None
        found: list[str] = []
        for piece in reversed(between):
            at = text.rfind(piece, start + 1, end - 1)
            if at < 0:
                return None
            found.append(text[at + len(piece) : end])
            end = at
        return (text[start:end], *reversed(found)) if end > start else None


@cache
def translator(language: str) -> Callable[[str], str]:
    """What turns an English text into one of that language.

    All below the web speaks English, which the command line and the API show as it is: refusals, steps, findings,
    warnings. Such a text is recognised by its template, "there is no domain {}", which stands in the catalogue;
    what fills the gaps goes over, translated where it is words itself. Texts may be joined.
    """
    if language == "en":
        return str
    texts, templates = _catalogue(language)

    def translated(text: str) -> str:
        if text in texts:
            return texts[text]
        if _is_made_up(text):
            return text
        found = next(_matches(templates, text), None)
        # A gap that takes in a whole further text is none.
        several = parts(text) if _JOINT in ("".join(found[1]) if found else text) else ""
        return several or (told(*found) if found else place(text))

    def told(words: str, values: tuple[str, ...]) -> str:
        return words.format(*map(filled, values))

    def parts(text: str) -> str:
        """Two texts or more, all of which are known; empty: it is one."""
        first, _, rest = text.partition(_JOINT)
        before, after = filled(first), translated(rest)
        return f"{before}{JOINTS[language]}{after}" if before != first and after != rest else ""

    def place(text: str) -> str:
        """A place, and what is wrong there; or a text that nobody knows."""
        first, _, rest = text.partition(": ")
        before, after = (filled(first), translated(rest)) if rest else (first, rest)
        return f"{before}\u00a0: {after}" if (before, after) != (first, rest) else text

    def filled(value: str) -> str:
        quoted = _QUOTED.fullmatch(value)
        if quoted:
            return f"«\u00a0{quoted[1]}\u00a0»"
        # A login is no text, even where it is spelt like one.
        return translated(value) if " " in value else value

    return translated


def _matches(templates: Sequence[_Template], text: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """What a text may be: the words of each template that it has the form of, and what fills the gaps."""
    for each in templates:
        gaps = each.gaps(text) if each.landmark in text else None
        if gaps and not (each.faint and _is_unknown(templates, gaps[0])):
            yield each.words, gaps


def _is_unknown(templates: Sequence[_Template], value: str) -> bool:
    """Whether several words are none of ours, as what a server has written."""
    return " " in value and not (_QUOTED.fullmatch(value) or any(each.gaps(value) for each in templates))


def _is_made_up(text: str) -> bool:
    """Whether somebody has written that to keep everybody waiting: it would be gone through many times."""
    return len(text) > LONGEST or text.count(_JOINT) + text.count(": ") > _MOST_JOINTS


def _catalogue(language: str) -> tuple[dict[str, str], list[_Template]]:
    """Texts by their English; and templates with what they are in that language, the most telling first."""
    texts = {str(message.id): str(message.string) for message in _read(language) if isinstance(message.id, str)}
    del texts[""]
    known = sorted(
        (text for text in texts if GAP in text), key=lambda text: len(text.replace(GAP, "")), reverse=True
    )
    return texts, [_template(text, texts[text]) for text in known]


def _template(text: str, words: str) -> _Template:
    pieces = tuple(text.split(GAP))
    faint = text.startswith(GAP) and sum(map(str.isalpha, text)) < _FAINT
    return _Template(pieces, max(pieces, key=len), words, faint)


def listed(language: str, text: str) -> str:
    """Several texts with commas between them, such as targets; or one with commas in it."""
    known = translator(language)
    parts = text.split(", ")
    told = [known(part) for part in parts]
    return ", ".join(told) if all(one != part for one, part in zip(told, parts, strict=True)) else known(text)


def counted(language: str, one: str, many: str, number: int) -> str:
    """A text about a number of things, which its gap tells."""
    return translations(language).ngettext(one, many, number).format(number)


def size(number: int | None, language: str) -> str:
    """Bytes for people."""
    if not number:
        return "0"
    value, step = float(number), 0
    while value >= 1024 and step < len(_UNITS[language]) - 1:
        value, step = value / 1024, step + 1
    form = "0.0" if value < 10 and step else "#,##0"
    return f"{format_decimal(value, form, locale=language)}\u00a0{_UNITS[language][step]}"


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
