"""Who a process is: asked while it really runs as that user."""

from __future__ import annotations

import os
import pwd

import pytest

from vmaild.admin.actor import unix_actor
from vmaild.core.site import Site
from vmaild.store.layout import Layout

NOBODY = 65534

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")


def actor_of(layout: Layout, *admins: str, user: int = 0) -> str:
    """The actor while the real user is that one, in words."""
    os.setresuid(user, 0, 0)
    try:
        actor = unix_actor(layout, Site(admins=admins))
    finally:
        os.setresuid(0, 0, 0)
    return f"{actor} {actor.site_admin}"


@pytest.fixture(autouse=True)
def _no_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUDO_USER", raising=False)


def test_root_may_everything_and_the_user_behind_sudo_is_told(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert actor_of(layout) == "unix:root True"
    monkeypatch.setenv("SUDO_USER", "alice")
    assert actor_of(layout) == "unix:root (sudo: alice) True"


def test_others_may_what_vmail_toml_says_and_cannot_pretend(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = pwd.getpwuid(NOBODY).pw_name
    assert actor_of(layout, "unix:root", user=NOBODY) == f"unix:{name} False"
    assert actor_of(layout, f"unix:{name}", user=NOBODY) == f"unix:{name} True"
    for variable in ("SUDO_USER", "USER", "LOGNAME"):
        monkeypatch.setenv(variable, "root")
    assert actor_of(layout, "unix:root", user=NOBODY) == f"unix:{name} False"


def test_the_owner_of_the_configuration_may_everything(layout: Layout) -> None:
    os.chown(layout.configuration, NOBODY, NOBODY)
    assert actor_of(layout, user=NOBODY).endswith(" True")


def test_a_user_without_a_name_is_a_number(layout: Layout) -> None:
    assert actor_of(layout, user=54321) == "unix:54321 False"
