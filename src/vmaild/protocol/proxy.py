"""The PROXY protocol, version 1 and 2: who a proxy's client is (HAProxy's proxy-protocol.txt).

A proxy says it once, before the first byte of the client. `ProxyHeader` takes what is read, in whatever pieces:

    header = ProxyHeader()
    while (result := header.receive_data(data)) is NEED_MORE:
        ...                         # read more; give up after a few seconds
    # header.rest is what the client said already

Ask for it only where the settings name the proxy: a client that is believed could claim any address. The
checksum of version 2 is not verified: it is optional, and TCP has its own.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

MAX_V1 = 107
"""Octets of a header of version 1 with its CRLF (section 2.1)."""
MAX_V2 = 2048
"""Octets of a header of version 2. Section 2 has senders keep to 536; a client's certificate may take more."""


class ProxyHeaderError(ValueError):
    """What came is not a header that we take: close the connection. The text says why, for the log."""


class Incomplete(Enum):
    """Why there is no result yet."""

    NEED_MORE = "the header is not complete"


NEED_MORE: Final = Incomplete.NEED_MORE


@dataclass(frozen=True, slots=True)
class Local:
    """The proxy speaks for itself, such as to see whether we live: the socket's own addresses hold."""


LOCAL: Final = Local()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One end of the client's connection to the proxy."""

    address: str
    """Canonical; IPv4 mapped into IPv6 is the IPv4 address."""
    port: int


@dataclass(frozen=True, slots=True)
class Proxied:
    """A connection that the proxy took for us."""

    source: Endpoint | None
    """The client. None: not known, and the socket's own addresses hold (UNKNOWN, UNSPEC, UNIX)."""
    destination: Endpoint | None
    """Where the client connected to. None together with the source."""
    authority: str | None = None
    """The host name that the client asked for: of TLS, its SNI. As sent, neither checked nor canonical."""
    tls: bool = False
    """Whether the client speaks TLS with the proxy."""


class ProxyHeader:
    """Reads one header, and nothing behind it."""

    __slots__ = ("rest",)

    def __init__(self) -> None:
        self.rest = b""
        """Until there is a result: what is held of the header. Then: what came behind it."""

    def receive_data(self, data: bytes) -> Incomplete | Local | Proxied:
        """Take what was read; after a result, call it no more.

        Raises ProxyHeaderError as soon as no header can come of it; also for an empty `data`, which says that
        the proxy closed the connection.
        """
        if not data:
            raise ProxyHeaderError("closed before the header was complete")
        held = self.rest + data
        length = _length(held)
        if length is None or len(held) < length:
            self.rest = held
            return NEED_MORE
        header, self.rest = held[:length], held[length:]
        return _parse_v2(header) if header.startswith(_SIGNATURE) else _parse_v1(header)


def _length(held: bytes) -> int | None:
    """Octets of the header that begins with these; None: not to be told yet. Raises ProxyHeaderError."""
    if held.startswith(_SIGNATURE[: len(held)]):
        if len(held) < _FIXED:
            return None
        length = _FIXED + int.from_bytes(held[14:16])
        if length > MAX_V2:
            raise ProxyHeaderError(f"a header of {length} octets")
        return length
    if not held.startswith(_KEYWORD[: len(held)]):
        raise ProxyHeaderError("no PROXY header")
    end = held.find(b"\n", 0, MAX_V1)
    if end < 0 and len(held) < MAX_V1:
        return None
    if end < 0 or held[end - 1 : end] != b"\r":  # section 2.1: neither CR nor LF alone ends the line
        raise ProxyHeaderError("the header does not end")
    return end + 1


# Version 1: a line of text (section 2.1).

_KEYWORD = b"PROXY "
_LINE = re.compile(rb"PROXY TCP([46]) ([0-9A-Fa-f.:]+) ([0-9A-Fa-f.:]+) (0|[1-9]\d{0,4}) (0|[1-9]\d{0,4})\r\n")
_UNKNOWN_LINE = re.compile(rb"PROXY UNKNOWN(?: .*)?\r\n", re.DOTALL)


