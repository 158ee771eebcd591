"""What every change has in common: dry runs, locks, the audit log, refusals."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from vmaild.address import Address
from vmaild.admin import accounts, aliases, coadministrators, domains
from vmaild.admin.accounts import AccountSettings
from vmaild.admin.domains import DomainSettings
from vmaild.admin.door import Door, open_door, refusals
from vmaild.admin.plan import Plan
from vmaild.admin.refusal import Misused, Refused
from vmaild.core.permissions import Actor
from vmaild.core.site import Site
from vmaild.store.layout import Layout
from vmaild.store.locks import exclusive
from vmaild.store.messages import store_failure
from vmaild.store.state import AuditLog

BOB = Address("bob", "va.toto.fr")
TEAM = Address("team", "va.toto.fr")

CHANGES: dict[str, Callable[[Door, bool], Plan]] = {
    "user add": lambda door, dry: accounts.add_user(door, Address("c", "va.toto.fr"), password=None, dry_run=dry),
    "user set": lambda door, dry: accounts.set_user(door, BOB, AccountSettings("Bob", "1M", True), dry_run=dry),
    "user passwd": lambda door, dry: accounts.set_password(door, BOB, password=b"new", dry_run=dry),
    "user remove": lambda door, dry: accounts.remove_user(door, BOB, dry_run=dry),
    "alias add": lambda door, dry: aliases.add_alias(door, Address("s", "va.toto.fr"), ["bob"], dry_run=dry),
    "alias set": lambda door, dry: aliases.set_alias(door, TEAM, ["bob", "nobody"], dry_run=dry),
    "alias remove": lambda door, dry: aliases.remove_alias(door, TEAM, dry_run=dry),
    "domain add": lambda door, dry: domains.add_domain(
        door, "vx.toto.fr", DomainSettings(aliases=["va.example"], fallback="@va.toto.fr"), dry_run=dry
    ),
    "domain set": lambda door, dry: domains.set_domain(
        door, "va.toto.fr", DomainSettings(aliases=["va.example"], fallback="bob"), dry_run=dry
    ),
    "domain remove": lambda door, dry: domains.remove_domain(door, "va.toto.fr", dry_run=dry),
    "admin grant": lambda door, dry: coadministrators.grant(door, "bob@va.toto.fr", "va.toto.fr", dry_run=dry),
    "admin revoke": lambda door, dry: coadministrators.revoke(door, "unix:alice", "va.toto.fr", dry_run=dry),
}


@pytest.mark.parametrize("verb", CHANGES)
def test_a_dry_run_changes_no_byte_and_tells_what_the_real_thing_then_does(
    verb: str, door: Door, tree: Callable[[], dict[str, tuple[int, int, bytes]]]
) -> None:
    before = tree()
    planned = CHANGES[verb](door, True)
    assert tree() == before
    assert not planned.carried_out
    done = CHANGES[verb](door, False)
    assert tree() != before
    assert done.carried_out
    assert (done.verb, done.summary) == (planned.verb, planned.summary)
    assert done.verb == verb
    assert done.rerouted == planned.rerouted
    assert done.warnings == planned.warnings
    assert [type(step) for step in done.steps] == [type(step) for step in planned.steps]


@pytest.mark.parametrize("verb", CHANGES)
def test_every_change_is_in_the_audit_log_once(verb: str, door: Door, layout: Layout) -> None:
    CHANGES[verb](replace_actor(door, Actor("unix:root", site_admin=True, via="sudo: alice")), False)
    (record,) = AuditLog(layout).records()
    assert (record.verb, record.actor, record.outcome) == (verb, "unix:root (sudo: alice)", "done")
    assert record.domain in {"va.toto.fr", "vx.toto.fr"}
    assert record.subject
    assert record.at.endswith("+00:00")


def replace_actor(door: Door, actor: Actor) -> Door:
    return Door(door.layout, door.site, actor)


@pytest.mark.parametrize("verb", CHANGES)
def test_strangers_are_refused_every_change_even_as_a_dry_run(
    verb: str, door_of: Callable[[str], Door], tree: Callable[[], dict[str, tuple[int, int, bytes]]]
) -> None:
    before = tree()
    for dry_run in (True, False):
        with pytest.raises(Refused, match=r"unix:mallory may not (change|remove)"):
            CHANGES[verb](door_of("unix:mallory"), dry_run)
    assert tree() == before


def test_what_changes_nothing_is_neither_written_nor_logged(door: Door, layout: Layout) -> None:
    plan = aliases.set_alias(door, TEAM, ["bob", "alice"])
    assert not plan.changes
    assert not plan.carried_out
    assert AuditLog(layout).records() == []


def test_a_domain_that_is_being_changed_names_who_does_it(door: Door, layout: Layout) -> None:
    with exclusive(layout.lock("domain.va.toto.fr"), 1), pytest.raises(Refused) as refused:
        aliases.remove_alias(door, TEAM)
    assert f"va.toto.fr is being changed by process {os.getpid()} (" in str(refused.value)
    assert "run it again when that has ended" in str(refused.value)
    aliases.remove_alias(door, TEAM)


def test_domains_do_not_wait_for_each_other_but_for_changes_of_names(door: Door, layout: Layout) -> None:
    with exclusive(layout.lock("domain.vb.toto.fr"), 1):
        aliases.remove_alias(door, TEAM)
    with exclusive(layout.lock("site"), 1), pytest.raises(Refused, match=r"the list of domains is being changed"):
        domains.add_domain(door, "vx.toto.fr", DomainSettings())


def test_a_failure_says_which_file_and_is_in_the_audit_log(door: Door, layout: Layout) -> None:
    # A folder where the mailbox of the new account should be made: the first step cannot be done.
    Path(layout.spool, "va.toto.fr").write_text("in the way")
    with pytest.raises(Refused, match=r"cannot create the mailbox of c@va.toto.fr.*; see to that"):
        CHANGES["user add"](door, False)
    assert "c:" not in Path(layout.passwd("va.toto.fr")).read_text()
    (record,) = AuditLog(layout).records()
    assert record.outcome.startswith("failed: cannot create the mailbox of c@va.toto.fr")


def test_nothing_is_changed_that_could_not_be_logged(
    door: Door, layout: Layout, tree: Callable[[], dict[str, tuple[int, int, bytes]]]
) -> None:
    os.makedirs(layout.state, exist_ok=True)
    Path(layout.state, "vmail.sqlite").write_text("this is not a database, and never was")
    before = tree()
    with pytest.raises(Refused, match=r"cannot write the audit log: .*vmail.sqlite: .*nothing was changed"):
        aliases.remove_alias(door, TEAM)
    assert Path(layout.aliases("va.toto.fr")).read_bytes() == before[layout.aliases("va.toto.fr")][2]


def test_a_root_that_was_never_laid_out_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=f"{tmp_path}/etc/vmail/domains does not exist; .*'vmail init'"):
        open_door(str(tmp_path))


def test_a_damaged_vmail_toml_stops_everything_and_is_named_with_its_line(layout: Layout) -> None:
    Path(layout.site).write_text("[site]\nadmins = unix:root\n")
    with pytest.raises(Refused, match=r"vmail.toml:2: "):
        open_door(layout.root)


def test_the_door_reads_vmail_toml(layout: Layout) -> None:
    Path(layout.site).write_text('[site]\nrecipient_delimiter = "-"\nnonsense = 1\n')
    door = open_door(layout.root)
    assert door.site == replace(Site(), recipient_delimiter="-")
    assert [finding.line for finding in door.findings] == [3]


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.EACCES, "run it as root, or as a user who has access"),
        (errno.ENOSPC, "free some space, then run it again"),
        (errno.EROFS, "mount the file system for writing, then run it again"),
        (errno.ENAMETOOLONG, "choose a shorter name"),
        (errno.EIO, "see to that, then run it again"),
    ],
)
def test_errors_of_the_system_have_a_remedy(number: int, remedy: str) -> None:
    error = OSError(number, os.strerror(number), "/etc/vmail/passwd.va.toto.fr")
    with pytest.raises(Refused) as refused, refusals():
        raise error
    assert refused.value.problem == f"/etc/vmail/passwd.va.toto.fr: {os.strerror(number)}"
    assert refused.value.remedy == remedy
    with pytest.raises(Refused) as refused, refusals():
        raise store_failure("cannot create the mailbox of bob", error) from error
    assert refused.value.problem.startswith("cannot create the mailbox of bob")
    assert not isinstance(refused.value, Misused)
