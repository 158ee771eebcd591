"""A resolver that is dead, silent, slow, talks nonsense or lies breaks nothing, and makes no false alarm."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from tests.served import Root

Answer = Callable[[bytes], list[bytes]]


@contextmanager
def resolver(answer: Answer) -> Iterator[str]:
    """A UDP server that says this to every datagram; where it is."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))

        def serve() -> None:
            while True:
                datagram, client = server.recvfrom(4096)
                if datagram == b"stop":
                    return
                for reply in answer(datagram):
                    server.sendto(reply, client)

        thread = Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{server.getsockname()[1]}"
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stopper:
                stopper.sendto(b"stop", server.getsockname())
            thread.join()


def check(root: Root, where: str, what: str = "--all") -> dict[str, Any]:
    """The findings about DNS, by code."""
    site = root.etc / "vmail.toml"
    text = site.read_text().replace("demo = true", "demo = false")
    site.write_text(text.replace("[delivery]", '[delivery]\nrelay = ""') if "demo = false" not in text else text)
    began = time.monotonic()
    done = root.vmail("check", what, "--json", "--resolver", where, check=False)
    assert time.monotonic() - began < 60
    assert done.returncode in (0, 1)
    assert done.stderr == ""
    document = json.loads(done.stdout)
    ours = ("pop3.", "lmtp.", "socketmap.", "mta.")
    return {each["code"]: each for each in document["findings"] if not each["code"].startswith(ours)}


def silent(_: bytes) -> list[bytes]:
    return []


def slow(datagram: bytes) -> list[bytes]:
    time.sleep(0.5)
    return [dns.message.make_response(dns.message.from_wire(datagram)).to_wire()]


def random_bytes(_: bytes) -> list[bytes]:
    return [os.urandom(64), b"", b"\0" * 12]


def right_header_then_nonsense(datagram: bytes) -> list[bytes]:
    return [datagram[:2] + b"\x81\x80\0\x01\0\xff\0\xff\0\xff" + datagram[12:] + b"\xc0\x0c\xff\xff" * 9]


def answer_to_another_question(_: bytes) -> list[bytes]:
    query = dns.message.make_query("elsewhere.example.", "MX")
    return [dns.message.make_response(query).to_wire()]


def server_failure(datagram: bytes) -> list[bytes]:
    response = dns.message.make_response(dns.message.from_wire(datagram))
    response.set_rcode(dns.rcode.SERVFAIL)
    return [response.to_wire()]


def loop_of_aliases(datagram: bytes) -> list[bytes]:
    response = dns.message.make_response(dns.message.from_wire(datagram))
    name = response.question[0].name
    response.answer.append(dns.rrset.from_text(name, 60, "IN", "CNAME", "loop.example."))
    response.answer.append(dns.rrset.from_text("loop.example.", 60, "IN", "CNAME", name.to_text()))
    return [response.to_wire()]


def cut_off(datagram: bytes) -> list[bytes]:
    """Truncated, and nobody is there to be asked by TCP."""
    response = dns.message.make_response(dns.message.from_wire(datagram))
    response.flags |= dns.flags.TC
    return [response.to_wire()]


@pytest.mark.parametrize(
    "answer",
    [silent, random_bytes, right_header_then_nonsense, answer_to_another_question, server_failure, cut_off],
    ids=lambda answer: answer.__name__,
)
def test_without_a_usable_answer_dns_is_unknown_and_nothing_else(root: Root, answer: Answer) -> None:
    with resolver(answer) as where:
        found = check(root, where)
    assert {code for code in found if not code.startswith("dkim.")} == {"dns.unknown"}, found
    assert found["dns.unknown"]["severity"] == "unknown"
    assert "/etc/resolv.conf" in found["dns.unknown"]["remedy"]


def test_a_resolver_that_is_not_there(root: Root) -> None:
    assert "dns.unknown" in check(root, "127.0.0.1:9")


def test_a_loop_of_aliases_ends(root: Root) -> None:
    with resolver(loop_of_aliases) as where:
        assert "dns.unknown" in check(root, where)


def test_slow_answers_count(root: Root) -> None:
    """One at a time they come too late, so that the last ones are not waited for."""
    with resolver(slow) as where:
        found = check(root, where, "va.toto.fr")
    assert {"mx.none", "dns.unknown"} & set(found)


def lie(datagram: bytes) -> list[bytes]:
    """As providers do that sell advertisements: every name has an address."""
    response = dns.message.make_response(dns.message.from_wire(datagram))
    question = response.question[0]
    if question.rdtype == 1:
        response.answer.append(dns.rrset.from_text(question.name, 60, "IN", "A", "203.0.113.66"))
    return [response.to_wire()]


def test_a_resolver_that_lies_is_told_of(root: Root) -> None:
    with resolver(lie) as where:
        found = check(root, where)
    assert "unbound" in found["resolver.invents"]["remedy"]
