"""Which addresses a change sends elsewhere, across domains."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vmaild.address import Address
from vmaild.admin import accounts, aliases, domains
from vmaild.admin.domains import DomainSettings
from vmaild.admin.door import Door
from vmaild.store.layout import Layout

BOB = Address("bob", "va.toto.fr")


def addresses(door: Door) -> set[str]:
    """Whose mail goes elsewhere when bob@va.toto.fr goes."""
    return {each.address for each in accounts.remove_user(door, BOB, dry_run=True).rerouted}


def test_aliases_of_other_domains_are_followed_through_yet_others(
    door: Door, add_domain: Callable[..., None]
) -> None:
    add_domain("vc.toto.fr", aliases="deep: friends@vb.toto.fr\nother: x@example.org\n")
    add_domain("vd.toto.fr", definition='fallback = "deep@vc.toto.fr"\n')
    add_domain("ve.toto.fr", definition='aliases = ["va.example"]\n', aliases="mine: x@example.org\n")
    assert addresses(door) == {
        "bob@va.toto.fr", "team@va.toto.fr", "friends@vb.toto.fr", "deep@vc.toto.fr", "*@vd.toto.fr"
    }  # fmt: skip


def test_lists_that_are_included_are_read(door: Door, add_domain: Callable[..., None], layout: Layout) -> None:
    Path(layout.configuration, "list").write_text("bob@va.toto.fr\nx@example.org\n")
    add_domain("vc.toto.fr", aliases="all: :include:/etc/vmail/list\n")
    assert "all@vc.toto.fr" in addresses(door)


def test_domains_named_by_a_domain_alias_or_in_another_script_count(
    door: Door, add_domain: Callable[..., None], layout: Layout
) -> None:
    Path(layout.definition("va.toto.fr")).write_text('aliases = ["müller.example"]\n')
    add_domain("vc.toto.fr", aliases="one: bob@MÜLLER.example\ntwo: bob@xn--mller-kva.example\n")
    assert addresses(door) >= {"one@vc.toto.fr", "two@vc.toto.fr"}


def test_a_co_administrator_learns_nothing_of_other_domains(
    door: Door, door_of: Callable[[str], Door], add_domain: Callable[..., None], layout: Layout
) -> None:
    add_domain("vc.toto.fr", aliases="secret: bob@va.toto.fr\n", logins=("eve",))
    Path(layout.aliases("va.toto.fr")).write_text("out: secret@vc.toto.fr, eve@vc.toto.fr\n")
    assert "secret@vc.toto.fr" in addresses(door)
    assert addresses(door_of("unix:alice")) == {"bob@va.toto.fr"}
    plan = aliases.set_alias(
        door_of("unix:alice"), Address("out", "va.toto.fr"), ["eve@vc.toto.fr", "nobody@vc.toto.fr"], dry_run=True
    )
    assert plan.rerouted[0].after == "resend to eve@vc.toto.fr, resend to nobody@vc.toto.fr"
    assert plan.warnings == ()


def test_a_line_that_only_moves_up_is_no_change(door: Door, layout: Layout) -> None:
    Path(layout.aliases("va.toto.fr")).write_text('sales: bob\nreport: "|/usr/bin/report"\n')
    plan = aliases.remove_alias(door, Address("sales", "va.toto.fr"))
    assert [each.address for each in plan.rerouted] == ["sales@va.toto.fr"]


def test_full_names_are_names_too(door: Door, layout: Layout) -> None:
    Path(layout.passwd("va.toto.fr")).write_text("bob:x:1:1:Bob Martin:/h:/s\nalice:x:1:1::/h:/s\n")
    plan = domains.set_domain(door, "va.toto.fr", DomainSettings(match_full_name=True), dry_run=True)
    assert [(each.address, each.after) for each in plan.rerouted] == [
        ("bob.martin@va.toto.fr", "mailbox bob@va.toto.fr")
    ]


def test_disabling_a_domain_makes_all_its_mail_wait(door: Door) -> None:
    plan = domains.set_domain(door, "va.toto.fr", DomainSettings(disabled=True), dry_run=True)
    assert {each.address for each in plan.rerouted} >= {"bob@va.toto.fr", "alice@va.toto.fr", "*@va.toto.fr"}
    assert {each.after for each in plan.rerouted} == {"waits: va.toto.fr is disabled"}


def test_an_account_under_an_alias_of_its_name_is_looked_at(door: Door, layout: Layout) -> None:
    Path(layout.aliases("va.toto.fr")).write_text("alice: bob\n")
    assert addresses(door) == {"bob@va.toto.fr", "alice@va.toto.fr", "friends@vb.toto.fr"}


def test_a_damaged_neighbour_is_in_nobodys_way(door: Door, add_domain: Callable[..., None]) -> None:
    add_domain("vc.toto.fr", definition="fallback = bob@va.toto.fr\n", aliases="x: bob@va.toto.fr\n")
    assert "bob@va.toto.fr" in addresses(door)
