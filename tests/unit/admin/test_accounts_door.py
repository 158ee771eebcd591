"""Accounts by way of the door: what the files and the mailboxes are afterwards."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from vmaild.address import Address
from vmaild.admin import accounts
from vmaild.admin.accounts import AccountSettings
from vmaild.admin.door import Door
from vmaild.admin.names import parse_name
from vmaild.admin.plan import Mail, Plan, Rerouted
from vmaild.admin.records import list_users, show_user
from vmaild.admin.refusal import Misused, Refused
from vmaild.auth.passwords import verify
from vmaild.core.directory import ShadowEntry
from vmaild.store.layout import Layout
from vmaild.store.messages import Mailbox
from vmaild.store.state import AuditLog

CAROL = Address("carol", "va.toto.fr")
BOB = Address("bob", "va.toto.fr")


def read(path: str) -> str:
    return Path(path).read_text()


def password_of(door: Door, address: Address) -> ShadowEntry:
    view = door.view()
    entry = view.password_of(view.domain(address.domain), address.local_part)
    assert entry is not None
    return entry


def add_carol(door: Door, **options: object) -> Plan:
    return accounts.add_user(door, CAROL, **{"password": None, **options})  # type: ignore[arg-type]


def test_a_new_account_has_a_line_in_both_files_and_a_mailbox(door: Door, layout: Layout) -> None:
    plan = add_carol(door, password=b"s3cret", full_name="Carol Dupont", quota="50M")
    assert plan.carried_out
    owner = os.stat(layout.spool)
    assert read(layout.passwd("va.toto.fr")).splitlines()[-1] == (
        f"carol:x:{owner.st_uid or 60000}:{owner.st_gid or 60000}:Carol Dupont,,,,quota=50M:"
        "/vhome/va.toto.fr/carol:/usr/sbin/nologin"
    )
    assert verify(b"s3cret", password_of(door, CAROL).password)
    assert door.messages.exists(Mailbox("va.toto.fr", "carol"))
    assert plan.rerouted == (
        Rerouted("carol@va.toto.fr", "refused: No such user here", "mailbox carol@va.toto.fr"),
    )


def test_the_password_line_is_there_before_the_account_and_outlives_it(door: Door, layout: Layout) -> None:
    passwd, shadow = layout.passwd("va.toto.fr"), layout.shadow("va.toto.fr")
    assert [edit.path for edit in add_carol(door, dry_run=True).edits] == [shadow, passwd]
    assert [edit.path for edit in accounts.remove_user(door, BOB, dry_run=True).edits] == [passwd, shadow]


def test_files_keep_their_mode_their_comments_and_the_order_of_their_lines(door: Door, layout: Layout) -> None:
    passwd = Path(layout.passwd("va.toto.fr"))
    passwd.write_text("# people\nbob:x:1:1:Bob:/h:/s\n\n# damaged:\nnonsense\nalice:x:2:2::/h:/s\n")
    passwd.chmod(0o604)
    add_carol(door)
    accounts.set_user(door, BOB, AccountSettings(full_name="Robert"))
    assert passwd.read_text().startswith(
        "# people\nbob:x:1:1:Robert:/h:/s\n\n# damaged:\nnonsense\nalice:x:2:2::/h:/s\ncarol:x:"
    )
    assert passwd.stat().st_mode & 0o777 == 0o604


@pytest.mark.parametrize("login", ["bob", "BOB", "Bob"])
def test_a_login_is_unique_whatever_its_case(door: Door, login: str) -> None:
    with pytest.raises(Refused, match=r"bob@va.toto.fr exists already \(.*passwd.va.toto.fr:1\)"):
        accounts.add_user(door, Address(login, "va.toto.fr"), password=None)


@pytest.mark.parametrize("login", ["a/b", "..", "-x", "a:b", "a b"])
def test_a_login_that_cannot_name_a_folder_is_wrong_usage(door: Door, login: str) -> None:
    with pytest.raises(Misused):
        accounts.add_user(door, Address(login, "va.toto.fr"), password=None)


@pytest.mark.parametrize(
    "options", [{"quota": "much"}, {"quota": "-1"}, {"full_name": "a:b"}, {"full_name": "a\nroot:x:0:0:::"}]
)
def test_values_that_cannot_stand_in_the_file_are_wrong_usage(
    door: Door, layout: Layout, options: dict[str, str]
) -> None:
    before = read(layout.passwd("va.toto.fr"))
    with pytest.raises(Misused):
        add_carol(door, **options)
    assert read(layout.passwd("va.toto.fr")) == before


def test_an_account_may_be_named_by_a_domain_alias(door: Door, layout: Layout) -> None:
    Path(layout.definition("va.toto.fr")).write_text('aliases = ["va.example"]\n')
    plan = accounts.add_user(door, parse_name("carol@va.example"), password=None)
    assert plan.domain == "va.toto.fr"
    assert "carol" in read(layout.passwd("va.toto.fr"))


def test_no_such_domain_and_no_such_account_are_refused_with_a_remedy(door: Door) -> None:
    with pytest.raises(Refused, match=r"there is no domain nowhere.example; 'vmail domain list'"):
        accounts.add_user(door, Address("carol", "nowhere.example"), password=None)
    with pytest.raises(Refused, match=r"there is no account carol in va.toto.fr; 'vmail user list va.toto.fr'"):
        accounts.set_password(door, CAROL, password=b"x")


def test_mail_of_a_former_holder_is_archived_and_nobody_inherits_it(door: Door, layout: Layout) -> None:
    letter = Path(layout.spool, "va.toto.fr", "carol", "new", "1.letter")
    home = Path(layout.home("va.toto.fr", "carol"))
    for folder in ("tmp", "new", "cur"):
        (letter.parent.parent / folder).mkdir(parents=True, exist_ok=True)
    letter.write_text("private\n")
    home.mkdir(parents=True)
    (home / "vacation").write_text("I am away\n")
    plan = add_carol(door)
    assert any("former carol@va.toto.fr: it is archived first" in warning for warning in plan.warnings)
    assert not letter.exists()
    assert not home.exists()
    archived = [path.read_text() for path in Path(layout.root).rglob("1.letter")]
    assert archived == ["private\n"]
    assert [path.read_text() for path in Path(layout.root).rglob("vacation")] == ["I am away\n"]


def test_with_keep_mail_the_new_account_inherits_it_and_the_plan_says_so(door: Door, layout: Layout) -> None:
    letter = Path(layout.spool, "va.toto.fr", "carol", "new", "1.letter")
    letter.parent.mkdir(parents=True)
    letter.write_text("private\n")
    plan = add_carol(door, keep_mail=True)
    assert any("this account inherits it" in warning for warning in plan.warnings)
    assert letter.exists()


@pytest.mark.parametrize("mail", [Mail.ARCHIVE, Mail.KEEP, Mail.DELETE])
def test_a_removed_account_leaves_its_mail_as_asked(door: Door, layout: Layout, mail: Mail) -> None:
    letter = Path(layout.spool, "va.toto.fr", "bob", "new", "1.letter")
    letter.parent.mkdir(parents=True)
    letter.write_text("private\n")
    vacation = Path(layout.home("va.toto.fr", "bob"), "vacation")
    vacation.parent.mkdir(parents=True)
    vacation.write_text("I am away\n")
    plan = accounts.remove_user(door, BOB, mail)
    assert vacation.exists() is (mail is Mail.KEEP)
    assert len(list(Path(layout.path("/vhome")).rglob("vacation"))) == (0 if mail is Mail.DELETE else 1)
    assert "bob" not in read(layout.passwd("va.toto.fr"))
    assert "bob" not in read(layout.shadow("va.toto.fr"))
    found = list(Path(layout.spool).rglob("1.letter"))
    assert letter.exists() is (mail is Mail.KEEP)
    assert len(found) == (0 if mail is Mail.DELETE else 1)
    if mail is Mail.ARCHIVE:
        assert str(found[0]).startswith(f"{layout.spool}/.archive/va.toto.fr/bob.")
        assert f"archived to {layout.spool}/.archive/va.toto.fr/bob." in str(plan.effects[0])
    reply = "automatic reply of bob@va.toto.fr"
    assert plan.rerouted[0] == Rerouted(
        "bob@va.toto.fr", f"mailbox bob@va.toto.fr, {reply}", "refused: No such user here"
    )


def test_what_an_interrupted_removal_left_is_cleared_away(door: Door, layout: Layout) -> None:
    letter = Path(layout.spool, "va.toto.fr", "bob", "new", "1.letter")
    letter.parent.mkdir(parents=True)
    letter.write_text("private\n")
    passwd = Path(layout.passwd("va.toto.fr"))
    passwd.write_text(passwd.read_text().replace("bob:", "other:"))
    plan = accounts.remove_user(door, BOB)
    assert plan.summary == "remove what is left of account bob@va.toto.fr"
    assert "bob" not in read(layout.shadow("va.toto.fr"))
    assert not letter.exists()
    with pytest.raises(Refused, match=r"there is no account bob in va.toto.fr"):
        accounts.remove_user(door, BOB)


def test_removing_tells_whose_mail_from_other_domains_is_lost(door: Door) -> None:
    plan = accounts.remove_user(door, BOB, dry_run=True)
    assert {each.address: each.after for each in plan.rerouted} == {
        "bob@va.toto.fr": "refused: No such user here",
        "friends@vb.toto.fr": "refused: No such user here",
        "team@va.toto.fr": "mailbox alice@va.toto.fr",
    }


def test_quota_is_a_size_or_none_or_the_domains(door: Door, layout: Layout) -> None:
    Path(layout.definition("va.toto.fr")).write_text('quota = "10M"\n')
    assert show_user(door, BOB).quota == 10 << 20
    for given, quota, written in (
        ("50M", 50 << 20, "quota=50M"),
        ("none", 0, "quota=0"),
        ("default", 10 << 20, ""),
    ):
        accounts.set_user(door, BOB, AccountSettings(quota=given))
        assert show_user(door, BOB).quota == quota
        assert (written or "quota") in read(layout.passwd("va.toto.fr")) or not written


def test_a_locked_account_keeps_its_password_for_when_it_is_unlocked(door: Door) -> None:
    before = password_of(door, BOB).password
    accounts.set_user(door, BOB, AccountSettings(locked=True))
    assert password_of(door, BOB).password == "!" + before
    assert show_user(door, BOB).locked
    assert not accounts.set_user(door, BOB, AccountSettings(locked=True)).changes
    accounts.set_user(door, BOB, AccountSettings(locked=False))
    assert password_of(door, BOB).password == before


def test_a_new_password_does_not_unlock_a_suspended_account(door: Door) -> None:
    accounts.set_user(door, BOB, AccountSettings(locked=True))
    plan = accounts.set_password(door, BOB, password=b"new")
    assert plan.warnings == ("bob@va.toto.fr stays locked until 'vmail user set --unlock'",)
    assert not verify(b"new", password_of(door, BOB).password)
    accounts.set_user(door, BOB, AccountSettings(locked=False))
    assert verify(b"new", password_of(door, BOB).password)


def test_an_account_without_a_password_cannot_be_unlocked_but_gets_one(door: Door) -> None:
    add_carol(door)
    with pytest.raises(Refused, match=r"carol@va.toto.fr has no password; set one"):
        accounts.set_user(door, CAROL, AccountSettings(locked=False))
    accounts.set_password(door, CAROL, password=b"first")
    assert verify(b"first", password_of(door, CAROL).password)


def test_no_password_and_no_hash_is_shown_or_logged(door: Door, layout: Layout) -> None:
    Path(layout.passwd("va.toto.fr")).write_text("bob:$1$old$hash:1:1::/h:/s\nalice:x:2:2::/h:/s\n")
    plans = [
        add_carol(door, password=b"s3cret-word"),
        accounts.set_password(door, BOB, password=b"s3cret-word"),
        accounts.set_user(door, BOB, AccountSettings(full_name="Robert", locked=True)),
        accounts.remove_user(door, CAROL, Mail.DELETE),
    ]
    shown = repr(plans) + "".join(edit.diff for plan in plans for edit in plan.edits)
    shown += repr(AuditLog(layout).records())
    assert "password of bob set" in shown
    for secret in ("s3cret-word", "$y$", "$6$", "$1$", "not.a.real.hash"):
        assert secret not in shown


def test_an_empty_or_impossible_password_is_refused_before_anything_changes(door: Door) -> None:
    for password in (b"", b"a\0b", b"x" * 600):
        with pytest.raises(Refused, match=r"the password"):
            add_carol(door, password=password)
    assert not door.messages.exists(Mailbox("va.toto.fr", "carol"))


def test_a_co_administrator_manages_accounts_up_to_the_maximum(
    door: Door, door_of: Callable[[str], Door], layout: Layout
) -> None:
    alice = door_of("unix:alice")
    definition = Path(layout.definition("va.toto.fr"))
    definition.write_text('admins = ["unix:alice"]\nmax_users = 3\n')
    add_carol(alice)
    with pytest.raises(Refused, match=r"va.toto.fr has 3 accounts of 3 allowed; .*ask a site administrator"):
        accounts.add_user(alice, Address("dave", "va.toto.fr"), password=None)
    plan = accounts.add_user(door, Address("dave", "va.toto.fr"), password=None)
    assert plan.warnings == ("va.toto.fr has 3 accounts of 3 allowed",)
    accounts.remove_user(alice, CAROL)


def test_others_may_neither_see_nor_change(door_of: Callable[[str], Door], layout: Layout) -> None:
    for principal, domain in (
        ("unix:mallory", "va.toto.fr"),
        ("unix:alice", "vb.toto.fr"),
        ("bob@va.toto.fr", "va.toto.fr"),
    ):
        somebody = door_of(principal)
        with pytest.raises(Refused, match=f"{principal} may not change accounts of {domain}; ask"):
            accounts.add_user(somebody, Address("carol", domain), password=None)
        with pytest.raises(Refused, match=f"{principal} may not see {domain}"):
            list_users(somebody, domain)
    assert not list(Path(layout.run).iterdir()), "not even a lock is taken"


def test_a_stranger_cannot_tell_a_domain_of_another_from_none(door_of: Callable[[str], Door]) -> None:
    stranger = door_of("unix:mallory")
    told = []
    for domain in ("vb.toto.fr", "vz.toto.fr"):
        with pytest.raises(Refused) as refused:
            show_user(stranger, Address("bob", domain))
        told.append(re.sub(domain, "DOMAIN", str(refused.value)))
    assert told[0] == told[1]


def test_a_name_that_carries_a_privilege_is_warned_about(door: Door, layout: Layout) -> None:
    Path(layout.definition("vb.toto.fr")).write_text('admins = ["carol@va.toto.fr"]\n')
    assert add_carol(door).warnings == ("carol@va.toto.fr is named as a co-administrator of vb.toto.fr",)
    assert (
        "still a co-administrator of vb.toto.fr: 'vmail admin revoke"
        in accounts.remove_user(door, CAROL).warnings[0]
    )


def test_an_account_that_an_alias_hides_is_warned_about(door: Door, layout: Layout) -> None:
    Path(layout.aliases("va.toto.fr")).write_text("carol: bob\n")
    assert add_carol(door).warnings == (
        "mail for carol@va.toto.fr does not come to this mailbox: mailbox bob@va.toto.fr",
    )


def test_lists_are_sorted_and_say_who_may_log_in(door: Door, layout: Layout) -> None:
    add_carol(door)
    with open(layout.passwd("va.toto.fr"), "a", encoding="ascii") as file:
        file.write("zoe:x:1:1::/h:/s\n")
    records = list_users(door, "va.toto.fr")
    assert [record.account.login for record in records] == ["alice", "bob", "carol", "zoe"]
    assert [record.has_password for record in records] == [True, True, False, False]
    assert records[0].address == "alice@va.toto.fr"


def test_an_address_needs_a_domain() -> None:
    assert parse_name("bob@VA.toto.fr") == BOB
    for text in ("bob", "bob@", "@va.toto.fr", "bob@../x", "a b@va.toto.fr"):
        with pytest.raises(Misused):
            parse_name(text)
