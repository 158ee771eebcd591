"""A domain to an archive and back: whole, shown before, refused where it would harm."""

from __future__ import annotations

import gzip
import io
import os
import stat
import tarfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from vmaild.admin.accounts import add_user, remove_user
from vmaild.admin.aliases import set_alias
from vmaild.admin.backups import list_backups, make_backup, remove_backup
from vmaild.admin.domains import DomainSettings, add_domain, remove_domain, set_domain
from vmaild.admin.door import Door
from vmaild.admin.explain import explain
from vmaild.admin.names import parse_name
from vmaild.admin.owner import set_forward
from vmaild.admin.refusal import Misused, Refused
from vmaild.admin.restore import restore_backup
from vmaild.store.content import Content
from vmaild.store.copies import Stored
from vmaild.store.layout import Layout
from vmaild.store.maildir import MaildirStore
from vmaild.store.messages import Mailbox, StoreFailed

VA = "va.toto.fr"
BOB = Mailbox(VA, "bob")


def deliver(door: Door, mailbox: Mailbox, text: bytes) -> None:
    with Content("/tmp", 50_000) as content:
        content.append(text)
        content.finish()
        door.messages.deliver(mailbox, b"", content)


def configuration(layout: Layout) -> dict[str, tuple[str, int]]:
    paths = [Path(path(VA)) for path in (layout.definition, layout.passwd, layout.shadow, layout.aliases)]
    found = [*paths, *Path(layout.path("/vhome")).rglob(f"{VA}/*/*")]
    return {str(path): (path.read_text(), path.stat().st_mode) for path in found if path.is_file()}


def mail(layout: Layout) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path(layout.spool, VA).rglob("*,S=*")}


def only(door: Door) -> str:
    (found,) = list_backups(door)
    return found.name


def test_all_of_a_domain_comes_back_after_it_was_removed(door: Door, layout: Layout) -> None:
    set_forward(door, parse_name(f"bob@{VA}"), ["other@example.org"], keep_copy=True)
    for number in range(3):
        deliver(door, BOB, b"Subject: %d\r\n\r\nhello\r\n" % number)
    folder = Path(layout.spool, VA, "bob", ".Kept")
    for part in ("tmp", "new", "cur"):
        (folder / part).mkdir(parents=True)
    (new, *_) = sorted(Path(layout.spool, VA, "bob", "new").iterdir())
    new.rename(folder / "cur" / f"{new.name}:2,S")
    before, messages = configuration(layout), mail(layout)
    shown = make_backup(door, VA, mail=True, dry_run=True)
    assert not os.path.lexists(layout.backups)
    done = make_backup(door, VA, mail=True)
    assert str(shown.effects[0]).partition(VA)[0] == str(done.effects[0]).partition(VA)[0]
    path = Path(layout.backups, f"{only(door)}.tar.gz")
    assert (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(path.parent.stat().st_mode)) == (0o600, 0o700)
    remove_domain(door, VA)
    assert not configuration(layout).keys() & before.keys()

    plan = restore_backup(door, only(door), mail=True, dry_run=True)
    assert "messages put back: 3, mailboxes: 1" in map(str, plan.effects)
    assert any(each.address == f"team@{VA}" for each in plan.rerouted)
    assert "not.a.real.hash" not in "".join(edit.diff for edit in plan.edits)
    assert not os.path.lexists(layout.definition(VA))
    restore_backup(door, only(door), mail=True)
    assert {path: text for path, (text, _) in configuration(layout).items()} == {
        path: text for path, (text, _) in before.items()
    }
    assert mail(layout) == messages
    assert stat.S_IMODE(os.stat(layout.shadow(VA)).st_mode) & 0o007 == 0
    assert not restore_backup(door, only(door), mail=True, dry_run=True).changes


def test_what_was_changed_since_is_undone_and_told_before(door: Door, layout: Layout) -> None:
    before = configuration(layout)
    make_backup(door, VA)
    add_user(door, parse_name(f"nina@{VA}"), password=None)
    set_alias(door, parse_name(f"team@{VA}"), ["nina"])
    set_domain(door, VA, DomainSettings(quota="5M", fallback="bob"))
    set_forward(door, parse_name(f"alice@{VA}"), ["other@example.org"], keep_copy=False)
    plan = restore_backup(door, only(door), dry_run=True)
    rerouted = {each.address: each.after for each in plan.rerouted}
    assert {f"nina@{VA}", f"team@{VA}", f"alice@{VA}"} <= rerouted.keys()
    assert any("nina@va.toto.fr is not in the backup" in each for each in plan.warnings)
    restore_backup(door, only(door))
    assert configuration(layout) == before
    assert "other@example.org" not in str(explain(door, parse_name(f"alice@{VA}")))


