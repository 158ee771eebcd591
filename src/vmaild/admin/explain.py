"""Where mail for an address goes, step by step, and what a sender would be told."""

from __future__ import annotations

from dataclasses import dataclass

from vmaild.address import Address, fold
from vmaild.admin.door import Door
from vmaild.admin.view import View
from vmaild.core.routing import Accepted, Step, Target, ToMailbox, Undecided, answer, route
from vmaild.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Destination:
    """A target, and for a mailbox what its owner has."""

    target: Target
    quota: int | None = None
    """Bytes in force, 0: no limit; None: not a mailbox."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """All about one address."""

    address: Address
    answer: Outcome
    """To RCPT."""
    destinations: tuple[Destination, ...]
    steps: tuple[Step, ...]
    problem: str = ""
    """Why mail has to wait, for the administrator only."""


def explain(door: Door, address: Address) -> Explanation:
    """Explain an address of a domain that the actor may see. Raises Refused.

    A co-administrator sees other domains of this server as any outside domain; the answer is the real one,
    which every sender can get.
    """
    view = door.view()
    if not door.actor.site_admin:
        view, _ = door.see(address.domain)
    decided = route(view.visible, address, explain=True)
    whole = decided if door.actor.site_admin else route(view.directory, address)
    targets = decided.targets if isinstance(decided, Accepted) else ()
    destinations = tuple(Destination(target, _quota(view, target)) for target in targets)
    problem = decided.problem if isinstance(decided, Undecided) else ""
    return Explanation(address, answer(whole), destinations, decided.steps, problem)


def _quota(view: View, target: Target) -> int | None:
    if not isinstance(target, ToMailbox):
        return None
    domain = view.domain(target.domain)
    own = domain.accounts[fold(target.login)].quota
    return domain.definition.quota if own is None else own
