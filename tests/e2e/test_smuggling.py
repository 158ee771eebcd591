"""SMTP smuggling: what looks like the end of the data, but is none, lets no second message in (RFC 5321 4.1.1.4).

The ends are those that servers have taken for one since December 2023 ("SMTP Smuggling", T. Longin).
"""

from __future__ import annotations

import socket

import pytest
from tests.served import PATIENCE, Root

ENDS = [
    b"\n.\n",
    b"\n.\r\n",
    b"\r.\r\n",
    b"\r\n.\n",
    b"\r\n.\r",
    b"\r.\r",
    b"\n.\r",
    b"\r\n\0.\r\n",
    b"\r\n.\0\r\n",
]
SECOND = (
    b"MAIL FROM:<evil@sender.example>\r\nRCPT TO:<alice@va.toto.fr>\r\nDATA\r\n"
    b"Subject: smuggled\r\n\r\nEvil.\r\n.\r\n"
)


@pytest.mark.parametrize("hello", [b"LHLO", b"EHLO"])
@pytest.mark.parametrize("end", ENDS, ids=repr)
def test_what_is_no_end_lets_no_second_message_in(demo: Root, hello: bytes, end: bytes) -> None:
    port = demo.lmtp if hello == b"LHLO" else demo.smtp
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as client, client.makefile("rb") as answers:
        client.sendall(
            hello + b" client.example\r\nMAIL FROM:<joe@sender.example>\r\nRCPT TO:<bob@va.toto.fr>\r\nDATA\r\n"
        )
        while not (line := answers.readline()).startswith(b"354 "):
            assert line[:1] == b"2", line
        client.sendall(b"Subject: one\r\n\r\nHello." + end + SECOND + b"QUIT\r\n")
        assert [line[:4] for line in answers.readlines()] == [b"250 ", b"221 "]
    assert demo.everything_stored() == {"bob@va.toto.fr": 1}
    (stored,) = demo.stored("bob@va.toto.fr")
    # The dot that stood at the beginning of a line is stuffing; all else is there.
    assert b"MAIL FROM:<evil@sender.example>\n" in stored
    assert stored.endswith(b"Evil.\n")


@pytest.mark.parametrize("hello", [b"LHLO", b"EHLO"])
def test_the_true_end_is_one(demo: Root, hello: bytes) -> None:
    """The same words behind CRLF.CRLF are a second message: the test above could fail."""
    port = demo.lmtp if hello == b"LHLO" else demo.smtp
    first = b" client.example\r\nMAIL FROM:<joe@sender.example>\r\nRCPT TO:<bob@va.toto.fr>\r\nDATA\r\n"
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as client, client.makefile("rb") as answers:
        client.sendall(hello + first + b"Subject: one\r\n\r\nHello.\r\n.\r\n" + SECOND + b"QUIT\r\n")
        assert answers.readlines()[-1][:4] == b"221 "
    assert demo.everything_stored() == {"bob@va.toto.fr": 1, "alice@va.toto.fr": 1}
