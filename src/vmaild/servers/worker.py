"""One worker process: an event loop that serves POP3, or LMTP with its SMTP dialect, or maps.

It ends when it is told to (SIGTERM) or when its supervisor is gone, and lets sessions in progress finish first.
"""

from __future__ import annotations

import asyncio
import codecs
import logging
import os
import pwd
import resource
import signal
import socket
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias, cast

import uvloop

from vmaild.auth.cache import VerifiedPasswords
from vmaild.auth.connections import Connections
from vmaild.auth.throttle import Slots, Throttle
from vmaild.core.site import DRAIN_TIME, Site
from vmaild.servers.board import Board, Row
from vmaild.servers.logins import Logins, hashing_threads
from vmaild.servers.pop3_service import Pop3Service
from vmaild.servers.reception import Reception
from vmaild.servers.tls import Certificates
from vmaild.store.directory import FileDirectory
from vmaild.store.layout import Layout
from vmaild.store.maildir import MaildirStore
from vmaild.store.rights import acting_as, give_up_root
from vmaild.store.unanswered import Unanswered

if TYPE_CHECKING:
    from vmaild.servers.lmtpd import LmtpService
    from vmaild.servers.maps import MapService

log = logging.getLogger("vmaild.worker")

_SWEEP = 5.0
"""Seconds between looks for silent clients."""
_WRITERS = 16
"""Messages written to disk at the same time: most of the time they wait for it."""
_SENDERS = 64
"""Messages on their way to a relay or a program at the same time: the others wait for neither."""
_READERS = 4


class Role(Enum):
    """What a worker serves."""

    NATIVE = "passthrough"
    """Nothing itself: it starts the host's own POP3 daemon, as root."""
    POP3 = "pop3"
    WEB = "web"
    """The web pages and the API, and a keeper who reads and writes for them."""
    LMTP = "lmtp"
    """And SMTP."""
    MAPS = "maps"
    """What the MTA asks: which domains and recipients there are."""


class Speech(Enum):
    """What is spoken at a listening socket, and who serves it."""

    POP3 = Role.POP3
    POP3S = (Role.POP3, "TLS from the start")
    LMTP = Role.LMTP
    SMTP = (Role.LMTP, "as SMTP has it")
    SOCKETMAP = Role.MAPS
    WEB = Role.WEB
    METRICS = (Role.LMTP, "metrics")
    """This and the live view are told by the workers of POP3 where there are none of LMTP."""
    LIVE_VIEW = (Role.LMTP, "live view")

    @property
    def role(self) -> Role:
        """Whose it is."""
        return self.value if isinstance(self.value, Role) else self.value[0]


@dataclass(frozen=True, slots=True)
class Door:
    """A listening socket and what is spoken there."""

    listener: socket.socket
    speech: Speech


@dataclass(frozen=True, slots=True)
class Shared:
    """Memory that all workers of a machine have in common, made before they are forked."""

    board: Board
    connections: Connections
    failures: Slots

    @classmethod
    def create(cls, rows: int) -> Shared:
        """For as many workers at the same time."""
        return cls(Board.create(rows, time.time()), Connections.create(rows), Slots.create())

    def clear(self, row: int) -> None:
        """Make a row ready for its next worker."""
        self.board.clear(row)
        self.connections.clear(row)


@dataclass(frozen=True, slots=True)
class Post:
    """All that a worker is told."""

    layout: Layout
    site: Site
    directory: FileDirectory
    shared: Shared
    row: int
    """Its own of the shared memory."""
    doors: Sequence[Door]
    lifeline: int
    """A pipe that ends when the supervisor is gone."""
    ready: int
    """A pipe that takes one byte once the worker serves."""
    native: socket.socket | None = None
    """Leads to the process that starts the host's own POP3 daemon; None: there is none."""


Service: TypeAlias = "Pop3Service | LmtpService | MapService"


def run(post: Post) -> None:
    """Serve until SIGTERM, or until the lifeline ends."""
    give_up_root(post.site.user)
    os.umask(0o077)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(post))


class ServeError(Exception):
    """The servers cannot be started; the text says why and what to do."""


def check_user(user: str) -> None:
    """See that the mail user exists and can run Python, before workers become it. Raises ServeError."""
    if not user:
        return
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise ServeError(
            f"there is no user {user}, whom vmail.toml names; create it (adduser --system --group {user}), "
            "or set site.user to another"
        ) from None
    try:
        if os.geteuid() == 0:
            with acting_as((entry.pw_uid, entry.pw_gid)):
                os.stat(os.__file__)
    except PermissionError:
        # What is loaded only when it is needed would be missing then, and nobody would think of this.
        log.warning(
            "%s cannot read %s: some mail would be deferred; install vmaild with a Python that all users can read",
            user,
            os.__file__,
        )


def pop3_service(layout: Layout, site: Site, directory: FileDirectory, shared: Shared, row: int) -> Pop3Service:
    """The POP3 service of one process."""
    mine = shared.board.row(row)
    logins = Logins(
        directory,
        hashing_threads(),
        Throttle(shared.failures, site.auth),
        mine,
        VerifiedPasswords() if site.auth.cache else None,
        site.pop3.login_delay,
    )
    return Pop3Service(
        directory,
        MaildirStore(layout.spool),
        logins,
        ThreadPoolExecutor(_READERS, "disk"),
        Certificates(directory, layout, site.pop3.certificate),
        shared.connections,
        mine,
        row,
        site.pop3,
        site.auth.trusted,
    )


