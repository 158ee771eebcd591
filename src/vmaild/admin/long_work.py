"""What takes its time goes on in a thread, while whoever began it looks at other pages and comes back to see."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from vmaild.admin.refusal import Refused, not_now

log = logging.getLogger("vmaild.work")


@dataclass(slots=True)
class Work:
    """One piece of it. Whoever lets two begin at the same time sees to that with a lock."""

    what: str = ""
    """As the log says it, and perhaps people."""
    state: str = "prepared"
    """`prepared`, `running`, `done`."""
    refusal: Refused | None = field(default=None, repr=False)
    """Why it was not done, or not wholly."""

    @property
    def running(self) -> bool:
        """Whether it goes on."""
        return self.state == "running"

    def begin(self, do: Callable[[], object]) -> None:
        """Do it in a thread of its own, which ends with the process."""
        self.state = "running"
        threading.Thread(target=self._carry_out, args=(do,), name="work", daemon=True).start()

    def told(self) -> dict[str, str]:
        """How it stands, as plain values; `problem` and `remedy` are empty where all went well."""
        problem, remedy = (self.refusal.problem, self.refusal.remedy) if self.refusal else ("", "")
        return {"state": self.state, "problem": problem, "remedy": remedy}

    def _carry_out(self, do: Callable[[], object]) -> None:
        try:
            do()
        except Refused as refusal:
            self.refusal = refusal
        except Exception:
            log.exception("%s failed", self.what)
            self.refusal = not_now()
        finally:
            self.state = "done"
