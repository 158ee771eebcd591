"""One message on its way through the delivery agent."""

from __future__ import annotations

import hashlib
import math
import time
from dataclasses import dataclass, field

from vmaild.address import Address, AddressError, parse_address
from vmaild.store.content import Content
from vmaild.store.messages import Once

MAX_HOPS = 50
"""Received fields of a message that goes on to another server; with more it goes round (RFC 5321 6.3)."""
_MAX_HEADER = 1 << 20
"""Octets of the header that are looked at."""
_ENDS = 1 << 19
"""Octets at either end of a large message that tell it from others."""


@dataclass(slots=True)
class Attempt:
    """One try to deliver a message: what its recipients share. For one thread, but others may add to `once`."""

    deadline: float = math.inf
    """In seconds of time.monotonic(): until then the sending server waits for the answer."""
    one_answer: bool = False
    """Whether all recipients get the worst answer of them: where one waits, the message comes again for all."""
    relay_failed: bool = False
    """Whether the relay did not answer: it is not tried anew for each recipient."""
    once: list[Once] = field(default_factory=list)
    """What was put into mailboxes, until the sender has its answer."""
    taken: list[Once] = field(default_factory=list)
    """What programs, files and the relay have taken, until then."""
    unnoted: bool = False
    """Whether what was done could not be noted for when the message comes again."""
    key: str = ""
    """Message.key, once it is known."""

    def left(self, most: float = math.inf) -> float:
        """Seconds until the deadline, at most `most`; 0: it is over."""
        return min(most, max(0.0, self.deadline - time.monotonic()))


@dataclass(frozen=True, slots=True)
class Message:
    """The envelope's sender, the trace of this server, and the content."""

    sender: str
    """Empty: the null sender."""
    trace: bytes
    """Header lines with LF ends (Received), to stand above the content."""
    content: Content
    attempt: Attempt = field(default_factory=Attempt, compare=False)

    def header_fields(self) -> list[tuple[str, str]]:
        """The fields of the header, names in lower case, values unfolded. Raises OSError."""
        return parse_header(self.header())

    def key(self) -> str:
        """As `digest`, in the time that a small message takes: of a large one both ends count, and the size."""
        if not self.attempt.key:
            small = self.content.size <= 2 * _ENDS
            self.attempt.key = self.digest() if small else self._digest_of_ends()
        return self.attempt.key

    def _digest_of_ends(self) -> str:
        size = self.content.size
        found = hashlib.sha256(f"{self.sender}\0{size}\0".encode("utf-8", "surrogateescape"))
        position = 0
        for chunk in self.content.chunks():
            if position < _ENDS or position + len(chunk) > size - _ENDS:
                found.update(chunk)
            position += len(chunk)
        return found.hexdigest()

    def header(self) -> bytes:
        """The header as stored, without the empty line below it. Raises OSError."""
        head = b""
        for chunk in self.content.chunks():
            head += chunk
            end = 0 if head.startswith(b"\n") else head.find(b"\n\n") + 1
            if head.startswith(b"\n") or end:
                return head[:end]
            if len(head) > _MAX_HEADER:
                break
        return head[:_MAX_HEADER]

    def digest(self) -> str:
        """What tells this message from every other, and not from its own next try. Raises OSError."""
        found = hashlib.sha256(self.sender.encode("utf-8", "surrogateescape") + b"\0")
        for chunk in self.content.chunks():
            found.update(chunk)
        return found.hexdigest()

    def has_been_through(self, recipient: Address) -> bool:
        """Whether it was here for this recipient before, or has gone through too many servers. Raises OSError."""
        hops = 0
        for name, value in self.header_fields():
            hops += name == "received"
            if name == "delivered-to" and _same(value, recipient):
                return True
        return hops > MAX_HOPS


def parse_header(header: bytes) -> list[tuple[str, str]]:
    """Fields of a header with LF line ends (RFC 5322 2.2): names in lower case, values unfolded and stripped."""
    fields: list[tuple[str, list[str]]] = []
    for line in header.decode("utf-8", "surrogateescape").split("\n"):
        if line[:1] in {" ", "\t"} and fields:
            fields[-1][1].append(line.strip())
            continue
        name, colon, value = line.partition(":")
        if colon:
            fields.append((name.strip().lower(), [value.strip()]))
    return [(name, " ".join(lines)) for name, lines in fields]


def _same(text: str, recipient: Address) -> bool:
    try:
        found = parse_address(text)
    except AddressError:
        return False
    return (found.key, found.domain) == (recipient.key, recipient.domain)
