"""Logins that come in clear, from where others may listen in."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from vmaild.auth.passwords import hash_password
from vmaild.auth.throttle import Slots, Throttle
from vmaild.core.site import AuthSettings
from vmaild.protocol.pop3_events import LoginRefused
from vmaild.servers.board import Board
from vmaild.servers.logins import NEEDS_TLS, WRONG, Attempt, Logins
from vmaild.store.directory import FileDirectory
from vmaild.store.layout import Layout
from vmaild.store.messages import Mailbox

BOB = Mailbox("open.test", "bob")


@pytest.fixture
def logins(tmp_path: Path) -> Logins:
    """Of open.test, which takes passwords in clear, and strict.test, which does not: bob's is `right` in both."""
    here = Layout(str(tmp_path))
    for folder in (here.definitions, here.last_good):
        os.makedirs(folder)
    for domain, plain in (("open.test", "true"), ("strict.test", "false")):
        Path(here.definition(domain)).write_text(f"plain_logins = {plain}\n")
        Path(here.passwd(domain)).write_text("bob:x:1:1:::\n")
        Path(here.shadow(domain)).write_text(f"bob:{hash_password(b'right')}:1::::::\n")
    throttle = Throttle(Slots(bytearray(1 << 16), b"secret"), AuthSettings())
    return Logins(FileDirectory(here), ThreadPoolExecutor(1), throttle, Board.create(1, 0.0).row(0))


@pytest.mark.parametrize(
    ("login", "password", "there", "result"),
    [
        ("bob", b"right", "open.test", BOB),
        ("bob@open.test", b"right", None, BOB),
        ("bob@strict.test", b"right", None, NEEDS_TLS),
        ("nobody@strict.test", b"right", None, NEEDS_TLS),
        ("bob", b"right", "strict.test", NEEDS_TLS),
        # That the other domain is served here, too, must not show.
        ("bob@strict.test", b"right", "open.test", WRONG),
        ("bob@nowhere.test", b"right", "open.test", WRONG),
        ("bob@nowhere.test", b"right", None, WRONG),
    ],
)
def test_who_may_log_in_in_clear(
    logins: Logins, login: str, password: bytes, there: str | None, result: Mailbox | LoginRefused
) -> None:
    async def outcome() -> Mailbox | LoginRefused:
        done: asyncio.Future[Mailbox | LoginRefused] = asyncio.get_running_loop().create_future()
        logins.check(Attempt(login, password, there, "192.0.2.1", private=False), done.set_result)
        return await done

    assert asyncio.run(outcome()) == result


@pytest.mark.parametrize(
    ("login", "expected"),
    [
        ("bob@open.test", True),
        ("bob%strict.test", False),
        (" bob@STRICT.test ", False),
        ("nobody@strict.test", False),
        ("bob@nowhere.test", True),
        ("bob", True),
        ("bob@no where", True),
    ],
)
def test_a_login_tells_whether_its_password_may_come_in_clear(logins: Logins, login: str, expected: bool) -> None:
    assert logins.in_clear(login) is expected
