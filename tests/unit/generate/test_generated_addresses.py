"""Files that put addresses up when a machine starts."""

from __future__ import annotations

import pytest
import yaml

from vmaild.core.addresses import Placed
from vmaild.generate.addresses import ifupdown_text, is_ours, netplan_key, netplan_text, networkd_text

PLACED = (Placed("192.0.2.10", 32, "eth0"), Placed("2001:db8::10", 128, "eth0"))


def test_networkd() -> None:
    text = networkd_text(PLACED, duplicate_detection=False)
    assert is_ours(text)
    assert text.split("\n\n")[1:] == [
        "[Address]\nAddress=192.0.2.10/32",
        "[Address]\nAddress=2001:db8::10/128\nDuplicateAddressDetection=none\n",
    ]
    assert "Duplicate" not in networkd_text(PLACED, duplicate_detection=True)


def test_ifupdown() -> None:
    text = ifupdown_text(PLACED, duplicate_detection=False)
    assert is_ours(text)
    assert text.split("\n\n")[1:] == [
        "iface eth0 inet static\n    address 192.0.2.10/32",
        "iface eth0 inet6 static\n    address 2001:db8::10/128\n    dad-attempts 0\n",
    ]


def test_netplan() -> None:
    text = netplan_text(
        [*PLACED, Placed("192.0.2.11", 32, "br0")], {"eth0": ("ethernets", "lan"), "br0": ("bridges", "br0")}
    )
    assert is_ours(text)
    assert yaml.safe_load(text) == {
        "network": {
            "version": 2,
            "ethernets": {"lan": {"addresses": ["192.0.2.10/32", "2001:db8::10/128"]}},
            "bridges": {"br0": {"addresses": ["192.0.2.11/32"]}},
        }
    }


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("network: {ethernets: {eth0: {dhcp4: true}}}", ("ethernets", "eth0")),
        ("network: {ethernets: {lan: {set-name: eth0}}}", ("ethernets", "lan")),
        ("network: {ethernets: {eth0: {set-name: eth7}}}", None),
        ("network: {bridges: {eth0: null}}", ("bridges", "eth0")),
        ("network: [eth0]", None),
        ("network: {ethernets: [eth0]}", None),
        (": [", None),
        ("", None),
    ],
)
def test_how_netplan_calls_an_interface(text: str, key: tuple[str, str] | None) -> None:
    assert netplan_key(["network: {version: 2}", text], "eth0") == key
