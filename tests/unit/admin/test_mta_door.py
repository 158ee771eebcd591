"""Plugging into an MTA: planned, copied, written once, by a site administrator only, and in the audit log."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from vmaild.admin import domains
from vmaild.admin.door import Door
from vmaild.admin.mta import Wish, install, pieces, refresh_tables
from vmaild.admin.refusal import Refused
from vmaild.core.permissions import Actor
from vmaild.core.site import LmtpSettings, Site
from vmaild.generate.mta import Maps, Mta
from vmaild.store.layout import Layout
from vmaild.store.state import AuditLog

EXIM = "dc_eximconfig_configtype='internet'\ndc_relay_domains=''\n"


@pytest.fixture
def postfix(tmp_path: Path) -> Wish:
    """A Postfix that is set up as Debian does."""
    (tmp_path / "main.cf").write_text("mydestination = main.example\n")
    (tmp_path / "master.cf").write_text("smtp inet n - y - - smtpd\n")
    return Wish(Mta.POSTFIX, str(tmp_path))


@pytest.fixture
def exim(tmp_path: Path) -> Wish:
    (tmp_path / "update-exim4.conf.conf").write_text(EXIM)
    return Wish(Mta.EXIM, str(tmp_path))


@pytest.fixture
def postmap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program of that name, which tells what it was asked."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "postmap"
    program.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/called\n: >"${{1#*:}}.lmdb"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return tmp_path / "called"


def test_written_with_a_copy_and_but_once(door: Door, postfix: Wish, tree: Callable[[], object]) -> None:
    folder = Path(postfix.folder)
    main = folder / "main.cf"
    before = main.read_text()
    main.chmod(0o600)
    dry = install(door, postfix, dry_run=True)
    assert dry.plan.changes
    assert not dry.plan.carried_out
    assert main.read_text() == before
    done = install(door, postfix)
    assert done.commands == ("postfix check", "postfix reload")
    assert [edit.diff for edit in done.plan.edits if not edit.instead] == [
        edit.diff for edit in dry.plan.edits if not edit.instead
    ]
    assert main.read_text().startswith(before)
    assert main.stat().st_mode & 0o777 == 0o600
    (copy,) = folder.glob("main.cf.vmail-*")
    assert (copy.read_text(), copy.stat().st_mode & 0o777) == (before, 0o600)
    again = install(door, postfix)
    assert not again.plan.changes
    assert again.commands == ()
    record = AuditLog(door.layout).records()[-1]
    assert (record.verb, record.subject, record.outcome) == ("mta install", "postfix", "done")


def test_whoever_is_no_site_administrator_may_not(
    door_of: Callable[[str], Door], postfix: Wish, tree: Callable[[], object]
) -> None:
    before = tree()
    with pytest.raises(Refused, match="unix:alice may not change the settings of this machine"):
        install(door_of("unix:alice"), postfix)
    with pytest.raises(Refused, match="may not"):
        refresh_tables(door_of("unix:alice"))
    assert tree() == before


def test_a_conflict_changes_nothing(door: Door, postfix: Wish, tree: Callable[[], object]) -> None:
    Path(postfix.folder, "main.cf").write_text("virtual_transport = dovecot\n")
    before = tree()
    with pytest.raises(Refused, match="for other virtual domains"):
        install(door, postfix)
    assert {*Path(postfix.folder).glob("*.vmail-*")} == set()
    assert tree().keys() - before.keys() == {f"{door.layout.run}/lock.site"}  # type: ignore[attr-defined]


def test_the_list_of_domains_follows_every_change(door: Door, exim: Wish) -> None:
    install(door, exim)
    listed = Path(door.layout.configuration, "mta/domains")
    assert listed.read_text().split("\n")[1:-1] == ["va.toto.fr", "vb.toto.fr"]
    assert listed.stat().st_mode & 0o777 == 0o644
    domains.add_domain(door, "vc.toto.fr", domains.DomainSettings(aliases=("vc.example",)))
    assert listed.read_text().split("\n")[1:-1] == ["va.toto.fr", "vb.toto.fr", "vc.example", "vc.toto.fr"]


def test_a_hand_edit_is_brought_in_by_tables(door: Door, exim: Wish, add_domain: Callable[..., None]) -> None:
    assert not refresh_tables(door).changes
    install(door, exim)
    add_domain("vd.toto.fr")
    (edit,) = refresh_tables(door, dry_run=True).edits
    assert "+vd.toto.fr\n" in edit.diff
    assert refresh_tables(door).carried_out
    assert not refresh_tables(door).changes


def test_files_for_a_postfix_that_needs_no_server(
    door: Door, postfix: Wish, postmap: Path, add_domain: Callable[..., None]
) -> None:
    wish = Wish(Mta.POSTFIX, postfix.folder, Maps.LMDB)
    install(door, wish)
    folder = f"{door.layout.configuration}/mta"
    asked = [f"lmdb:{folder}/postfix-domains", f"lmdb:{folder}/postfix-recipients"]
    assert postmap.read_text().splitlines() == asked
    assert "bob@va.toto.fr ours\n" in Path(folder, "postfix-recipients").read_text()
    assert not install(door, wish).plan.changes
    add_domain("vd.toto.fr", logins=("dora",))
    refresh_tables(door)
    assert "dora@vd.toto.fr ours\n" in Path(folder, "postfix-recipients").read_text()
    assert postmap.read_text().splitlines() == asked * 2


def test_what_is_not_compiled_is_told_and_tried_again(door: Door, postfix: Wish, postmap: Path) -> None:
    program = postmap.parent / "bin/postmap"
    works = program.read_text()
    program.write_text("#!/bin/sh\necho postmap: fatal: no lmdb >&2\nexit 1\n")
    wish = Wish(Mta.POSTFIX, postfix.folder, Maps.LMDB)
    with pytest.raises(Refused, match="postmap: fatal: no lmdb"):
        install(door, wish)
    program.write_text(works)
    assert install(door, wish).plan.changes
    assert not install(door, wish).plan.changes


@pytest.mark.parametrize(
    ("wish", "says"),
    [
        (Wish(Mta.EXIM, maps=Maps.LMDB), "no choice of maps"),
        (Wish(Mta.POSTFIX, vdeliver=True), "speaks LMTP"),
        (Wish(Mta.SENDMAIL, vdeliver=True), "vdeliver"),
    ],
)
def test_what_an_mta_cannot_is_refused(door: Door, wish: Wish, says: str) -> None:
    with pytest.raises(Refused, match=says):
        pieces(door, wish)


def test_without_a_socket_there_is_nothing_to_plug_in(layout: Layout) -> None:
    door = Door(layout, Site(lmtp=LmtpSettings(())), Actor("unix:root", site_admin=True))
    with pytest.raises(Refused, match=r"lmtp\.listen"):
        pieces(door, Wish(Mta.POSTFIX))


def test_the_group_of_the_mta_is_let_in(
    door: Door, exim: Wish, monkeypatch: pytest.MonkeyPatch, layout: Layout
) -> None:
    monkeypatch.setitem(__import__("vmaild.admin.mta", fromlist=["_"])._GROUPS, Mta.EXIM, "daemon")
    Path(layout.site).write_text('# ours\n[site]\nadmins = ["unix:root"]\n')
    done = install(door, exim)
    assert Path(layout.site).read_text() == '# ours\n[site]\nadmins = ["unix:root"]\nmta_group = "daemon"\n'
    assert any("HUP" in command for command in done.commands)
    other = Door(layout, Site(mta_group="other"), Actor("unix:root", site_admin=True))
    assert any("lets the group other in" in warning for warning in install(other, exim).plan.warnings)
