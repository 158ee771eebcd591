"""POP3 on any stream: what a client sends, however cut, and what content is made of, however cut."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from vmaild.protocol.multiline import MultilineEncoder, WireSize, wire_size
from vmaild.protocol.pop3 import (
    Answer,
    CheckPassword,
    CloseReason,
    Commit,
    Committed,
    Connection,
    ConnectionClosed,
    Event,
    LoginRefused,
    MaildropOpened,
    MessageEnded,
    MessageStarted,
    MessageUnreadable,
    OpenMaildrop,
    PasswordAccepted,
    ReadMessage,
    ResponseCode,
    Wait,
    WholeMessage,
)

CONTENTS = (b"Subject: one\n\none\n", b"Subject: two\n\n.\n..two\nno newline", b"", b"\r\n\r\n\n.\r")

cuts = st.lists(st.integers(0, 400), max_size=30)

numbers = st.sampled_from([b"", b" 1", b" 2", b" 3", b" 4", b" 5", b" 0", b" -1", b" x", b" 1 1", b" 99999999999"])
keywords = st.sampled_from(
    [b"STAT", b"LIST", b"RETR", b"DELE", b"NOOP", b"RSET", b"TOP", b"UIDL", b"CAPA", b"top", b"XYZ", b""]
)
commands = st.one_of(
    st.builds(bytes.__add__, keywords, numbers),
    st.sampled_from([b"USER bob", b"PASS secret", b"PASS wrong", b"RETR 1", b"RETR 2", b"TOP 2 1", b"DELE 3"]),
    st.sampled_from([b"NOOP " + b"x" * 254, b"x" * 1100, b"PASS " + b" " * 1024, b"QUIT x"]),
    st.binary(max_size=20).map(lambda octets: octets.replace(b"\n", b"")),
)
lines = st.builds(bytes.__add__, commands, st.sampled_from([b"\r\n", b"\r\n", b"\n"]))
preambles = st.sampled_from([b"", b"USER bob\r\nPASS secret\r\n"])
endings = st.sampled_from([b"", b"QUIT\r\n", b"QU"])
streams = st.builds(
    lambda preamble, middle, ending: preamble + b"".join(middle) + ending,
    preambles,
    st.lists(lines, max_size=25),
    endings,
)
garbage = st.builds(bytes.__add__, preambles, st.lists(st.binary(max_size=60), max_size=25).map(b"\r\n".join))


def pieces(data: bytes, places: list[int]) -> list[bytes]:
    """`data` cut at some places."""
    edges = sorted({0, len(data), *(place for place in places if place < len(data))})
    return [data[start:end] for start, end in pairwise(edges)]


@dataclass
class Session:
    """A core and an outside with a small maildrop; every answer is given at once, or only when all is heard."""

    answers_late: bool = False
    content_cuts: list[int] | None = None
    """None: messages in one piece."""
    connection: Connection = field(default_factory=lambda: Connection("va.toto.fr", "0.1.0"))
    events: list[Event] = field(default_factory=list)
    output: bytes = b""

    def hear(self, stream: list[bytes]) -> Session:
        for piece in filter(None, stream):
            if self.answers_late:
                self.connection.receive_data(piece)
            else:
                self.take(piece)
        if not self.closed:
            self.take(b"")
        return self

    @property
    def closed(self) -> bool:
        return bool(self.events) and isinstance(self.events[-1], ConnectionClosed)

    def take(self, piece: bytes) -> None:
        self.connection.receive_data(piece)
        while not self.closed:
            event = self.connection.next_event()
            self.output += self.connection.data_to_send()
            if isinstance(event, Wait):
                return
            self.events.append(event)
            if not self.closed:
                self.answer(event)

    def answer(self, event: Event) -> None:
        if isinstance(event, ReadMessage) and event.index != 2 and self.content_cuts is not None:
            self.connection.send(MessageStarted())
            for piece in pieces(CONTENTS[event.index], self.content_cuts):
                self.connection.send_content(piece)
            self.connection.send(MessageEnded())
        else:
            self.connection.send(answer_to(event))


def answer_to(event: Event) -> Answer:
    match event:
        case CheckPassword("bob", b"secret"):
            return PasswordAccepted()
        case CheckPassword():
            return LoginRefused(ResponseCode.AUTH, "no")
        case OpenMaildrop():
            return MaildropOpened([wire_size(content) for content in CONTENTS], ["a", "b", "c", "d"])
        case ReadMessage(2):
            return MessageUnreadable("gone")
        case ReadMessage(index):
            return WholeMessage(CONTENTS[index])
        case Commit(deleted):
            return Committed(len(deleted))
    raise AssertionError(event)


@given(streams | garbage, cuts, cuts)
@settings(max_examples=150, deadline=None)
def test_any_cut_gives_the_same_events_and_output(
    stream: bytes, places: list[int], content_cuts: list[int]
) -> None:
    whole = Session().hear([stream])
    cut = Session(content_cuts=content_cuts).hear(pieces(stream, places))
    late = Session(answers_late=True).hear(pieces(stream, places))
    assert cut.events == whole.events
    assert cut.output == whole.output
    assert late.events == whole.events
    assert late.output == whole.output


@given(streams | garbage)
@settings(max_examples=200, deadline=None)
def test_every_line_gets_one_well_formed_reply(stream: bytes) -> None:
    session = Session().hear([stream])
    spoken = stream.split(b"\n")[:-1]
    replies = parse_replies(session.output, spoken)
    match session.events[-1]:
        case ConnectionClosed(CloseReason.PEER_CLOSED):
            assert len(replies) == len(spoken)
        case ConnectionClosed(CloseReason.QUIT | CloseReason.BAD_COMMANDS):
            assert len(replies) <= len(spoken)
        case other:
            raise AssertionError(other)


def parse_replies(output: bytes, spoken: list[bytes]) -> list[bytes]:
    """The first lines of the replies, as a client that knows its own commands reads them."""
    rest = output.removesuffix(b"\r\n").split(b"\r\n")
    assert rest.pop(0).startswith(b"+OK Virtual")
    replies = []
    for line in spoken:
        if not rest:
            break
        reply = rest.pop(0)
        assert re.fullmatch(rb"\+OK|\+OK [ -~]{1,506}|-ERR [ -~]{1,505}", reply), reply
        replies.append(reply)
        keyword, _, argument = line.partition(b" ")
        multiline = {b"CAPA", b"RETR", b"TOP"} | (set() if argument.strip() else {b"LIST", b"UIDL"})
        if reply.startswith(b"+OK") and keyword.strip().upper() in multiline:
            del rest[: rest.index(b".") + 1]
    assert rest == []
    return replies


@given(st.lists(st.integers(0, 3), max_size=6), st.booleans())
@settings(max_examples=60, deadline=None)
def test_only_quit_deletes_and_exactly_what_was_marked(marked: list[int], quits: bool) -> None:
    dialogue = b"USER bob\r\nPASS secret\r\n" + b"".join(b"DELE %d\r\n" % (index + 1) for index in marked)
    session = Session().hear([dialogue + (b"QUIT\r\n" if quits else b"")])
    commits = [event for event in session.events if isinstance(event, Commit)]
    assert commits == ([Commit(tuple(sorted(set(marked))))] if quits else [])


# Content.

contents = st.one_of(
    st.binary(max_size=80),
    st.lists(st.sampled_from([b"\n", b"\r", b"\r\n", b".", b"a", b"\0", b"\n.\n", b"\n\n"]), max_size=40).map(
        b"".join
    ),
)


def encode(chunks: list[bytes], body_lines: int | None = None) -> bytes:
    encoder = MultilineEncoder(body_lines)
    return b"".join(map(encoder.encode, chunks)) + encoder.end()


def decode(wire: bytes) -> bytes:
    """What a client makes of a multi-line response; its lines end with LF."""
    lines = wire.split(b"\r\n")
    assert lines[-2:] == [b".", b""], "ends with the terminating line"
    assert b"." not in lines[:-2], "which comes only once"
    return b"".join(line.removeprefix(b".") + b"\n" for line in lines[:-2])


def lf_ends(content: bytes) -> bytes:
    """`content` with LF line ends, the last one included."""
    content = content.replace(b"\r\n", b"\n")
    return content if not content or content.endswith(b"\n") else content + b"\n"


@given(contents, cuts)
@settings(max_examples=200, deadline=None)
def test_content_arrives_as_it_is_but_for_line_ends(content: bytes, places: list[int]) -> None:
    wire = encode(pieces(content, places))
    assert decode(wire) == lf_ends(content)
    assert b"\n" not in wire.replace(b"\r\n", b""), "no bare LF on the wire"
    assert wire == encode([content])


@given(contents, cuts)
@settings(max_examples=200, deadline=None)
def test_wire_size_is_what_is_transmitted(content: bytes, places: list[int]) -> None:
    lines = encode([content]).split(b"\r\n")[:-2]
    transmitted = sum(len(line.removeprefix(b".")) + 2 for line in lines)
    assert wire_size(content) == transmitted
    size = WireSize()
    for piece in pieces(content, places):
        size.add(piece)
    assert size.octets == transmitted


@given(contents, st.integers(0, 6), cuts)
@settings(max_examples=200, deadline=None)
def test_top_is_the_header_and_so_many_lines(content: bytes, body_lines: int, places: list[int]) -> None:
    lines = lf_ends(content).split(b"\n")[:-1]
    end = lines.index(b"") + 1 + body_lines if b"" in lines else len(lines)
    wire = encode(pieces(content, places), body_lines)
    assert decode(wire) == b"".join(line + b"\n" for line in lines[:end])
    assert wire == encode([content], body_lines)
