"""Automatic replies and forwarding, set up by the owner or by who administers the domain."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vmaild.address import Address
from vmaild.admin.checks import check_domain
from vmaild.admin.door import Door
from vmaild.admin.explain import explain
from vmaild.admin.owner import (
    VacationText,
    clear_forward,
    clear_vacation,
    set_forward,
    set_vacation,
    show_forward,
    show_vacation,
)
from vmaild.admin.plan import Rerouted
from vmaild.admin.refusal import Misused, Refused
from vmaild.core.permissions import Actor
from vmaild.core.site import ForwardingSettings, Site, VacationSettings
from vmaild.store.layout import Layout

BOB = Address("bob", "va.toto.fr")
Tree = Callable[[], dict[str, Any]]


def home(layout: Layout) -> Path:
    return Path(layout.home("va.toto.fr", "bob"))


def test_a_vacation_text_is_set_shown_changed_and_removed(door: Door, layout: Layout) -> None:
    Path(layout.state).mkdir(parents=True, exist_ok=True)
    assert not show_vacation(door, BOB).in_force
    plan = set_vacation(door, BOB, VacationText("À bientôt.", "Absence", last_day="2099-01-01"))
    assert plan.carried_out
    assert (home(layout) / "vacation").read_text() == "Subject: Absence\nEnd: 2099-01-01\n\nÀ bientôt.\n"
    assert home(layout).stat().st_mode & 0o777 == 0o700
    (home(layout) / "vacation.answered").write_text("1 ann@example.org\n")
    shown = show_vacation(door, BOB)
    assert (shown.in_force, shown.answered, shown.problems) == (True, 1, ())
    # What is not given stays; who was answered before is forgotten.
    set_vacation(door, BOB, VacationText(last_day="2001-01-01", days="3", addresses=["b@example.org"]))
    shown = show_vacation(door, BOB)
    assert shown.vacation is not None
    assert (shown.vacation.text, shown.vacation.subject) == ("À bientôt.\n", "Absence")
    assert (shown.vacation.days, shown.in_force, shown.answered) == (3, False, 0)
    assert check_domain(door, "va.toto.fr") == []
    clear_vacation(door, BOB)
    assert list(home(layout).iterdir()) == []
    assert not clear_vacation(door, BOB).changes


def test_forwarding_is_set_and_routing_knows_it(door: Door, layout: Layout, tree: Tree) -> None:
    before = tree()
    planned = set_forward(door, BOB, ["ann@example.org", "alice"], keep_copy=True, dry_run=True)
    assert tree() == before
    went = "mailbox bob@va.toto.fr"
    goes = "resend to ann@example.org, mailbox alice@va.toto.fr, mailbox bob@va.toto.fr"
    assert Rerouted("bob@va.toto.fr", went, goes) in planned.rerouted
    assert {each.address for each in planned.rerouted} >= {"friends@vb.toto.fr"}
    set_forward(door, BOB, ["ann@example.org", "alice"], keep_copy=True)
    shown = show_forward(door, BOB)
    assert (shown.targets, shown.keep_copy) == (("ann@example.org", "alice@va.toto.fr"), True)
    assert len(explain(door, BOB).destinations) == 3
    assert not set_forward(door, BOB, ["ann@example.org", "alice"], keep_copy=True).changes
    assert clear_forward(door, BOB).changes
    assert show_forward(door, BOB).targets == ()
    assert not (home(layout) / "forward").exists()


def test_a_target_that_does_not_exist_here_is_warned_of(door: Door) -> None:
    plan = set_forward(door, BOB, ["nobody@va.toto.fr"], keep_copy=False, dry_run=True)
    assert "not accepted here" in plan.warnings[0]


@pytest.mark.parametrize("principal", ["bob@va.toto.fr", "Bob@VA.toto.fr", "unix:alice"])
def test_owners_and_co_administrators_may(door_of: Callable[[str], Door], principal: str) -> None:
    door = door_of(principal)
    assert set_forward(door, BOB, ["ann@example.org"], keep_copy=False).carried_out
    assert show_forward(door, BOB).targets == ("ann@example.org",)
    assert set_vacation(door, BOB, VacationText("x")).carried_out
    assert show_vacation(door, BOB).vacation is not None


@pytest.mark.parametrize("principal", ["alice@va.toto.fr", "bob@vb.toto.fr", "unix:bob", "joe@va.toto.fr"])
def test_nobody_else_may_even_look(door_of: Callable[[str], Door], principal: str, tree: Tree) -> None:
    door = door_of(principal)
    before = tree()
    attempts: list[Callable[[], object]] = [
        lambda: show_forward(door, BOB),
        lambda: show_vacation(door, BOB),
        lambda: set_forward(door, BOB, ["ann@example.org"], keep_copy=False),
        lambda: set_vacation(door, BOB, VacationText("x")),
        lambda: clear_forward(door, BOB),
        lambda: clear_vacation(door, BOB, dry_run=True),
    ]
    for attempt in attempts:
        with pytest.raises(Refused, match="may not"):
            attempt()
    assert tree() == before


def test_somebody_who_has_no_account_any_more_owns_nothing(door_of: Callable[[str], Door], layout: Layout) -> None:
    gone = Address("carol", "va.toto.fr")
    with pytest.raises(Refused, match="may not"):
        show_forward(door_of("carol@va.toto.fr"), gone)


@pytest.mark.parametrize(
    ("targets", "settings"),
    [
        (["ann@example.org"], ForwardingSettings(allowed=False)),
        (["ann@example.org", "ben@example.org"], ForwardingSettings(max_targets=1)),
        (["ann@example.com"], ForwardingSettings(domains=("example.org", "va.toto.fr"))),
        (["bob@va.toto.fr"], ForwardingSettings()),
        (["bob"], ForwardingSettings()),
    ],
)
def test_the_site_sets_bounds(layout: Layout, targets: list[str], settings: ForwardingSettings) -> None:
    door = Door(layout, Site(forwarding=settings), Actor("unix:root", site_admin=True))
    with pytest.raises(Refused):
        set_forward(door, BOB, targets, keep_copy=True)


def test_what_is_out_of_bounds_already_leaves_the_mail_where_it_is(layout: Layout, door: Door) -> None:
    Path(layout.state).mkdir(parents=True, exist_ok=True)
    set_forward(door, BOB, ["ann@example.org"], keep_copy=False)
    strict = Door(layout, Site(forwarding=ForwardingSettings(allowed=False)), door.actor)
    assert [str(each.target) for each in explain(strict, BOB).destinations] == ["mailbox bob@va.toto.fr"]
    assert "switched off" in show_forward(strict, BOB).problems[0]
    (finding,) = check_domain(strict, "va.toto.fr")
    assert finding.path == str(home(layout) / "forward")


def test_what_is_damaged_is_found(layout: Layout, door: Door) -> None:
    Path(layout.state).mkdir(parents=True, exist_ok=True)
    home(layout).mkdir(parents=True)
    (home(layout) / "forward").write_text("|/bin/sh\n")
    (home(layout) / "vacation").write_text("Start: soon\n\nx\n")
    assert [finding.line for finding in check_domain(door, "va.toto.fr")] == [1, 1]
    assert show_forward(door, BOB).problems
    assert not show_vacation(door, BOB).in_force


@pytest.mark.parametrize(
    "wanted",
    [VacationText(""), VacationText("x", first_day="soon"), VacationText("x", days="0"), VacationText(days="7")],
)
def test_what_makes_no_sense_is_refused(door: Door, wanted: VacationText) -> None:
    with pytest.raises(Misused):
        set_vacation(door, BOB, wanted)


def test_replies_may_be_switched_off_for_the_site(layout: Layout, door: Door) -> None:
    set_vacation(door, BOB, VacationText("x"))
    strict = Door(layout, Site(vacation=VacationSettings(allowed=False)), door.actor)
    with pytest.raises(Refused, match="switched off"):
        set_vacation(strict, BOB, VacationText("y"))
    assert show_vacation(strict, BOB).problems
    assert clear_vacation(strict, BOB).changes
