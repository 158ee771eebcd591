"""What `vmail check` finds, each with its place and its remedy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from vmaild.admin.checks import check_all, check_domain
from vmaild.admin.door import Door, open_door
from vmaild.admin.refusal import Refused
from vmaild.core.findings import Finding, Severity
from vmaild.store.layout import Layout


@pytest.fixture(autouse=True)
def _state(layout: Layout) -> None:
    Path(layout.state).mkdir(parents=True, exist_ok=True)


def only(findings: list[Finding]) -> Finding:
    (finding,) = findings
    assert finding.remedy
    return finding


def append(path: str, text: str) -> None:
    with open(path, "a", encoding="utf-8") as file:
        file.write(text)


def test_a_good_configuration_has_no_findings(door: Door) -> None:
    assert check_all(door) == []


def test_a_damaged_line_is_found_by_file_and_line(door: Door, layout: Layout) -> None:
    append(layout.passwd("va.toto.fr"), "nonsense\n")
    finding = only(check_domain(door, "va.toto.fr"))
    assert (finding.path, finding.line) == (layout.passwd("va.toto.fr"), 3)
    assert check_domain(door, "vb.toto.fr") == []


def test_a_damaged_definition_is_an_error(door: Door, layout: Layout) -> None:
    Path(layout.definition("va.toto.fr")).write_text("# ours\nfallback = bob\n")
    finding = only(check_domain(door, "va.toto.fr"))
    assert (finding.path, finding.line, finding.severity) == (layout.definition("va.toto.fr"), 2, Severity.ERROR)
    # Mail of the other domain that goes there has to wait, too.
    assert "friends" in only(check_domain(door, "vb.toto.fr")).problem


def test_an_account_without_a_password_line_and_the_reverse(door: Door, layout: Layout) -> None:
    append(layout.passwd("va.toto.fr"), "carol:x:1:1::/h:/s\n")
    append(layout.shadow("va.toto.fr"), "dave:!:1:0:99999:7:::\n")
    carol, dave = check_domain(door, "va.toto.fr")
    assert (carol.path, carol.line) == (layout.passwd("va.toto.fr"), 3)
    assert "'vmail user passwd carol@va.toto.fr'" in carol.remedy
    assert (dave.path, dave.line) == (layout.shadow("va.toto.fr"), 3)
    assert "password for dave, but no such account" in dave.problem


@pytest.mark.parametrize(
    ("aliases", "line", "problem"),
    [
        ("team: bob, nobody\n", 1, "target 'nobody' of alias 'team' leads nowhere"),
        ("# x\none: two\ntwo: one\n", 2, "target 'two' of alias 'one' leads back to itself only"),
        ("team: bob, \\nobody\n", 1, "target '\\nobody' of alias 'team' leads nowhere"),
        ("team: :include:/etc/vmail/none\n", 1, "cannot be used, so mail waits"),
        ('team: "|/usr/bin/true"\n', 1, "cannot be used, so mail waits"),
        ("team: bob@vb.toto.fr, x@vb.toto.fr\n", 1, "target 'x@vb.toto.fr' of alias 'team' leads nowhere"),
    ],
)
def test_aliases_that_lead_nowhere(door: Door, layout: Layout, aliases: str, line: int, problem: str) -> None:
    Path(layout.aliases("va.toto.fr")).write_text(aliases)
    finding = next(finding for finding in check_domain(door, "va.toto.fr") if problem in finding.problem)
    assert (finding.path, finding.line) == (layout.aliases("va.toto.fr"), line)


def test_members_of_an_included_list_are_followed(door: Door, layout: Layout) -> None:
    Path(layout.definition("va.toto.fr")).write_text("")
    members = Path(layout.configuration, "members")
    members.write_text("bob\n# gone\nnobody\n")
    Path(layout.aliases("va.toto.fr")).write_text("team: :include:/etc/vmail/members\n")
    finding = only(check_domain(door, "va.toto.fr"))
    assert (finding.path, finding.line) == (str(members), 3)


def test_an_alias_that_another_file_hides_is_not_followed(door: Door, layout: Layout) -> None:
    Path(layout.configuration, "extra").write_text("team: nobody\n")
    Path(layout.definition("va.toto.fr")).write_text('alias_files = ["/etc/vmail/extra"]\n')
    assert "is hidden by that of" in only(check_domain(door, "va.toto.fr")).problem


@pytest.mark.parametrize(
    ("fallback", "found"), [("nobody", 1), ("x@vb.toto.fr", 1), ("bob", 0), ("@vb.toto.fr", 0)]
)
def test_a_fallback_to_nobody(door: Door, layout: Layout, fallback: str, found: int) -> None:
    Path(layout.definition("va.toto.fr")).write_text(f'fallback = "{fallback}"\n')
    assert [f"fallback '{fallback}' names nobody"] * found == [
        finding.problem for finding in check_domain(door, "va.toto.fr")
    ]


def test_a_disabled_domain_is_no_fault(door: Door, layout: Layout) -> None:
    Path(layout.definition("va.toto.fr")).write_text('disabled = true\nfallback = "bob"\n')
    assert check_domain(door, "va.toto.fr") == []


def test_a_shadow_file_for_everybody_and_a_spool_that_everybody_writes(door: Door, layout: Layout) -> None:
    Path(layout.shadow("va.toto.fr")).chmod(0o644)
    Path(layout.spool).chmod(0o777)
    shadow, spool = check_domain(door, "va.toto.fr")
    assert (shadow.path, shadow.severity, shadow.remedy) == (
        layout.shadow("va.toto.fr"),
        Severity.ERROR,
        f"chmod o= {layout.shadow('va.toto.fr')}",
    )
    assert (spool.path, spool.remedy) == (layout.spool, f"chmod o-w {layout.spool}")


def test_a_missing_spool_is_an_error(door: Door, layout: Layout) -> None:
    Path(layout.spool).rmdir()
    assert "'vmail init'" in only(check_all(door)).remedy


def test_faults_of_vmail_toml_are_among_them(layout: Layout) -> None:
    Path(layout.site).write_text("[site]\nadmin = []\n")
    finding = only(check_all(open_door(layout.root)))
    assert (finding.path, finding.line) == (layout.site, 2)


def test_two_domains_with_one_address_are_found_at_both(door: Door, layout: Layout) -> None:
    for name in ("va.toto.fr", "vb.toto.fr"):
        append(layout.definition(name), 'addresses = ["127.0.0.2"]\n')
    assert [finding.path for finding in check_all(door)] == [
        layout.definition("va.toto.fr"), layout.definition("vb.toto.fr")
    ]  # fmt: skip


def test_a_domain_alias_names_its_domain_and_an_unknown_one_nobody(door: Door, layout: Layout) -> None:
    Path(layout.definition("va.toto.fr")).write_text('aliases = ["va.example"]\nfallback = "nobody"\n')
    assert len(check_domain(door, "va.example")) == 1
    with pytest.raises(Refused, match=r"there is no domain nowhere.example"):
        check_domain(door, "nowhere.example")


def test_a_co_administrator_checks_that_domain_only(door_of: Callable[[str], Door], layout: Layout) -> None:
    Path(layout.aliases("va.toto.fr")).write_text("one: nobody\n")
    Path(layout.aliases("vb.toto.fr")).write_text("two: nobody\n")
    Path(layout.spool).chmod(0o777)
    alice = door_of("unix:alice")
    assert [finding.path for finding in check_all(alice)] == [layout.aliases("va.toto.fr")]
    with pytest.raises(Refused, match=r"may not see vb.toto.fr"):
        check_domain(alice, "vb.toto.fr")
