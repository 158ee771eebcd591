"""What is checked before a worker becomes the mail user."""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path

import pytest

from vmaild.servers.worker import ServeError, check_user


def test_a_user_who_is_not_there_is_named() -> None:
    with pytest.raises(ServeError, match=r"no user nobody-of-that-name.*adduser"):
        check_user("nobody-of-that-name")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
@pytest.mark.parametrize("mode", [0o700, 0o755])
def test_a_python_that_the_mail_user_cannot_read_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, mode: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest keeps what it makes to itself
        Path(folder).chmod(mode)
        Path(folder, "os.py").touch()
        monkeypatch.setattr(os, "__file__", f"{folder}/os.py")
        with caplog.at_level(logging.WARNING, "vmaild"):
            check_user("nobody")
    assert bool(caplog.records) == (mode == 0o700)
