"""What an MTA was asked and answered, and what follows from it: pure verdicts.

An MTA that serves our domains takes mail for a known recipient of each, refuses an unknown one while the client
is still there, still takes what is the main domain's, and has a server to hand mail to. Whether it relays for
strangers cannot be seen from a client that it trusts, and then is not judged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from vmaild.core.findings import Finding, Severity


class Purpose(Enum):
    """Why a recipient was asked for; the value says what is right."""

    KNOWN = "takes mail for a known recipient"
    UNKNOWN = "refuses an unknown recipient"
    MAIN = "takes mail for the main domain"
    RELAY = "does not relay"


@dataclass(frozen=True, slots=True)
class Asked:
    """One recipient and the answer to RCPT."""

    purpose: Purpose
    recipient: str
    code: int
    enhanced: str
    text: str

    @property
    def reply(self) -> str:
        """The answer in one line."""
        return f"{self.code} {self.enhanced} {self.text}"

    @property
    def right(self) -> bool | None:
        """Whether it is as it should be; None: it cannot be known."""
        taken = self.code // 100 == 2
        match self.purpose:
            case Purpose.UNKNOWN:
                return self.code // 100 == 5
            case Purpose.RELAY:
                return None if taken else True
        return taken


@dataclass(frozen=True, slots=True)
class Socket:
    """One of our own sockets, which the MTA needs."""

    name: str
    """`lmtp` or `socketmap`."""
    path: str
    problem: str = ""
    """Why it does not answer; empty: it does."""


@dataclass(frozen=True, slots=True)
class MtaEvidence:
    """What a probe of one MTA saw."""

    server: str
    """`127.0.0.1:25`."""
    problem: str = ""
    """Why nothing could be asked; empty: it could."""
    name: str = ""
    """What the MTA calls itself."""
    asked: tuple[Asked, ...] = ()
    sockets: tuple[Socket, ...] = ()


def mta_findings(evidence: MtaEvidence) -> list[Finding]:
    """What is wrong with the way mail takes through an MTA."""
    found = [
        Finding(
            socket.path,
            0,
            f"nobody answers at the {socket.name} socket: {socket.problem}; mail of all virtual domains waits",
            "start the servers: vmail serve",
            Severity.ERROR,
        )
        for socket in evidence.sockets
        if socket.problem
    ]
    if evidence.problem:
        remedy = "start the MTA, or name another with --server"
        found.append(Finding(evidence.server, 0, f"no MTA answers: {evidence.problem}", remedy, Severity.ERROR))
    return found + [finding for asked in evidence.asked for finding in _judged(evidence.server, asked)]


_INSTALL = "plug it in with 'vmail mta install', then reload the MTA"


def _judged(server: str, asked: Asked) -> Iterator[Finding]:
    if asked.right is not False:
        return
    waits = asked.code // 100 == 4
    match asked.purpose:
        case Purpose.KNOWN if waits:
            problem = f"the MTA makes mail for {asked.recipient} wait: {asked.reply}"
            remedy = "see whether vmail serve runs, whether its group mta_group is the MTA's, and the MTA's log"
        case Purpose.KNOWN:
            problem = f"the MTA refuses mail for {asked.recipient}, who is an account here: {asked.reply}"
            remedy = _INSTALL
        case Purpose.UNKNOWN if waits:
            problem = f"the MTA cannot tell that {asked.recipient} does not exist: {asked.reply}"
            remedy = "see whether vmail serve runs, and the MTA's log"
        case Purpose.UNKNOWN:
            problem = f"the MTA takes mail for {asked.recipient}, who does not exist, and will have to bounce it"
            remedy = _INSTALL
        case _:
            problem = f"the MTA does not take mail for its own {asked.recipient}: {asked.reply}"
            remedy = "see what changed in its own configuration; vmaild does not touch the main domain"
    severity = Severity.WARNING if asked.purpose is Purpose.UNKNOWN and not waits else Severity.ERROR
    yield Finding(server, 0, problem, remedy, severity)
