"""Gives the tests of this folder the one reader for dialogues."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

if TYPE_CHECKING:
    from tests.transcripts.dialogue import Dialogue


@pytest.fixture(scope="session")
def parse_dialogue() -> Callable[[str, str], Dialogue]:
    """`dialogue.parse_dialogue(text, version)`; test files are not a package that could be imported from."""
    name = "vmaild_test_dialogue"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("dialogue.py"))
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return cast("Callable[[str, str], Dialogue]", sys.modules[name].parse_dialogue)
