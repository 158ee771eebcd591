"""What all tests may ask for: free ports, a demo root of one's own, a server that serves it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from tests.counted import COUNTED, count, counted
from tests.order import Together, rank
from tests.served import COMMANDS, Ports, Root, Served, copy_root, run, start

# How long an example takes says how busy the machine is, and nothing of what is tested.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As in what a script starts in the background; all that tests start would ignore Ctrl-C, too.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, so that all processes end at about the same time."""
    items.sort(key=lambda item: rank(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Together:
    """Hand tests out as tests.order says, whatever `--dist` is."""
    config.option.loadscopereorder = False
    return Together(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before any fixture of it: count the lines of the processes that a test starts, or not."""
    count(item.nodeid.startswith(COUNTED))


@pytest.fixture(scope="session")
def _ports() -> Ports:
    return Ports(os.environ.get("PYTEST_XDIST_WORKER", ""))


@pytest.fixture(scope="session")
def free_port(_ports: Ports) -> Callable[[], int]:
    """Call it for a port that is free on 127.0.0.1 to 127.0.0.4."""
    return _ports.take


@pytest.fixture(scope="session")
def _demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo as `vmail init --demo` lays it out; only to be copied."""
    path = tmp_path_factory.mktemp("demo") / "root"
    run(COMMANDS / "vmail", "--root", path, "init", "--demo", check=True)
    return path


@pytest.fixture
def root(_demo: Path, tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]) -> Root:
    """A demo root of this test's own, on free ports; nothing serves it yet."""
    # A short name: the path of a socket has 107 bytes at most.
    return copy_root(_demo, tmp_path_factory.mktemp("r") / "root", [free_port() for _ in range(3)])


@pytest.fixture
def served(root: Root) -> Iterator[Served]:
    """The running servers of this test's own: to be killed, reloaded and reconfigured."""
    server = start(root)
    yield server
    server.stop()
    server.check_log()


@pytest.fixture(scope="session")
def _shared(
    _demo: Path, tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]
) -> Iterator[Served]:
    path = tmp_path_factory.mktemp("s") / "root"
    with counted():
        server = start(copy_root(_demo, path, [free_port() for _ in range(3)]), verb=True)
    yield server
    server.stop()


@pytest.fixture
def demo(_shared: Served) -> Iterator[Root]:
    """The root of a running server that tests share, with all mailboxes empty. Leave its files as they are."""
    _shared.root.empty()
    yield _shared.root
    assert _shared.process.poll() is None, "the server ended"
    _shared.check_log()
