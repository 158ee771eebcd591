"""Laying out a root: who owns what, and what is refused."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from vmaild.admin import setup
from vmaild.admin.refusal import Refused
from vmaild.admin.setup import lay_out, lay_out_root
from vmaild.auth.passwords import verify
from vmaild.store.directory import FileDirectory
from vmaild.store.layout import Layout
from vmaild.store.locks import exclusive
from vmaild.store.site import load_site


def test_a_demo_is_without_fault_and_its_passwords_are_right(tmp_path: Path) -> None:
    layout = Layout(str(tmp_path))
    done = lay_out(layout, demo=True)
    assert done.changes
    assert done.carried_out
    assert done.messages == 8
    directory = FileDirectory(layout)
    assert directory.names() == [f"v{letter}.toto.fr" for letter in "abcde"]
    assert [directory.findings(name) for name in directory.names()] == [()] * 5
    for domain in ("va", "vb", "vc"):
        for login in ("bob", "alice"):
            entry = directory.password_of(f"{domain}.toto.fr", login)
            assert entry is not None
            assert verify(f"{login}-{domain}".encode(), entry.password)
            assert not verify(f"{login}-vx".encode(), entry.password)


def test_a_dry_run_tells_the_same_and_does_nothing(tmp_path: Path) -> None:
    layout = Layout(str(tmp_path / "root"))
    planned = lay_out(layout, demo=True, dry_run=True)
    assert not os.path.lexists(layout.root)
    done = lay_out(layout, demo=True)
    assert (planned.folders, planned.files, planned.messages) == (done.folders, done.files, done.messages)
    assert not planned.carried_out
    assert all(os.path.exists(path) for path in (*done.folders, *done.files))


def test_whoever_lays_it_out_is_an_administrator(tmp_path: Path) -> None:
    lay_out_root(str(tmp_path))
    site, findings = load_site(Layout(str(tmp_path)))
    assert findings == ()
    assert set(site.admins) == {"unix:root", f"unix:{pwd.getpwuid(os.getuid()).pw_name}"}
    assert (site.demo, site.user) == (False, "")


def test_what_exists_stays_as_it_is(tmp_path: Path) -> None:
    layout = Layout(str(tmp_path))
    os.makedirs(layout.state, 0o711)
    os.chmod(layout.state, 0o711)
    os.makedirs(layout.definitions)
    Path(layout.definition("va.toto.fr")).write_text("# mine\n")
    lay_out(layout, demo=True)
    assert os.stat(layout.state).st_mode & 0o777 == 0o711
    assert Path(layout.definition("va.toto.fr")).read_text() == "# mine\n"


def test_a_change_by_somebody_else_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = Layout(str(tmp_path))
    os.makedirs(layout.run)
    monkeypatch.setattr(setup, "LOCK_WAIT", 0.1)
    with exclusive(layout.lock("site"), 0), pytest.raises(Refused, match=r"run it again"):
        lay_out(layout)
    assert not os.path.exists(layout.site)


def test_a_file_where_a_folder_should_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "etc").write_text("")
    with pytest.raises(Refused, match=str(tmp_path / "etc")):
        lay_out(Layout(str(tmp_path)))


@pytest.mark.parametrize("text", ["", "[site]\ndemo = false\n", "[site"])
def test_a_demo_is_laid_out_in_a_demo_only(tmp_path: Path, text: str) -> None:
    layout = Layout(str(tmp_path))
    os.makedirs(layout.configuration)
    Path(layout.site).write_text(text)
    with pytest.raises(Refused):
        lay_out(layout, demo=True)
    assert os.listdir(layout.configuration) == ["vmail.toml"]


def test_the_system_itself_gets_no_demo() -> None:
    with pytest.raises(Refused, match=r"own folders"):
        lay_out(Layout(), demo=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give folders away")
def test_on_a_real_machine_the_mail_belongs_to_the_mail_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A root of its own is never given away, so here one plays the system's own.
    monkeypatch.setattr(setup, "_mail_user", lambda _: pwd.getpwnam("nobody"))
    layout = Layout(str(tmp_path))
    lay_out(layout)
    nobody = pwd.getpwnam("nobody")
    for path in (layout.spool, layout.incoming, layout.state, layout.last_good, layout.run):
        assert (os.stat(path).st_uid, os.stat(path).st_gid) == (nobody.pw_uid, nobody.pw_gid)
    for path in (layout.configuration, layout.definitions):
        assert (os.stat(path).st_uid, os.stat(path).st_gid) == (0, nobody.pw_gid)


def test_advice_is_for_the_system_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert lay_out(Layout(str(tmp_path))).advice == ""
    monkeypatch.setattr(setup, "MAIL_USER", "nobody-of-that-name")
    assert setup.CREATE_MAIL_USER in lay_out(Layout(), dry_run=True).advice
