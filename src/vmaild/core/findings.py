"""Findings: what is wrong, where, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Severity(IntEnum):
    """How much a finding matters."""

    WARNING = 1
    """Works, but not as written: a line or a key is passed over."""
    ERROR = 2
    """The thing itself does not work: a definition is not in force, a file cannot be read."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault of a file: where it is, what is wrong, and the remedy."""

    path: str
    line: int
    """From 1; 0 where the file as a whole is meant."""
    problem: str
    remedy: str
    severity: Severity = Severity.WARNING

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else self.path
        return f"{place}: {self.problem}; {self.remedy}"
