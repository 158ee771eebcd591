"""Sessions of the LMTP server, without a socket: what they ask of the directory, and where they write."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.layouts import laid_out

from vmaild.core.directory import Domain
from vmaild.core.site import Site
from vmaild.delivery.agent import Agent
from vmaild.delivery.outside import outside
from vmaild.protocol.lmtp import Dialect
from vmaild.servers import writing
from vmaild.servers.board import Board
from vmaild.servers.lmtpd import LmtpService, LmtpSession
from vmaild.store.content import Content
from vmaild.store.directory import FileDirectory
from vmaild.store.layout import Layout
from vmaild.store.maildir import MaildirStore

MESSAGE = b"Subject: x\r\n\r\nHello.\r\n.\r\n"


class Counting(FileDirectory):
    """Counts how often a domain is looked for."""

    finds = 0

    def find(self, name: str) -> Domain | None:
        self.finds += 1
        return super().find(name)


class Line(asyncio.Transport):
    """A connection to a client that reads at once."""

    def __init__(self) -> None:
        super().__init__()
        self.said = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.said += data

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 1  # so nobody looks for a socket


@pytest.fixture
def here(tmp_path: Path) -> Layout:
    where = laid_out(tmp_path)
    Path(where.definition("va.test")).write_text("")
    Path(where.passwd("va.test")).write_text("bob:x:1:1:::\nann:x:1:1:::\n")
    return where


@pytest.fixture
def service(here: Layout) -> Iterator[LmtpService]:
    agent = Agent(Counting(here), MaildirStore(here.spool), outside(here, Site(), "here.test"))
    with ThreadPoolExecutor(2) as disk, ThreadPoolExecutor(2) as elsewhere:
        yield LmtpService(agent, disk, elsewhere, here.incoming, "here.test", 0, Board.create(1, 0.0).row(0))


def held(service: LmtpService, *steps: Callable[[LmtpSession, Line], Awaitable[None]]) -> None:
    """Hold a dialogue in an event loop."""

    async def run() -> None:
        line, session = Line(), LmtpSession(service, Dialect.LMTP)
        session.connection_made(line)
        session.data_received(b"LHLO client.test\r\nMAIL FROM:<carol@example.org>\r\n")
        for step in steps:
            line.said = b""
            await step(session, line)
        session.connection_lost(None)

    asyncio.run(run())


def directory(service: LmtpService) -> Counting:
    found = service.agent._directory
    assert isinstance(found, Counting)
    return found


def test_recipients_that_came_together_are_looked_up_together(service: LmtpService) -> None:
    async def together(session: LmtpSession, line: Line) -> None:
        session.data_received(b"".join(b"RCPT TO:<%s@va.test>\r\n" % name for name in (b"bob", b"ann", b"carl")))
        assert [reply[:3] for reply in line.said.splitlines()] == [b"250", b"250", b"550"]
        assert directory(service).finds == 1

    held(service, together)


def test_an_edit_counts_for_recipients_that_come_after_it(service: LmtpService, here: Layout) -> None:
    async def before(session: LmtpSession, line: Line) -> None:
        session.data_received(b"RCPT TO:<carl@va.test>\r\n")
        assert line.said.startswith(b"550")
        with Path(here.passwd("va.test")).open("a") as file:
            file.write("carl:x:1:1:::\n")

    async def after(session: LmtpSession, line: Line) -> None:
        session.data_received(b"RCPT TO:<carl@va.test>\r\n")
        assert line.said.startswith(b"250")

    held(service, before, after)


def test_a_lone_message_is_written_at_once_as_long_as_the_disk_is_quick(
    service: LmtpService, here: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once: list[bool] = []

    async def bring(session: LmtpSession, line: Line) -> None:
        session.data_received(b"RSET\r\nMAIL FROM:<carol@example.org>\r\nRCPT TO:<bob@va.test>\r\nDATA\r\n")
        line.said = b""
        session.data_received(MESSAGE)
        at_once.append(not session.working)
        async with asyncio.timeout(20):
            while not line.said:
                await asyncio.sleep(0.001)
        assert line.said.startswith(b"250 2.0.0")

    async def on_a_slow_disk(session: LmtpSession, line: Line) -> None:
        monkeypatch.setattr(writing, "_BRIEF", 0.0)
        await bring(session, line)

    async def later(session: LmtpSession, line: Line) -> None:
        service.writing._careful_until = 0.0
        await bring(session, line)

    monkeypatch.setattr(writing, "_BRIEF", 60.0)
    held(service, bring, on_a_slow_disk, bring, later)
    assert at_once == [True, True, False, True]
    assert len([*Path(here.spool, "va.test/bob/new").iterdir()]) == 4


def test_a_message_that_cannot_be_kept_is_answered_whatever_the_reason(
    service: LmtpService, here: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    def append(_: Content, chunk: bytes) -> None:
        raise ModuleNotFoundError(f"{len(chunk)} octets need what cannot be loaded")

    async def bring(session: LmtpSession, line: Line) -> None:
        session.data_received(b"RCPT TO:<bob@va.test>\r\nDATA\r\n")
        line.said = b""
        monkeypatch.setattr(Content, "append", append)
        session.data_received(MESSAGE)
        assert line.said.startswith(b"451 4.3.0")

    held(service, bring)
    assert not Path(here.spool, "va.test/bob").exists()