def lmtp_service(layout: Layout, site: Site, directory: FileDirectory, row: Row) -> LmtpService:
    """The LMTP service of one process."""
    from vmaild.delivery.agent import Agent  # noqa: PLC0415  what delivers is no weight on those that do not
    from vmaild.delivery.outside import outside  # noqa: PLC0415  likewise
    from vmaild.servers.lmtpd import LmtpService  # noqa: PLC0415  likewise

    notes = Unanswered(layout.unanswered)
    agent = Agent(
        directory,
        MaildirStore(layout.spool, notes),
        outside(layout, site, _hostname(), notes),
        defer_over_quota=site.delivery.over_quota == "defer",
    )
    writers, senders = ThreadPoolExecutor(_WRITERS, "disk"), ThreadPoolExecutor(_SENDERS, "outside")
    for pool in (writers, senders):
        pool.submit(int).result()  # one thread of each is there, also when later no more are to be had
    return LmtpService(agent, writers, senders, layout.incoming, _hostname(), site.delivery.max_size, row)


def _hostname() -> str:
    """The name that greetings and Received fields bear."""
    full = socket.getfqdn()
    return socket.gethostname() if full.startswith("localhost") else full


def _service(post: Post) -> Service:
    """What a worker's doors lead to."""
    spoken = {door.speech for door in post.doors}
    if spoken & {Speech.POP3, Speech.POP3S}:
        return pop3_service(post.layout, post.site, post.directory, post.shared, post.row)
    if Speech.SOCKETMAP in spoken:
        from vmaild.servers.maps import MapService  # noqa: PLC0415  no weight on those that serve none

        return MapService(post.directory)
    return lmtp_service(post.layout, post.site, post.directory, post.shared.board.row(post.row))


def preload(spoken: Collection[Speech]) -> None:
    """Load what only some workers need, before these are forked, so that they share it."""
    if not {Speech.LMTP, Speech.SMTP}.isdisjoint(spoken):
        from vmaild.delivery import agent, outside  # noqa: F401, PLC0415  loading is all that is wanted
        from vmaild.servers import lmtpd  # noqa: F401, PLC0415  likewise

        codecs.lookup("idna")  # of names of hosts; the mail user may lack the right to read the library
    if Speech.SOCKETMAP in spoken:
        from vmaild.servers import maps  # noqa: F401, PLC0415  likewise


async def _serve(post: Post) -> None:
    loop = asyncio.get_running_loop()
    ending = asyncio.Event()
    hurry = asyncio.Event()
    services: list[Service] = [_service(post)]
    servers = [await _open(door, services[0], post) for door in post.doors]

    def told_to_end() -> None:
        (hurry if ending.is_set() else ending).set()

    def supervisor_gone() -> None:
        loop.remove_reader(post.lifeline)
        ending.set()

    loop.add_signal_handler(signal.SIGTERM, told_to_end)
    loop.add_reader(post.lifeline, supervisor_gone)
    os.write(post.ready, b"R")
    os.close(post.ready)
    sweeping = loop.create_task(_sweep(services))
    await ending.wait()
    sweeping.cancel()
    for server in servers:
        server.close()
    for service in services:
        service.drain(now=False)
    await _until_quiet(services, hurry)
    for service in services:
        service.drain(now=True)
    # What drain wrote is still to be sent; a client that does not read it gets no more than this.
    await _until_quiet(services, hurry, 1.0)


async def _open(door: Door, service: Service, post: Post) -> asyncio.AbstractServer | Reception:
    """Serve at a door: by the event loop itself, or where more has to be settled first, by a reception."""
    settled_first = post.native is not None or post.site.pop3.proxies
    if isinstance(service, Pop3Service) and (
        door.speech is Speech.POP3S or (door.speech is Speech.POP3 and settled_first)
    ):
        return Reception(service, door.listener, post.native, tls=door.speech is Speech.POP3S)
    loop = asyncio.get_running_loop()
    return await loop.create_server(_factory(door.speech, service, post.shared), sock=door.listener)


def _factory(speech: Speech, service: Service, shared: Shared) -> Callable[[], asyncio.Protocol]:
    """What makes the protocol of a new connection."""
    match speech:
        case Speech.METRICS | Speech.LIVE_VIEW:
            return lambda: _told(speech, shared.board)
        case Speech.LMTP | Speech.SMTP:
            from vmaild.protocol.lmtp import Dialect  # noqa: PLC0415  only where it is spoken

            return cast("LmtpService", service).protocol(Dialect[speech.name])
    return cast("Pop3Service | MapService", service)


def _told(speech: Speech, board: Board) -> asyncio.Protocol:
    """What answers a connection that wants to know what the board says."""
    from vmaild.servers.metrics import live_view, metrics_page  # noqa: PLC0415  loaded when somebody asks

    return (metrics_page if speech is Speech.METRICS else live_view)(board)()


async def _sweep(services: Sequence[Service]) -> None:
    while True:
        await asyncio.sleep(_SWEEP)
        for service in services:
            service.log_out_the_silent()


async def _until_quiet(services: Sequence[Service], hurry: asyncio.Event, seconds: float = DRAIN_TIME) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while any(service.sessions for service in services) and loop.time() < end and not hurry.is_set():
        await asyncio.sleep(0.02)
        for service in services:
            service.drain(now=False)
