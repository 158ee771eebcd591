"""Receives connections that cannot go straight to a session: those under TLS, of proxies, of the main domain.

What has to be known before a byte of the client may be read is settled here: where the connection came to, what a
proxy says of it (its header is peeked at, so that not one byte too many is taken), whether it is for the host's
own daemon, and which certificate it is shown.
"""

from __future__ import annotations

import asyncio
import logging
import select
import socket
from collections import Counter
from contextlib import suppress

from vmaild.core.site import is_among
from vmaild.protocol.proxy import MAX_V2, NEED_MORE, Proxied, ProxyHeader, ProxyHeaderError
from vmaild.servers.arrival import Arrival, local_host
from vmaild.servers.board import Metric
from vmaild.servers.passthrough import hand_over
from vmaild.servers.pop3_service import Pop3Service
from vmaild.servers.pop3d import Pop3Session
from vmaild.servers.secured import DESCRIPTOR

log = logging.getLogger("vmaild.pop3")

HANDSHAKE_TIME = 30.0
"""Seconds for a TLS handshake, or a proxy's header."""
_AT_ONCE = 64
"""Connections accepted before other work has its turn."""
_RESPITE = 1.0
"""Seconds until the next try where nothing can be accepted: no descriptor, no memory."""


class Reception:
    """One listening socket of a worker."""

    def __init__(
        self, service: Pop3Service, listener: socket.socket, native: socket.socket | None, *, tls: bool
    ) -> None:
        """`native` leads to the process that starts the host's own daemon; None: there is no such daemon."""
        self._service = service
        self._listener = listener
        self._native = native
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._arriving: set[asyncio.Task[None]] = set()
        self._clients: Counter[str] = Counter()
        """How many connections of an address are being received."""
        self._respite: asyncio.TimerHandle | None = None
        self._open()

    def close(self) -> None:
        """Accept no more; who is being received is sent away."""
        if self._respite is not None:
            self._respite.cancel()
        self._loop.remove_reader(self._listener)
        self._listener.close()
        for task in self._arriving:
            task.cancel()

    def _open(self) -> None:
        self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                connection, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                # The connection waits on, and the socket stays readable: without a pause we would do nothing else.
                log.error("cannot accept for %g s: %s", _RESPITE, error)
                self._loop.remove_reader(self._listener)
                self._respite = self._loop.call_later(_RESPITE, self._open)
                return
            connection.setblocking(False)
            task = self._loop.create_task(self._receive(connection))
            self._arriving.add(task)
            task.add_done_callback(self._arriving.discard)

    async def _receive(self, connection: socket.socket) -> None:
        client = "somebody"
        try:
            client = local_host(connection.getpeername())
            self._clients[client] += 1
            if self._is_too_many(client):
                self._service.row.add(Metric.CONNECTIONS_REFUSED)
                raise ConnectionRefusedError(f"too many connections of {client}")
            async with asyncio.timeout(HANDSHAKE_TIME):
                arrival = await self._arrival(connection, client)
                if self._native is not None and not self._service.is_ours(arrival):
                    hand_over(self._native, connection)
                    connection.close()
                    return
                await self._begin(connection, arrival)
        except (OSError, TimeoutError, ProxyHeaderError) as error:
            log.info("connection of %s not received: %s: %s", client or "local", type(error).__name__, error)
            connection.close()
        except asyncio.CancelledError:
            connection.close()
            raise
        finally:
            self._clients -= Counter((client,))  # which leaves none that are zero

    def _is_too_many(self, client: str) -> bool:
        """Whether an address has all the connections that it may have, those counted that are no session yet."""
        service = self._service
        limit = service.site.max_connections_per_address
        many = limit and service.connections.count(client) + self._clients[client] > limit
        return bool(many) and not is_among(client, (*service.trusted, *service.site.proxies))

    async def _begin(self, connection: socket.socket, arrival: Arrival) -> None:
        service = self._service
        context = None
        if self._tls and not arrival.tls:
            context = service.certificates.context(service.directory.domain_at(arrival.here))
            if context is None:
                raise OSError(f"no certificate for {arrival.here}")
            DESCRIPTOR.set(connection.fileno())
        await self._loop.connect_accepted_socket(
            lambda: Pop3Session(service, arrival),
            connection,
            ssl=context,
            ssl_handshake_timeout=HANDSHAKE_TIME if context else None,
        )

    async def _arrival(self, connection: socket.socket, client: str) -> Arrival:
        """Who is there. Raises ProxyHeaderError, OSError."""
        here = local_host(connection.getsockname())
        proxies = self._service.site.proxies
        if not (proxies and is_among(client, proxies)):
            return Arrival(client, here)
        said = await self._header(connection)
        if said is None or said.source is None or said.destination is None:
            return Arrival(client, here)
        return Arrival(said.source.address, said.destination.address, said.authority, said.tls)

    async def _header(self, connection: socket.socket) -> Proxied | None:
        """Take a proxy's header, and nothing behind it; None: the proxy speaks for itself."""
        hung_up = select.poll()
        hung_up.register(connection, select.POLLRDHUP)
        while True:
            held = b""
            ended = bool(hung_up.poll(0))  # before the look, which then sees all that ever comes
            with suppress(BlockingIOError):
                held = connection.recv(MAX_V2 + 1, socket.MSG_PEEK)
                if not held:
                    raise ConnectionResetError("the proxy closed the connection")
            header = ProxyHeader()
            result = header.receive_data(held) if held else NEED_MORE
            if result is NEED_MORE:
                if ended:
                    raise ConnectionResetError("the proxy closed the connection in the middle of its header")
                await self._more_than(connection, len(held))
                continue
            connection.recv(len(held) - len(header.rest))
            return result if isinstance(result, Proxied) else None

    async def _more_than(self, connection: socket.socket, held: int) -> None:
        """Wait until more can be read. A socket with something in it is always readable, so then look again."""
        if held:
            await asyncio.sleep(0.01)
            return
        readable = asyncio.Event()
        self._loop.add_reader(connection, readable.set)
        try:
            await readable.wait()
        finally:
            self._loop.remove_reader(connection)
