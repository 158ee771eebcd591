"""The socketmap protocol: an MTA asks what a table says of a key (socketmap_table(5), and Sendmail's op.me).

Request and reply are netstrings, `LENGTH:OCTETS,`. A request is `NAME KEY`; a reply begins with a word that says
what came of it. Sans-IO, like all cores:

    connection.receive_data(data)
    while isinstance(event := connection.next_event(), LookUp):
        connection.send(Found("..."))
    transport.write(connection.data_to_send())

"Not there" (`NotFound`) and "could not look" (`Failed`) are two replies: from the first an MTA concludes that an
address does not exist, from the second that it has to ask again.
"""

from __future__ import annotations

from dataclasses import dataclass

from vmaild.protocol.waits import MAX_HELD_OUTPUT, NEED_DATA, PAUSED, SEND_FIRST, LocalProtocolError, Wait

MAX_REQUEST = 10_000
"""Octets. An address has a few hundred; Postfix takes replies of 100,000."""
_MAX_DIGITS = len(str(MAX_REQUEST))


@dataclass(frozen=True, slots=True)
class LookUp:
    """What does the table `name` say of `key`? Answer with `send`."""

    name: str
    key: str
    """Octets that are not UTF-8 are surrogates."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The MTA has gone, or spoke no socketmap: send what is there to send, then close."""

    problem: str = ""
    """For the log; empty: it went as it may."""


Event = LookUp | Closed


@dataclass(frozen=True, slots=True)
class Found:
    """The key is there."""

    value: str


@dataclass(frozen=True, slots=True)
class NotFound:
    """The key is not there, and that is certain."""


@dataclass(frozen=True, slots=True)
class Failed:
    """It could not be looked up; `text` may end in the MTA's log and before its client."""

    text: str
    for_good: bool = False
    """Whether asking again is in vain, as for a table that does not exist."""


Reply = Found | NotFound | Failed


class Connection:
    """The server's side of one connection."""

    __slots__ = ("_closed", "_held", "_out", "_waiting", "problem")

    def __init__(self) -> None:
        self._held = bytearray()
        self._out = bytearray()
        self._waiting = self._closed = False
        self.problem = ""

    def receive_data(self, data: bytes) -> None:
        """Take what was read; empty: the MTA asks nothing more."""
        if data:
            self._held += data
        else:
            self._closed = True

    def next_event(self) -> Event | Wait:
        """What is asked next; a Wait when nothing is."""
        if self._waiting:
            return PAUSED
        if len(self._out) > MAX_HELD_OUTPUT:
            return SEND_FIRST
        try:
            request = self._netstring()
        except ValueError as error:
            self._closed, self.problem = True, str(error)
            self._held.clear()
            return Closed(self.problem)
        if request is None:
            return Closed(self.problem) if self._closed else NEED_DATA
        self._waiting = True
        name, _, key = request.decode("utf-8", "surrogateescape").partition(" ")
        return LookUp(name, key)

    def send(self, reply: Reply) -> None:
        """Answer the last LookUp."""
        if not self._waiting:
            raise LocalProtocolError("nothing was asked")
        self._waiting = False
        match reply:
            case Found(value):
                text = f"OK {value}"
            case NotFound():
                text = "NOTFOUND "  # the space is part of it: socketmap_table(5)
            case Failed(reason, for_good):
                text = f"{'PERM' if for_good else 'TEMP'} {reason}"
        self._out += netstring(text.encode("utf-8", "surrogateescape"))

    def data_to_send(self) -> bytes:
        """What is to be written now."""
        data = bytes(self._out)
        self._out.clear()
        return data

    def _netstring(self) -> bytes | None:
        """Take one netstring off what is held; None: it is not complete. Raises ValueError."""
        held = self._held
        colon = held.find(b":", 0, _MAX_DIGITS + 1)
        digits = bytes(held[:colon] if colon >= 0 else held[: _MAX_DIGITS + 1])
        if (digits and not digits.isdigit()) or colon == 0 or (digits.startswith(b"0") and len(digits) > 1):
            raise ValueError(f"no netstring: {bytes(held[:20])!r}")
        if colon < 0:
            if len(digits) > _MAX_DIGITS:
                raise ValueError("a request that is too long")
            return None
        length = int(digits)
        if length > MAX_REQUEST:
            raise ValueError(f"a request of {length} octets")
        end = colon + 1 + length
        if len(held) <= end:
            return None
        if held[end : end + 1] != b",":
            raise ValueError("a netstring without its comma")
        request = bytes(held[colon + 1 : end])
        del held[: end + 1]
        return request


def netstring(data: bytes) -> bytes:
    """Octets as a netstring."""
    return b"%d:%b," % (len(data), data)


def request(name: str, key: str) -> bytes:
    """What a client asks."""
    return netstring(f"{name} {key}".encode("utf-8", "surrogateescape"))


def parse_reply(data: bytes) -> Reply | None:
    """What a server answered; None: it is not complete. Raises ValueError for what is no reply."""
    digits, colon, rest = data.partition(b":")
    if not digits.isdigit() and (colon or digits):
        raise ValueError(f"no netstring: {data[:20]!r}")
    if not colon or len(rest) <= int(digits):
        return None
    word, _, text = rest[: int(digits)].decode("utf-8", "replace").partition(" ")
    match word:
        case "OK":
            return Found(text)
        case "NOTFOUND":
            return NotFound()
        case "TEMP" | "TIMEOUT" | "PERM":
            return Failed(text, for_good=word == "PERM")
    raise ValueError(f"no reply: {word[:20]!r}")
