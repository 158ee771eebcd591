"""What the configurations of all MTAs have in common: where our sockets and tables are, and marked blocks.

A block is all that vmaild ever changes of a file that is somebody else's. The rest stays as it is to the byte, so
doing it again changes nothing, and taking the block out is the way back.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


class Mta(StrEnum):
    """The MTAs that can be plugged in."""

    POSTFIX = "postfix"
    SENDMAIL = "sendmail"
    EXIM = "exim"


class Maps(StrEnum):
    """How Postfix learns which domains and recipients there are."""

    SOCKETMAP = "socketmap"
    """It asks the running server."""
    LMDB = "lmdb"
    """It reads indexed files; no server is needed."""
    HASH = "hash"
    """As LMDB, for a Postfix that is built with Berkeley DB."""


@dataclass(frozen=True, slots=True)
class Wiring:
    """Where things are on this machine; every path as the MTA sees it."""

    folder: str
    """Of the MTA's configuration, such as `/etc/postfix`."""
    lmtp: str = "/run/vmail/lmtp.sock"
    socketmap: str = "/run/vmail/socketmap.sock"
    tables: str = "/etc/vmail/mta"
    """The folder of the files that are made of the directory."""
    maps: Maps = Maps.SOCKETMAP
    vdeliver: str = ""
    """The program to call for each message instead of speaking LMTP; empty: LMTP. Only Sendmail."""
    user: str = ""
    """Whom that program runs as; empty: the MTA's choice."""
    root: str = ""
    """Of vmaild, for that program; empty: the real one."""

    @property
    def domains(self) -> str:
        """The list of all domains, one a line, domain aliases included."""
        return f"{self.tables}/domains"


@dataclass(frozen=True, slots=True)
class Piece:
    """One file of the MTA and what has to stand in it."""

    path: str
    text: str
    place: str = ""
    """Where in the file; empty: it is all of the file, which is ours."""


@dataclass(frozen=True, slots=True)
class Wired:
    """What `install` makes of an MTA's files."""

    files: dict[str, str]
    """By path: the whole text as it is to be."""
    commands: tuple[str, ...]
    """What puts it in force, for a shell."""
    warnings: tuple[str, ...] = ()


class Conflict(Exception):
    """The MTA is set up in a way that must not be changed unasked: the problem and the remedy."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}; {remedy}")
        self.problem = problem
        self.remedy = remedy


def own_file(body: str, comment: str = "#") -> str:
    """A file that is ours as a whole."""
    return f"{comment} Written by 'vmail mta install', which writes it anew: changes made here are lost.\n{body}"


def with_block(text: str, body: str, *, comment: str = "#") -> str:
    """The text with our block in it: where the block is, or at the end."""
    block = f"{_begin(comment)}\n{body}{_end(comment)}\n"
    present = _block(comment).search(text)
    if present is not None:
        return text[: present.start()] + block + text[present.end() :]
    return text + ("" if not text or text.endswith("\n") else "\n") + block


def without_block(text: str, comment: str = "#") -> str:
    """The text as it was before `with_block`."""
    return _block(comment).sub("", text)


def _begin(comment: str) -> str:
    return f"{comment} BEGIN vmaild: from here to END is written by 'vmail mta install'"


def _end(comment: str) -> str:
    return f"{comment} END vmaild"


def _block(comment: str) -> re.Pattern[str]:
    mark = re.escape(comment)
    return re.compile(rf"^{mark} BEGIN vmaild\b.*?^{mark} END vmaild[^\n]*(?:\n|\Z)", re.MULTILINE | re.DOTALL)
