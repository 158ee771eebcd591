"""Every dialogue of pop3/ on the protocol core: line by line, octet by octet, and pipelined as a whole.

Those of pop3/extensions/ need a server that offers more than the usual; the header `offers:` says what.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from vmaild.protocol.multiline import wire_size
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
    Settings,
    StartTls,
    TlsReady,
    TlsUnavailable,
    WholeMessage,
)
from vmaild.protocol.waits import NEED_DATA, PAUSED, Wait

if TYPE_CHECKING:
    from tests.transcripts.dialogue import Dialogue

VERSION = "1.004"
DIALOGUES = sorted((Path(__file__).parent / "pop3").rglob("*.txt"))


@pytest.fixture(params=DIALOGUES, ids=lambda path: path.stem)
def dialogue(request: pytest.FixtureRequest, parse_dialogue: Callable[[str, str], Dialogue]) -> Dialogue:
    return parse_dialogue(request.param.read_text("utf-8"), VERSION)


def test_line_by_line(dialogue: Dialogue) -> None:
    replay(dialogue, cut=lambda line: [line])


def test_octet_by_octet_both_ways(dialogue: Dialogue) -> None:
    replay(dialogue, cut=octets, stream=True)


def test_pipelined_as_a_whole(dialogue: Dialogue) -> None:
    server = Server(dialogue)
    in_one_piece = b""
    for step in dialogue.steps:
        if step.speaker == "TLS":
            server.hear(in_one_piece)
            in_one_piece = b""
            server.start_tls(step.line)
        elif step.speaker == "C" and step.line is not None:
            in_one_piece += step.line + b"\r\n"
    if in_one_piece:
        server.hear(in_one_piece)
    if server.closed is None:
        server.hear(b"")
    assert server.lines == dialogue.said_by("S")
    check_end(dialogue, server)


def test_the_greeting_is_said_unasked(dialogue: Dialogue) -> None:
    assert Server(dialogue).lines == dialogue.said_by("S")[:1]


def replay(dialogue: Dialogue, cut: Callable[[bytes], list[bytes]], *, stream: bool = False) -> None:
    server = Server(dialogue, stream=stream)
    expected: list[bytes] = []
    for step in dialogue.steps:
        if step.speaker == "S":
            if step.line is None:
                assert server.closed is not None, "the server does not close"
            else:
                expected.append(step.line)
            continue
        if step.speaker == "TLS":
            server.start_tls(step.line)
            continue
        assert server.lines == expected
        assert server.closed is None, f"closed before {step.line!r}"
        for piece in [b""] if step.line is None else cut(step.line + b"\r\n"):
            server.hear(piece)
    assert server.lines == expected
    check_end(dialogue, server)


def check_end(dialogue: Dialogue, server: Server) -> None:
    by_client = dialogue.steps[-1].speaker == "C"
    assert server.closed is not None
    assert (server.closed.reason is CloseReason.PEER_CLOSED) == by_client
    assert server.deleted == dialogue.deletes


def octets(data: bytes) -> list[bytes]:
    return [data[index : index + 1] for index in range(len(data))]


class Server:
    """The core with the scene of a dialogue for its outside."""

    def __init__(self, dialogue: Dialogue, *, stream: bool = False) -> None:
        self.dialogue = dialogue
        self.stream = stream
        self.connection = Connection(dialogue.domain, VERSION, settings(dialogue.offers), tls=dialogue.tls)
        self.output = self.connection.data_to_send()
        self.closed: ConnectionClosed | None = None
        self.deleted: tuple[int, ...] = ()

    @property
    def lines(self) -> list[bytes]:
        assert self.output.endswith(b"\r\n")
        return self.output.removesuffix(b"\r\n").split(b"\r\n")

    def hear(self, data: bytes) -> None:
        self.connection.receive_data(data)
        while self.closed is None:
            event = self.connection.next_event()
            self.output += self.connection.data_to_send()
            if event is NEED_DATA or (event is PAUSED and not self.connection.data_wanted):
                return  # PAUSED: TLS is to start
            assert not isinstance(event, Wait)
            self.carry_out(event)

    def start_tls(self, domain: bytes | None) -> None:
        self.connection.tls_started(domain.decode("ascii") if domain else None)

    def carry_out(self, event: Event) -> None:
        match event:
            case ConnectionClosed():
                self.closed = event
            case ReadMessage(index) if self.stream and index + 1 not in self.dialogue.unreadable:
                self.connection.send(MessageStarted())
                content = iter(octets(self.dialogue.messages[index].content))
                while self.connection.content_wanted and (piece := next(content, b"")):
                    self.connection.send_content(piece)
                self.connection.send(MessageEnded())
            case _:
                self.connection.send(self.answer(event))

    def answer(self, event: Event) -> Answer:
        scene = self.dialogue
        match event:
            case StartTls():
                return unavailable(scene.refuses_tls) if scene.refuses_tls else TlsReady()
            case CheckPassword() if scene.refuses_login:
                return refusal(scene.refuses_login)
            case CheckPassword(login, password):
                if (login.encode("utf-8", "surrogateescape"), password) == (scene.login, scene.password):
                    return PasswordAccepted()
                return LoginRefused(ResponseCode.AUTH, "wrong login or password")
            case OpenMaildrop() if scene.refuses_maildrop:
                return refusal(scene.refuses_maildrop)
            case OpenMaildrop():
                sizes = [wire_size(message.content) for message in scene.messages]
                return MaildropOpened(sizes, [message.uid for message in scene.messages])
            case ReadMessage(index) if index + 1 in scene.unreadable:
                return MessageUnreadable(scene.unreadable[index + 1])
            case ReadMessage(index):
                return WholeMessage(scene.messages[index].content)
            case Commit(deleted):
                self.deleted = tuple(index + 1 for index in deleted)
                return Committed(scene.not_removed)
        raise AssertionError(event)


def refusal(code_and_text: tuple[str, str]) -> LoginRefused:
    code, text = code_and_text
    return LoginRefused(ResponseCode(code), text)


def unavailable(code_and_text: tuple[str, str]) -> TlsUnavailable:
    code, text = code_and_text
    return TlsUnavailable(text, ResponseCode(code))


def settings(offers: tuple[str, ...]) -> Settings:
    """The settings of a header `offers:`; a SASL mechanism stands in capitals."""
    offered: dict[str, Any] = {}
    for word in offers:
        name, _, value = word.partition("=")
        match name:
            case "no-plain-logins":
                offered["plain_logins"] = False
            case "login-delay" | "expire":
                offered[name.replace("-", "_")] = int(value)
            case "lang":
                offered |= {"lang": True, "preferred_language": value or "en"}
            case _ if name.isupper():
                offered["mechanisms"] = (*offered.get("mechanisms", ()), name)
            case _:
                offered[name] = True
    return Settings(**offered)
