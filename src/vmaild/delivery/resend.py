"""Sends a message on to addresses outside, through the site's relay.

A relay is the MTA next to us (`smtp://127.0.0.1:25`), one elsewhere whose certificate is checked
(`smtp+starttls://HOST:PORT`), one that speaks LMTP (`lmtp://HOST:PORT`, `lmtp:unix:/PATH`), or a program
(`sendmail:/usr/sbin/sendmail`). `smtp://` takes TLS where a relay on another machine offers it, and does without
where it fails: that keeps listeners out and nobody else (RFC 7435). What a relay answers for an address is the
outcome of that address; only what it has taken is delivered. Everything here blocks, and belongs in a thread.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain

from vmaild.address import Address
from vmaild.core.site import Relay, RelayKind
from vmaild.delivery.command import execute
from vmaild.delivery.message import Attempt
from vmaild.outcome import Condition, Deferred, Delivered, Outcome, Rejected
from vmaild.protocol.lmtp_client import Result, converse, dialogue, negotiation
from vmaild.store.content import Content, scratch_file

log = logging.getLogger("vmaild.delivery")

BATCH = 100
"""Recipients of one transaction: what every server has to take (RFC 5321 4.5.3.1.8)."""
CONNECT_TIME = 30.0
"""Seconds until the relay must have taken a connection."""
ANSWER_TIME = 300.0
"""Seconds for one answer (RFC 5321 4.5.3.2)."""
_NO_TIME = 0.01
"""Seconds; a timeout of 0 would mean another thing to a socket."""
_BLOCK = 65536
_PERMANENT = range(64, 71)
"""Exit statuses of sysexits(3) that stand for a refusal, up to EX_SOFTWARE: the others may pass."""


@dataclass(frozen=True, slots=True)
class Way:
    """How one message goes outside."""

    relay: Relay
    hostname: str
    """How this machine greets the relay."""
    folder: str
    """Takes the message while a program reads it."""
    attempt: Attempt
    taken: Callable[[Address], object] = lambda _: None
    """Called for each recipient for whom the relay has taken the message, as soon as it has."""


def resend(way: Way, sender: str, recipients: Sequence[Address], header: bytes, content: Content) -> list[Outcome]:
    """Hand a message to the relay; one outcome for each recipient, in their order. Never raises.

    `sender` is the envelope's, empty for the null sender. `header` goes above the content: lines with LF ends.
    Once the relay did not answer, nothing more of the message is sent in this attempt.
    """
    outcomes: list[Outcome] = []
    for start in range(0, len(recipients), BATCH):
        batch = recipients[start : start + BATCH]
        if way.attempt.relay_failed or not way.attempt.left():
            outcomes += [Deferred(Condition.NEXT_SERVER_WAITS)] * len(batch)
        elif way.relay.kind is RelayKind.SENDMAIL:
            outcomes += _by_program(way, sender, batch, header, content)
        else:
            outcomes += _by_dialogue(way, sender, batch, header, content)
        for recipient, outcome in zip(batch, outcomes[start:], strict=True):
            if isinstance(outcome, Delivered):
                way.taken(recipient)
    for recipient, outcome in zip(recipients, outcomes, strict=True):
        log.info("resent to %s by %s from <%s>: %s", recipient, way.relay, sender, outcome)
    return outcomes


class _NoTls(OSError):
    """TLS could not begin."""


@dataclass(slots=True)
class _Line:
    """A connection to the relay, on which nobody is waited for longer than there is time."""

    connection: socket.socket
    attempt: Attempt
    broken: bool = False

    def read(self) -> bytes:
        """What came; b"": the relay has closed. Raises OSError."""
        self.broken = True
        self.connection.settimeout(self._time())
        data = self.connection.recv(_BLOCK)
        self.broken = not data
        return data

    def write(self, data: bytes) -> None:
        """Raises OSError."""
        self.broken = True
        self.connection.settimeout(self._time())
        self.connection.sendall(data)
        self.broken = False

    def secure(self, host: str, *, check: bool) -> None:
        """Begin TLS; `check`: only with who has a certificate for `host`. Raises OSError, _NoTls."""
        import ssl  # noqa: PLC0415  the relay is mostly on this machine, and vdeliver has to start fast

        context = ssl.create_default_context()
        if not check:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        self.connection.settimeout(self._time())
        try:
            self.connection = context.wrap_socket(self.connection, server_hostname=host)
        except ssl.SSLError as error:
            raise _NoTls(error.errno, f"no TLS: {error}") from error

    def _time(self) -> float:
        return self.attempt.left(ANSWER_TIME) or _NO_TIME


def _by_dialogue(
    way: Way, sender: str, recipients: Sequence[Address], header: bytes, content: Content
) -> list[Outcome]:
    try:
        line, greeted = _opened(way)
    except OSError as error:
        log.error("relay %s cannot be reached: %s", way.relay, error)
        way.attempt.relay_failed = True
        return [Deferred(Condition.NEXT_SERVER_WAITS)] * len(recipients)
    try:
        run = dialogue(
            way.hostname,
            sender,
            list(map(str, recipients)),
            chain((header,), content.chunks()),
            smtp=way.relay.kind is not RelayKind.LMTP,
            each=True,
            greeted=greeted,
        )
        outcomes = list(map(_outcome, converse(run, line.read, line.write)))
    finally:
        with suppress(OSError):  # all has been said
            line.connection.close()
    # A relay that closes early, but has said its last word on everybody, is a working one.
    way.attempt.relay_failed = line.broken and any(isinstance(outcome, Deferred) for outcome in outcomes)
    return outcomes


def _opened(way: Way) -> tuple[_Line, bool]:
    """A connection to the relay, and whether it has said its greeting. Raises OSError."""
    relay, attempt = way.relay, way.attempt
    line = _Line(_connect(relay, attempt.left(CONNECT_TIME) or _NO_TIME), attempt)
    required = relay.kind is RelayKind.STARTTLS
    try:
        if relay.kind is RelayKind.LMTP or (not required and _is_here(line.connection)):
            return line, False
        if converse(negotiation(way.hostname, required=required), line.read, line.write):
            line.secure(relay.host, check=required)
        return line, True
    except BaseException as error:
        line.connection.close()
        if required or not isinstance(error, _NoTls):
            raise
        log.warning("relay %s: %s", relay, error)
    return _Line(_connect(relay, attempt.left(CONNECT_TIME) or _NO_TIME), attempt), False


def _is_here(connection: socket.socket) -> bool:
    """Whether the other end is on this machine, where nobody listens on the way."""
    return bool(connection.getsockname()[0] == connection.getpeername()[0])


def _connect(relay: Relay, seconds: float) -> socket.socket:
    if not relay.path:
        return socket.create_connection((relay.host, relay.port), seconds)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(seconds)
        connection.connect(relay.path)
    except OSError:
        connection.close()
        raise
    return connection


def _outcome(result: Result) -> Outcome:
    _, code, enhanced, text = result
    if code // 100 == 2:
        return Delivered()
    if code // 100 == 4:
        return Deferred(Condition.NEXT_SERVER_WAITS, text, (code, enhanced))
    return Rejected(Condition.NEXT_SERVER_REFUSED, text, (code, enhanced))


def _by_program(
    way: Way, sender: str, recipients: Sequence[Address], header: bytes, content: Content
) -> list[Outcome]:
    """Give it to a program that is called as sendmail(8) is; one answer for all."""
    # -i: a line with a single dot is content. What begins with "-" cannot be an option after "--".
    command = [way.relay.path, "-i", "-f", sender or "<>", "--", *map(str, recipients)]
    waiting: list[Outcome] = [Deferred(Condition.NEXT_SERVER_WAITS)] * len(recipients)
    try:
        with scratch_file(way.folder) as message:
            content.write_to(message, header)
            os.lseek(message, 0, os.SEEK_SET)
            seconds = way.attempt.left(ANSWER_TIME)
            # As whoever we are: an MTA takes a sender (-f) only from users that it trusts.
            status, said = execute(command, os.environ, message, way.folder, seconds, as_mail_user=False)
    except OSError as error:
        log.error("relay %s: %s", way.relay, error)
        way.attempt.relay_failed = True
        return waiting
    if status == 0:
        return [Delivered()] * len(recipients)
    told = "out of time" if status is None else f"status {status}"
    log.error("relay %s: %s: %r", way.relay, told, said.decode("utf-8", "backslashreplace").strip())
    way.attempt.relay_failed = status is None
    return [Rejected(Condition.NEXT_SERVER_REFUSED)] * len(recipients) if status in _PERMANENT else waiting
