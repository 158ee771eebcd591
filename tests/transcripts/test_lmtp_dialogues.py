"""Dialogues of LMTP and its SMTP dialect in text, replayed on the protocol core.

Each file of `lmtp/` is one connection. It may begin with settings (`dialect: SMTP`, `max_size: 100`,
`max_recipients: 2`); then each line says who does what:

    C: text       the client sends a line; CRLF is added
    R: text       the client sends just this, with the escapes of a Python string (\\r \\n \\x00)
    EOF:          the client closes
    S: text       the server's next reply line
    M: sender | recipients | content    a message was taken; its content with escapes, or `(empty)`
    E: text       another event that matters: a transaction was reset, the connection is closed

Each file is replayed as it stands, byte by byte, and with all that the client says in one piece: the answers
have to be the same. `_outside` plays the rest of the server; what it answers depends on the recipient's name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

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
    TransactionReset,
)
from vmaild.protocol.waits import Wait

TRANSCRIPTS = sorted((Path(__file__).parent / "lmtp").glob("*.txt"))

AT_RCPT: dict[str, Outcome] = {
    "nobody": Rejected(Condition.NO_SUCH_USER),
    "later": Deferred(Condition.LOOKUP_FAILED),
    "evil": Rejected(Condition.NO_SUCH_USER, "two\r\n250 lines, \x1b[1mémoi"),
}
AT_END: dict[str, Outcome] = {
    "full": Rejected(Condition.OVER_QUOTA),
    "broken": Deferred(Condition.INTERNAL),
}


@dataclass
class _Transcript:
    settings: dict[str, str] = field(default_factory=dict)
    lines: list[tuple[str, str]] = field(default_factory=list)

    def of_kind(self, kinds: str) -> list[str]:
        return [text for kind, text in self.lines if kind in kinds]


@dataclass
class _Replay:
    """What came out of a connection."""

    connection: Connection
    replies: list[str] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    _sender: str = ""
    _recipients: list[Recipient] = field(default_factory=list)
    _content: bytes = b""

    def feed(self, data: bytes) -> None:
        self.connection.receive_data(data)
        self.run()

    def run(self) -> None:
        while not isinstance(event := self.connection.next_event(), Wait):
            match event:
                case MailFrom(sender):
                    self._sender, self._recipients, self._content = sender, [], b""
                case Recipient(address):
                    outcome = AT_RCPT.get(address.key, Delivered(Condition.ACCEPTED))
                    if isinstance(outcome, Delivered):
                        self._recipients.append(event)
                    self.connection.send(outcome)
                case DataStarted():
                    no_space = self._sender.startswith("no-space")
                    self.connection.send(Deferred(Condition.SYSTEM_FULL) if no_space else Ready())
                case ContentChunk(data):
                    self._content += data
                case ContentEnded(size):
                    assert size == len(self._content)
                    names = " ".join(str(recipient.address) for recipient in self._recipients)
                    self.events.append(f"{self._sender or '<>'} | {names} | {_escaped(self._content)}")
                    self.connection.send(
                        [AT_END.get(recipient.address.key, Delivered()) for recipient in self._recipients]
                    )
                case TransactionReset():
                    self.events.append("reset")
                case ConnectionClosed(reason, state):
                    closed = f"closed: {reason.value}, {state.value}"
                    if closed not in self.events:
                        self.events.append(closed)
                    break
        replies = self.connection.data_to_send()
        assert replies == b"" or replies.endswith(b"\r\n")
        self.replies += replies.decode().split("\r\n")[:-1]


def _read(path: Path) -> _Transcript:
    transcript = _Transcript()
    for line in path.read_text(encoding="utf-8").splitlines():
        kind, _, text = line.partition(":")
        if not line or line.startswith("#"):
            continue
        if kind in {"dialect", "max_size", "max_recipients"}:
            transcript.settings[kind] = text.strip()
        else:
            assert kind in {"C", "R", "EOF", "S", "M", "E"}, f"{path.name}: {line}"
            transcript.lines.append((kind, text.removeprefix(" ")))
    return transcript


def _connection(settings: dict[str, str]) -> Connection:
    return Connection(
        Dialect(settings.get("dialect", "LMTP")),
        "mx.example",
        max_size=int(settings.get("max_size", 1000)),
        max_recipients=int(settings.get("max_recipients", 100)),
    )


def _escaped(content: bytes) -> str:
    return repr(content)[2:-1].replace("\\'", "'") or "(empty)"


def _spoken(kind: str, text: str) -> bytes:
    """What a line of the client is on the wire."""
    if kind == "C":
        return text.encode() + b"\r\n"
    return text.encode("ascii").decode("unicode_escape").encode("latin-1")


def _pieces(data: bytes, bytewise: bool) -> Iterator[bytes]:
    return (data[i : i + 1] for i in range(len(data))) if bytewise else iter([data])


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
@pytest.mark.parametrize("bytewise", [False, True], ids=["lines", "bytes"])
def test_replayed_line_by_line(path: Path, bytewise: bool) -> None:
    transcript = _read(path)
    replay = _Replay(_connection(transcript.settings))
    replay.run()
    said: list[str] = []
    for kind, text in transcript.lines:
        match kind:
            case "C" | "R":
                assert replay.replies == said, "before the client goes on"
                for piece in _pieces(_spoken(kind, text), bytewise):
                    replay.feed(piece)
            case "EOF":
                replay.feed(b"")
            case "S":
                said.append(text)
    assert replay.replies == said
    assert replay.events == transcript.of_kind("ME")


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_replayed_in_one_piece(path: Path) -> None:
    transcript = _read(path)
    replay = _Replay(_connection(transcript.settings))
    replay.feed(b"".join(_spoken(kind, text) for kind, text in transcript.lines if kind in {"C", "R"}))
    if ("EOF", "") in transcript.lines:
        replay.feed(b"")
    assert replay.replies == transcript.of_kind("S")
    assert replay.events == transcript.of_kind("ME")


def test_there_are_transcripts() -> None:
    assert len(TRANSCRIPTS) > 20