def test_mail_that_is_there_is_not_touched_and_comes_once(door: Door, layout: Layout) -> None:
    deliver(door, BOB, b"Subject: old\r\n\r\n\r\n")
    deliver(door, BOB, b"Subject: deleted\r\n\r\n\r\n")
    make_backup(door, VA, mail=True)
    first, second = sorted(Path(layout.spool, VA, "bob", "new").iterdir())
    first.rename(first.parent.parent / "cur" / f"{first.name}:2,RS")  # read and answered
    second.unlink()
    deliver(door, BOB, b"Subject: new\r\n\r\n\r\n")
    plan = restore_backup(door, only(door), mail=True)
    assert [str(each) for each in plan.effects] == ["messages put back: 1, mailboxes: 1"]
    subjects = sorted(content.partition(b"\n")[0] for content in mail(layout).values())
    assert subjects == [b"Subject: deleted", b"Subject: new", b"Subject: old"]
    assert any(path.endswith(":2,RS") for path in mail(layout))
    assert door.messages.usage(BOB).messages == 3
    assert second.is_file(), "by the same name, so that POP3 knows it"


def test_a_mailbox_of_nobody_is_not_filled(door: Door, layout: Layout) -> None:
    deliver(door, BOB, b"Subject: x\r\n\r\n\r\n")
    deliver(door, Mailbox(VA, "ghost"), b"Subject: y\r\n\r\n\r\n")
    make_backup(door, VA, mail=True)
    for path in mail(layout):
        os.unlink(path)
    restore_backup(door, only(door), mail=True)
    assert list(mail(layout).values()) == [b"Subject: x\n\n\n"]


def test_names_and_addresses_that_others_have_now_are_refused(door: Door, layout: Layout) -> None:
    set_domain(door, VA, DomainSettings(aliases=["va.example"], addresses=["127.0.0.7"]))
    make_backup(door, VA)
    remove_domain(door, VA)
    name = only(door)
    set_domain(door, "vb.toto.fr", DomainSettings(addresses=["127.0.0.7"]))
    with pytest.raises(Refused, match=r"127\.0\.0\.7 is that of vb\.toto\.fr"):
        restore_backup(door, name, dry_run=True)
    set_domain(door, "vb.toto.fr", DomainSettings(addresses=[], aliases=[VA]))
    with pytest.raises(Refused, match="is a domain alias of"):
        restore_backup(door, name)
    set_domain(door, "vb.toto.fr", DomainSettings(aliases=[]))
    add_domain(door, "va.example", DomainSettings())
    with pytest.raises(Refused, match="is a domain of its own"):
        restore_backup(door, name)
    assert not os.path.lexists(layout.definition(VA))


def test_a_damaged_definition_is_mended_by_a_backup(door: Door, layout: Layout) -> None:
    before = configuration(layout)
    make_backup(door, VA)
    Path(layout.definition(VA)).write_text("quota = [\n")
    assert restore_backup(door, only(door), dry_run=True).changes
    restore_backup(door, only(door))
    assert configuration(layout) == before


def repacked(path: Path, change: Callable[[dict[str, bytes]], None]) -> None:
    """Write an archive anew, with other files."""
    with tarfile.open(path) as archive:
        files = {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]
    change(files)
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            header = tarfile.TarInfo(name)
            header.size = len(content)
            archive.addfile(header, io.BytesIO(content))


def _without_manifest(files: dict[str, bytes]) -> None:
    files.pop("manifest.json")


def _other_passwords(files: dict[str, bytes]) -> None:
    files["shadow"] = b"bob::::::::\n"


def _elsewhere(files: dict[str, bytes]) -> None:
    after = [(name, files.pop(name)) for name in list(files) if name.startswith("mail/")]
    files.update({"homes/../x": b"y", **dict(after)})


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:-200]), "cannot be used"),
    "noise": (lambda path: path.write_bytes(os.urandom(500)), "cannot be used"),
    "no tar": (lambda path: path.write_bytes(gzip.compress(b"x" * 5000)), "cannot be used"),
    "no manifest": (lambda path: repacked(path, _without_manifest), "no backup of vmaild"),
    "other passwords": (lambda path: repacked(path, _other_passwords), "is not what it was"),
    "more files": (lambda path: repacked(path, _elsewhere), "other files"),
    "none": (lambda path: path.unlink(), "there is no backup"),
}


