"""A POP3 and an LMTP client that show every octet, where the usual libraries tidy up."""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from typing import Self

from tests.served import ADDRESSES, SHARED, Root

SENDER = "carol@sender.example"


def password_of(address: str) -> str:
    """The password of a demo account: `bob-va` for bob@va.toto.fr."""
    login, _, domain = address.partition("@")
    return f"{login}-{domain.partition('.')[0]}"


class Dialogue:
    """A connection that talks in lines."""

    def __init__(self, place: tuple[str, int] | str) -> None:
        """Connect to an address and port, or to a local socket; read the greeting."""
        if isinstance(place, str):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(60)
            self.socket.connect(place)
        else:
            self.socket = socket.create_connection(place, 60)
        self._reader = self.socket.makefile("rb")
        self.greeting = self.line()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up without a word."""
        self._reader.close()
        self.socket.close()

    def line(self) -> str:
        """The next line, without its end; empty when the server has hung up."""
        return self._reader.readline().decode().removesuffix("\r\n")

    def ask(self, command: str) -> str:
        """Send a command; the first line of the reply."""
        self.socket.sendall(command.encode() + b"\r\n")
        return self.line()


class Pop3(Dialogue):
    """A POP3 session."""

    def log_in(self, login: str, password: str) -> str:
        """Log in; the reply to PASS."""
        self.ask(f"USER {login}")
        return self.ask(f"PASS {password}")

    def block(self, command: str) -> bytes:
        """A multi-line reply: its content, dots unstuffed, exactly as it came."""
        reply = self.ask(command)
        assert reply.startswith("+OK"), reply
        lines = []
        while (line := self._reader.readline()) != b".\r\n":
            assert line.endswith(b"\r\n"), line[-50:]
            lines.append(line[1:] if line.startswith(b".") else line)
        return b"".join(lines)

    def count(self) -> int:
        """How many messages there are."""
        return int(self.ask("STAT").split()[1])


class Lmtp(Dialogue):
    """An LMTP session."""

    def reply(self, command: str | None = None) -> str:
        """The last line of a reply, to a command or to what was said before."""
        line = self.ask(command) if command is not None else self.line()
        while line[3:4] == "-":
            line = self.line()
        return line

    def deliver(self, content: bytes, recipients: Sequence[str], sender: str = SENDER) -> list[str]:
        """Send a message; one reply for each recipient, from RCPT where that was refused, else from the end."""
        if self.greeting:
            self.greeting = ""
            self.reply("LHLO client.example")
        assert self.reply(f"MAIL FROM:<{sender}> BODY=8BITMIME").startswith("250")
        answers = [self.reply(f"RCPT TO:<{recipient}>") for recipient in recipients]
        if not any(answer.startswith("250") for answer in answers):
            self.reply("RSET")
            return answers
        assert self.reply("DATA").startswith("354")
        self.socket.sendall(stuffed(content))
        return [self.reply() if answer.startswith("250") else answer for answer in answers]


def stuffed(content: bytes) -> bytes:
    """The content as RFC 5321 4.5.2 transmits it. Only after CRLF does a line begin."""
    end = b".\r\n" if not content or content.endswith(b"\r\n") else b"\r\n.\r\n"
    return re.sub(rb"(\A|\r\n)\.", rb"\1..", content) + end


def fetch(root: Root, address: str) -> list[bytes]:
    """All messages of an account, by bare login at its domain's own address; they stay where they are."""
    login, _, domain = address.partition("@")
    with Pop3((ADDRESSES[domain], root.pop3)) as session:
        reply = session.log_in(login, password_of(address))
        assert reply.startswith("+OK"), reply
        messages = [session.block(f"RETR {number}") for number in range(1, session.count() + 1)]
        session.ask("QUIT")
    return messages


def send(root: Root, content: bytes, *recipients: str) -> list[str]:
    """Deliver by LMTP; one reply for each recipient."""
    with Lmtp((SHARED, root.lmtp)) as session:
        return session.deliver(content, recipients)


_TRACE = re.compile(
    rb"Return-Path: <(?P<sender>[^\r\n]*)>\r\n"
    rb"Delivered-To: (?P<mailbox>[^\r\n]+)\r\n(?:X-Original-To: [^\r\n]+\r\n)?"
    rb"(?P<received>Received: from [^\r\n]+\r\n\tby [^\r\n]+ \(vmaild [^\r\n]+\) with [^\r\n]+\r\n"
    rb"(?:\tfor <[^\r\n]+>;\r\n)?\t[^\r\n]+\r\n)?"
)


def without_trace(message: bytes) -> bytes:
    """The message without the fields that delivery puts on top; fails where they are not there."""
    found = _TRACE.match(message)
    assert found is not None, message[:300]
    return message[found.end() :]


def with_crlf(content: bytes) -> bytes:
    """The content as it is to come back: lines end with CRLF, the last one, too."""
    lines = re.sub(rb"(?<!\r)\n", b"\r\n", content)
    return lines if not lines or lines.endswith(b"\r\n") else lines + b"\r\n"
