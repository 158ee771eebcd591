"""The settings of the site: what can be asked of them."""

from __future__ import annotations

import pytest

from vmaild.core.site import AuthSettings, is_among


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("192.0.2.1", True),
        ("192.0.2.2", False),
        ("198.51.100.0", True),
        ("198.51.100.255", True),
        ("198.51.101.0", False),
        ("2001:db8::1", True),
        ("2001:db8:0:1::1", False),
        ("::1", False),
        ("", False),
        ("localhost", False),
    ],
)
def test_addresses_and_networks(address: str, found: bool) -> None:
    assert is_among(address, ("192.0.2.1", "198.51.100.0/24", "2001:db8::/64")) is found
    assert not is_among(address, ())


def test_whoever_is_on_this_machine_is_trusted_unless_the_site_says_otherwise() -> None:
    trusted = AuthSettings().trusted
    assert is_among("127.0.0.4", trusted)
    assert is_among("::1", trusted)
    assert not is_among("192.0.2.1", trusted)