@pytest.mark.parametrize(("damage", "told"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_backup_is_told_and_changes_nothing(
    door: Door, layout: Layout, damage: Callable[[Path], object], told: str
) -> None:
    deliver(door, BOB, os.urandom(3000))
    make_backup(door, VA, mail=True)
    name, before = only(door), configuration(layout)
    Path(layout.aliases(VA)).write_text("team: bob\n")
    changed = configuration(layout)
    damage(Path(layout.backups, f"{name}.tar.gz"))
    with pytest.raises(Refused, match=told):
        restore_backup(door, name, mail=True)
    assert configuration(layout) == changed != before


def test_only_site_administrators(door: Door, door_of: Callable[[str], Door]) -> None:
    make_backup(door, VA)
    name, alice = only(door), door_of("unix:alice")
    for attempt in (
        lambda: make_backup(alice, VA),
        lambda: list_backups(alice, VA),
        lambda: restore_backup(alice, name, dry_run=True),
        lambda: remove_backup(alice, name),
    ):
        with pytest.raises(Refused):
            attempt()
    assert only(door) == name


def test_names_that_lead_elsewhere_are_none(door: Door) -> None:
    for name in ("../va.toto.fr.20260101T000000", "va.toto.fr", "", "a/b.20260101T000000"):
        with pytest.raises(Misused, match="not the name of a backup"):
            restore_backup(door, name)


def test_several_are_listed_newest_first_and_removed(door: Door, layout: Layout) -> None:
    for _ in range(3):
        make_backup(door, VA)
    make_backup(door, "vb.toto.fr", mail=True)
    found = list_backups(door)
    assert len({each.name for each in found}) == 4
    assert [each.domain for each in list_backups(door, VA)] == [VA] * 3
    moments = [each.name.removeprefix(each.domain) for each in found]
    assert moments == sorted(moments, reverse=True)
    (other,) = list_backups(door, "vb.toto.fr")
    assert other.manifest is not None
    assert (other.manifest.accounts, other.manifest.mail, other.manifest.by) == (1, True, "unix:root")
    assert not remove_backup(door, other.name, dry_run=True).carried_out
    assert remove_backup(door, other.name).carried_out
    assert [each.domain for each in list_backups(door)] == [VA] * 3
    with pytest.raises(Refused, match="there is no backup"):
        remove_backup(door, other.name)
    assert not [name for name in os.listdir(layout.backups) if name.startswith(".")]


def test_without_mail_there_is_none_to_put_back(door: Door) -> None:
    deliver(door, BOB, b"x")
    make_backup(door, VA)
    with pytest.raises(Refused, match="there is no mail in"):
        restore_backup(door, only(door), mail=True)


def test_an_account_that_was_removed_comes_back_with_its_password(door: Door, layout: Layout) -> None:
    shadow = Path(layout.shadow(VA)).read_text()
    make_backup(door, VA)
    remove_user(door, parse_name(f"alice@{VA}"))
    restore_backup(door, only(door))
    assert Path(layout.shadow(VA)).read_text() == shadow


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be led to what others may not read")
def test_a_link_in_a_mailbox_leads_root_nowhere() -> None:
    with TemporaryDirectory() as name:
        folder, spool = Path(name), Path(name, "spool")
        folder.chmod(0o755)
        store = MaildirStore(str(spool))
        secrets = folder / "secret"
        for part in ("new", "cur", "tmp"):
            (secrets / part).mkdir(parents=True)
            (secrets / part / "1.root.host").write_text("of root")
        secrets.chmod(0o700)
        (spool / VA / "bob/new").mkdir(parents=True)
        (spool / VA / "bob/cur").mkdir()
        (spool / VA / "bob/tmp").mkdir()
        (spool / VA / "bob/new/1.own.host").write_text("own")
        (spool / VA / "bob/new/1.link.host").symlink_to(secrets / "new/1.root.host")
        (spool / VA / "bob/.Evil").symlink_to(secrets)
        for path in (spool, *spool.rglob("*")):
            os.chown(path, 65534, 65534, follow_symlinks=False)
        found = []
        for message in store.copies(BOB):
            with suppress(OSError), message.open() as source:
                found.append((message.place, source.read()))
        assert found == [("new/1.own.host", b"own")]
        back = Stored(".Evil/new/2.evil.host", 4, 0.0, lambda: io.BytesIO(b"evil"))
        with pytest.raises(StoreFailed):
            store.put_back(BOB, [back])
        assert sorted(os.listdir(secrets / "new")) == ["1.root.host"]
        assert store.put_back(BOB, [Stored(".New/cur/3.x.host:2,S", 4, 5.0, lambda: io.BytesIO(b"mine"))]) == 1
        put = spool / VA / "bob/.New/cur/3.x.host:2,S"
        assert (put.read_bytes(), put.stat().st_uid, put.stat().st_mtime) == (b"mine", 65534, 5.0)
        with pytest.raises(StoreFailed):
            store.put_back(BOB, [Stored("../../x/new/4", 4, 0.0, lambda: io.BytesIO(b"evil"))])
