"""What DNS says of keys: the public key in a certificate, and in a PEM file."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re

_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)


def public_key(text: str) -> str:
    """The base64 text of a PEM public key (RFC 7468 section 13); empty where there is none."""
    for match in _PEM.finditer(text):
        if match[1] == "PUBLIC KEY":
            return "".join(match[2].split())
    return ""


def key_digest(text: str) -> str:
    """SHA-256 of the public key of the first certificate in a PEM text (TLSA 3 1 1); empty where there is none."""
    for match in _PEM.finditer(text):
        if match[1] == "CERTIFICATE":
            try:
                return hashlib.sha256(_subject_public_key(base64.b64decode("".join(match[2].split())))).hexdigest()
            except (ValueError, IndexError, binascii.Error):
                return ""
    return ""


def _subject_public_key(der: bytes) -> bytes:
    """SubjectPublicKeyInfo (RFC 5280 section 4.1): in TBSCertificate, behind five other parts."""
    start, _ = _content(der, 0)
    at, end = _content(der, start)
    if der[at] == 0xA0:  # the version
        at = _content(der, at)[1]
    for _ in range(5):  # serial, signature, issuer, validity, subject
        at = _content(der, at)[1]
    after = _content(der, at)[1]
    if after > end:
        raise ValueError("the certificate is cut off")
    return der[at:after]


def _content(der: bytes, at: int) -> tuple[int, int]:
    """Where the content of the value at `at` starts and ends (X.690 section 8.1.3)."""
    length, start = der[at + 1], at + 2
    if length & 0x80:
        size = length & 0x7F
        length, start = int.from_bytes(der[start : start + size], "big"), start + size
    return start, start + length
