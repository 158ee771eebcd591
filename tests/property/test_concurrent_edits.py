"""Two administrators at once, and one who is killed: no edit is lost, and no file is ever half written."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from vmaild.address import Address
from vmaild.admin import accounts, aliases
from vmaild.admin.domains import DomainSettings, add_domain, remove_domain
from vmaild.admin.door import Door
from vmaild.admin.refusal import Refused
from vmaild.core.permissions import Actor
from vmaild.core.site import Site
from vmaild.formats.aliases import parse_aliases
from vmaild.formats.passwd import parse_passwd
from vmaild.formats.shadow import parse_shadow
from vmaild.store.layout import Layout
from vmaild.store.locks import exclusive
from vmaild.store.messages import Mailbox

VA = "va.toto.fr"
SPAWN = multiprocessing.get_context("spawn")

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def door_to(layout: Layout) -> Door:
    return Door(layout, Site(), Actor("unix:root", site_admin=True), lock_wait=60)


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """In memory where that is to be had: what a killed process has written is there with or without a sync."""
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(dir=memory)) if os.access(memory, os.W_OK) else tmp_path
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def layout(scratch: Path) -> Layout:
    where = Layout(str(scratch / "root"))
    for folder in (where.definitions, where.spool, where.last_good, where.run, where.path("/vhome")):
        os.makedirs(folder)
    Path(where.definition(VA)).write_text("# the definition\n")
    Path(where.passwd(VA)).write_text("# the accounts\nbob:x:1:1::/h:/s\n")
    Path(where.shadow(VA)).write_text("bob:!:1:0:99999:7:::\n")
    Path(where.aliases(VA)).write_text("# the aliases\nteam: bob\n")
    return where


def _add_users(layout: Layout, prefix: str, count: int) -> None:
    door = door_to(layout)
    for number in range(count):
        accounts.add_user(door, Address(f"{prefix}{number}", VA), password=None)


def _add_aliases(layout: Layout, prefix: str, count: int) -> None:
    door = door_to(layout)
    for number in range(count):
        aliases.add_alias(door, Address(f"{prefix}{number}", VA), ["bob"])


def test_two_administrators_add_fifty_users_each_while_a_third_adds_aliases(layout: Layout) -> None:
    work = [(_add_users, "a", 50), (_add_users, "b", 50), (_add_aliases, "list", 20)]
    processes = [SPAWN.Process(target=target, args=(layout, prefix, count)) for target, prefix, count in work]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    expected = {"bob", *(f"{prefix}{number}" for prefix in "ab" for number in range(50))}
    text = Path(layout.passwd(VA)).read_text()
    assert {account.login for account in parse_passwd(text, "").entries} == expected
    assert text.startswith("# the accounts\nbob:x:1:1::/h:/s\n")
    shadow = Path(layout.shadow(VA)).read_text()
    assert {entry.login for entry in parse_shadow(shadow, "").entries} == expected
    assert len(parse_aliases(Path(layout.aliases(VA)).read_text(), "").entries) == 21


# -- killed


_EVENTS = {"open", "os.rename", "os.remove", "os.mkdir", "os.chmod", "os.chown", "os.rmdir", "shutil.rmtree"}


def kill_at(change: str, layout: Layout, step: int) -> bool:
    """Run a change in a process that is killed before its file operation of that number; whether it was."""
    child = os.fork()
    if child == 0:  # pragma: no cover  a process that is killed tells nobody what it ran
        left = step

        def count(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal left
            if event in _EVENTS and any(layout.root in str(argument) for argument in arguments):
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        try:
            CHANGES[change](door_to(layout))
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


CHANGES = {
    "user add": lambda door: accounts.add_user(door, Address("carol", VA), password=None),
    "user remove": lambda door: accounts.remove_user(door, Address("bob", VA)),
    "alias set": lambda door: aliases.set_alias(door, Address("team", VA), ["bob", "x@example.org"]),
    "domain add": lambda door: add_domain(door, "vx.toto.fr", DomainSettings(fallback="@va.toto.fr")),
    "domain remove": lambda door: remove_domain(door, VA),
}


def steps_of(change: str, layout: Layout) -> Iterator[int]:
    """Kill the change at one operation after the other, until it gets through."""
    for step in range(1000):
        if not kill_at(change, layout, step):
            assert step > 5, "it touched next to nothing: was it counted at all?"
            return
        yield step


def contents(layout: Layout) -> dict[str, bytes]:
    """All configuration files, but temporary ones, which nobody reads."""
    found = Path(layout.configuration).rglob("*")
    return {str(path): path.read_bytes() for path in found if path.is_file() and not path.name.endswith(".tmp")}


@pytest.mark.parametrize("change", CHANGES)
def test_whenever_it_is_killed_every_file_is_whole_and_doing_it_again_completes_it(
    change: str, layout: Layout, scratch: Path
) -> None:
    before = contents(layout)
    wanted = _wanted(change, layout, scratch)
    for _ in steps_of(change, layout):
        for path, content in contents(layout).items():
            assert ".archive" in path or content in (before.get(path), wanted.get(path)), path
        _check_accounts(layout)
        with exclusive(layout.lock(f"domain.{VA}"), 0):
            pass  # the lock has gone with the process that held it
        _do_again(change, layout)
        _same(contents(layout), wanted)
        _restore(layout, before)


def _wanted(change: str, layout: Layout, scratch: Path) -> dict[str, bytes]:
    """What the files are when nobody is killed: found out in a copy."""
    copy = Layout(str(scratch / "copy"))
    shutil.copytree(layout.root, copy.root)
    CHANGES[change](door_to(copy))
    return {path.replace(copy.root, layout.root): content for path, content in contents(copy).items()}


def _same(now: dict[str, bytes], wanted: dict[str, bytes]) -> None:
    """Equal, but for the time in the names of archives."""
    assert {path: content for path, content in now.items() if ".archive" not in path} == {
        path: content for path, content in wanted.items() if ".archive" not in path
    }


def _do_again(change: str, layout: Layout) -> None:
    # Where it was killed when all was done there is nothing left to do.
    with suppress(Refused):
        CHANGES[change](door_to(layout))


def _check_accounts(layout: Layout) -> None:
    """An account never exists without its password line, and a new one never without its mailbox."""
    shadow = {entry.login for entry in parse_shadow(_text(layout.shadow(VA)), "").entries}
    live = os.path.exists(layout.definition(VA))
    for account in parse_passwd(_text(layout.passwd(VA)), "").entries if live else ():
        assert account.login in shadow
        assert account.login == "bob" or door_to(layout).messages.exists(Mailbox(VA, account.login))


def _text(path: str) -> str:
    return Path(path).read_text() if os.path.exists(path) else ""


def _restore(layout: Layout, before: dict[str, bytes]) -> None:
    for path in contents(layout).keys() - before.keys():
        os.unlink(path)
    for path, content in before.items():
        Path(path).write_bytes(content)
