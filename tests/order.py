"""Which tests stay together in one process, and in which order they begin: what takes long comes first.

pytest-xdist can do either, not both, and its groups (`xdist_group`) are not seen by pytest from 9.2 on.
"""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

TOGETHER = (
    "tests/e2e/zoo/test_zoo.py",
    "tests/e2e/test_web.py",
    "tests/e2e/test_secure_programs.py",
    "tests/e2e/test_screenshots.py",
    "tests/e2e/test_fidelity.py",
    "tests/e2e/test_tls.py",
    "tests/e2e/test_web_tls.py",
    "tests/transcripts/",
    "tests/unit/",
    "tests/property/",
)
"""Files, or all files below a folder, whose tests share what takes its time to set up, or take none at all."""
LONG = (
    "tests/e2e/test_web.py",
    "tests/e2e/zoo/test_zoo.py",
    "tests/e2e/zoo/test_machine.py::test_an_mta_that_is_set_up_wrongly",
    "tests/e2e/test_mtas.py",
    "tests/crash/test_every_call.py",
    "tests/e2e/test_secure_programs.py",
    "tests/e2e/test_service_addresses.py",
    "tests/e2e/zoo/",
    "tests/crash/",
    "tests/e2e/",
    "tests/property/",
)
"""What takes longest, the longest first. Kept by hand: `pytest --durations=50` tells."""


class Together(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
    """Hands out what stays together as one piece, and everything else test by test."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid.partition("::")[0] if nodeid.startswith(TOGETHER) else nodeid


def rank(nodeid: str) -> int:
    """The place of a test in the order of all; those of one rank keep theirs."""
    return next((place for place, begin in enumerate(LONG) if nodeid.startswith(begin)), len(LONG))
