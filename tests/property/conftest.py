"""What holds for all tests of properties."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from coverage import Coverage


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
