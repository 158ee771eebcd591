"""Sends a message on to addresses outside, through the site's relay.

A relay is the MTA next to us (`smtp://127.0.0.1:25`), one that speaks LMTP (`lmtp://HOST:PORT`,
`lmtp:unix:/PATH`), or a program (`sendmail:/usr/sbin/sendmail`). What it answers for an address is the outcome of
that address; only what it has taken is delivered. Everything here blocks, and belongs in a thread.
"""

from __future__ import annotations

import logging
import socket
import subprocess
from collections.abc import Iterator, Sequence
from itertools import chain

from vmaild.address import Address
from vmaild.core.site import Relay, RelayKind
from vmaild.outcome import Condition, Deferred, Delivered, Outcome, Rejected
from vmaild.protocol.lmtp_client import Result, converse, dialogue
from vmaild.store.content import Content

log = logging.getLogger("vmaild.delivery")

BATCH = 100
"""Recipients of one transaction: what every server has to take (RFC 5321 4.5.3.1.8)."""
CONNECT_TIME = 30.0
"""Seconds until the relay must have taken a connection."""
ANSWER_TIME = 300.0
"""Seconds for one answer (RFC 5321 4.5.3.2)."""
_BLOCK = 65536
_PERMANENT = range(64, 71)
"""Exit statuses of sysexits(3) that stand for a refusal, up to EX_SOFTWARE: the others may pass."""


def resend(
    relay: Relay, hostname: str, sender: str, recipients: Sequence[Address], header: bytes, content: Content
) -> list[Outcome]:
    """Hand a message to the relay; one outcome for each recipient, in their order. Never raises.

    `sender` is the envelope's, empty for the null sender. `header` goes above the content: lines with LF ends.
    """
    outcomes: list[Outcome] = []
    for start in range(0, len(recipients), BATCH):
        batch = recipients[start : start + BATCH]
        if relay.kind is RelayKind.SENDMAIL:
            outcomes += _by_program(relay, sender, batch, header, content)
        else:
            outcomes += _by_dialogue(relay, hostname, sender, batch, header, content)
    for recipient, outcome in zip(recipients, outcomes, strict=True):
        log.info("resent to %s by %s from <%s>: %s", recipient, relay, sender, outcome)
    return outcomes


def _by_dialogue(
    relay: Relay, hostname: str, sender: str, recipients: Sequence[Address], header: bytes, content: Content
) -> list[Outcome]:
    try:
        connection = _connect(relay)
    except OSError as error:
        log.error("relay %s cannot be reached: %s", relay, error)
        return [Deferred(Condition.NEXT_SERVER_WAITS)] * len(recipients)
    with connection:
        connection.settimeout(ANSWER_TIME)
        run = dialogue(
            hostname,
            sender,
            list(map(str, recipients)),
            _whole(header, content),
            smtp=relay.kind is RelayKind.SMTP,
            each=True,
        )
        return list(map(_outcome, converse(run, lambda: connection.recv(_BLOCK), connection.sendall)))


def _connect(relay: Relay) -> socket.socket:
    if not relay.path:
        return socket.create_connection((relay.host, relay.port), CONNECT_TIME)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(CONNECT_TIME)
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
    relay: Relay, sender: str, recipients: Sequence[Address], header: bytes, content: Content
) -> list[Outcome]:
    """Pipe into a program that is called as sendmail(8) is; one answer for all."""
    # -i: a line with a single dot is content. What begins with "-" cannot be an option after "--".
    command = [relay.path, "-i", "-f", sender or "<>", "--", *map(str, recipients)]
    try:
        with subprocess.Popen(  # noqa: S603  no shell, and the path is the site administrator's
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, umask=0o077
        ) as process:
            assert process.stdin is not None
            try:
                for chunk in _whole(header, content):
                    process.stdin.write(chunk)
                process.stdin.close()
            except BrokenPipeError:
                pass  # its exit status says what it made of that
            status = process.wait(ANSWER_TIME)
    except (OSError, subprocess.TimeoutExpired) as error:
        log.error("relay %s: %s", relay, error)
        return [Deferred(Condition.NEXT_SERVER_WAITS)] * len(recipients)
    if status == 0:
        return [Delivered()] * len(recipients)
    log.error("relay %s ended with status %d", relay, status)
    permanent = status in _PERMANENT
    refused: Outcome = (
        Rejected(Condition.NEXT_SERVER_REFUSED) if permanent else Deferred(Condition.NEXT_SERVER_WAITS)
    )
    return [refused] * len(recipients)


def _whole(header: bytes, content: Content) -> Iterator[bytes]:
    return chain((header,), content.chunks())
