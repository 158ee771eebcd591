"""Domains by way of the door."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from vmaild.address import Address
from vmaild.admin import accounts, aliases, domains
from vmaild.admin.domains import DomainSettings
from vmaild.admin.door import Door
from vmaild.admin.names import parse_domain
from vmaild.admin.plan import Mail, Plan
from vmaild.admin.refusal import Misused, Refused
from vmaild.core.directory import FallbackToName
from vmaild.store.layout import Layout

NONE = DomainSettings()


def definition(layout: Layout, name: str = "va.toto.fr") -> str:
    return Path(layout.definition(name)).read_text()


def test_only_the_name_is_mandatory_and_an_empty_definition_is_enough(door: Door, layout: Layout) -> None:
    plan = domains.add_domain(door, "vx.toto.fr", NONE)
    assert definition(layout, "vx.toto.fr") == ""
    for path in (layout.passwd("vx.toto.fr"), layout.shadow("vx.toto.fr"), layout.aliases("vx.toto.fr")):
        assert Path(path).read_text() == ""
        assert stat.S_IMODE(Path(path).stat().st_mode) == 0o640
    assert [(each.address, each.before, each.after) for each in plan.rerouted] == [
        ("*@vx.toto.fr", "not a domain of this server", "refused: No such user here")
    ]


def test_the_definition_is_written_last_and_taken_away_first(door: Door, layout: Layout) -> None:
    assert domains.add_domain(door, "vx.toto.fr", NONE, dry_run=True).edits[-1].path == layout.definition(
        "vx.toto.fr"
    )
    removal = domains.remove_domain(door, "va.toto.fr", dry_run=True)
    assert removal.steps[0] == removal.edits[0]
    assert removal.edits[0].path == layout.definition("va.toto.fr")


def test_all_settings_are_written_as_the_definition_has_them(door: Door) -> None:
    settings = DomainSettings(
        mail_host="MailHost.vx.toto.fr",
        addresses=["172.16.0.9", "::ffff:172.16.0.10"],
        aliases=["VX.example", "müller.example"],
        fallback="postmaster",
        alias_files=["/etc/vmail/aliases.extra"],
        quota="100M",
        max_users=5,
        match_full_name=True,
        certificate="/etc/vmail/vx.pem",
        disabled=True,
    )
    plan = domains.add_domain(door, "vx.toto.fr", settings)
    written = domains.show_domain(door, "vx.toto.fr").definition
    assert written is not None
    assert written.mail_host == "mailhost.vx.toto.fr"
    assert written.addresses == ("172.16.0.9", "172.16.0.10")
    assert written.aliases == ("vx.example", "xn--mller-kva.example")
    assert written.fallback == FallbackToName("postmaster")
    assert written.alias_files == ("/etc/vmail/aliases.extra",)
    assert (written.quota, written.max_users, written.match_full_name) == (100 << 20, 5, True)
    assert (written.certificate, written.disabled) == ("/etc/vmail/vx.pem", True)
    assert any("aliases.extra does not exist yet" in warning for warning in plan.warnings)


def test_files_copied_from_a_real_server_are_kept_and_come_into_force(door: Door, layout: Layout) -> None:
    passwd = "root:x:0:0:root:/root:/bin/bash\ncarol:x:1000:1000:Carol,,,:/home/carol:/bin/bash\n"
    Path(layout.passwd("vx.toto.fr")).write_text(passwd)
    plan = domains.add_domain(door, "vx.toto.fr", NONE)
    assert Path(layout.passwd("vx.toto.fr")).read_text() == passwd
    assert any("passwd.vx.toto.fr is there already and comes into force" in warning for warning in plan.warnings)
    assert "carol@vx.toto.fr" in {each.address for each in plan.rerouted}


def test_a_domain_is_added_once(door: Door) -> None:
    with pytest.raises(Refused, match=r"domain va.toto.fr exists already .*; change it with 'vmail domain set'"):
        domains.add_domain(door, "va.toto.fr", NONE)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (DomainSettings(aliases=["vb.toto.fr"]), "vb.toto.fr is a domain of its own"),
        (DomainSettings(aliases=["vb.example"]), "vb.example is a domain alias of vb.toto.fr"),
        (DomainSettings(addresses=["127.0.0.3"]), "service address 127.0.0.3 is that of vb.toto.fr"),
        (DomainSettings(addresses=["::ffff:127.0.0.3"]), "service address 127.0.0.3 is that of vb.toto.fr"),
    ],
)
def test_names_and_addresses_belong_to_one_domain_each(
    door: Door, layout: Layout, settings: DomainSettings, problem: str
) -> None:
    Path(layout.definition("vb.toto.fr")).write_text('aliases = ["vb.example"]\naddresses = ["127.0.0.3"]\n')
    for change in (domains.add_domain, domains.set_domain):
        with pytest.raises(Refused, match=problem):
            change(door, "vx.toto.fr" if change is domains.add_domain else "va.toto.fr", settings)
    with pytest.raises(Refused, match=r"vb.example is a domain alias of vb.toto.fr"):
        domains.add_domain(door, "vb.example", NONE)


@pytest.mark.parametrize(
    "settings",
    [
        DomainSettings(aliases=["../x"]),
        DomainSettings(aliases=["va.toto.fr"]),
        DomainSettings(addresses=["localhost"]),
        DomainSettings(fallback="/etc/passwd"),
        DomainSettings(alias_files=["relative"]),
        DomainSettings(alias_files=["/a", "/b", "/c"]),
        DomainSettings(quota="much"),
        DomainSettings(max_users=-1),
        DomainSettings(mail_host="a b"),
        NONE,
    ],
)
def test_what_makes_no_sense_is_wrong_usage_and_changes_nothing(
    door: Door, layout: Layout, settings: DomainSettings
) -> None:
    before = definition(layout)
    with pytest.raises(Misused):
        domains.set_domain(door, "va.toto.fr", settings)
    assert definition(layout) == before


@pytest.mark.parametrize("name", ["../x", "a/b", "", "-x.fr", "[127.0.0.1]", "a..b"])
def test_a_name_that_is_no_domain_is_wrong_usage(name: str) -> None:
    with pytest.raises(Misused):
        parse_domain(name)


def test_a_name_too_long_for_a_file_is_wrong_usage(door: Door) -> None:
    with pytest.raises(Misused, match=r"too long to name files after it"):
        domains.add_domain(door, ".".join(["x" * 60] * 4), NONE)


def test_set_keeps_comments_and_what_is_not_given_and_an_empty_text_clears(door: Door, layout: Layout) -> None:
    Path(layout.definition("va.toto.fr")).write_text(
        '# ours\naliases = ["va.example"]  # the old name\nquota = "10M"\n'
    )
    domains.set_domain(door, "va.toto.fr", DomainSettings(fallback="bob"))
    assert (
        definition(layout) == '# ours\naliases = ["va.example"]  # the old name\nquota = "10M"\nfallback = "bob"\n'
    )
    domains.set_domain(door, "va.toto.fr", DomainSettings(aliases=[""], fallback="", quota="none"))
    assert definition(layout) == "# ours\n"


def test_a_fallback_to_nobody_is_a_warning(door: Door) -> None:
    plan = domains.set_domain(door, "va.toto.fr", DomainSettings(fallback="nobody"))
    assert plan.carried_out
    assert plan.warnings == ("fallback 'nobody' names nobody; name an account, an alias or another address",)
    assert domains.set_domain(door, "va.toto.fr", DomainSettings(fallback="@vb.toto.fr")).warnings == ()


def test_a_fallback_is_shown_as_a_route_of_any_other_address(door: Door) -> None:
    plan = domains.set_domain(door, "va.toto.fr", DomainSettings(fallback="@example.org"), dry_run=True)
    assert [(each.address, each.after) for each in plan.rerouted] == [("*@va.toto.fr", "resend to *@example.org")]


def test_every_name_of_a_new_domain_alias_is_routed(door: Door) -> None:
    plan = domains.set_domain(door, "va.toto.fr", DomainSettings(aliases=["va.example"]), dry_run=True)
    assert {each.address for each in plan.rerouted} == {
        "*@va.example", "alice@va.example", "bob@va.example", "team@va.example"
    }  # fmt: skip


def test_a_definition_is_changed_by_its_own_name_only(door: Door, layout: Layout) -> None:
    Path(layout.definition("va.toto.fr")).write_text('aliases = ["va.example"]\n')
    changes: list[Callable[[], Plan]] = [
        lambda: domains.set_domain(door, "va.example", DomainSettings(fallback="bob")),
        lambda: domains.remove_domain(door, "va.example"),
    ]
    for change in changes:
        with pytest.raises(Refused, match=r"va.example is a domain alias of va.toto.fr; name the domain itself"):
            change()
    assert domains.show_domain(door, "va.example").name == "va.toto.fr"


def test_a_damaged_definition_is_not_edited_but_can_be_removed(door: Door, layout: Layout) -> None:
    Path(layout.definition("va.toto.fr")).write_text("fallback = bob\n")
    with pytest.raises(Refused, match=r"damaged|by hand first"):
        domains.set_domain(door, "va.toto.fr", DomainSettings(fallback="bob"))
    assert domains.list_domains(door)[0].problem
    domains.remove_domain(door, "va.toto.fr")
    assert [record.name for record in domains.list_domains(door)] == ["vb.toto.fr"]


def test_while_the_last_good_definition_is_in_force_the_damaged_one_is_not_edited(
    door: Door, layout: Layout
) -> None:
    Path(layout.last_good, "va.toto.fr.toml").write_text('quota = "10M"\n')
    Path(layout.definition("va.toto.fr")).write_text("# ours\nfallback = bob\n")
    assert accounts.add_user(door, Address("carol", "va.toto.fr"), password=None).carried_out
    with pytest.raises(Refused, match=r"va.toto.fr.toml:2: .*by hand first"):
        domains.set_domain(door, "va.toto.fr", DomainSettings(quota="20M"))
    assert definition(layout) == "# ours\nfallback = bob\n"


def test_removing_a_domain_archives_everything_so_that_it_can_be_brought_back(door: Door, layout: Layout) -> None:
    letter = Path(layout.spool, "va.toto.fr", "bob", "new", "1.letter")
    letter.parent.mkdir(parents=True)
    letter.write_text("private\n")
    files = [layout.definition, layout.passwd, layout.shadow, layout.aliases]
    before = {Path(path("va.toto.fr")).name: Path(path("va.toto.fr")).read_bytes() for path in files}
    plan = domains.remove_domain(door, "va.toto.fr")
    assert not any(Path(path("va.toto.fr")).exists() for path in files)
    (archive,) = Path(layout.configuration, ".archive").iterdir()
    assert {path.name: path.read_bytes() for path in archive.iterdir()} == before
    assert stat.S_IMODE(archive.stat().st_mode) & 0o007 == 0, "password hashes are in there"
    assert [path.read_text() for path in Path(layout.spool, ".archive").rglob("1.letter")] == ["private\n"]
    assert "bob@va.toto.fr" in {each.address for each in plan.rerouted}
    assert ("friends@vb.toto.fr", "mailbox bob@va.toto.fr", "resend to bob@va.toto.fr") in {
        (each.address, each.before, each.after) for each in plan.rerouted
    }


def test_delete_mail_deletes_the_files_as_well(door: Door, layout: Layout) -> None:
    domains.remove_domain(door, "va.toto.fr", Mail.DELETE)
    left = [str(path) for path in Path(layout.root).rglob("*va.toto.fr*") if "lock." not in path.name]
    assert left == []


def test_keep_mail_leaves_the_mailboxes(door: Door, layout: Layout) -> None:
    letter = Path(layout.spool, "va.toto.fr", "bob", "new", "1.letter")
    letter.parent.mkdir(parents=True)
    letter.write_text("private\n")
    domains.remove_domain(door, "va.toto.fr", Mail.KEEP)
    assert letter.exists()


def test_what_an_interrupted_removal_left_is_cleared_away(door: Door, layout: Layout) -> None:
    Path(layout.definition("va.toto.fr")).unlink()
    domains.remove_domain(door, "va.toto.fr")
    assert not Path(layout.passwd("va.toto.fr")).exists()
    with pytest.raises(Refused, match=r"there is no domain va.toto.fr"):
        domains.remove_domain(door, "va.toto.fr")


def test_removing_twice_in_a_second_overwrites_no_archive(door: Door, layout: Layout) -> None:
    for _ in range(2):
        domains.remove_domain(door, "va.toto.fr")
        domains.add_domain(door, "va.toto.fr", NONE)
        accounts.add_user(door, Address("bob", "va.toto.fr"), password=None)
    domains.remove_domain(door, "va.toto.fr")
    assert len(list(Path(layout.configuration, ".archive").rglob("passwd.va.toto.fr"))) == 3


def test_co_administrators_of_other_domains_are_not_forgotten(door: Door, layout: Layout) -> None:
    Path(layout.definition("vb.toto.fr")).write_text('admins = ["bob@va.toto.fr"]\n')
    (warning,) = domains.remove_domain(door, "va.toto.fr", dry_run=True).warnings
    assert warning == (
        "bob@va.toto.fr is still named as a co-administrator of vb.toto.fr: "
        "'vmail admin revoke bob@va.toto.fr vb.toto.fr'"
    )


def test_a_co_administrator_sees_a_domain_but_does_not_change_its_definition(
    door_of: Callable[[str], Door],
) -> None:
    alice = door_of("unix:alice")
    assert [record.name for record in domains.list_domains(alice)] == ["va.toto.fr"]
    changes: list[Callable[[], Plan]] = [
        lambda: domains.set_domain(alice, "va.toto.fr", DomainSettings(fallback="bob")),
        lambda: domains.remove_domain(alice, "va.toto.fr"),
        lambda: domains.add_domain(alice, "vx.toto.fr", NONE),
    ]
    for change in changes:
        with pytest.raises(Refused, match=r"unix:alice may not change the definition of v"):
            change()
    with pytest.raises(Refused, match=r"may not see vb.toto.fr"):
        domains.show_domain(alice, "vb.toto.fr")


def test_a_file_whose_name_is_spelt_in_capitals_is_the_domains_all_the_same(door: Door, layout: Layout) -> None:
    for path in (layout.definition, layout.passwd, layout.shadow, layout.aliases):
        Path(path("vb.toto.fr")).rename(path("VB.toto.fr"))
    aliases.add_alias(door, Address("sales", "vb.toto.fr"), ["bob"])
    accounts.add_user(door, Address("carol", "vb.toto.fr"), password=None)
    assert "sales" in Path(layout.aliases("VB.toto.fr")).read_text()
    assert not Path(layout.passwd("vb.toto.fr")).exists()
    domains.set_domain(door, "vb.toto.fr", DomainSettings(fallback="bob"))
    assert definition(layout, "VB.toto.fr") == 'fallback = "bob"\n'
