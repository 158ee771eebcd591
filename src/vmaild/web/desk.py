"""How the web asks for anything: a request on behalf of a session, answered by whoever has the files."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

Answered = dict[str, Any]
"""`{"ok": ...}`, or `{"problem": ..., "remedy": ..., "status": ...}`; see admin.desk."""
Ask = Callable[[dict[str, Any]], Awaitable[Answered]]


class Refusal(Exception):
    """What was asked for was not done; problem and remedy are for whoever asked."""

    def __init__(self, problem: str, remedy: str, status: int) -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy
        self.status = status


class SignedOut(Refusal):
    """Nobody is signed in."""


class SecondFactorFirst(Refusal):
    """The site wants a second factor of whoever asks, before anything else."""


def refusal_of(answer: Answered) -> Refusal:
    """The refusal that an answer is."""
    kinds: dict[int, type[Refusal]] = {401: SignedOut, 428: SecondFactorFirst}
    kind = kinds.get(answer["status"], Refusal)
    return kind(answer["problem"], answer["remedy"], answer["status"])
