r"""Dialogues in text, and the pure reader for them.

A file is a header that sets the scene, then the dialogue. `#` begins a comment line, empty lines are passed over.

    domain: va.toto.fr                  absent: the server does not know it
    account: mrose tanstaaf             login, one space, password
    message: whqtswO00WBw418f9t5JxYwZ   the unique-id of a message; its content follows, LF line ends on disk:
    | Subject: one
    |
    | Hello
    deletes: 1 2                        the messages that are gone in the end; absent: none
    offers: stls PLAIN lang=fr          settings of the server, one word each; absent: nothing beyond the usual
    tls: from the start                 all of the connection is under TLS

and what only a test can bring about (`faults`):

    refuses-tls: SYS/TEMP text          every STLS
    refuses-login: SYS/TEMP text        every login, whatever the password
    refuses-maildrop: IN-USE text       after a right password
    unreadable: 2 text                  this message cannot be read
    not-removed: 1                      so many deletions fail

The dialogue has one line for each line on the wire, without its CRLF, and ends with one side closing:

    S: +OK ...
    C: QUIT
    S closes
    C closes

Between two lines TLS may begin, with a name or without:

    TLS starts for vb.toto.fr

In all of it `\x00` stands for that octet, `{a*300}` for 300 times a, `{version}` for the server's version;
characters outside ASCII are UTF-8.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

Speaker = Literal["S", "C", "TLS"]

_NOTATION = re.compile(r"\\x([0-9a-f]{2})|\{(.)\*(\d+)\}|\{(version)\}")


class DialogueError(ValueError):
    """The text is not a dialogue; names the line."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message of the maildrop."""

    uid: str
    content: bytes
    """As on disk."""


@dataclass(frozen=True, slots=True)
class Step:
    """One line of one side, None: it closes the connection; or the beginning of TLS with its name, if any."""

    speaker: Speaker
    line: bytes | None


@dataclass(slots=True)
class Dialogue:
    """The scene, and what is said."""

    domain: str | None = None
    login: bytes = b""
    password: bytes = b""
    messages: list[Message] = field(default_factory=list)
    deletes: tuple[int, ...] = ()
    """Numbers from 1."""
    offers: tuple[str, ...] = ()
    tls: bool = False
    refuses_tls: tuple[str, str] | None = None
    """Response code and text."""
    refuses_login: tuple[str, str] | None = None
    """Response code and text."""
    refuses_maildrop: tuple[str, str] | None = None
    unreadable: dict[int, str] = field(default_factory=dict)
    """Text by number from 1."""
    not_removed: int = 0
    steps: list[Step] = field(default_factory=list)

    @property
    def faults(self) -> bool:
        """Whether the scene needs a server that fails on demand."""
        return bool(
            self.refuses_tls or self.refuses_login or self.refuses_maildrop or self.unreadable or self.not_removed
        )

    def said_by(self, speaker: Speaker) -> list[bytes]:
        """The lines of one side."""
        return [step.line for step in self.steps if step.speaker == speaker and step.line is not None]


def parse_dialogue(text: str, version: str) -> Dialogue:
    """Read a dialogue; `version` is what the server greets with. Raises DialogueError."""
    dialogue = Dialogue()
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith("|"):
            message = dialogue.messages[-1]
            content = message.content + _octets(line[2:], version) + b"\n"
            dialogue.messages[-1] = Message(message.uid, content)
        elif step := re.fullmatch(r"([SC])(?: closes|:(?: (.*))?)", line):
            said = None if line.endswith(" closes") and line[1] == " " else _octets(step[2] or "", version)
            dialogue.steps.append(Step("S" if step[1] == "S" else "C", said))
        elif step := re.fullmatch(r"TLS starts(?: for (\S+))?", line):
            dialogue.steps.append(Step("TLS", _octets(step[1], version) if step[1] else None))
        elif setting := re.fullmatch(r"([a-z-]+): (.*)", line):
            _set(dialogue, setting[1], setting[2], version, number)
        else:
            raise DialogueError(f"line {number}: {line!r}")
    if not dialogue.steps or dialogue.steps[-1].line is not None:
        raise DialogueError("the dialogue does not end with one side closing")
    return dialogue


def _set(dialogue: Dialogue, key: str, value: str, version: str, number: int) -> None:
    first, _, rest = value.partition(" ")
    match key:
        case "domain":
            dialogue.domain = value
        case "account":
            dialogue.login, dialogue.password = _octets(first, version), _octets(rest, version)
        case "message":
            dialogue.messages.append(Message(value, b""))
        case "deletes":
            dialogue.deletes = tuple(map(int, value.split()))
        case "offers":
            dialogue.offers = tuple(value.split())
        case "tls":
            dialogue.tls = True
        case "refuses-tls":
            dialogue.refuses_tls = first, rest
        case "refuses-login":
            dialogue.refuses_login = first, rest
        case "refuses-maildrop":
            dialogue.refuses_maildrop = first, rest
        case "unreadable":
            dialogue.unreadable[int(first)] = rest
        case "not-removed":
            dialogue.not_removed = int(value)
        case _:
            raise DialogueError(f"line {number}: no such setting: {key}")


def _octets(text: str, version: str) -> bytes:
    def octets(match: re.Match[str]) -> str:
        if match[4]:
            return version
        if match[1]:
            return bytes([int(match[1], 16)]).decode("utf-8", "surrogateescape")
        return match[2] * int(match[3])

    return _NOTATION.sub(octets, text).encode("utf-8", "surrogateescape")
