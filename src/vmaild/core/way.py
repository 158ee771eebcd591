"""The way of a message to this machine, as other servers find it: what was seen, and what that means."""

from __future__ import annotations

from dataclasses import dataclass

from vmaild.core.evidence import Answer, Machine, Place, Reply


@dataclass(frozen=True, slots=True)
class Exchanger:
    """A host that takes mail for a domain."""

    preference: int
    host: str
    addresses: tuple[str, ...]
    problem: str = ""
    """Why its addresses are not known; empty: they are."""

    def words(self, machine: Machine) -> str:
        """Where it is, for people."""
        if not self.addresses:
            return f"unknown: {self.problem}" if self.problem else "has no address"
        return ", ".join(f"{address} ({_PLACES[machine.place(address)]})" for address in self.addresses)


_PLACES = {
    Place.HERE: "this machine",
    Place.ELSEWHERE: "another machine",
    Place.UNKNOWN: "not to be known from here",
}


@dataclass(frozen=True, slots=True)
class MtaAnswer:
    """What an MTA says to RCPT."""

    server: str
    """Who was asked: `172.16.0.1:25`."""
    name: str = ""
    """What it calls itself."""
    code: int = 0
    enhanced: str = ""
    text: str = ""
    problem: str = ""
    """Why it said nothing; empty: it did."""

    @property
    def refused(self) -> bool:
        """Whether it would not take the recipient; what is not known is no refusal."""
        return not self.problem and self.code // 100 != 2

    @property
    def reply(self) -> str:
        """The answer in one line."""
        return f"unknown: {self.problem}" if self.problem else f"{self.code} {self.enhanced} {self.text}"


NOWHERE = Machine()
"""A machine of which nothing is known."""


@dataclass(frozen=True, slots=True)
class Way:
    """All that was seen; what is empty was not to be had, and `problem` says why."""

    exchangers: tuple[Exchanger, ...] = ()
    """Best first."""
    implicit: bool = False
    """Whether there is no MX, so that the domain's own address counts (RFC 5321 section 5.1)."""
    null: bool = False
    """Whether the domain says that it takes no mail (RFC 7505)."""
    machine: Machine = NOWHERE
    mta: MtaAnswer | None = None
    """None: the domain is not ours, and nobody was asked."""
    problem: str = ""
    """Why the MX is not known."""


def exchangers_in(mx: Answer) -> tuple[tuple[int, str], ...]:
    """Preference and host of each MX, best first."""
    pairs = [value.partition(" ") for value in mx.values]
    return tuple(sorted((int(preference), host) for preference, _, host in pairs))


def exchanger(preference: int, host: str, answers: tuple[Answer, Answer]) -> Exchanger:
    """A host with its addresses (A and AAAA)."""
    addresses = tuple(value for answer in answers for value in answer.values)
    problems = [answer.problem for answer in answers if answer.reply is Reply.UNKNOWN]
    return Exchanger(preference, host, addresses, problems[0] if problems else "")