def _parse_v1(header: bytes) -> Proxied:
    if _UNKNOWN_LINE.fullmatch(header):
        return Proxied(None, None)  # whatever it says besides is to be ignored
    line = _LINE.fullmatch(header)
    if line is None:
        raise ProxyHeaderError("a header of version 1 that is none")
    version, source, destination, source_port, destination_port = (part.decode("ascii") for part in line.groups())
    return Proxied(
        _endpoint(version, source, int(source_port)), _endpoint(version, destination, int(destination_port))
    )


def _endpoint(version: str, address: str, port: int) -> Endpoint:
    try:
        parsed = ipaddress.IPv4Address(address) if version == "4" else ipaddress.IPv6Address(address)
    except ValueError:
        raise ProxyHeaderError(f"not an IPv{version} address: {address}") from None
    if port > 0xFFFF:
        raise ProxyHeaderError(f"not a port: {port}")
    return Endpoint(_canonical(parsed), port)


# Version 2: binary (section 2.2).

_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_FIXED = 16
_COMMAND_LOCAL, _COMMAND_PROXY = 0x20, 0x21  # the upper half is the version
_UNSPEC, _INET, _INET6, _UNIX = 0, 1, 2, 3
_ADDRESS_OCTETS = {_UNSPEC: 0, _INET: 4, _INET6: 16, _UNIX: 108}
_STREAM, _DGRAM = 1, 2
_TYPE_AUTHORITY, _TYPE_SSL = 0x02, 0x20
_CLIENT_SSL = 0x01


def _parse_v2(header: bytes) -> Local | Proxied:
    command, family, transport = header[12], header[13] >> 4, header[13] & 0x0F
    if command == _COMMAND_LOCAL:
        return LOCAL  # its addresses, if any, are to be ignored
    if command != _COMMAND_PROXY:
        raise ProxyHeaderError(f"version and command 0x{command:02x}")
    if family not in _ADDRESS_OCTETS or transport > _DGRAM:
        raise ProxyHeaderError(f"family and transport 0x{header[13]:02x}")
    octets = _ADDRESS_OCTETS[family]
    ports = 2 if family in (_INET, _INET6) else 0
    end = _FIXED + 2 * (octets + ports)
    if len(header) < end:
        raise ProxyHeaderError("addresses cut short")
    # Without a family or a transport, the addresses cannot be told from what follows them.
    authority, tls = _parse_vectors(header[end:]) if family and transport else (None, False)
    if not ports or transport != _STREAM:
        return Proxied(None, None, authority, tls)
    addresses = [header[at : at + octets] for at in (_FIXED, _FIXED + octets)]
    numbers = [int.from_bytes(header[at : at + 2]) for at in (end - 4, end - 2)]
    source, destination = (
        Endpoint(_canonical(ipaddress.ip_address(address)), port)
        for address, port in zip(addresses, numbers, strict=True)
    )
    return Proxied(source, destination, authority, tls)


def _parse_vectors(data: bytes) -> tuple[str | None, bool]:
    """The authority and whether the client speaks TLS, of type-length-value vectors; others are passed over."""
    authority, tls = None, False
    while data:
        length = int.from_bytes(data[1:3])
        value = data[3 : 3 + length]
        if len(data) < 3 + length:
            raise ProxyHeaderError("a vector cut short")
        if data[0] == _TYPE_AUTHORITY:
            try:
                authority = value.decode("utf-8")
            except UnicodeDecodeError:
                raise ProxyHeaderError("an authority that is not UTF-8") from None
        elif data[0] == _TYPE_SSL:
            tls = bool(value[:1] and value[0] & _CLIENT_SSL)
        data = data[3 + length :]
    return authority, tls


def _canonical(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    return str(getattr(address, "ipv4_mapped", None) or address)
