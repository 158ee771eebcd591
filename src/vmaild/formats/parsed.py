"""What a parser hands back, and how a fault in a text is told.

Parsers never raise for what a file contains: what is good comes back as entries, what is not as findings. A
function that reads one value from an administrator (a size, a fallback) raises FormatError instead, whose
parts a parser turns into a finding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from vmaild.core.findings import Finding, Severity

T = TypeVar("T")

MAX_SHOWN = 60
"""Characters of a faulty text that a message repeats."""


@dataclass(frozen=True, slots=True)
class Parsed(Generic[T]):
    """The good entries of a file, in its order, each name once; and what is wrong with the rest."""

    entries: tuple[T, ...]
    findings: tuple[Finding, ...] = ()


class FormatError(ValueError):
    """A text is not what its place asks for; str() is "problem; remedy", fit for the administrator."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}; {remedy}")
        self.problem = problem
        self.remedy = remedy

    def at(self, path: str, line: int, severity: Severity = Severity.WARNING) -> Finding:
        """The same as a finding of a file."""
        return Finding(path, line, self.problem, self.remedy, severity)


def quoted(text: str) -> str:
    """A piece of a file in single quotes, as `shown` shows it."""
    return f"'{shown(text)}'"


def shown(text: str) -> str:
    r"""A piece of a file, shortened, and safe to print.

    Control characters are escaped, and so are the bytes that are not UTF-8 (`\xe9`), which reach us as
    surrogates (PEP 383).
    """
    printable = "".join(map(_printable, text[: MAX_SHOWN + 1]))
    return printable if len(printable) <= MAX_SHOWN else printable[: MAX_SHOWN - 3] + "..."


def _printable(character: str) -> str:
    if character.isprintable():
        return character
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def is_utf8(text: str) -> bool:
    """Whether a text that was decoded with surrogateescape was UTF-8 throughout."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)
