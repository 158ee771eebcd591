from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from vmaild.admin import coadministrators
from vmaild.admin.door import Door
from vmaild.admin.refusal import Misused, Refused
from vmaild.store.layout import Layout


def admins(layout: Layout) -> str:
    return Path(layout.definition("va.toto.fr")).read_text()


def test_grant_and_revoke_edit_the_definition(door: Door, layout: Layout) -> None:
    coadministrators.grant(door, "Bob@VA.toto.fr", "va.toto.fr")
    assert admins(layout) == 'admins = ["unix:alice", "bob@va.toto.fr"]\n'
    assert coadministrators.list_admins(door, "va.toto.fr") == ("bob@va.toto.fr", "unix:alice")
    assert not coadministrators.grant(door, "bob@va.toto.fr", "va.toto.fr").changes
    coadministrators.revoke(door, "BOB@va.toto.fr", "va.toto.fr")
    coadministrators.revoke(door, "unix:alice", "va.toto.fr")
    assert admins(layout) == ""


def test_revoking_what_was_never_granted_is_refused(door: Door) -> None:
    with pytest.raises(
        Refused, match=r"unix:carol is no co-administrator of va.toto.fr; 'vmail admin list va.toto.fr'"
    ):
        coadministrators.revoke(door, "unix:carol", "va.toto.fr")


@pytest.mark.parametrize("principal", ["", "carol", "unix:", "unix:a b", "carol@", "root:x"])
def test_nobody_is_wrong_usage(door: Door, principal: str) -> None:
    with pytest.raises(Misused):
        coadministrators.grant(door, principal, "va.toto.fr")


def test_privileges_for_nobody_in_particular_are_warned_about(door: Door) -> None:
    assert coadministrators.grant(door, "bob@va.toto.fr", "va.toto.fr", dry_run=True).warnings == ()
    for principal in ("carol@va.toto.fr", "carol@example.org"):
        (warning,) = coadministrators.grant(door, principal, "va.toto.fr", dry_run=True).warnings
        assert warning.startswith(f"there is no account {principal}: whoever is given that name")
    (warning,) = coadministrators.grant(door, "unix:no-such-user", "va.toto.fr", dry_run=True).warnings
    assert warning == "this machine has no user no-such-user"


def test_programs_that_stop_working_with_the_first_co_administrator_are_told(door: Door, layout: Layout) -> None:
    Path(layout.definition("va.toto.fr")).write_text("")
    Path(layout.aliases("va.toto.fr")).write_text('report: "|/usr/bin/report"\nteam: bob\n')
    plan = coadministrators.grant(door, "bob@va.toto.fr", "va.toto.fr")
    assert [each.address for each in plan.rerouted] == ["report@va.toto.fr"]
    assert plan.rerouted[0].before == "command |/usr/bin/report"
    assert plan.rerouted[0].after.startswith("waits: ")
    assert "alias report (" in plan.warnings[0]


def test_a_co_administrator_cannot_make_others(door_of: Callable[[str], Door]) -> None:
    alice = door_of("unix:alice")
    assert coadministrators.list_admins(alice, "va.toto.fr") == ("unix:alice",)
    for change in (coadministrators.grant, coadministrators.revoke):
        with pytest.raises(Refused, match=r"unix:alice may not change the definition of va.toto.fr"):
            change(alice, "unix:alice", "va.toto.fr")


def test_rights_are_written_changed_and_taken_back(door: Door, layout: Layout) -> None:
    plan = coadministrators.grant(door, "bob@va.toto.fr", "va.toto.fr", ["mail", "aliases"])
    assert plan.summary == "let bob@va.toto.fr manage aliases, mail of va.toto.fr"
    assert admins(layout) == (
        'admins = ["unix:alice", "bob@va.toto.fr"]\nrights = ["bob@va.toto.fr: aliases mail"]\n'
    )
    assert coadministrators.list_rights(door, "va.toto.fr")["bob@va.toto.fr"] == ["aliases", "mail"]
    assert not coadministrators.grant(door, "bob@va.toto.fr", "va.toto.fr", ["aliases", "mail"]).changes
    coadministrators.grant(door, "unix:alice", "va.toto.fr", ["passwords"])
    coadministrators.grant(door, "bob@va.toto.fr", "va.toto.fr")
    assert admins(layout) == 'admins = ["unix:alice", "bob@va.toto.fr"]\nrights = ["unix:alice: passwords"]\n'
    coadministrators.revoke(door, "unix:alice", "va.toto.fr")
    assert admins(layout) == 'admins = ["bob@va.toto.fr"]\n'
    with pytest.raises(Misused, match=r"there is no right 'everything'; write PRINCIPAL: and some of accounts"):
        coadministrators.grant(door, "bob@va.toto.fr", "va.toto.fr", ["everything"])
