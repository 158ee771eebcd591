"""What holds of LMTP whatever the client sends, and however the network cuts it.

- Where the stream is cut makes no difference to what is understood and what is answered.
- Nothing that a client sends raises an exception or makes a reply that is not one.
- Content survives the way from our client's encoder through our server's decoder; so do addresses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from vmaild.outcome import Condition, Deferred, Delivered, Outcome, Rejected
from vmaild.protocol.data import TERMINATOR, DataDecoder
from vmaild.protocol.lmtp import (
    Connection,
    ConnectionClosed,
    ContentChunk,
    ContentEnded,
    DataStarted,
    Dialect,
    Event,
    MailFrom,
    Ready,
    Recipient,
    TransactionReset,
)
from vmaild.protocol.lmtp_client import converse, dialogue, encoded
from vmaild.protocol.waits import Wait

MAX_SIZE = 40
REPLY_LINE = re.compile(rb"[2-5]\d\d[ -][\x20-\x7e\x80-\xff]*")

# Content in which nearly every octet matters.
awkward_octets = st.lists(st.sampled_from([b"\r", b"\n", b".", b"\r\n", b"a", b"\0", b"\xe9"])).map(b"".join)
content = st.one_of(awkward_octets, st.binary(max_size=200))

LINES = [
    *(b"LHLO client", b"EHLO client", b"HELO client", b"LHLO", b"RSET", b"NOOP", b"VRFY x", b"HELP", b"QUIT"),
    *(b"MAIL FROM:<joe@x.example>", b"MAIL FROM:<> SIZE=41", b"mail from: joe SMTPUTF8", b"MAIL FROM:<\xe9>"),
    *(b"RCPT TO:<bob@va.toto.fr>", b"RCPT TO:<nobody>", b"RCPT TO:<later>", b"RCPT TO:<full>", b"RCPT TO:<@>"),
    *(b"DATA", b"DATA", b"DATA", b".", b"..", b"", b"Subject: x", b"x" * 41, b"x" * 3000),
]
line = st.builds(bytes.__add__, st.sampled_from(LINES), st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r"]))
message = st.builds(
    lambda octets: b"MAIL FROM:<>\r\nRCPT TO:<bob>\r\nRCPT TO:<full>\r\nDATA\r\n" + octets + TERMINATOR, content
)
speech = st.lists(st.one_of(line, message, content), max_size=12).map(lambda said: b"LHLO x\r\n" + b"".join(said))
sizes = st.lists(st.integers(1, 40), min_size=1, max_size=20)


def cut(data: bytes, pieces: list[int]) -> Iterable[bytes]:
    """The data in pieces of these sizes, over and over."""
    start = 0
    while start < len(data):
        for size in pieces:
            if data[start : start + size]:
                yield data[start : start + size]
            start += size


def outcome_of(recipient: Recipient, *, at_end: bool) -> Outcome:
    match recipient.address.local_part:
        case "nobody":
            return Rejected(Condition.NO_SUCH_USER, "no\r\n250 such user")
        case "later":
            return Deferred(Condition.LOOKUP_FAILED)
        case "full" if at_end:
            return Rejected(Condition.OVER_QUOTA)
    return Delivered() if at_end else Delivered(Condition.ACCEPTED)


def held_dialogue(dialect: Dialect, pieces: Iterable[bytes]) -> tuple[list[Event], bytes]:
    """What a client's words come to: events, and all replies. Pieces of content that follow each other are
    joined, and those of a message that was dropped are left out."""
    connection = Connection(dialect, "mx.example", max_size=MAX_SIZE)
    events: list[Event] = []
    accepted: list[Recipient] = []
    replies = b""
    for piece in [*pieces, b""]:
        connection.receive_data(piece)
        while not isinstance(event := connection.next_event(), Wait):
            match event:
                case MailFrom():
                    accepted = []
                case Recipient():
                    outcome = outcome_of(event, at_end=False)
                    accepted += [event] if isinstance(outcome, Delivered) else []
                    connection.send(outcome)
                case DataStarted():
                    connection.send(Ready())
                case ContentEnded():
                    connection.send([outcome_of(recipient, at_end=True) for recipient in accepted])
                case ContentChunk(data) if events and isinstance(events[-1], ContentChunk):
                    event = ContentChunk(events.pop().data + data)  # type: ignore[union-attr]
                case TransactionReset() if events and isinstance(events[-1], ContentChunk):
                    events.pop()
            events.append(event)
            if isinstance(event, ConnectionClosed):
                break
        replies += connection.data_to_send()
        if events and isinstance(events[-1], ConnectionClosed):
            break
    return events, replies


@settings(max_examples=200)
@given(st.sampled_from(Dialect), speech, sizes)
def test_cuts_make_no_difference(dialect: Dialect, said: bytes, pieces: list[int]) -> None:
    assert held_dialogue(dialect, cut(said, pieces)) == held_dialogue(dialect, [said])


@settings(max_examples=200)
@given(st.sampled_from(Dialect), st.one_of(speech, st.lists(st.binary(max_size=300)).map(b"\r\n".join)))
def test_whatever_is_said_the_replies_are_replies(dialect: Dialect, said: bytes) -> None:
    events, replies = held_dialogue(dialect, [said])
    assert isinstance(events[-1], ConnectionClosed)
    assert replies.endswith(b"\r\n")
    for reply in replies.split(b"\r\n")[:-1]:
        assert REPLY_LINE.fullmatch(reply), reply
        assert len(reply) <= 510


@settings(max_examples=200)
@given(speech)
def test_no_message_is_over_the_limit_and_each_has_an_end(said: bytes) -> None:
    events, _ = held_dialogue(Dialect.LMTP, [said])
    for before, event in pairwise(events):
        if isinstance(before, ContentChunk):
            assert event == ContentEnded(len(before.data))
            assert len(before.data) <= MAX_SIZE


@settings(max_examples=200)
@given(content, content, sizes)
def test_the_content_ends_at_the_first_terminator_only(octets: bytes, rest: bytes, pieces: list[int]) -> None:
    """Against the definition of RFC 5321 4.5.2, written down line by line."""
    wire = octets + TERMINATOR + rest
    lines: list[bytes] = []
    remaining = wire
    while True:
        head, _, remaining = remaining.partition(b"\r\n")
        if head == b".":
            break
        lines.append(head.removeprefix(b".") + b"\r\n")
    decoder = DataDecoder()
    decoded, beyond = b"", b""
    for piece in cut(wire, pieces):
        if decoder.finished:
            beyond += piece
        else:
            decoded += decoder.feed(piece)
    assert decoded == b"".join(lines)
    assert decoder.rest + beyond == remaining


@settings(max_examples=200)
@given(content, sizes, sizes)
def test_content_survives_encoding_and_decoding(octets: bytes, given_in: list[int], sent_in: list[int]) -> None:
    wire = b"".join(encoded(cut(octets, given_in)))
    decoder = DataDecoder()
    decoded = b""
    for piece in cut(wire, sent_in):
        assert not decoder.finished
        decoded += decoder.feed(piece)
    assert decoder.finished
    assert decoder.rest == b""
    # CRLF line ends throughout, and one at the end; every other octet as it was.
    expected = re.sub(rb"\r?\n", b"\r\n", octets)
    assert decoded == expected + (b"" if not expected or expected.endswith(b"\n") else b"\r\n")


@settings(max_examples=200)
@given(st.text(max_size=20), st.text(max_size=20))
def test_addresses_cannot_break_out_of_their_command(sender: str, recipient: str) -> None:
    """Whatever the addresses are, the server hears these commands, one after the other, and no other."""
    connection = Connection(Dialect.LMTP, "mx.example")
    heard: list[bytes] = []

    def write(data: bytes) -> None:
        heard.append(data)
        connection.receive_data(data)
        while not isinstance(event := connection.next_event(), Wait | ConnectionClosed):
            if isinstance(event, Recipient):
                connection.send(Delivered(Condition.ACCEPTED))
            elif isinstance(event, DataStarted):
                connection.send(Ready())
            elif isinstance(event, ContentEnded):
                connection.send([Delivered()])

    ((_, code, _, _),) = converse(
        dialogue("client", sender, [recipient], [b"x\n"]), connection.data_to_send, write
    )
    assert code in {250, 553}
    verbs = [command[:4] for command in heard]
    everything = [b"LHLO", b"MAIL", b"RCPT", b"DATA", b"x\r\n", b".\r\n", b"QUIT"]
    assert verbs in ([], [b"LHLO", b"MAIL", b"QUIT"], [b"LHLO", b"MAIL", b"RCPT", b"QUIT"], everything)
    assert (verbs == everything) == (code == 250)
    for command in heard:
        assert command.count(b"\n") == 1
