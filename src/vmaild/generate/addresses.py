"""The file that puts service addresses up when the machine starts, for what its network is set up with.

Each is a file of our own that says so in its first line; the rest of a machine's network is never touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml

from vmaild.core.addresses import Placed

MARK = "# Service addresses of vmaild's domains. 'vmail address apply' writes this file anew."
"""The first line."""
NETPLAN_FILE = "90-vmaild"
"""Without `.yaml`; behind those of others, whose lists of addresses netplan joins with ours."""
_SECTIONS = ("ethernets", "bonds", "bridges", "vlans", "wifis", "tunnels", "vrfs", "dummy-devices")


def is_ours(text: str) -> bool:
    """Whether a file is one of those that are written here."""
    return text.startswith("# Service addresses of vmaild")


def networkd_text(placed: Sequence[Placed], *, duplicate_detection: bool) -> str:
    """A drop-in of the interface's file (systemd.network(5))."""
    text = f"{MARK}\n"
    for each in placed:
        text += f"\n[Address]\nAddress={each}\n"
        if ":" in each.address and not duplicate_detection:
            text += "DuplicateAddressDetection=none\n"
    return text


def ifupdown_text(placed: Sequence[Placed], *, duplicate_detection: bool) -> str:
    """A file of /etc/network/interfaces.d: more stanzas for an interface set up elsewhere (interfaces(5))."""
    text = f"{MARK}\n"
    for each in placed:
        family = "inet6" if ":" in each.address else "inet"
        text += f"\niface {each.interface} {family} static\n    address {each}\n"
        if family == "inet6" and not duplicate_detection:
            text += "    dad-attempts 0\n"
    return text


def netplan_text(placed: Sequence[Placed], keys: Mapping[str, tuple[str, str]]) -> str:
    """A file of /etc/netplan; `keys`: see netplan_key, by interface."""
    network: dict[str, Any] = {"version": 2}
    for each in placed:
        section, key = keys[each.interface]
        device = network.setdefault(section, {}).setdefault(key, {"addresses": []})
        device["addresses"].append(str(each))
    return f"{MARK}\n{yaml.safe_dump({'network': network}, sort_keys=False)}"


def netplan_key(texts: Iterable[str], interface: str) -> tuple[str, str] | None:
    """The kind of device and the key that the other files of netplan have for an interface; None: none.

    A key is the interface itself, or a name of its own where the device is matched, and then renamed.
    """
    for text in texts:
        try:
            found = yaml.safe_load(text)
        except yaml.YAMLError:
            continue
        network = found.get("network") if isinstance(found, dict) else None
        for section in _SECTIONS:
            devices = network.get(section) if isinstance(network, dict) else None
            for key, device in devices.items() if isinstance(devices, dict) else ():
                renamed = device.get("set-name") if isinstance(device, dict) else None
                if interface in (key, renamed) and (renamed in (None, interface)):
                    return section, key
    return None
