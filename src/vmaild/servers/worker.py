"""One worker process: an event loop that serves POP3, or LMTP with its SMTP dialect.

It ends when it is told to (SIGTERM) or when its supervisor is gone, and lets sessions in progress finish first.
"""

from __future__ import annotations

import asyncio
import grp
import logging
import os
import pwd
import resource
import signal
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum

import uvloop

from vmaild.core.site import Site
from vmaild.delivery.agent import Agent
from vmaild.protocol.lmtp import Dialect
from vmaild.servers.lmtpd import LmtpService
from vmaild.servers.pop3d import Pop3Service
from vmaild.store.directory import FileDirectory
from vmaild.store.layout import Layout
from vmaild.store.maildir import MaildirStore

log = logging.getLogger("vmaild.worker")

DRAIN_TIME = 30.0
"""Seconds that sessions in progress are given to finish."""
_SWEEP = 5.0
"""Seconds between looks for silent clients."""
_WRITERS = 16
"""Messages written to disk at the same time: most of the time they wait for it."""
_READERS = 4


class Role(Enum):
    """What a worker serves."""

    POP3 = "pop3"
    LMTP = "lmtp"


@dataclass(frozen=True, slots=True)
class Door:
    """A listening socket and what is spoken there."""

    listener: socket.socket
    protocol: Role | Dialect


Service = Pop3Service | LmtpService


def run(
    layout: Layout, site: Site, directory: FileDirectory, doors: Sequence[Door], lifeline: int, ready: int
) -> None:
    """Serve until SIGTERM, or until `lifeline` (a pipe from the supervisor) ends; one byte on `ready` when up."""
    give_up_root(site.user)
    os.umask(0o077)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(layout, site, directory, doors, lifeline, ready))


def give_up_root(user: str) -> None:
    """Become the mail user, for good; without one, or when not root, stay who we are."""
    if not user or os.geteuid() != 0:
        return
    entry = pwd.getpwnam(user)
    os.setgroups([group.gr_gid for group in grp.getgrall() if user in group.gr_mem])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


def pop3_service(layout: Layout, directory: FileDirectory) -> Pop3Service:
    """The POP3 service of one process."""
    return Pop3Service(
        directory,
        MaildirStore(layout.spool),
        hashing=ThreadPoolExecutor(max(2, os.cpu_count() or 1), "hash"),
        disk=ThreadPoolExecutor(_READERS, "disk"),
    )


def lmtp_service(layout: Layout, site: Site, directory: FileDirectory) -> LmtpService:
    """The LMTP service of one process."""
    agent = Agent(directory, MaildirStore(layout.spool), defer_over_quota=site.delivery.over_quota == "defer")
    writers = ThreadPoolExecutor(_WRITERS, "disk")
    return LmtpService(agent, writers, layout.incoming, _hostname(), site.delivery.max_size)


def _hostname() -> str:
    """The name that greetings and Received fields bear."""
    full = socket.getfqdn()
    return socket.gethostname() if full.startswith("localhost") else full


async def _serve(
    layout: Layout, site: Site, directory: FileDirectory, doors: Sequence[Door], lifeline: int, ready: int
) -> None:
    loop = asyncio.get_running_loop()
    ending = asyncio.Event()
    hurry = asyncio.Event()
    services: list[Service] = []
    pop3, lmtp = None, None
    servers = []
    for door in doors:
        factory: Callable[[], asyncio.Protocol]
        if isinstance(door.protocol, Dialect):
            if lmtp is None:
                lmtp = lmtp_service(layout, site, directory)
                services.append(lmtp)
            factory = lmtp.protocol(door.protocol)
        else:
            if pop3 is None:
                pop3 = pop3_service(layout, directory)
                services.append(pop3)
            factory = pop3
        servers.append(await loop.create_server(factory, sock=door.listener))

    def told_to_end() -> None:
        (hurry if ending.is_set() else ending).set()

    def supervisor_gone() -> None:
        loop.remove_reader(lifeline)
        ending.set()

    loop.add_signal_handler(signal.SIGTERM, told_to_end)
    loop.add_reader(lifeline, supervisor_gone)
    os.write(ready, b"R")
    os.close(ready)
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
