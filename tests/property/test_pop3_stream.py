"""POP3 on any stream: what a client sends, however cut, and what content is made of, however cut."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass, field
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from vmaild.protocol.multiline import MultilineEncoder, WireSize, wire_size
from vmaild.protocol.pop3 import (
    MAX_REPLY,
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
    Settings,
    StartTls,
    State,
    TlsReady,
    TlsUnavailable,
    WholeMessage,
)
from vmaild.protocol.waits import Wait

EVERYTHING = Settings(stls=True, mechanisms=("PLAIN", "LOGIN"), utf8=True, lang=True, last=True, login_delay=60)
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
# What needs EVERYTHING: AGJvYgBzZWNyZXQ= is NUL bob NUL secret, Ym9i bob, c2VjcmV0 secret.
responses = st.sampled_from(
    [
        b"AGJvYgBzZWNyZXQ=",
        b"AGJvYgB3cm9uZw==",
        b"Ym9i",
        b"c2VjcmV0",
        b"*",
        b"=",
        b"",
        b"!",
        b"A" * 5000,
        b"A" * 9000,
    ]
)
extended = st.one_of(
    commands,
    responses,
    st.sampled_from([b"AUTH PLAIN", b"AUTH LOGIN", b"auth plain", b"AUTH", b"AUTH X", b"UTF8", b"LAST", b"LANG"]),
    st.sampled_from([b"LANG fr", b"LANG en", b"LANG *", b"LANG de", b"STLS", b"STLS x", "USER zoé".encode()]),
    st.builds(b"AUTH PLAIN ".__add__, responses),
    st.builds(b"AUTH LOGIN ".__add__, responses),
)
endings = st.sampled_from([b"", b"QUIT\r\n", b"QU"])
streams = st.builds(
    lambda preamble, middle, ending: preamble + b"".join(middle) + ending,
    preambles,
    st.lists(lines, max_size=25),
    endings,
)
extended_lines = st.builds(bytes.__add__, extended, st.sampled_from([b"\r\n", b"\r\n", b"\n"]))
extended_preambles = st.sampled_from([b"", b"", b"LANG fr\r\n", b"AUTH PLAIN AGJvYgBzZWNyZXQ=\r\n"])
extended_streams = st.builds(
    lambda preamble, middle, ending: preamble + b"".join(middle) + ending,
    extended_preambles,
    st.lists(extended_lines, max_size=25),
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
    settings: Settings = field(default_factory=Settings)
    tls: bool = False
    has_certificate: bool = True
    events: list[Event] = field(default_factory=list)
    output: bytes = b""

    def __post_init__(self) -> None:
        self.connection = Connection("va.toto.fr", "0.1.0", self.settings, tls=self.tls)

    def hear(self, stream: list[bytes]) -> Session:
        for piece in filter(None, stream):
            if self.answers_late:
                self.connection.receive_data(piece)
            else:
                self.take(piece)
        if not self.closed:
            self.take(b"")
        return self

    def hear_in_clear(self, stream: list[bytes]) -> bool:
        """Without the end of the connection; whether TLS is to start then."""
        for piece in filter(None, stream):
            self.take(piece)
        return bool(self.events) and isinstance(self.events[-1], StartTls) and self.has_certificate

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
        elif isinstance(event, StartTls) and self.has_certificate:
            self.connection.send(TlsReady())
        else:
            self.connection.send(answer_to(event))


def answer_to(event: Event) -> Answer:
    match event:
        case StartTls():
            return TlsUnavailable()
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
    check_cuts(stream, places, content_cuts, Settings())


@given(extended_streams, cuts, cuts)
@settings(max_examples=150, deadline=None)
def test_any_cut_gives_the_same_with_everything_on(
    stream: bytes, places: list[int], content_cuts: list[int]
) -> None:
    check_cuts(stream, places, content_cuts, EVERYTHING)


def check_cuts(stream: bytes, places: list[int], content_cuts: list[int], offered: Settings) -> None:
    whole = Session(settings=offered).hear([stream])
    cut = Session(settings=offered, content_cuts=content_cuts).hear(pieces(stream, places))
    assert cut.events == whole.events
    assert cut.output == whole.output
    if whole.events[-1] == ConnectionClosed(CloseReason.PEER_CLOSED) and StartTls() in whole.events:
        return  # it closed instead of starting TLS: whether we were ready before it did is told by the clock
    late = Session(settings=offered, answers_late=True).hear(pieces(stream, places))
    assert late.events == whole.events
    assert late.output == whole.output


@given(streams | garbage)
@settings(max_examples=200, deadline=None)
def test_every_line_gets_one_well_formed_reply(stream: bytes) -> None:
    check_replies(stream, Session())


@given(extended_streams)
@settings(max_examples=200, deadline=None)
def test_every_line_gets_one_well_formed_reply_with_everything_on(stream: bytes) -> None:
    check_replies(stream, Session(settings=EVERYTHING, has_certificate=False))


def check_replies(stream: bytes, session: Session) -> None:
    session.hear([stream])
    spoken = stream.split(b"\n")[:-1]
    replies = parse_replies(session.output, spoken)
    match session.events[-1]:
        case ConnectionClosed(CloseReason.PEER_CLOSED):
            assert len(replies) == len(spoken)
        case ConnectionClosed(CloseReason.QUIT | CloseReason.BAD_COMMANDS | CloseReason.REFUSED_LOGINS):
            assert len(replies) <= len(spoken)
        case other:
            raise AssertionError(other)


octets = st.binary(max_size=40)
wrong_passwords = octets.map(b"wrong".__add__)
message_of_plain = st.builds(
    lambda *parts: b64encode(b"\0".join(parts)), st.just(b"") | octets, octets, wrong_passwords
)
garbage_for_auth = (octets | octets.map(b64encode) | message_of_plain).map(lambda line: line.replace(b"\n", b""))


@given(st.lists(garbage_for_auth, max_size=12), cuts)
@settings(max_examples=200, deadline=None)
def test_garbage_into_auth_at_most_asks_for_a_password(answers: list[bytes], places: list[int]) -> None:
    dialogue = b"".join(b"AUTH PLAIN\r\n" + line + b"\r\n" for line in answers)
    check_cuts(dialogue, places, [], EVERYTHING)
    events = Session(settings=EVERYTHING).hear([dialogue]).events
    assert all(isinstance(event, CheckPassword | ConnectionClosed) for event in events)
    dialogue = b"".join(b"AUTH LOGIN\r\n" + line + b"\r\n" for line in answers)
    check_cuts(dialogue, places, [], EVERYTHING)


# STLS.

in_clear = st.lists(extended_lines | st.binary(max_size=40), max_size=8).map(b"".join)


@given(in_clear, in_clear, st.lists(extended_lines, max_size=12).map(b"".join), cuts, cuts)
@settings(max_examples=300, deadline=None)
def test_nothing_said_in_clear_outlives_stls(
    before: bytes, injected: bytes, under_tls: bytes, places: list[int], later_places: list[int]
) -> None:
    """After STLS a session is what it is for a client that spoke TLS from the first octet."""
    session = Session(settings=EVERYTHING)
    if not session.hear_in_clear(pieces(before + b"\r\nSTLS\r\n" + injected, places)):
        assert session.closed or session.connection.state is not State.AUTHORIZATION or not said_stls(before)
        return
    events = len(session.events)
    said = session.output
    assert said.endswith((b"+OK begin TLS\r\n", b"+OK commencez TLS\r\n"))
    session.connection.tls_started("va.toto.fr")
    session.hear(pieces(under_tls, later_places))
    fresh = Session(settings=EVERYTHING, tls=True)
    greeting = fresh.connection.data_to_send()
    assert greeting.startswith(b"+OK Virtual")
    fresh.hear([under_tls])
    assert session.events[events:] == fresh.events
    assert session.output.removeprefix(said) == fresh.output


def said_stls(before: bytes) -> bool:
    """Whether STLS is heard as a command behind this, and not as a response of an exchange."""
    return b"AUTH" not in before.upper()


def parse_replies(output: bytes, spoken: list[bytes]) -> list[bytes]:
    """The first lines of the replies, as a client that knows its own commands reads them."""
    rest = output.removesuffix(b"\r\n").split(b"\r\n")
    assert rest.pop(0).startswith(b"+OK Virtual")
    replies = []
    for line in spoken:
        if not rest:
            break
        reply = rest.pop(0)
        assert re.fullmatch(r"\+OK|\+OK .+|-ERR .+|\+ [A-Za-z0-9+/=]*", reply.decode()), reply
        assert reply.decode().isprintable()
        assert len(reply) <= MAX_REPLY - 2
        replies.append(reply)
        keyword, _, argument = line.partition(b" ")
        bare = {b"LIST", b"UIDL", b"LANG", b"AUTH"}
        multiline = {b"CAPA", b"RETR", b"TOP"} | (set() if argument.strip() else bare)
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
