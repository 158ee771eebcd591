"""Sender rewriting (SRS): the sender of what is sent on, so that SPF holds and bounces find their way back.

`SRS0=HASH=DAY=DOMAIN=LOCAL@forwarder` stands for LOCAL@DOMAIN; what was rewritten elsewhere already becomes
`SRS1=HASH=OTHER==REST@forwarder`. HASH proves that we wrote it, DAY that it is not old. After "The Sender
Rewriting Scheme" (S. Meng Wong, S. Thomas Mansell, 2004) and libsrs2.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re

from vmaild.address import Address, AddressError, canonical_domain

MAX_AGE = 21
"""Days in which a bounce may come back."""
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_PERIOD = 1024
"""Days after which the two characters of a day repeat."""
_HASH = 4
_SRS0 = re.compile(r"SRS0[=+-]([^=]+)=([A-Z2-7]{2})=([^=]+)=(.+)", re.IGNORECASE)
_SRS1 = re.compile(r"SRS1[=+-]([^=]+)=([^=]+)=([=+-].+)", re.IGNORECASE)
_SRS0_TAIL = re.compile(r"SRS0([=+-].+)", re.IGNORECASE)
_SRS1_TAIL = re.compile(r"SRS1[=+-][^=]+=([^=]+)=([=+-].+)", re.IGNORECASE)


def rewritten(sender: Address, forwarder: str, secret: bytes, day: int) -> Address:
    """The sender to send on with, in the domain `forwarder`; `day` is today's, counted from 1970-01-01."""
    if sender.domain == forwarder:
        return sender
    again = _SRS1_TAIL.fullmatch(sender.local_part)
    first = _SRS0_TAIL.fullmatch(sender.local_part)
    if again is not None:
        other, rest = again[1], again[2]
        return Address(f"SRS1={_hash(secret, other, rest)}={other}={rest}", forwarder)
    if first is not None:
        return Address(f"SRS1={_hash(secret, sender.domain, first[1])}={sender.domain}={first[1]}", forwarder)
    stamp = _ALPHABET[day % _PERIOD >> 5] + _ALPHABET[day % 32]
    proof = _hash(secret, stamp, sender.domain, sender.local_part)
    return Address(f"SRS0={proof}={stamp}={sender.domain}={sender.local_part}", forwarder)


def original(local_part: str, secret: bytes, day: int) -> Address | None:
    """Whom a bounce to one of our rewritten senders is for; None: it is none of ours, or too old."""
    again = _SRS1.fullmatch(local_part)
    if again is not None:
        proof, other, rest = again.groups()
        return _address(f"SRS0{rest}", other) if _right(proof, _hash(secret, other, rest)) else None
    first = _SRS0.fullmatch(local_part)
    if first is None:
        return None
    proof, stamp, domain, name = first.groups()
    stamp = stamp.upper()
    age = (day - (_ALPHABET.index(stamp[0]) << 5 | _ALPHABET.index(stamp[1]))) % _PERIOD
    if not _right(proof, _hash(secret, stamp, domain, name)) or age > MAX_AGE:
        return None
    return _address(name, domain)


def _hash(secret: bytes, *parts: str) -> str:
    # Folded: local parts come back in other cases than they went out.
    text = "".join(parts).lower().encode("utf-8", "surrogateescape")
    return base64.b64encode(hmac.new(secret, text, hashlib.sha1).digest()).decode()[:_HASH]


def _right(proof: str, expected: str) -> bool:
    return hmac.compare_digest(proof.lower().encode("utf-8", "replace"), expected.lower().encode())


def _address(local_part: str, domain: str) -> Address | None:
    try:
        return Address(local_part, canonical_domain(domain))
    except AddressError:
        return None
