"""Every dialogue of pop3/ that needs no failing server, on the real one: sockets, maildirs, password files."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import os
import re
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest
import uvloop

from vmaild import __version__
from vmaild.auth.passwords import hash_password
from vmaild.core.site import Site
from vmaild.protocol.pop3_capabilities import PLAIN_POP3
from vmaild.servers.pop3_service import Pop3Service
from vmaild.servers.secured import Secured
from vmaild.servers.worker import Shared, pop3_service
from vmaild.store.directory import FileDirectory
from vmaild.store.layout import Layout

if TYPE_CHECKING:
    from tests.transcripts.dialogue import Dialogue

T = TypeVar("T")
DOMAIN, VIRTUAL, SHARED = "va.toto.fr", "127.0.0.2", "127.0.0.1"
NEEDS_MORE = re.compile(r"^(refuses-login|refuses-maildrop|unreadable|not-removed|offers):", re.MULTILINE)
DIALOGUES = [
    path
    for path in sorted((Path(__file__).parent / "pop3").glob("*.txt"))
    if not NEEDS_MORE.search(path.read_text("utf-8"))
]


class Served:
    """A POP3 service in a thread of its own, on a free port of both addresses."""

    def __init__(self, here: Layout) -> None:
        self.here = here
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        shared = Shared.create(1)
        shared.clear(0)
        service = pop3_service(self.here, Site(), FileDirectory(self.here), shared, 0)
        servers = [await self._loop.create_server(service, host, 0) for host in (VIRTUAL, SHARED)]
        self.ports = {server.sockets[0].getsockname()[0]: server.sockets[0].getsockname()[1] for server in servers}
        context = service.certificates.context(DOMAIN)
        servers.append(await self._loop.create_server(service, VIRTUAL, 0, ssl=context))
        self.tls_port = servers[-1].sockets[0].getsockname()[1]
        self._ready.set()
        await self._end.wait()
        for server in servers:
            server.close()
        service.drain(now=True)

    def hold_up(self, seconds: float) -> None:
        """Let it do nothing for a while; what comes then waits."""
        held = threading.Event()

        def hold() -> None:
            held.set()
            time.sleep(seconds)

        self._loop.call_soon_threadsafe(hold)
        assert held.wait(10)

    def __enter__(self) -> Served:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    here = Layout(str(tmp_path_factory.mktemp("root")))
    for folder in (here.definitions, here.last_good, here.spool):
        os.makedirs(folder)
    Path(here.definition(DOMAIN)).write_text(f'addresses = ["{VIRTUAL}"]\ncertificate = "/etc/vmail/va.pem"\n')
    make_certificate(Path(here.configuration, "va.pem"))
    with Served(here) as running:
        yield running


def make_certificate(path: Path) -> None:
    """A self-signed one with its key in the same file."""
    key = path.with_suffix(".key")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-subj", f"/CN={DOMAIN}", "-keyout", key, "-out", path],
        check=True, capture_output=True,
    )  # fmt: skip
    path.write_bytes(path.read_bytes() + key.read_bytes())


@pytest.fixture(params=DIALOGUES, ids=lambda path: path.stem)
def dialogue(request: pytest.FixtureRequest, parse_dialogue: Callable[[str, str], Dialogue]) -> Dialogue:
    return with_names_of_maildir(parse_dialogue(request.param.read_text("utf-8"), __version__))


def with_names_of_maildir(dialogue: Dialogue) -> Dialogue:
    """The same with unique-ids that are names of a maildir, in the order of arrival."""
    names = {
        message.uid.encode(): f"{1700000000 + number}.{hashlib.sha256(message.uid.encode()).hexdigest()[:16]}"
        for number, message in enumerate(dialogue.messages)
    }
    steps = []
    for step in dialogue.steps:
        line = step.line
        for uid, name in names.items():
            if line and step.speaker == "S":
                line = re.sub(rb"((?:\+OK )?\d+ )" + re.escape(uid), rb"\g<1>" + name.encode(), line)
        steps.append(replace(step, line=line))
    messages = [replace(message, uid=names[message.uid.encode()]) for message in dialogue.messages]
    return replace(dialogue, steps=steps, messages=messages)


def set_the_scene(here: Layout, dialogue: Dialogue) -> Path:
    login = dialogue.login.partition(b"@")[0] or b"nobody"
    Path(here.passwd(DOMAIN)).write_bytes(login + b":x:1:1:::\n")
    hashed = hash_password(dialogue.password or b"none")
    Path(here.shadow(DOMAIN)).write_bytes(login + f":{hashed}:1::::::\n".encode())
    shutil.rmtree(Path(here.spool, DOMAIN), ignore_errors=True)
    mailbox = Path(here.spool, DOMAIN, os.fsdecode(login))
    for folder in ("new", "cur", "tmp"):
        (mailbox / folder).mkdir(parents=True)
    for number, message in enumerate(dialogue.messages):
        folder, flags = ("cur", ":2,S") if number % 2 else ("new", "")
        (mailbox / folder / f"{message.uid}{flags}").write_bytes(message.content)
    return mailbox


@pytest.mark.parametrize("pipelined", [False, True], ids=["line by line", "pipelined"])
def test_the_server_says_what_the_dialogue_says(
    served: Served, dialogue: Dialogue, pipelined: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pop3Service, "settings", lambda *_, **__: PLAIN_POP3)
    mailbox = set_the_scene(served.here, dialogue)
    host = VIRTUAL if dialogue.domain else SHARED
    with socket.create_connection((host, served.ports[host]), 20) as client, client.makefile("rb") as reader:
        if pipelined:
            client.sendall(b"".join(line + b"\r\n" for line in dialogue.said_by("C")))
            client.shutdown(socket.SHUT_WR)
        for step in dialogue.steps:
            if step.speaker == "S":
                assert reader.readline() == (b"" if step.line is None else step.line + b"\r\n")
            elif step.line is not None and not pipelined:
                client.sendall(step.line + b"\r\n")
        if pipelined:
            assert reader.read() == b""
    left = {path.name.partition(":")[0] for folder in ("new", "cur") for path in (mailbox / folder).iterdir()}
    deleted = {dialogue.messages[number - 1].uid for number in dialogue.deletes}
    assert left == {message.uid for message in dialogue.messages} - deleted


def test_a_second_session_is_told_that_the_mailbox_is_in_use(served: Served) -> None:
    mailbox = Path(served.here.spool, DOMAIN, "bob")
    mailbox.mkdir(parents=True, exist_ok=True)
    Path(served.here.passwd(DOMAIN)).write_text("bob:x:1:1:::\n")
    Path(served.here.shadow(DOMAIN)).write_text(f"bob:{hash_password(b'right')}:1::::::\n")
    login = b"USER bob\r\nPASS right\r\n"
    with (
        socket.create_connection((VIRTUAL, served.ports[VIRTUAL]), 20) as one,
        socket.create_connection((VIRTUAL, served.ports[VIRTUAL]), 20) as other,
        one.makefile("rb") as first,
        other.makefile("rb") as second,
    ):
        one.sendall(login)
        assert [first.readline()[:4] for _ in range(3)] == [b"+OK "] * 3
        other.sendall(login)
        assert [second.readline()[:13] for _ in range(3)][-1] == b"-ERR [IN-USE]"
        one.sendall(b"QUIT\r\n")
        assert first.readline().startswith(b"+OK")
        other.sendall(login)
        assert [second.readline()[:4] for _ in range(2)] == [b"+OK "] * 2


def bobs_mailbox(here: Layout, *messages: bytes) -> Path:
    """Bob's, whose password is `right`, with these messages in it."""
    mailbox = Path(here.spool, DOMAIN, "bob")
    shutil.rmtree(mailbox, ignore_errors=True)
    (mailbox / "new").mkdir(parents=True)
    for number, content in enumerate(messages):
        (mailbox / "new" / f"{1700000000 + number}.bob").write_bytes(content)
    Path(here.passwd(DOMAIN)).write_text("bob:x:1:1:::\n")
    Path(here.shadow(DOMAIN)).write_text(f"bob:{hash_password(b'right')}:1::::::\n")
    return mailbox


