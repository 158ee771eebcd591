"""The web server: uvicorn on the supervisor's listeners, in a process of the mail user that asks the keeper."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import ssl
from typing import Any

import uvicorn
import uvloop

from vmaild.admin.overview import Recorder
from vmaild.core.site import Site
from vmaild.servers import keeper
from vmaild.servers.keeper import LENGTH, message
from vmaild.servers.patience import web_config
from vmaild.servers.tls import Certificates
from vmaild.servers.worker import Post
from vmaild.store.directory import FileDirectory
from vmaild.store.layout import Layout
from vmaild.store.rights import give_up_root
from vmaild.store.secret import form_secret
from vmaild.web.app import create_app
from vmaild.web.desk import Answered

log = logging.getLogger("vmaild.web")


class TlsUnusable(Exception):
    """A certificate is wanted, and cannot be used: without it passwords would go over the network as they are."""


class Keeper:
    """The keeper, as the web sees it: ask, and wait for the answer."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._number = 0
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._writer: asyncio.StreamWriter | None = None

    async def connect(self) -> None:
        """Begin to listen to the answers."""
        reader, self._writer = await asyncio.open_unix_connection(sock=self._channel)
        self._listening = asyncio.create_task(self._listen(reader))

    async def ask(self, request: dict[str, Any]) -> Answered:
        """Have a request carried out; see admin.desk. Raises ConnectionError when the keeper is gone."""
        if self._writer is None or self._listening.done():
            raise ConnectionError("the keeper is gone")
        self._number += 1
        number = self._number  # others ask meanwhile
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            self._writer.write(message(number, request))
            answer: Answered = await future
            return answer
        finally:
            del self._waiting[number]

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                (size,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
                number, document = json.loads(await reader.readexactly(size))
                future = self._waiting.get(number)
                if future is not None and not future.done():
                    future.set_result(document)
        finally:
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(ConnectionError("the keeper is gone"))
            # Without it nothing can be answered: a new pair is started by the supervisor.
            os.kill(os.getpid(), signal.SIGTERM)


def run(post: Post) -> None:
    """Fork: here the keeper goes on, who may read and write; the child serves the web as the mail user."""
    key = form_secret(post.layout)
    ours, theirs = socket.socketpair()
    web = os.fork()
    if web == 0:
        status = 1
        try:
            ours.close()
            give_up_root(post.site.user)
            os.umask(0o077)
            listeners = [door.listener for door in post.doors]
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(serve_web(post.layout, post.site, listeners, theirs, post.lifeline, post.ready, key))
            status = 0
        except BaseException:
            log.exception("web worker failed")
        finally:
            logging.shutdown()
            os._exit(status)
    theirs.close()
    os.close(post.ready)
    for door in post.doors:
        door.listener.close()
    Recorder(post.layout).start()
    keeper.run(ours, web, keeper.make_desk(post.layout, post.site, post.shared.failures))
    os.waitpid(web, 0)


def tls_context(layout: Layout, site: Site) -> ssl.SSLContext | None:
    """What pages are served with: the certificate of the site's web, or of the domain that a browser names.

    None: in plain text. Raises TlsUnusable.
    """
    if not site.web.certificate:
        return None
    directory = FileDirectory(layout, keep_copies=False)
    context = Certificates(directory, layout, site.web.certificate).context(None)
    if context is None:
        raise TlsUnusable(f"certificate of [web] cannot be used: {site.web.certificate}; see above")
    return context


async def serve_web(
    layout: Layout,
    site: Site,
    listeners: list[socket.socket],
    channel: socket.socket,
    lifeline: int,
    ready: int,
    key: bytes,
) -> None:
    """Serve until SIGTERM, or until the lifeline ends. Raises TlsUnusable."""
    tls = tls_context(layout, site)
    desk = Keeper(channel)
    await desk.connect()
    app = create_app(desk.ask, key=key, proxies=site.web.proxies, secure=bool(site.web.certificate))
    config = web_config(app)
    config.load()
    config.ssl = tls
    server = uvicorn.Server(config)
    loop = asyncio.get_running_loop()

    def end() -> None:
        server.should_exit = True

    def alone() -> None:
        loop.remove_reader(lifeline)
        end()

    loop.add_reader(lifeline, alone)
    os.write(ready, b"R")
    os.close(ready)
    loop.add_signal_handler(signal.SIGTERM, end)
    for listener in listeners:
        listener.setblocking(False)
    await server.serve(sockets=listeners)
