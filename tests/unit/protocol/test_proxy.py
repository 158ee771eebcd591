"""Headers of the PROXY protocol: each whole, octet by octet, and with the client's first words behind it."""

from __future__ import annotations

import ipaddress

import pytest

from vmaild.protocol.proxy import (
    LOCAL,
    MAX_V1,
    MAX_V2,
    NEED_MORE,
    Endpoint,
    Local,
    Proxied,
    ProxyHeader,
    ProxyHeaderError,
)

SIGNATURE = bytes.fromhex("0D0A0D0A000D0A515549540A")
CLIENT, SERVICE = Endpoint("192.168.0.1", 56324), Endpoint("192.168.0.11", 443)
CLIENT6, SERVICE6 = Endpoint("2001:db8::1", 1), Endpoint("2001:db8::2", 65535)
LONGEST = ":".join(["ffff"] * 8)
IPV4 = bytes([192, 168, 0, 1, 192, 168, 0, 11]) + (56324).to_bytes(2) + (443).to_bytes(2)
IPV6 = b"".join(ipaddress.ip_address(end.address).packed for end in (CLIENT6, SERVICE6)) + b"\0\1\xff\xff"
MAPPED = ipaddress.ip_address("::ffff:192.168.0.1").packed * 2 + IPV4[8:]
UNIX = b"/run/a".ljust(108, b"\0") + b"/run/b".ljust(108, b"\0")


def v2(command: int, family: int, data: bytes = b"") -> bytes:
    return SIGNATURE + bytes([command, family]) + len(data).to_bytes(2) + data


def vector(kind: int, value: bytes) -> bytes:
    return bytes([kind]) + len(value).to_bytes(2) + value


AUTHORITY = vector(0x02, b"mailhost.va.toto.fr")
TLS = vector(0x20, b"\x01\0\0\0\0" + vector(0x21, b"TLSv1.3"))
CLEAR = vector(0x20, b"\x00\0\0\0\0")
OTHERS = vector(0x01, b"pop3") + vector(0x03, b"\0" * 4) + vector(0x04, b"") + vector(0xE0, b"\xff" * 99)

