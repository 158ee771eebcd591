"""TLS as an event loop drives it, but that it says why it fails and that it may be ended from one side.

uvloop, as asyncio, closes a connection whose handshake fails without sending the alert that tells its client why
(RFC 8446 section 6.2); and it stops writing as soon as it has read a close_notify, although that ends only one
direction (section 6.1). Both are mended here, in what the loop asks for TLS: ssl.SSLContext and ssl.SSLObject.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

DESCRIPTOR: ContextVar[int] = ContextVar("DESCRIPTOR")
"""Of the connection that the current task begins TLS on. It is written to only while its handshake goes on."""


class Secured(ssl.SSLObject):
    """The TLS of one connection."""

    domain: str | None = None
    """That the client named in its handshake."""
    on_close: Callable[[], object] | None = None
    """Set: a close_notify is not shown to who reads, this is called instead, once; within `read`, before what came
    ahead of it is handed over. Whoever set it answers what was said, and closes."""
    _told = False
    _outgoing: ssl.MemoryBIO
    _descriptor = -1

    def read(self, size: int = 1024, buffer: WriteableBuffer | None = None, /) -> bytes:
        """As SSLObject has it; see on_close."""
        got = super().read(size, buffer)
        if got or self.on_close is None:
            return got
        if not self._told:
            self._told = True
            self.on_close()
        raise ssl.SSLWantReadError

    def do_handshake(self) -> None:
        """As SSLObject has it; before it fails, the client is told why."""
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError:
            if self._descriptor >= 0:
                with suppress(OSError):  # it need not be there to hear it
                    os.write(self._descriptor, self._outgoing.read())
            raise

    def over(self, outgoing: ssl.MemoryBIO, descriptor: int) -> None:
        """Note where what is to be sent is put, and the connection to send it on (-1: not known)."""
        self._outgoing, self._descriptor = outgoing, descriptor


class Context(ssl.SSLContext):
    """The settings of a server whose connections are Secured."""

    sslobject_class = Secured

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """As SSLContext has it."""
        made = super().wrap_bio(incoming, outgoing, server_side, server_hostname, session)
        if isinstance(made, Secured):
            made.over(outgoing, DESCRIPTOR.get(-1))
        return made


def server_context(file: str) -> Context:
    """What a server needs that has its certificates and its key in one file. Raises OSError (ssl.SSLError)."""
    # As ssl.create_default_context(Purpose.CLIENT_AUTH) has it, which makes no others than its own.
    context = Context(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context
