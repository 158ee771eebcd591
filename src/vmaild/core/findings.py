"""Findings: what is wrong, where, and what to do about it.

A `Finding` is a fault of a file. A `Diagnosis` is what the rules (core.rules_*) conclude from evidence
(core.evidence) about a domain as others see it, or about this machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum


class Severity(IntEnum):
    """How much a finding matters."""

    UNKNOWN = 0
    """It cannot be known from here: no fault, and no all-clear either."""
    WARNING = 1
    """Works, but not as written: a line or a key is passed over."""
    ERROR = 2
    """The thing itself does not work: a definition is not in force, a file cannot be read."""


class FixKind(StrEnum):
    """What vmaild may mend by itself."""

    DNS = "dns"
    """The records of a domain, in zone files on this machine; the subject is the domain."""
    ADDRESSES = "addresses"
    """The service addresses of a domain, on this machine; the subject is the domain."""
    MODE = "mode"
    """Who may use a file or folder; the subject is its path."""
    FOLDER = "folder"
    """A folder that is missing; the subject is its path."""


@dataclass(frozen=True, slots=True)
class Fix:
    """One thing to do."""

    kind: FixKind
    subject: str
    mode: int = 0
    """Permissions of a new folder; of what is there, those that it may keep."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault of a file: where it is, what is wrong, and the remedy."""

    path: str
    line: int
    """From 1; 0 where the file as a whole is meant."""
    problem: str
    remedy: str
    severity: Severity = Severity.WARNING
    fix: Fix | None = None
    """None: only people can do it."""

    @property
    def place(self) -> str:
        """The file, with its line where one is meant."""
        return f"{self.path}:{self.line}" if self.line else self.path

    def __str__(self) -> str:
        return f"{self.place}: {self.problem}; {self.remedy}"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One conclusion."""

    code: str
    """What scripts know it by, such as `ptr.bare_domain`; docs/check.md lists all."""
    severity: Severity
    domain: str
    """Empty: the machine, and with it every domain."""
    seen: str
    why: str
    """Why it matters."""
    remedy: str
    """The exact record, command or setting."""
    fix: Fix | None = None
    """None: only people can do it."""
