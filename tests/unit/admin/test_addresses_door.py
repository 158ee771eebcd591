"""Who may see service addresses, and who may put them up."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vmaild.admin.addresses import apply_addresses, show_addresses
from vmaild.admin.door import Door
from vmaild.admin.refusal import Refused
from vmaild.core.addresses import State


def test_a_co_administrator_sees_those_of_their_domains_and_puts_none_up(
    door: Door, door_of: Callable[[str], Door], add_domain: Callable[..., None]
) -> None:
    add_domain("va.toto.fr", 'admins = ["unix:alice"]\naddresses = ["203.0.113.1"]\n')
    add_domain("vc.toto.fr", 'addresses = ["203.0.113.3", "127.0.0.9"]\n')
    alice = door_of("unix:alice")
    seen = {each.address: each.state for each in show_addresses(alice).standings}
    assert seen == {"203.0.113.1": State.DOWN}
    with pytest.raises(Refused, match=r"may not see vc\.toto\.fr"):
        show_addresses(alice, "vc.toto.fr")
    with pytest.raises(Refused, match="may not change the settings of this machine"):
        apply_addresses(alice, "va.toto.fr")
    seen = {each.address: each.state for each in show_addresses(door, "vc.toto.fr").standings}
    assert seen == {"203.0.113.3": State.DOWN, "127.0.0.9": State.UP}
