"""What people name things by, on a command line or in a form."""

from __future__ import annotations

from vmaild.address import Address, parse_address
from vmaild.admin.door import refusals
from vmaild.admin.refusal import Misused
from vmaild.formats.domain import parse_domain_name


def parse_name(text: str) -> Address:
    """LOGIN@DOMAIN or NAME@DOMAIN. Raises Misused."""
    with refusals():
        address = parse_address(text)
    if not address.domain:
        raise Misused(f"'{text}' has no domain", f"write it like {address.local_part}@va.example.org")
    return address


def parse_domain(text: str) -> str:
    """DOMAIN of a command. Raises Misused."""
    with refusals():
        return parse_domain_name(text)
