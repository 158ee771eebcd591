"""What holds for all tests of properties: patience."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from coverage import Coverage
from hypothesis import HealthCheck, settings

# How long an example takes says how busy the machine is, and nothing of the property.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture(autouse=True)
def _not_counted() -> Iterator[None]:
    """Which lines run is counted by the unit tests of the same code: here it would take half of the time."""
    counting = Coverage.current()
    if counting is None:
        yield
        return
    counting.stop()
    yield
    counting.start()
