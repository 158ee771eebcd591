"""The unit for systemd, as systemd itself reads it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.served import run

from vmaild.generate.systemd import UNIT, service_text


def test_a_path_is_not_expanded() -> None:
    assert 'ExecStart="/opt/50%% $$HOME/vmail" serve\n' in service_text("/opt/50% $HOME/vmail", drain=30)


def test_sessions_have_time_to_finish() -> None:
    assert "TimeoutStopSec=45\n" in service_text("/usr/bin/vmail", drain=30.0)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_has_nothing_against_it(tmp_path: Path) -> None:
    command = tmp_path / "with a space" / "vmail"
    command.parent.mkdir()
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    (tmp_path / UNIT).write_text(service_text(str(command), drain=30))
    checked = run("systemd-analyze", "verify", "--man=no", tmp_path / UNIT, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    (tmp_path / UNIT).write_text(service_text(str(tmp_path / "missing"), drain=30))
    assert run("systemd-analyze", "verify", "--man=no", tmp_path / UNIT, check=False).returncode
