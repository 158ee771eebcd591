"""`forward` in the home of an account."""

from __future__ import annotations

import pytest

from vmaild.address import Address, parse_address
from vmaild.core.directory import Forward, Source
from vmaild.formats.forward import parse_forward, parse_forward_target, render_forward
from vmaild.formats.parsed import FormatError

BOB = Address("bob", "va.toto.fr")
ANN, BEN = parse_address("ann@example.org"), parse_address("ben@example.org")


@pytest.mark.parametrize(
    ("text", "targets", "keep_copy"),
    [
        ("ann@example.org\n", [ANN], False),
        ("# away\nann@example.org, ben@example.org\n\\bob\n", [ANN, BEN], True),
        ("\\bob, ann@example.org", [ANN], True),
        ("bob\nann@example.org\n", [ANN], True),
        ("Bob@VA.toto.fr\nann@example.org\nann@example.org\n", [ANN], True),
        ("alice", [Address("alice", "va.toto.fr")], False),
        ('"Ann Who" <ann@example.org>\n', [ANN], False),
    ],
)
def test_what_it_says(text: str, targets: list[Address], keep_copy: bool) -> None:
    forward, findings = parse_forward(text, "f", BOB)
    assert findings == ()
    assert forward == Forward(tuple(targets), keep_copy, Source("f"))


@pytest.mark.parametrize("text", ["", "# nothing\n", "\\bob\n", "bob@va.toto.fr\n"])
def test_it_may_say_nothing(text: str) -> None:
    assert parse_forward(text, "f", BOB) == (None, ())


@pytest.mark.parametrize(
    "line", ["|/bin/sh", "/tmp/x", ":include:/etc/passwd", "\\alice", '"|/bin/sh -c x"', "a b@"]
)
def test_what_it_must_not_say(line: str) -> None:
    forward, findings = parse_forward(f"ann@example.org\n{line}\n", "f", BOB)
    assert forward == Forward((ANN,), False, Source("f"))
    assert [finding.line for finding in findings] == [2]


@pytest.mark.parametrize("forward", [Forward((ANN,)), Forward((ANN, BEN, parse_address('"a b"@x.example')), True)])
def test_what_is_written_reads_back(forward: Forward) -> None:
    for own in (BOB, Address("joe.who", "va.toto.fr")):
        found, findings = parse_forward(render_forward(forward, own), "f", own)
        assert findings == ()
        assert found == Forward(forward.targets, forward.keep_copy, Source("f"))


def test_a_target_that_is_no_address() -> None:
    with pytest.raises(FormatError):
        parse_forward_target("not an address", "va.toto.fr")
