from __future__ import annotations

import socket
import ssl
from contextvars import copy_context

import pytest

from vmaild.servers.secured import DESCRIPTOR, Context


def begin(descriptor: int | None) -> tuple[ssl.SSLObject, ssl.MemoryBIO]:
    """The server's end of TLS on a connection, and what it reads from."""
    received = ssl.MemoryBIO()
    context = Context(ssl.PROTOCOL_TLS_SERVER)

    def wrapped() -> ssl.SSLObject:
        if descriptor is not None:
            DESCRIPTOR.set(descriptor)
        return context.wrap_bio(received, ssl.MemoryBIO(), server_side=True)

    return copy_context().run(wrapped), received


TLS_1_0 = b"\x16\x03\x01\0\x2d\x01\0\0\x29\x03\x01" + bytes(33) + b"\0\x02\0\x2f\x01\0"
"""A ClientHello that knows nothing newer (RFC 2246 section 7.4.1.2)."""


def test_who_cannot_be_spoken_to_is_told_why() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        tls, received = begin(ours.fileno())
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        with pytest.raises(BlockingIOError):
            theirs.recv(1)
        received.write(TLS_1_0)
        with pytest.raises(ssl.SSLError, match=r"(?i)version|protocol"):
            tls.do_handshake()
        alert = theirs.recv(100)
        assert (alert[0], alert[5:]) == (21, bytes([2, 70])), "fatal, protocol_version (RFC 8446 section 6.2)"


def test_a_connection_that_is_not_known_or_gone_changes_no_failure() -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    with ours:
        for descriptor in (None, ours.fileno()):
            tls, received = begin(descriptor)
            received.write(b"nonsense\r\n")
            with pytest.raises(ssl.SSLError):
                tls.do_handshake()
