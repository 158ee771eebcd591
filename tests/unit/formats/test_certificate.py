from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from vmaild.formats.certificate import key_digest, public_key


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_as_openssl_has_it(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key", tmp_path / "certificate"
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=va.toto.fr"]
    subprocess.run([*words, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    words = ["openssl", "pkey", "-in", str(key), "-pubout"]
    der = subprocess.run([*words, "-outform", "DER"], check=True, capture_output=True).stdout
    pem = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    assert key_digest(key.read_text() + certificate.read_text()) == hashlib.sha256(der).hexdigest()
    assert public_key(pem) == "".join(pem.split("\n")[1:-2])


@pytest.mark.parametrize("text", ["", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"])
def test_damage_is_no_key(text: str) -> None:
    assert key_digest(text) == public_key(text) == ""
