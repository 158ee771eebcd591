"""Which processes that tests start have their lines counted by coverage: counting nearly doubles what they cost.

Counted are those that alone come to some module; what many tests start is counted where it is cheapest. The other
tests tell as much of the code: only the report does not need them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

COUNTED = (
    "tests/e2e/test_address_files.py",
    "tests/e2e/test_addresses.py",
    "tests/e2e/test_dns.py",
    "tests/e2e/test_dns_update.py",
    "tests/e2e/test_explain_way.py",
    "tests/e2e/test_inetd_tcpd.py",
    "tests/e2e/test_learnt_addresses.py",
    "tests/e2e/test_real_machine.py",
    "tests/e2e/test_reception.py",
    "tests/e2e/test_relay_tls.py",
    "tests/e2e/test_service_addresses.py",
    "tests/e2e/test_socket_activation.py",
    "tests/e2e/test_socketmap.py",
    "tests/e2e/test_supervision.py",
    "tests/e2e/test_tls.py",
    "tests/e2e/test_vdeliver.py",
    "tests/e2e/test_web_tls.py",
    "tests/e2e/zoo/test_machine.py",
    "tests/e2e/zoo/test_mending.py",
    "tests/e2e/zoo/test_zoo.py",
    "tests/transcripts/",
    "tests/unit/",
)
"""Tests whose processes are counted, by how their names begin; the server that tests share is, too."""

_SETTINGS: dict[str, str] = {}
"""What tells a process that its lines are counted (patch = subprocess, of coverage), while others are started."""


def count(wanted: bool) -> bool:
    """Have the lines of processes counted that are started from now on, or not; as it was before."""
    before = not _SETTINGS
    if wanted:
        os.environ.update(_SETTINGS)
        _SETTINGS.clear()
    else:
        _SETTINGS.update({name: value for name, value in os.environ.items() if name.startswith("COVERAGE")})
        for name in _SETTINGS:
            os.environ.pop(name, None)
    return before


@contextmanager
def counted() -> Iterator[None]:
    """Count the lines of what is started meanwhile, whichever test it is that comes first."""
    before = count(True)
    try:
        yield
    finally:
        count(before)
