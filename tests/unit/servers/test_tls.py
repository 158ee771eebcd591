from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from vmaild.servers import tls
from vmaild.servers.tls import Certificates
from vmaild.store.directory import FileDirectory
from vmaild.store.layout import Layout


@pytest.fixture
def here(tmp_path: Path) -> Layout:
    where = Layout(str(tmp_path))
    for folder in (where.definitions, where.last_good):
        os.makedirs(folder)
    Path(where.definition("va.test")).write_text('certificate = "/etc/vmail/va.pem"\n')
    Path(where.definition("vb.test")).touch()
    return where


def make(path: str) -> Path:
    """A self-signed certificate with its key in one file."""
    key = f"{path}.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-subj", "/CN=va.test", "-keyout", key, "-out", path],
        check=True, capture_output=True,
    )  # fmt: skip
    made = Path(path)
    made.write_bytes(made.read_bytes() + Path(key).read_bytes())
    return made


def test_a_domain_without_a_certificate_has_the_sites(here: Layout) -> None:
    certificates = Certificates(FileDirectory(here), here, "/etc/vmail/site.pem")
    assert certificates.context("vb.test") is None
    make(f"{here.configuration}/site.pem")
    site = certificates.context("vb.test")
    assert site is not None
    assert certificates.context(None) is site
    assert certificates.context("va.test") is site  # its own is not there yet
    make(f"{here.configuration}/va.pem")
    assert certificates.context("va.test") not in (None, site)
    assert certificates.context("nowhere.test") is site


def test_a_renewed_certificate_is_loaded_and_a_damaged_one_is_not(
    here: Layout, caplog: pytest.LogCaptureFixture
) -> None:
    path = make(f"{here.configuration}/va.pem")
    certificates = Certificates(FileDirectory(here), here)
    first = certificates.context("va.test")
    assert first is not None
    assert certificates.context("va.test") is first
    good = path.read_bytes()
    path.write_text("damaged")
    assert certificates.context("va.test") is first
    assert "va.pem cannot be used" in caplog.text
    path.unlink()
    assert certificates.context("va.test") is first
    path.write_bytes(good)
    assert certificates.context("va.test") not in (None, first)


def test_without_any_certificate_there_is_no_tls(here: Layout) -> None:
    certificates = Certificates(FileDirectory(here), here)
    assert certificates.context("vb.test") is None
    assert certificates.context(None) is None


def test_what_is_offered_is_looked_up_once_a_second(here: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    certificates = Certificates(FileDirectory(here), here)
    assert not certificates.offered("va.test")
    make(f"{here.configuration}/va.pem")
    assert not certificates.offered("va.test")
    assert certificates.context("va.test") is not None, "who begins TLS is served by what is there now"
    later = SimpleNamespace(monotonic=lambda: time.monotonic() + 1.0)
    monkeypatch.setattr(tls, "time", later)
    assert certificates.offered("va.test")
