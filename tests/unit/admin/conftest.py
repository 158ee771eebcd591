"""A root with two small domains, and doors to it for different people."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from vmaild.admin.door import Door
from vmaild.core.permissions import Actor
from vmaild.core.site import Site
from vmaild.store.layout import Layout

SHADOW = "{}:$6$salt$not.a.real.hash.but.of.the.right.shape:20000:0:99999:7:::\n"


def write_domain(
    layout: Layout, name: str, definition: str = "", aliases: str = "", logins: tuple[str, ...] = ()
) -> None:
    passwd = "".join(f"{login}:x:60000:60000::/vhome/{name}/{login}:/bin/false\n" for login in logins)
    for path, text in (
        (layout.aliases(name), aliases),
        (layout.passwd(name), passwd),
        (layout.shadow(name), "".join(map(SHADOW.format, logins))),
        (layout.definition(name), definition),
    ):
        Path(path).write_text(text)
        Path(path).chmod(0o640)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    where = Layout(str(tmp_path / "root"))
    for folder in (where.definitions, where.spool, where.last_good, where.run, where.path("/vhome")):
        os.makedirs(folder)
    write_domain(
        where, "va.toto.fr", 'admins = ["unix:alice"]\n', "# lists\nteam: bob, alice\n", logins=("bob", "alice")
    )
    write_domain(where, "vb.toto.fr", "", "friends: bob@va.toto.fr\n", logins=("bob",))
    return where


@pytest.fixture
def add_domain(layout: Layout) -> Callable[..., None]:
    """Write the files of one more domain by hand."""

    def write(name: str, definition: str = "", aliases: str = "", logins: tuple[str, ...] = ()) -> None:
        write_domain(layout, name, definition, aliases, logins)

    return write


@pytest.fixture
def door(layout: Layout) -> Door:
    """A site administrator's."""
    return Door(layout, Site(), Actor("unix:root", site_admin=True), lock_wait=0.2)


@pytest.fixture
def door_of(layout: Layout) -> Callable[[str], Door]:
    """Anybody's: call it with a principal. unix:alice is a co-administrator of va.toto.fr."""
    return lambda principal: Door(layout, Site(), Actor(principal), lock_wait=0.2)


@pytest.fixture
def tree(layout: Layout) -> Callable[[], dict[str, tuple[int, int, bytes]]]:
    """Everything under the root: path -> (mode, time of modification, content)."""

    def read() -> dict[str, tuple[int, int, bytes]]:
        found = {}
        for path in sorted(Path(layout.root).rglob("*")):
            state = path.lstat()
            content = path.read_bytes() if path.is_file() else b""
            found[str(path)] = (state.st_mode, state.st_mtime_ns, content)
        return found

    return read
