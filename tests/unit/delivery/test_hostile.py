"""What others put in the way of a delivery: files that are none, links, lists without end, relays that hang."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from tests.unit.delivery.test_outside import agent, aliases, here

from vmaild.address import parse_address
from vmaild.core import routing
from vmaild.outcome import Condition, Deferred, Delivered
from vmaild.store.directory import FileDirectory
from vmaild.store.layout import Layout

__all__ = ["here"]

T = TypeVar("T")
HASH = "root:$6$saltsalt$KpBvbRdJ3uG6fqXyq0:19000:0:99999:7:::"
NOBODY = 65534

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to other users")


def promptly(act: Callable[[], T], seconds: float = 10.0) -> T:
    """What `act` returns; fails where it hangs, as a worker would."""
    results: list[T] = []
    thread = threading.Thread(target=lambda: results.append(act()), daemon=True)
    thread.start()
    thread.join(seconds)
    assert results, "it hangs, or failed"
    return results[0]


# -- lists and homes


@pytest.mark.parametrize("kind", ["fifo", "device", "folder", "nothing"])
def test_a_list_that_is_no_file_costs_that_list(here: Layout, kind: str) -> None:
    aliases(here, "team: :include:/etc/vmail/team\nboth: bob, alice\n")
    path = here.path("/etc/vmail/team")
    match kind:
        case "fifo":
            os.mkfifo(path)
        case "device":
            os.symlink("/dev/zero", path)
        case "folder":
            os.mkdir(path)
    ours = agent(here)
    assert promptly(lambda: ours.accept(parse_address("team@va.test")))[0] == Deferred(Condition.BAD_CONFIGURATION)
    assert ours.accept(parse_address("both@va.test"))[0] == Delivered(Condition.ACCEPTED)
    findings = FileDirectory(here).findings("va.test")
    assert [finding.path for finding in findings] == ([] if kind == "nothing" else [path])
    # Once it is a list, it counts at once.
    match kind:
        case "folder":
            os.rmdir(path)
        case "fifo" | "device":
            os.unlink(path)
    Path(path).write_text("bob\n")
    assert ours.accept(parse_address("team@va.test"))[0] == Delivered(Condition.ACCEPTED)


def test_an_alias_file_that_is_a_fifo_hangs_nobody(here: Layout) -> None:
    os.mkfifo(here.aliases("va.test"))
    outcome, _ = promptly(lambda: agent(here).accept(parse_address("bob@va.test")))
    assert outcome == Deferred(Condition.LOOKUP_FAILED)


@pytest.mark.parametrize("name", ["forward", "vacation"])
def test_a_home_with_a_fifo_costs_that_account(here: Layout, name: str) -> None:
    os.makedirs(here.home("va.test", "bob"))
    os.mkfifo(f"{here.home('va.test', 'bob')}/{name}")
    promptly(lambda: agent(here).accept(parse_address("bob@va.test")))
    assert agent(here).accept(parse_address("alice@va.test"))[0] == Delivered(Condition.ACCEPTED)
    promptly(lambda: FileDirectory(here).findings("va.test"))


@as_root
@pytest.mark.parametrize("way", ["list", "folder"])
def test_a_link_of_the_list_s_owner_shows_nothing_of_other_files(here: Layout, way: str) -> None:
    """The owner of a list may be a user of the machine, and the findings are shown to co-administrators."""
    secrets = Path(here.path("/secrets"))
    secrets.mkdir()
    (secrets / "team").write_text(f"{HASH}\n")
    (secrets / "team").chmod(0o600)
    lists = Path(here.path("/lists"))
    if way == "list":
        lists.mkdir()
        (lists / "team").symlink_to(secrets / "team")
        os.lchown(lists / "team", NOBODY, NOBODY)
    else:
        lists.symlink_to(secrets)
        os.lchown(lists, NOBODY, NOBODY)
    aliases(here, "team: :include:/lists/team\n")
    directory = FileDirectory(here)
    (finding,) = directory.findings("va.test")
    assert "$6$" not in str(finding)
    assert "a symbolic link of somebody else leads there" in str(finding)
    assert isinstance(routing.route(directory, parse_address("team@va.test")), routing.Undecided)
    # What root links to, or the owner of what it leads to, is meant.
    os.chown(secrets / "team", NOBODY, NOBODY)
    (secrets / "team").write_text("bob\n")
    assert isinstance(routing.route(directory, parse_address("team@va.test")), routing.Accepted)
    os.chown(secrets / "team", 1, 1)
    os.lchown(lists / "team" if way == "list" else lists, 0, 0)
    assert isinstance(routing.route(directory, parse_address("team@va.test")), routing.Accepted)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644])
def test_faults_of_a_list_quote_only_what_everybody_may_read(here: Layout, mode: int) -> None:
    aliases(here, "team: :include:/etc/vmail/team\n")
    listed = Path(here.path("/etc/vmail/team"))
    listed.write_text(f"bob\n{HASH}\n")
    listed.chmod(mode)
    (finding,) = FileDirectory(here).findings("va.test")
    assert finding.line == 2
    assert ("$6$" in str(finding)) == (mode == 0o644)
    assert isinstance(routing.route(FileDirectory(here), parse_address("team@va.test")), routing.Accepted)


def test_a_list_of_a_file_that_a_co_administrator_writes_is_not_even_read(here: Layout) -> None:
    Path(here.definition("va.test")).write_text('admins = ["unix:alice"]\n')
    aliases(here, "mine: :include:/etc/shadow.copy\n")
    Path(here.path("/etc/shadow.copy")).write_text(f"{HASH}\n")
    assert FileDirectory(here).findings("va.test") == ()


@as_root
def test_a_forwarding_that_is_a_link_is_not_followed(here: Layout) -> None:
    Path(here.path("/secret")).write_text(f"{HASH}\n")
    home = Path(here.home("va.test", "bob"))
    home.mkdir(parents=True)
    (home / "forward").symlink_to(here.path("/secret"))
    os.lchown(home / "forward", NOBODY, NOBODY)
    assert "$6$" not in " ".join(map(str, FileDirectory(here).findings("va.test")))


@pytest.mark.parametrize(
    ("line", "times", "expected"),
    [
        ("joe@example.org", 2_000_000, "bytes, more than the 4194304 that are read"),
        ("a, b, c", 40_000, "the list has more than 10000 targets"),
        ("", 2_000_000, "the list has more than 10000 targets or 100000 lines"),
        ('"', 90_000, "more than 100 lines are no targets"),
    ],
)
def test_a_list_without_end_is_bounded(here: Layout, line: str, times: int, expected: str) -> None:
    aliases(here, "team: :include:/etc/vmail/team\n")
    Path(here.path("/etc/vmail/team")).write_text(f"{line}\n" * times)
    directory = FileDirectory(here)
    assert isinstance(
        promptly(lambda: routing.route(directory, parse_address("team@va.test")), 5), routing.Undecided
    )
    assert expected in str(directory.findings("va.test")[-1])
    assert len(directory.findings("va.test")) <= 101
