"""How the web asks for anything: a request on behalf of a session, answered by whoever has the files."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

Answered = dict[str, Any]
"""`{"ok": ...}`, or `{"problem": ..., "remedy": ..., "status": ...}`; see admin.desk."""
Ask = Callable[[dict[str, Any]], Awaitable[Answered]]
CODES = {
    400: "invalid",
    401: "signed-out",
    403: "not-permitted",
    404: "not-found",
    405: "invalid",
    408: "invalid",
    413: "too-large",
    422: "invalid",
    500: "unavailable",
    503: "unavailable",
}
"""Of refusals that are of the web alone."""


class Refusal(Exception):
    """What was asked for was not done; problem and remedy are for whoever asked."""

    def __init__(self, problem: str, remedy: str, status: int, code: str = "") -> None:
        """`code`: what kind of refusal it is, for programs (see admin.refusal); empty: what its status says."""
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy
        self.status = status
        self.code = code or CODES.get(status, "refused")


class SignedOut(Refusal):
    """Nobody is signed in."""


class SecondFactorFirst(Refusal):
    """The site wants a second factor of whoever asks, before anything else."""


def refusal_of(answer: Answered) -> Refusal:
    """The refusal that an answer is."""
    kinds: dict[int, type[Refusal]] = {401: SignedOut, 428: SecondFactorFirst}
    kind = kinds.get(answer["status"], Refusal)
    return kind(answer["problem"], answer["remedy"], answer["status"], answer.get("code", ""))