HEADERS: list[tuple[bytes, Local | Proxied]] = [
    # Section 2.1, its example first.
    (b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n", Proxied(CLIENT, SERVICE)),
    (
        b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
        Proxied(Endpoint("255.255.255.255", 65535), Endpoint("255.255.255.255", 65535)),
    ),
    (b"PROXY TCP6 2001:DB8:0:0::1 2001:db8::2 1 65535\r\n", Proxied(CLIENT6, SERVICE6)),
    (b"PROXY TCP6 ::ffff:c0a8:1 ::ffff:192.168.0.11 56324 443\r\n", Proxied(CLIENT, SERVICE)),
    (
        f"PROXY TCP6 {LONGEST} {LONGEST} 65535 0\r\n".encode(),
        Proxied(Endpoint(LONGEST, 65535), Endpoint(LONGEST, 0)),
    ),
    (b"PROXY UNKNOWN\r\n", Proxied(None, None)),
    (b"PROXY UNKNOWN whatever \xff\r it says\r\n", Proxied(None, None)),
    (b"PROXY UNKNOWN " + b"x" * (MAX_V1 - 16) + b"\r\n", Proxied(None, None)),
    # Section 2.2.
    (v2(0x20, 0x00), LOCAL),
    (v2(0x20, 0x11, IPV4), LOCAL),
    (v2(0x20, 0xFF, b"anything"), LOCAL),
    (v2(0x21, 0x11, IPV4), Proxied(CLIENT, SERVICE)),
    (v2(0x21, 0x21, IPV6), Proxied(CLIENT6, SERVICE6)),
    (v2(0x21, 0x11, IPV4 + OTHERS), Proxied(CLIENT, SERVICE)),
    (v2(0x21, 0x11, IPV4 + AUTHORITY), Proxied(CLIENT, SERVICE, "mailhost.va.toto.fr")),
    (v2(0x21, 0x21, IPV6 + OTHERS + TLS + AUTHORITY), Proxied(CLIENT6, SERVICE6, "mailhost.va.toto.fr", tls=True)),
    (v2(0x21, 0x11, IPV4 + CLEAR), Proxied(CLIENT, SERVICE)),
    (v2(0x21, 0x11, IPV4 + vector(0x20, b"")), Proxied(CLIENT, SERVICE)),
    (v2(0x21, 0x11, IPV4 + vector(0x02, "zoé.fr".encode())), Proxied(CLIENT, SERVICE, "zoé.fr")),
    (v2(0x21, 0x21, MAPPED), Proxied(CLIENT, Endpoint("192.168.0.1", 443))),
    (v2(0x21, 0x31, UNIX + AUTHORITY + TLS), Proxied(None, None, "mailhost.va.toto.fr", tls=True)),
    (v2(0x21, 0x12, IPV4), Proxied(None, None)),
    (v2(0x21, 0x00), Proxied(None, None)),
    (v2(0x21, 0x00, b"anything"), Proxied(None, None)),
    (v2(0x21, 0x10, b"anything" * 3), Proxied(None, None)),
    (v2(0x21, 0x11, IPV4 + vector(0x04, b"x" * (MAX_V2 - 16 - 12 - 3))), Proxied(CLIENT, SERVICE)),
]


@pytest.mark.parametrize(("header", "result"), HEADERS)
@pytest.mark.parametrize("behind", [b"", b"USER bob\r\n", SIGNATURE, b"PROXY "])
def test_a_header_whole_and_octet_by_octet(header: bytes, result: Local | Proxied, behind: bytes) -> None:
    whole = ProxyHeader()
    assert whole.receive_data(header + behind) == result
    assert whole.rest == behind
    trickled = ProxyHeader()
    for index in range(len(header) - 1):
        assert trickled.receive_data(header[index : index + 1]) is NEED_MORE
    assert trickled.receive_data(header[-1:] + behind) == result
    assert trickled.rest == behind


@pytest.mark.parametrize(
    "data",
    [
        b"USER bob\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"proxy TCP4 192.168.0.1 192.168.0.11 56324 443\r\n",
        b"PROXY\r\n",
        b"PROXYTCP4 192.168.0.1 192.168.0.11 56324 443\r\n",
        b"PROXY  TCP4 192.168.0.1 192.168.0.11 56324 443\r\n",
        b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\n",
        b"PROXY TCP4 192.168.0.1 192.168.0.11 56324\r443\r\n",
        b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443 \r\n",
        b"PROXY TCP4 192.168.0.1 192.168.0.11 56324\r\n",
        b"PROXY TCP4 192.168.0.01 192.168.0.11 56324 443\r\n",
        b"PROXY TCP4 192.168.0.256 192.168.0.11 56324 443\r\n",
        b"PROXY TCP4 192.168.1 192.168.0.11 56324 443\r\n",
        b"PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n",
        b"PROXY TCP6 192.168.0.1 192.168.0.11 56324 443\r\n",
        b"PROXY TCP6 2001:db8::1%eth0 2001:db8::2 1 2\r\n",
        b"PROXY TCP6 2001:db8:::1 2001:db8::2 1 2\r\n",
        b"PROXY TCP4 192.168.0.1 192.168.0.11 056324 443\r\n",
        b"PROXY TCP4 192.168.0.1 192.168.0.11 65536 443\r\n",
        b"PROXY TCP4 192.168.0.1 192.168.0.11 -1 443\r\n",
        b"PROXY UDP4 192.168.0.1 192.168.0.11 56324 443\r\n",
        b"PROXY UNKNOWNS\r\n",
        b"PROXY UNKNOWN \n\r\n",
        b"PROXY UNKNOWN " + b"x" * (MAX_V1 - 15) + b"\r\n",
        SIGNATURE + b"\x11",
        SIGNATURE + b"\x31\x11\0\0",
        v2(0x22, 0x11, IPV4),
        v2(0x2F, 0x11, IPV4),
        v2(0x11, 0x11, IPV4),
        v2(0x21, 0x41, IPV4),
        v2(0x21, 0x13, IPV4),
        v2(0x21, 0x11, IPV4[:-1]),
        v2(0x21, 0x21, IPV4),
        v2(0x21, 0x31, UNIX[:-1]),
        v2(0x21, 0x11, IPV4 + b"\x02"),
        v2(0x21, 0x11, IPV4 + AUTHORITY[:-1]),
        v2(0x21, 0x11, IPV4 + vector(0x02, b"\xff")),
        v2(0x21, 0x11, IPV4 + vector(0x04, b"x" * (MAX_V2 - 16 - 12 - 2))),
        SIGNATURE + b"\x20\x00\xff\xff",
    ],
)
def test_what_is_no_header(data: bytes) -> None:
    data += b"\0" * MAX_V2
    with pytest.raises(ProxyHeaderError):
        take_all([data])
    with pytest.raises(ProxyHeaderError):
        take_all([data[index : index + 1] for index in range(len(data))])


def take_all(pieces: list[bytes]) -> None:
    header = ProxyHeader()
    for piece in pieces:
        assert header.receive_data(piece) is NEED_MORE


@pytest.mark.parametrize(
    ("data", "held"),
    [(b"U", 0), (b"PROXY\n", 5), (b"\r\n\r\n\0\r\nQUIT\r", 11), (b"PROXY UNKNOWN " + b"x" * 1000, MAX_V1 - 1)],
)
def test_what_is_no_header_is_told_at_the_first_octet_that_shows_it(data: bytes, held: int) -> None:
    header = ProxyHeader()
    for octet in data[:held]:
        assert header.receive_data(bytes([octet])) is NEED_MORE
    with pytest.raises(ProxyHeaderError):
        header.receive_data(data[held : held + 1])


@pytest.mark.parametrize("begun", [b"", b"PROXY TCP4 192.", SIGNATURE[:5], v2(0x21, 0x11, IPV4)[:-1]])
def test_closed_before_the_end(begun: bytes) -> None:
    header = ProxyHeader()
    if begun:
        assert header.receive_data(begun) is NEED_MORE
    with pytest.raises(ProxyHeaderError, match="closed"):
        header.receive_data(b"")
