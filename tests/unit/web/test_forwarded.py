"""What reverse proxies say is believed of those that are named, from behind, and of nobody else."""

from __future__ import annotations

import pytest
from starlette.datastructures import Headers

from vmaild.web.forwarded import Forwarded, forwarded

PROXIES = ("127.0.0.0/8", "::1", "10.0.0.7")


def by(peer: str, *lines: tuple[str, str]) -> Forwarded:
    raw = [(name.lower().encode(), value.encode()) for name, value in lines]
    return forwarded(peer, Headers(raw=raw), PROXIES)


@pytest.mark.parametrize(
    ("peer", "lines", "client"),
    [
        ("198.51.100.7", (), "198.51.100.7"),
        ("198.51.100.7", ("203.0.113.1",), "198.51.100.7"),
        ("127.0.0.1", (), "127.0.0.1"),
        ("127.0.0.1", ("203.0.113.1",), "203.0.113.1"),
        ("::ffff:127.0.0.1", ("::ffff:203.0.113.1",), "203.0.113.1"),
        # What the client said of itself stands in front.
        ("127.0.0.1", ("192.0.2.66, 203.0.113.1",), "203.0.113.1"),
        ("127.0.0.1", ("127.0.0.1, 203.0.113.1",), "203.0.113.1"),
        ("127.0.0.1", ("192.0.2.66,203.0.113.1 ",), "203.0.113.1"),
        # Some proxies add a line of their own behind the client's.
        ("127.0.0.1", ("192.0.2.66", "203.0.113.1"), "203.0.113.1"),
        # A proxy before a proxy.
        ("127.0.0.1", ("192.0.2.66, 203.0.113.1, 10.0.0.7",), "203.0.113.1"),
        ("127.0.0.1", ("10.0.0.7",), "10.0.0.7"),
        ("127.0.0.1", ("192.0.2.66, 10.0.0.8",), "10.0.0.8"),
        ("127.0.0.1", ("203.0.113.1:4711",), "203.0.113.1"),
        ("127.0.0.1", ("[2001:db8::1]:4711",), "2001:db8::1"),
        ("127.0.0.1", ("2001:DB8:0::1",), "2001:db8::1"),
        # A made-up word is no address, and must not stand for a new one at every guess.
        ("127.0.0.1", ("192.0.2.66, unknown",), "127.0.0.1"),
        ("127.0.0.1", ("", ","), "127.0.0.1"),
        ("unix:", ("203.0.113.1",), "unix:"),
    ],
)
def test_the_client_is_the_first_from_behind_that_is_no_proxy(
    peer: str, lines: tuple[str, ...], client: str
) -> None:
    assert by(peer, *(("X-Forwarded-For", line) for line in lines)).client == client


@pytest.mark.parametrize("peer", ["127.0.0.1", "10.0.0.7", "10.0.0.8"])
def test_host_and_scheme_are_those_that_the_last_proxy_says(peer: str) -> None:
    lines = (
        ("X-Forwarded-Host", "evil.example, mailhost.va.toto.fr:8443"),
        ("X-Forwarded-Proto", "http"),
        ("X-Forwarded-Proto", "HTTPS"),
    )
    found = by(peer, *lines)
    believed = ("mailhost.va.toto.fr:8443", "https")
    assert (found.host, found.scheme) == (believed if peer != "10.0.0.8" else ("", ""))