@pytest.mark.parametrize("unsaid", [b"", b"RETR 2\r\nQUI"], ids=["after an answer", "in the middle of commands"])
def test_a_connection_cut_off_after_the_login_deletes_nothing(served: Served, unsaid: bytes) -> None:
    mailbox = bobs_mailbox(served.here, b"one\n", b"two\n" * 100_000)
    with socket.create_connection((VIRTUAL, served.ports[VIRTUAL]), 20) as client, client.makefile("rb") as reader:
        client.sendall(b"USER bob\r\nPASS right\r\nDELE 1\r\n")
        assert [reader.readline()[:3] for _ in range(4)] == [b"+OK"] * 4
        client.sendall(unsaid)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # RST, as from a dead line
    with socket.create_connection((VIRTUAL, served.ports[VIRTUAL]), 20) as client, client.makefile("rb") as reader:
        reader.readline()  # a greeting: what came before this connection has been heard, too
        client.sendall(b"USER bob\r\nPASS right\r\nLIST 1\r\n")
        assert [reader.readline() for _ in range(3)][1:] == [
            b"+OK maildrop has 2 messages (500005 octets)\r\n",
            b"+OK 1 5\r\n",
        ]
    assert len(list((mailbox / "new").iterdir())) == 2


def test_who_is_gone_before_it_is_received_is_nobody(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    """Its address is not known any more; it must not be taken for a client of this machine."""
    caplog.set_level("INFO", "vmaild")
    served.hold_up(0.2)
    for _ in range(3):
        client = socket.create_connection((VIRTUAL, served.ports[VIRTUAL]), 20)
        client.sendall(b"USER bob\r\nPASS guess\r\n")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
    with socket.create_connection((VIRTUAL, served.ports[VIRTUAL]), 20) as client, client.makefile("rb") as reader:
        client.sendall(b"QUIT\r\n")
        assert reader.readlines()[-1].endswith(b"signing off\r\n")
    assert "client=127.0.0.1" in caplog.text
    assert "client=local" not in caplog.text
    assert "login failed" not in caplog.text


@pytest.mark.parametrize(
    ("host", "login", "password"),
    [
        (VIRTUAL, b"bob", b"wrong"),
        (VIRTUAL, b"nobody", b"right"),
        (VIRTUAL, b"bob@other.test", b"right"),
        (VIRTUAL, b"bob@no where", b"right"),
        (VIRTUAL, b"locked", b"right"),
        (VIRTUAL, b"expired", b"right"),
        (VIRTUAL, b"empty", b"x"),
        (SHARED, b"bob", b"right"),
        (SHARED, b"bob@nowhere.test", b"right"),
    ],
)
def test_every_wrong_login_gets_the_same_answer(served: Served, host: str, login: bytes, password: bytes) -> None:
    hashed = hash_password(b"right")
    for domain in (DOMAIN, "other.test"):
        Path(served.here.definition(domain)).touch()
        names = ("bob", "locked", "expired", "empty")
        Path(served.here.passwd(domain)).write_text("".join(f"{name}:x:1:1:::\n" for name in names))
        Path(served.here.shadow(domain)).write_text(
            f"bob:{hashed}:1::::::\nlocked:!{hashed}:1::::::\nexpired:{hashed}:1:::::2:\nempty::1::::::\n"
        )
    with socket.create_connection((host, served.ports[host]), 20) as client, client.makefile("rb") as reader:
        client.sendall(b"USER " + login + b"\r\nPASS " + password + b"\r\n")
        answers = [reader.readline() for _ in range(3)]
        assert answers[1:] == [b"+OK send PASS\r\n", b"-ERR [AUTH] wrong login or password\r\n"]


@pytest.mark.parametrize("login", [b"bob", b"BOB", b"bob@va.toto.fr", b"bob%va.toto.fr", b"bob@VA.toto.fr."])
@pytest.mark.parametrize("host", [VIRTUAL, SHARED])
def test_a_login_may_name_its_domain(served: Served, host: str, login: bytes) -> None:
    Path(served.here.passwd(DOMAIN)).write_text("bob:x:1:1:::\n")
    Path(served.here.shadow(DOMAIN)).write_text(f"bob:{hash_password(b'right')}:1::::::\n")
    bare = b"@" not in login and b"%" not in login
    with socket.create_connection((host, served.ports[host]), 20) as client, client.makefile("rb") as reader:
        client.sendall(b"USER " + login + b"\r\nPASS right\r\nQUIT\r\n")
        answers = [reader.readline()[:4] for _ in range(4)]
        assert answers[2] == (b"-ERR" if bare and host == SHARED else b"+OK ")


def test_the_client_that_does_not_read_costs_no_memory(served: Served) -> None:
    """50 MB asked for and not read: what the server holds for it stays small."""
    set_up = Path(served.here.spool, DOMAIN, "bob", "new")
    shutil.rmtree(set_up.parent, ignore_errors=True)
    set_up.mkdir(parents=True)
    (set_up / "1.big").write_bytes(b"x" * 998 + b"\n" + (b"y" * 998 + b"\n") * 50_000)
    Path(served.here.passwd(DOMAIN)).write_text("bob:x:1:1:::\n")
    Path(served.here.shadow(DOMAIN)).write_text(f"bob:{hash_password(b'right')}:1::::::\n")
    with socket.create_connection((VIRTUAL, served.ports[VIRTUAL]), 20) as client, client.makefile("rb") as reader:
        before = resident()
        client.sendall(b"USER bob\r\nPASS right\r\n" + b"RETR 1\r\n" * 20)
        assert [reader.readline()[:4] for _ in range(3)] == [b"+OK "] * 3
        line = reader.readline()
        assert line == b"+OK 50001000 octets\r\n"
        asyncio.run(asyncio.sleep(0.5))
        assert resident() - before < 20_000_000
        octets = 0
        while (line := reader.readline()) != b".\r\n":
            octets += len(line)
        assert octets == 50_001_000


@pytest.mark.parametrize("hangs_up", [False, True], ids=["close_notify", "close_notify and FIN"])
def test_what_came_before_a_close_notify_is_answered(served: Served, hangs_up: bool) -> None:
    """Also what has to wait for a hash: the event loop would close before that is done."""
    mailbox = bobs_mailbox(served.here, b"one\n", b"two\n")
    trusting = ssl.create_default_context(cafile=f"{served.here.configuration}/va.pem")
    received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = trusting.wrap_bio(received, sent, server_hostname=DOMAIN)
    with socket.create_connection((VIRTUAL, served.tls_port), 20) as client:
        until_done(tls.do_handshake, client, received, sent)
        assert until_done(tls.read, client, received, sent).startswith(b"+OK Virtual")
        tls.write(b"USER bob\r\nPASS right\r\nDELE 1\r\nQUIT\r\n")
        with suppress(ssl.SSLWantReadError):
            tls.unwrap()
        client.sendall(sent.read())  # in one piece with the close_notify
        if hangs_up:
            client.shutdown(socket.SHUT_WR)
        said = b""
        while said.count(b"\n") < 4:
            said += until_done(tls.read, client, received, sent)
        until_done(tls.unwrap, client, received, sent)  # the server's own
        assert client.recv(1) == b""
    assert [line[:12] for line in said.splitlines()] == [
        b"+OK send PAS",
        b"+OK maildrop",
        b"+OK message ",
        b"+OK Virtual ",
    ]
    assert [file.name for file in (mailbox / "new").iterdir()] == ["1700000001.bob"]


def test_tls_leaves_nothing_to_be_collected(served: Served) -> None:
    """A connection has some 40 kB, which must not wait for a collection; the server is in this process."""
    bobs_mailbox(served.here)
    trusting = ssl.create_default_context(cafile=f"{served.here.configuration}/va.pem")
    gc.collect()
    gc.disable()
    try:
        for said in (b"QUIT\r\n", b"USER bob\r\nPASS right\r\nQUIT\r\n", b"NOOP\r\n"):
            with trusting.wrap_socket(
                socket.create_connection((VIRTUAL, served.tls_port), 20), server_hostname=DOMAIN
            ) as client:
                client.sendall(said)
                assert client.recv(1000).startswith(b"+OK")
                if said.endswith(b"QUIT\r\n"):
                    while client.recv(1000):
                        pass
        end = time.monotonic() + 5
        while left := [each for each in gc.get_objects() if isinstance(each, Secured)]:
            assert time.monotonic() < end, f"{len(left)} are left"
            del left
            time.sleep(0.01)
    finally:
        gc.enable()


def until_done(step: Callable[[], T], client: socket.socket, received: ssl.MemoryBIO, sent: ssl.MemoryBIO) -> T:
    """Carry out a step of TLS, with as much of the other side as it wants."""
    while True:
        try:
            return step()
        except ssl.SSLWantReadError:
            pass
        finally:
            if sent.pending:
                client.sendall(sent.read())
        data = client.recv(65536)
        assert data, "closed"
        received.write(data)


def resident() -> int:
    """Bytes of memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
