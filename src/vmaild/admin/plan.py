"""What a change would do, as values: decided first, shown or carried out after.

The order of a plan's steps is the order in which they are carried out, chosen so that a machine that stops
between any two of them is left with nothing worse than something half-made that is not in use yet.
"""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from vmaild.core.addresses import Placed


class Mail(Enum):
    """What becomes of stored mail; the value is the word for it."""

    CREATE = "created"
    KEEP = "kept"
    ARCHIVE = "archived"
    DELETE = "deleted"


@dataclass(frozen=True, slots=True)
class FileEdit:
    """One file, as it was and as it will be."""

    path: str
    before: bytes | None = field(repr=False)
    """None: there is no such file."""
    after: bytes | None = field(repr=False)
    """None: it will be gone from its place."""
    instead: str = ""
    """What to say instead of showing the content, such as `password of bob set`; for shadow files."""
    moved_to: str = ""
    """Where the file goes that leaves its place; empty: it is removed."""
    mode: int | None = None
    """Of a file that is not there yet; None: 0o640, for configuration that has nobody else's interest."""
    passwd: bool = False
    """Whether it is a passwd(5) file: old ones have the hash in the second field, which is not shown."""

    @property
    def diff(self) -> str:
        """A unified diff, or the words that stand for one."""
        if self.moved_to or self.instead:
            return f"{self._words}\n"
        lines = difflib.unified_diff(
            self._shown(self.before),
            self._shown(self.after),
            self.path if self.before is not None else "/dev/null",
            self.path if self.after is not None else "/dev/null",
        )
        shown = "".join(line if line.endswith("\n") else f"{line}{_NO_LINE_END}" for line in lines)
        return shown or f"{self._words}\n"

    @property
    def _words(self) -> str:
        """What stands for a diff where there is none, or it is not to be seen."""
        if self.moved_to:
            return f"{self.path} moved to {self.moved_to}"
        if self.instead:
            return f"{self.path}: {self.instead}"
        return f"{self.path}: created, empty" if self.before is None else f"{self.path}: removed, it was empty"

    def _shown(self, content: bytes | None) -> list[str]:
        """The lines with their ends, which `splitlines` would also see at form feeds and the like."""
        text = (content or b"").decode("utf-8", "surrogateescape")
        if self.passwd:
            text = _HASH.sub(r"\1x", text)
        return [line for line in re.split(r"(?<=\n)", text) if line]


_HASH = re.compile(r"^([^:\n]*:)[^:\n]{2,}(?=:)", re.MULTILINE)
_NO_LINE_END = "\n\\ No newline at end of file\n"


@dataclass(frozen=True, slots=True)
class MailEffect:
    """What becomes of one mailbox, or of all mailboxes of a domain."""

    mail: Mail
    domain: str
    login: str = ""
    """Empty: the whole domain."""
    where: str = ""
    """Where archived mail is, once it is there."""

    def __str__(self) -> str:
        what = f"mailbox of {self.login}@{self.domain}" if self.login else f"all mailboxes of {self.domain}"
        return _become(what, self.mail, self.where)


@dataclass(frozen=True, slots=True)
class HomeEffect:
    """What becomes of the home of an account, or of all homes of a domain."""

    mail: Mail
    path: str
    moved_to: str = ""

    def __str__(self) -> str:
        return _become(self.path, self.mail, self.moved_to)


def _become(what: str, mail: Mail, where: str) -> str:
    match mail:
        case Mail.CREATE:
            return f"{what} created"
        case Mail.KEEP:
            return f"{what} kept"
        case Mail.ARCHIVE:
            return f"{what} archived to {where}" if where else f"{what} archived"
        case Mail.DELETE:
            return f"{what} deleted"


@dataclass(frozen=True, slots=True)
class RunProgram:
    """A program that makes what is done known to others, such as one that compiles a table."""

    argv: tuple[str, ...]

    def __str__(self) -> str:
        return shlex.join(self.argv)


@dataclass(frozen=True, slots=True)
class UpdateZone:
    """Records of one zone at a name server, changed all or none (RFC 2136)."""

    zone: str
    server: str
    lines: tuple[str, ...]
    """What is taken out and put in, as a diff has it."""
    send: Callable[[], None] = field(repr=False, compare=False)
    """Does it. Raises Refused."""

    def __str__(self) -> str:
        return f"update zone {self.zone} at {self.server}"


@dataclass(frozen=True, slots=True)
class Deed:
    """Something else that is done, such as packing a backup."""

    text: str
    """What was done, or would be."""
    do: Callable[[], None] = field(repr=False, compare=False)
    """Raises Refused, OSError, StoreError."""

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class AddressEffect:
    """A service address that comes up on this machine, or is taken away."""

    placed: Placed
    up: bool
    record: str
    """The file where it is noted that it is ours."""
    duplicate_detection: bool = True

    def __str__(self) -> str:
        return f"{self.placed} {'put up on' if self.up else 'taken down from'} {self.placed.interface}"


@dataclass(frozen=True, slots=True)
class FolderMode:
    """A folder that is made, or what others may do with a file or folder."""

    path: str
    before: int | None
    """None: there is none."""
    mode: int
    owner: str = ""
    """Whom a new folder belongs to; empty: whoever makes it."""

    def __str__(self) -> str:
        if self.before is None:
            return f"{self.path} made, mode {self.mode:04o}"
        return f"{self.path} changed from mode {self.before:04o} to {self.mode:04o}"


Step = FileEdit | MailEffect | HomeEffect | RunProgram | FolderMode | UpdateZone | AddressEffect | Deed


@dataclass(frozen=True, slots=True)
class Rerouted:
    """An address whose mail will go elsewhere; `*@DOMAIN` stands for every address that nothing else names."""

    address: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Plan:
    """A change, decided."""

    verb: str
    """As on the command line: `user add`."""
    domain: str
    subject: str
    """What it is done to: an address, a domain."""
    summary: str
    """What it does, as an infinitive: `add account bob@va.toto.fr`."""
    steps: tuple[Step, ...] = ()
    rerouted: tuple[Rerouted, ...] = ()
    warnings: tuple[str, ...] = ()
    carried_out: bool = False

    @property
    def changes(self) -> bool:
        """Whether there is anything to do at all."""
        stored = (MailEffect, HomeEffect)
        return any(not isinstance(step, stored) or step.mail is not Mail.KEEP for step in self.steps)

    @property
    def edits(self) -> tuple[FileEdit, ...]:
        """The files it touches."""
        return tuple(step for step in self.steps if isinstance(step, FileEdit))

    @property
    def effects(self) -> tuple[MailEffect | HomeEffect | RunProgram | AddressEffect | FolderMode | Deed, ...]:
        """What becomes of stored mail, homes and addresses, and programs that are run."""
        return tuple(step for step in self.steps if not isinstance(step, FileEdit | UpdateZone))

    @property
    def updates(self) -> tuple[UpdateZone, ...]:
        """What is changed in zones that a name server keeps."""
        return tuple(step for step in self.steps if isinstance(step, UpdateZone))
