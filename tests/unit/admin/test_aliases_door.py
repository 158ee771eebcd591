"""Aliases by way of the door."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from vmaild.address import Address
from vmaild.admin import aliases
from vmaild.admin.door import Door
from vmaild.admin.plan import Plan, Rerouted
from vmaild.admin.refusal import Misused, Refused
from vmaild.store.layout import Layout

SALES = Address("sales", "va.toto.fr")
TEAM = Address("team", "va.toto.fr")


def text(layout: Layout) -> str:
    return Path(layout.aliases("va.toto.fr")).read_text()


def test_an_alias_is_added_after_the_others_and_comments_stay(door: Door, layout: Layout) -> None:
    plan = aliases.add_alias(door, SALES, ["bob", "x@example.org"])
    assert text(layout) == "# lists\nteam: bob, alice\nsales: bob, x@example.org\n"
    assert plan.rerouted == (
        Rerouted(
            "sales@va.toto.fr", "refused: No such user here", "mailbox bob@va.toto.fr, resend to x@example.org"
        ),
    )


def test_add_leaves_an_alias_alone_that_is_there_and_set_replaces_it(door: Door, layout: Layout) -> None:
    with pytest.raises(Refused, match=r"alias team@va.toto.fr exists already \(.*aliases.va.toto.fr:2\)"):
        aliases.add_alias(door, Address("TEAM", "va.toto.fr"), ["bob"])
    aliases.set_alias(door, TEAM, ["bob"])
    assert text(layout) == "# lists\nteam: bob\n"
    assert not aliases.set_alias(door, TEAM, ["bob"]).changes


def test_remove_takes_it_out_and_tells_what_is_refused_from_now_on(door: Door, layout: Layout) -> None:
    plan = aliases.remove_alias(door, TEAM)
    assert text(layout) == "# lists\n"
    assert [each.after for each in plan.rerouted] == ["refused: No such user here"]
    with pytest.raises(Refused, match=r"there is no alias team in va.toto.fr"):
        aliases.remove_alias(door, TEAM)


@pytest.mark.parametrize(
    "target", ["|/usr/bin/true", "/var/log/x", ":include:/etc/passwd", " |/usr/bin/true", '"|x"', "\\|x"]
)
def test_a_co_administrator_cannot_smuggle_in_a_program_a_file_or_a_list(
    door_of: Callable[[str], Door], layout: Layout, target: str
) -> None:
    before = text(layout)
    try:
        aliases.add_alias(door_of("unix:alice"), SALES, ["bob", target])
    except Refused:
        assert text(layout) == before
    else:
        # What was taken for a name must still be one when the file is read again.
        written = aliases.show_alias(door_of("unix:alice"), SALES)[0].entry.targets
        assert not any(each.startswith(("|", "/", ":")) for each in written), written


def test_programs_are_refused_to_co_administrators_with_the_reason(door_of: Callable[[str], Door]) -> None:
    with pytest.raises(Refused, match=r"unix:alice may not use commands, files and lists in aliases of va"):
        aliases.add_alias(door_of("unix:alice"), SALES, ["|/usr/bin/true"])


def test_a_co_administrator_can_neither_change_nor_remove_one_of_the_sites(
    door_of: Callable[[str], Door], layout: Layout
) -> None:
    Path(layout.aliases("va.toto.fr")).write_text('sales: "|/usr/bin/true"\n')
    alice = door_of("unix:alice")
    changes: list[Callable[[], Plan]] = [
        lambda: aliases.set_alias(alice, SALES, ["bob"]),
        lambda: aliases.remove_alias(alice, SALES),
    ]
    for change in changes:
        with pytest.raises(Refused, match=r"may not use commands"):
            change()


def test_a_co_administrator_manages_simple_aliases(door_of: Callable[[str], Door], layout: Layout) -> None:
    aliases.add_alias(door_of("unix:alice"), SALES, ["bob", "x@example.org"])
    aliases.remove_alias(door_of("unix:alice"), TEAM)
    assert text(layout) == "# lists\nsales: bob, x@example.org\n"
    with pytest.raises(Refused, match=r"unix:alice may not change aliases of vb.toto.fr"):
        aliases.add_alias(door_of("unix:alice"), Address("sales", "vb.toto.fr"), ["bob"])


def test_a_site_administrator_is_told_that_a_program_does_not_work_here(door: Door) -> None:
    plan = aliases.add_alias(door, SALES, ["|/usr/bin/true"])
    assert len(plan.warnings) == 1
    assert "cannot be used, so mail waits" in plan.warnings[0]
    assert "a file that others may write" in plan.warnings[0]


def test_where_nobody_else_may_write_a_program_works_and_nobody_is_warned(door: Door, layout: Layout) -> None:
    Path(layout.definition("va.toto.fr")).write_text("")
    plan = aliases.add_alias(door, SALES, ["|/usr/bin/true"])
    assert plan.warnings == ()
    assert plan.rerouted[0].after == "command |/usr/bin/true"


def test_targets_that_lead_nowhere_are_warned_about_one_by_one(door: Door) -> None:
    plan = aliases.add_alias(door, SALES, ["bob", "nobody", "x@vb.toto.fr", "sales2"])
    assert [warning.split("'")[1] for warning in plan.warnings] == ["nobody", "x@vb.toto.fr", "sales2"]
    assert plan.carried_out


def test_a_circle_is_warned_about(door: Door) -> None:
    aliases.add_alias(door, SALES, ["team"])
    plan = aliases.set_alias(door, TEAM, ["sales"])
    assert plan.warnings == (
        "target 'sales' of alias 'team' leads back to itself only; name an account, or another address",
    )


def test_hiding_an_account_is_warned_about_unless_it_is_a_target(door: Door) -> None:
    bob = Address("bob", "va.toto.fr")
    assert "account bob gets mail no more" in aliases.add_alias(door, bob, ["alice"]).warnings[0]
    assert aliases.set_alias(door, bob, ["bob", "alice"]).warnings == ()
    assert aliases.set_alias(door, bob, ["\\bob", "alice"]).warnings == ()


def test_extra_files_are_shown_but_edited_by_hand(door: Door, layout: Layout) -> None:
    extra = Path(layout.configuration, "aliases.extra")
    extra.write_text("team: nobody\nshop: bob\n")
    Path(layout.definition("va.toto.fr")).write_text('alias_files = ["/etc/vmail/aliases.extra"]\n')
    listed = aliases.list_aliases(door, "va.toto.fr")
    assert [(each.entry.name, each.hidden) for each in listed] == [
        ("shop", False),
        ("team", False),
        ("team", True),
    ]
    with pytest.raises(Refused, match=r"alias shop stands in .*aliases.extra:2; remove it there by hand"):
        aliases.remove_alias(door, Address("shop", "va.toto.fr"))
    assert "alias team of " in aliases.remove_alias(door, TEAM).warnings[0]
    plan = aliases.add_alias(door, Address("shop", "va.toto.fr"), ["alice"])
    assert f"alias shop of {extra}:2 is hidden by it" in plan.warnings


def test_names_and_targets_that_cannot_be_written_are_wrong_usage(door: Door, layout: Layout) -> None:
    before = text(layout)
    for name, target in (("sales", "a\nroot: x"), ("sales", ""), ("sa\nles", "bob")):
        with pytest.raises(Misused):
            aliases.add_alias(door, Address(name, "va.toto.fr"), [target])
    assert text(layout) == before
