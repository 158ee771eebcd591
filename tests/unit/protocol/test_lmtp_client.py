"""The dialogue of `vdeliver`, against scripted replies and against our own server core."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from vmaild.address import parse_address
from vmaild.outcome import Condition, Deferred, Delivered, Outcome, Rejected
from vmaild.protocol.lmtp import (
    Connection,
    ConnectionClosed,
    ContentChunk,
    ContentEnded,
    DataStarted,
    Dialect,
    MailFrom,
    Ready,
    Recipient,
)
from vmaild.protocol.lmtp_client import MAX_REPLY, Result, converse, dialogue, encoded, negotiation
from vmaild.protocol.waits import Wait


@dataclass
class Script:
    """A server that says what it was told to say, one item per reading, whatever it hears."""

    replies: list[bytes]
    heard: bytes = b""

    def read(self) -> bytes:
        return self.replies.pop(0) if self.replies else b""

    def write(self, data: bytes) -> None:
        self.heard += data


@dataclass
class Server:
    """Our server core with a mailbox for everyone but those whose outcome is given."""

    at_rcpt: dict[str, Outcome] = field(default_factory=dict)
    at_end: dict[str, Outcome] = field(default_factory=dict)
    max_size: int = 0
    connection: Connection = field(init=False)
    mail: MailFrom | None = None
    recipients: list[Recipient] = field(default_factory=list)
    content: bytes | None = None
    closed: ConnectionClosed | None = None

    def __post_init__(self) -> None:
        self.connection = Connection(Dialect.LMTP, "mx.example", max_size=self.max_size)

    def read(self) -> bytes:
        return self.connection.data_to_send()

    def write(self, data: bytes) -> None:
        self.connection.receive_data(data)
        content = b""
        while self.closed is None and not isinstance(event := self.connection.next_event(), Wait):
            match event:
                case MailFrom():
                    self.mail = event
                case Recipient(address):
                    self.recipients.append(event)
                    self.connection.send(self.at_rcpt.get(address.key, Delivered(Condition.ACCEPTED)))
                case DataStarted():
                    self.connection.send(Ready())
                case ContentChunk(piece):
                    content += piece
                case ContentEnded():
                    self.connection.send(
                        [self.at_end.get(recipient.address.key, Delivered()) for recipient in self.recipients]
                    )
                case ConnectionClosed():
                    self.closed = event
        if content:
            self.content = (self.content or b"") + content


def deliver(
    server: Server | Script, *recipients: str, sender: str = "joe@x.example", content: bytes = b"x\n"
) -> list[Result]:
    """Hold one dialogue from start to end."""
    return converse(dialogue("client", sender, recipients, iter([content])), server.read, server.write)


GREETING = [b"220 mx LMTP\r\n", b"250-mx\r\n250 PIPELINING\r\n"]
TO_RCPT = [*GREETING, b"250 2.1.0 OK\r\n", b"250 2.1.5 OK\r\n"]
TO_DATA = [*TO_RCPT, b"354 go\r\n"]


# What is settled


def test_a_delivery() -> None:
    server = Server()
    assert deliver(server, "bob@va.toto.fr", "alice@va.toto.fr", content=b"a\n.\n\nb") == [
        ("bob@va.toto.fr", 250, "2.0.0", "Delivered"),
        ("alice@va.toto.fr", 250, "2.0.0", "Delivered"),
    ]
    assert server.mail == MailFrom("joe@x.example", body="8BITMIME")
    assert [recipient.text for recipient in server.recipients] == ["bob@va.toto.fr", "alice@va.toto.fr"]
    assert server.content == b"a\r\n.\r\n\r\nb\r\n"
    assert server.closed is not None


@pytest.mark.parametrize("sender", ["", "<>"])
def test_the_null_sender(sender: str) -> None:
    server = Server()
    deliver(server, "bob", sender=sender)
    assert server.mail == MailFrom("", body="8BITMIME")


def test_what_is_said_to_a_server_without_extensions() -> None:
    server = Script([b"220 mx\r\n", b"250 mx\r\n", b"250 OK\r\n", b"250 OK\r\n", b"354 go\r\n", b"250 OK\r\n"])
    assert deliver(server, "bob", sender="joe@x.org") == [("bob", 250, "2.0.0", "OK")]
    assert server.heard == b"LHLO client\r\nMAIL FROM:<joe@x.org>\r\nRCPT TO:<bob>\r\nDATA\r\nx\r\n.\r\nQUIT\r\n"


def test_an_address_outside_ascii_is_not_said_to_a_server_without_smtputf8() -> None:
    """RFC 6531 3.5: it would not know it, or garble it."""
    text = "The next server takes no address with such characters"
    server = Script([b"220 mx\r\n", b"250 mx\r\n"])
    assert deliver(server, "bob", sender="josé@x.example") == [("bob", 553, "5.6.7", text)]
    assert server.heard == b"LHLO client\r\nQUIT\r\n"
    server = Script([b"220 mx\r\n", b"250 mx\r\n", b"250 OK\r\n"])
    assert deliver(server, "andré@x.example", sender="") == [("andré@x.example", 553, "5.6.7", text)]
    assert server.heard == b"LHLO client\r\nMAIL FROM:<>\r\nQUIT\r\n"


@pytest.mark.parametrize(("sender", "recipient"), [("josé@x.example", "bob"), ("", "andré@va.toto.fr")])
def test_smtputf8_is_said_where_it_is_needed(sender: str, recipient: str) -> None:
    server = Server()
    assert deliver(server, recipient, sender=sender)[0][1] == 250
    assert server.mail is not None
    assert server.mail.smtputf8


def test_each_recipient_has_its_own_last_word() -> None:
    server = Server(at_end={"full": Rejected(Condition.OVER_QUOTA), "later": Deferred(Condition.INTERNAL)})
    assert deliver(server, "bob", "full", "later", "bob") == [
        ("bob", 250, "2.0.0", "Delivered"),
        ("full", 552, "5.2.2", "Mailbox full"),
        ("later", 451, "4.3.0", "Internal error, try again later"),
        ("bob", 250, "2.0.0", "Delivered"),
    ]


def test_nobody_gets_what_somebody_cannot_get() -> None:
    server = Server(at_rcpt={"nobody": Rejected(Condition.NO_SUCH_USER)})
    unread = iter([b"x"])
    run = dialogue("client", "", ["bob", "nobody", "bad\n", "alice"], unread)
    assert converse(run, server.read, server.write) == [
        ("bob", 250, "2.1.5", "Recipient accepted"),
        ("nobody", 550, "5.1.1", "No such user here"),
        ("bad\n", 553, "5.1.3", "Not a valid recipient address"),
        ("alice", 250, "2.1.5", "Recipient accepted"),
    ]
    assert server.content is None
    assert server.closed is not None
    assert list(unread) == [b"x"]


def test_a_message_too_big() -> None:
    assert deliver(Server(max_size=100), "bob", "alice", content=b"x" * 200) == [
        ("bob", 552, "5.3.4", "Message too big"),
        ("alice", 552, "5.3.4", "Message too big"),
    ]


@pytest.mark.parametrize("replies", [GREETING, TO_RCPT], ids=["MAIL", "DATA"])
def test_refused_for_all(replies: list[bytes]) -> None:
    server = Script([*replies, b"552-5.3.4 too\r\n552 5.3.4 big\r\n"])
    assert deliver(server, "bob") == [("bob", 552, "5.3.4", "too big")]
    assert server.heard.endswith(b"QUIT\r\n")
    assert b"x" not in server.heard.partition(b"DATA")[2]


# What goes wrong on the way


@pytest.mark.parametrize(
    "replies",
    [
        pytest.param([], id="closed at once"),
        pytest.param([b"220 mx\r\n"], id="closed after the greeting"),
        pytest.param(TO_RCPT, id="closed after RCPT"),
        pytest.param(TO_DATA, id="closed after the content"),
        pytest.param([*TO_DATA, b"250 2.0.0 OK"], id="closed within a line"),
        pytest.param([*TO_DATA, b"250-2.0.0 OK\r\n"], id="closed within a reply"),
        pytest.param([b"554 5.3.2 not now\r\n"], id="refused by the greeting"),
        pytest.param([b"220 mx\r\n", b"500 5.5.1 This is SMTP\r\n"], id="not LMTP"),
        pytest.param([b"+OK POP3 ready\r\n"], id="POP3"),
        pytest.param([b"\r\n"], id="an empty line"),
        pytest.param([b"250mx\r\n"], id="no blank after the code"),
        pytest.param([b"199 mx\r\n"], id="a code that is none"),
        pytest.param([b"2\xb20 mx\r\n"], id="a digit that is none"),
        pytest.param([*GREETING, b"354 go\r\n"], id="354 to MAIL"),
        pytest.param([*TO_RCPT, b"250 OK\r\n"], id="250 to DATA"),
        pytest.param([*TO_DATA, b"354 go on\r\n"], id="354 to the content"),
    ],
)
def test_a_broken_server_is_a_temporary_failure(replies: list[bytes]) -> None:
    ((recipient, code, enhanced, text),) = deliver(Script(list(replies)), "bob")
    assert (recipient, code, enhanced) == ("bob", 451, "4.4.2")
    assert text


@pytest.mark.parametrize("reply", [b"220 " + b"x" * 1000, b"220-x\r\n" * 1000], ids=["line", "reply"])
def test_no_more_is_read_of_what_has_no_end(reply: bytes) -> None:
    server = Script([reply] * 1000)
    ((_, code, _, text),) = deliver(server, "bob")
    assert (code, text) == (451, "Server talks without end")
    assert 1000 - len(server.replies) == MAX_REPLY // len(reply) + 1


def test_many_replies_in_one_reading() -> None:
    recipients = ["bob"] * 5000
    server = Script([*GREETING, b"250 OK\r\n" * 5001 + b"354 go\r\n" + b"250 2.0.0 Delivered\r\n" * 5000])
    assert deliver(server, *recipients) == [("bob", 250, "2.0.0", "Delivered")] * 5000


def test_last_words_that_were_said_stand() -> None:
    server = Script([*TO_RCPT, b"250 OK\r\n", b"354 go\r\n", b"250 2.0.0 Delivered\r\n25"])
    first, second = deliver(server, "bob", "alice")
    assert first == ("bob", 250, "2.0.0", "Delivered")
    assert second[:3] == ("alice", 451, "4.4.2")


def test_a_recipient_that_was_only_accepted_is_not_delivered() -> None:
    first, second, third = deliver(Script([*TO_RCPT, b"550 5.1.1 no\r\n"]), "bob", "nobody", "alice")
    assert first[:3] == ("bob", 451, "4.4.2")
    assert second == ("nobody", 550, "5.1.1", "no")
    assert third[:3] == ("alice", 451, "4.4.2")


@pytest.mark.parametrize("after", range(7))
def test_an_error_of_the_socket_is_a_temporary_failure(after: int) -> None:
    server = Server()
    written: list[bytes] = []

    def write(data: bytes) -> None:
        if len(written) == after:
            raise BrokenPipeError(32, "Broken pipe")
        written.append(data)
        server.write(data)

    results = converse(dialogue("client", "", ["bob"], [b"x\n"]), server.read, write)
    # LHLO, MAIL, RCPT, DATA, the content, its end; when QUIT fails, the message has long been delivered.
    last_word = ("bob", 250, "2.0.0", "Delivered") if after == 6 else ("bob", 451, "4.4.2", "Broken pipe")
    assert results == [last_word]


def test_a_timeout_is_a_temporary_failure() -> None:
    def read() -> bytes:
        raise TimeoutError("timed out")

    assert converse(dialogue("client", "", ["bob"], []), read, Script([]).write) == [
        ("bob", 451, "4.4.2", "timed out")
    ]


def test_content_that_cannot_be_read_is_not_ended() -> None:
    def content() -> Iterator[bytes]:
        yield b"half of"
        raise OSError(5, "Input/output error")

    server = Script([*TO_DATA, b"250 2.0.0 Delivered\r\n"])
    assert converse(dialogue("client", "", ["bob"], content()), server.read, server.write) == [
        ("bob", 451, "4.4.2", "Input/output error")
    ]
    assert server.heard.endswith(b"DATA\r\nhalf of")


def test_replies_in_any_pieces() -> None:
    said = b"".join([*TO_DATA, b"250 2.0.0 OK\r\n"])
    server = Script([bytes([octet]) for octet in said])
    assert deliver(server, "bob") == [("bob", 250, "2.0.0", "OK")]


@pytest.mark.parametrize(
    ("reply", "result"),
    [
        (b"250 OK\r\n", (250, "2.0.0", "OK")),
        (b"250\r\n", (250, "2.0.0", "")),
        (b"250 \n", (250, "2.0.0", "")),
        (b"550 4.1.1 OK\r\n", (550, "5.0.0", "4.1.1 OK")),
        (b"550 5.1.1\r\n", (550, "5.1.1", "")),
        (b"550-5.7.1 see\r\n550 5.7.1 below\r\n", (550, "5.7.1", "see below")),
        (b"550 5.1 OK\x1b\xff\r\n", (550, "5.0.0", "5.1 OK?\ufffd")),
        (b"421 4.3.2 mx closing\r\n", (421, "4.3.2", "mx closing")),
    ],
)
def test_what_a_reply_says(reply: bytes, result: tuple[int, str, str]) -> None:
    assert deliver(Script([*TO_DATA, reply]), "bob") == [("bob", *result)]


# Nothing is injected


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("bob", "bob"),
        ("bob@va.toto.fr", "bob@va.toto.fr"),
        ("bob+x=y@va.toto.fr", "bob+x=y@va.toto.fr"),
        ("joe who@va.toto.fr", '"joe who"@va.toto.fr'),
        ('"joe who"@va.toto.fr', '"joe who"@va.toto.fr'),
        ('"bob"@va.toto.fr', "bob@va.toto.fr"),
        ('"a\\"b\\\\c"@va.toto.fr', '"a\\"b\\\\c"@va.toto.fr'),
        ('a"b\\c@va.toto.fr', '"a\\"b\\\\c"@va.toto.fr'),
        ("bob@va.toto.fr> SIZE=1@x", '"bob@va.toto.fr> SIZE=1"@x'),
        ("@relay:bob@va.toto.fr", '"@relay:bob"@va.toto.fr'),
        ('"a@b"', '"a@b"'),
        ("andré@bücher.example", "andré@bücher.example"),
        ("a\u00a0b@va.toto.fr", '"a\u00a0b"@va.toto.fr'),
        ("bob@[192.0.2.1]", "bob@[192.0.2.1]"),
    ],
)
def test_addresses_are_quoted_where_they_have_to_be(given: str, said: str) -> None:
    server = Server()
    assert deliver(server, given, sender=given)[0][:2] == (given, 250)
    assert server.mail is not None
    assert server.mail.sender == said
    assert [recipient.address for recipient in server.recipients] == [parse_address(said)]


BAD_ADDRESSES = [
    "bob\r\nRSET",
    "bob\n@va.toto.fr",
    "bob\0@va.toto.fr",
    "bob@va.toto.fr\r",
    "bob\x85@va.toto.fr",
    "bob\u2028@va.toto.fr",
    "bob@va.toto.fr>",
    "bob@va.toto.fr SIZE=1",
    'bob@"va',
    "@va.toto.fr",
    "bob\udcff@va.toto.fr",
]


@pytest.mark.parametrize("address", BAD_ADDRESSES)
def test_recipients_that_cannot_be_said_are_refused(address: str) -> None:
    server = Script([*GREETING, b"250 2.1.0 OK\r\n"])
    assert deliver(server, address) == [(address, 553, "5.1.3", "Not a valid recipient address")]
    assert server.heard == b"LHLO client\r\nMAIL FROM:<joe@x.example>\r\nQUIT\r\n"


def test_an_empty_recipient_is_refused() -> None:
    assert deliver(Server(), "")[0][:3] == ("", 553, "5.1.3")


@pytest.mark.parametrize("address", BAD_ADDRESSES)
def test_senders_that_cannot_be_said_are_refused(address: str) -> None:
    server = Script([*GREETING])
    assert deliver(server, "bob", "alice", sender=address) == [
        ("bob", 553, "5.1.7", "Not a valid sender address"),
        ("alice", 553, "5.1.7", "Not a valid sender address"),
    ]
    assert server.heard == b""


def test_a_hostname_is_one_word() -> None:
    server = Script([*GREETING])
    converse(dialogue("my host\r\nRSET", "", ["bob"], []), server.read, server.write)
    assert server.heard.startswith(b"LHLO my-host--RSET\r\nMAIL")


# Content


@pytest.mark.parametrize(
    ("content", "wire"),
    [
        (b"", b".\r\n"),
        (b"\n", b"\r\n.\r\n"),
        (b"a", b"a\r\n.\r\n"),
        (b"a\nb\r\nc", b"a\r\nb\r\nc\r\n.\r\n"),
        (b".", b"..\r\n.\r\n"),
        (b".\n..\r\n.a\n", b"..\r\n...\r\n..a\r\n.\r\n"),
        (b"a\r.b\rc", b"a\r.b\rc\r\n.\r\n"),
        (b"\r\r\n.\r\r\n", b"\r\r\n..\r\r\n.\r\n"),
        (b"a\r", b"a\r\r\n.\r\n"),
        (b"\r", b"\r\r\n.\r\n"),
        (b"\r.", b"\r.\r\n.\r\n"),
        (b"\n.\n", b"\r\n..\r\n.\r\n"),
        (b"\0\xff\n", b"\0\xff\r\n.\r\n"),
    ],
)
def test_content_on_the_wire(content: bytes, wire: bytes) -> None:
    cuts: list[Callable[[], list[bytes]]] = [
        lambda: [content],
        lambda: [bytes([octet]) for octet in content],
        lambda: [b"", content[:2], b"", content[2:], b""],
    ]
    for cut in cuts:
        pieces = list(encoded(cut()))
        assert b"".join(pieces) == wire
        assert all(pieces), "an empty piece would ask for reading"


# Start-up


def test_nothing_is_imported() -> None:
    """The whole point of the module: it costs what it is, and nothing else."""
    program = (
        "import sys; before = set(sys.modules); import vmaild.protocol.lmtp_client; "
        "print(*sorted(set(sys.modules) - before))"
    )
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert output.stdout.split() == ["vmaild", "vmaild.protocol", "vmaild.protocol.lmtp_client"]


EHLO = [b"220 mx\r\n", b"250-mx\r\n250 STARTTLS\r\n"]


@pytest.mark.parametrize("required", [False, True])
def test_tls_is_asked_for_where_it_is_offered(required: bool) -> None:
    server = Script([*EHLO, b"220 go\r\n"])
    assert converse(negotiation("client", required=required), server.read, server.write)
    assert server.heard == b"EHLO client\r\nSTARTTLS\r\n"


@pytest.mark.parametrize(
    "replies", [[b"220 mx\r\n", b"250 mx\r\n"], [*EHLO, b"454 4.7.0 not now\r\n"]], ids=["not offered", "refused"]
)
def test_without_tls_it_goes_on_only_where_it_may(replies: list[bytes]) -> None:
    server = Script(list(replies))
    assert not converse(negotiation("client", required=False), server.read, server.write)
    with pytest.raises(ConnectionError):
        converse(negotiation("client", required=True), Script(list(replies)).read, server.write)


def test_what_was_said_before_tls_does_not_count_after_it() -> None:
    """Somebody on the way may have put it there (CVE-2011-0411, seen from the client)."""
    server = Script([*EHLO, b"220 go\r\n250 OK\r\n"])
    with pytest.raises(ConnectionError, match="before TLS"):
        converse(negotiation("client", required=False), server.read, server.write)


def test_after_tls_the_dialogue_begins_without_a_greeting() -> None:
    server = Script([b"250 mx\r\n", b"250 OK\r\n", b"250 OK\r\n", b"354 go\r\n", b"250 OK\r\n"])
    run = dialogue("client", "", ["bob"], [b"x\n"], smtp=True, greeted=True)
    assert converse(run, server.read, server.write) == [("bob", 250, "2.0.0", "OK")]
    assert server.heard.startswith(b"EHLO client\r\nMAIL FROM:<>")
