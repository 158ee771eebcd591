"""The process that `vmail serve` becomes."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.served import Root, Served, unmeasured

from vmaild.servers.__main__ import _Line, main

HEAVY = {
    "typer", "click", "rich", "jinja2", "fastapi", "starlette", "pydantic", "uvicorn", "dns", "sqlalchemy",
    "babel", "prometheus_client", "email", "http", "urllib", "tomlkit", "tomllib",
    "vmaild.cli", "vmaild.web", "vmaild.delivery", "vmaild.diagnose", "vmaild.generate", "vmaild.protocol.lmtp",
}  # fmt: skip


def test_it_has_in_memory_what_it_needs() -> None:
    program = (
        "import sys; before = set(sys.modules); import vmaild.servers.__main__; print(*set(sys.modules) - before)"
    )
    # Coverage would import much at the very start.
    environment = unmeasured()
    ran = subprocess.run(
        [sys.executable, "-c", program], text=True, capture_output=True, check=True, env=environment
    )
    loaded = set(ran.stdout.split())
    assert "vmaild.servers.pop3d" in loaded
    assert HEAVY & loaded == set()


def test_serving_keeps_the_pid_and_nothing_of_the_command_line(served: Served) -> None:
    words = Path(f"/proc/{served.process.pid}/cmdline").read_bytes().split(b"\0")
    assert b"vmaild.servers" in words
    assert os.fsencode(served.root.path) in words
    mapped = Path(f"/proc/{served.process.pid}/maps").read_text()
    assert "uvloop" in mapped
    assert "pydantic_core" not in mapped
    assert "memfd:" not in mapped + str(list(map(os.readlink, Path(f"/proc/{served.process.pid}/fd").iterdir())))


def test_a_refusal_is_one_line_that_moves_no_cursor(root: Root, tmp_path: Path) -> None:
    site = root.etc / "vmail.toml"
    site.write_text('[pop3]\nlisten = ["192.0.2.1:110"]\n')
    strange = tmp_path / "r\x1b[31m\nx"
    root.path.rename(strange)
    command = [sys.executable, "-P", "-m", "vmaild.servers", str(strange)]
    ran = subprocess.run(command, text=True, capture_output=True, check=False, timeout=60)
    assert ran.returncode == 1
    assert "cannot listen on 192.0.2.1:110" in ran.stderr
    assert ran.stderr.count("\n") == 1


def test_what_the_system_refuses_is_told_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("in the way\n")
    command = [sys.executable, "-P", "-m", "vmaild.servers", str(tmp_path)]
    ran = subprocess.run(command, text=True, capture_output=True, check=False, timeout=60)
    assert ran.returncode == 1
    assert ran.stderr.startswith(f"vmail: {tmp_path}/run")
    assert ran.stderr.count("\n") == 1


def test_settings_that_cannot_be_read_keep_it_from_starting(
    root: Root, capsys: pytest.CaptureFixture[str]
) -> None:
    (root.etc / "vmail.toml").write_text("[pop3")
    assert main([str(root.path)]) == 1
    assert "vmail.toml" in capsys.readouterr().err


def test_a_line_of_the_log_has_the_time_of_its_own_second() -> None:
    line = _Line("%(asctime)s %(message)s", "%H:%M:%S")
    made = []
    for created in (1_700_000_000.9, 1_700_000_000.1, 1_700_003_601.0):
        record = logging.LogRecord("vmaild", logging.INFO, "", 0, "hello", None, None)
        record.created = created
        made.append(line.format(record))
    expected = [time.strftime("%H:%M:%S hello", time.localtime(s)) for s in (1_700_000_000, 1_700_003_601)]
    assert made == [expected[0], *expected]
