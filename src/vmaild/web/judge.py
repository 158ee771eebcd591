"""How strong a password is, which anybody may ask: it is thought about in a thread, one at a time."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from zxcvbn import zxcvbn

MAX_JUDGED = 24
"""Characters that are looked at: of 72 that somebody has chosen with malice it thinks for many seconds."""
_WAITING = 8


class Judge:
    """See the module. For one event loop."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "judge")
        self._waiting = 0

    async def score(self, password: str) -> int | None:
        """0 (very weak) to 4 (strong); None: too many ask."""
        if self._waiting >= _WAITING:
            return None
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, _score, password)
        finally:
            self._waiting -= 1


def _score(password: str) -> int:
    return int(zxcvbn(password[:MAX_JUDGED] or " ")["score"])
