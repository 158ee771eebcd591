"""What several tests with real peers ask for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser; while it runs, its module can run no event loop of its own."""
    from tests.e2e.browser import running_chromium

    with running_chromium() as browser:
        yield browser
