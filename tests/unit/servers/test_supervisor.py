"""What the supervisor does between signals."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest

from vmaild.core.site import Site
from vmaild.servers.supervisor import Supervisor, _Vacancy
from vmaild.servers.worker import Role
from vmaild.store.directory import FileDirectory
from vmaild.store.layout import layout


def test_a_replacement_starts_from_the_directory_as_it_is_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = layout(str(tmp_path))
    Path(where.definitions).mkdir(parents=True)
    directory = FileDirectory(where)
    assert directory.names() == []
    supervisor = Supervisor(where, Site(), directory)
    found: list[str | None] = []

    def start(this: Supervisor, role: Role, number: int, deaths: int) -> None:
        # What a child of fork(2) has before it looks itself: of many definitions it looks at a few at a time.
        monkeypatch.setattr(this.directory._definitions, "_look", lambda **_: None)
        found.append(this.directory.domain_at("192.0.2.1"))

    monkeypatch.setattr(Supervisor, "start", start)
    Path(where.definition("va.example")).write_text('addresses = ["192.0.2.1"]')
    supervisor.vacancies.append(_Vacancy(Role.POP3, 0, 0.0, 0))
    assert supervisor.fill() == 60.0
    assert found == ["va.example"]


def test_collections_of_a_worker_leave_alone_what_it_shares_with_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They would write to each object that was there before the fork, and a page that is written to is copied."""
    where = layout(str(tmp_path))
    Path(where.definitions).mkdir(parents=True)
    before = len(gc.get_objects())

    def become_worker(this: Supervisor, role: Role, row: int, ready: int) -> None:
        (tmp_path / "seen").write_text(f"{gc.get_freeze_count()} {len(gc.get_objects())}")
        os._exit(0)

    monkeypatch.setattr(Supervisor, "become_worker", become_worker)
    supervisor = Supervisor(where, Site(), FileDirectory(where))
    try:
        supervisor.start(Role.POP3, 0, 0)
    finally:
        gc.unfreeze()
    (pid,) = supervisor.workers
    assert os.waitpid(pid, 0)[1] == 0
    frozen, looked_at = map(int, (tmp_path / "seen").read_text().split())
    assert frozen >= before * 0.9
    assert looked_at < before * 0.1
