"""The client's side of one delivery by LMTP (RFC 2033) or SMTP (RFC 5321), without a socket.

What `vdeliver` says to the server, and the delivery agent to the site's relay.

`dialogue` is a generator. What it yields is to be written; where it yields b"" it wants to be sent what was
read next (b"": the server has closed). An OSError of the socket is thrown into it. It returns what became of
each recipient. `converse` does just that:

    run = dialogue(hostname, sender, recipients, content)
    results = converse(run, lambda: connection.recv(65536), connection.sendall)

This module imports nothing at all: `vdeliver` is started for each message, and its imports are most of what it
costs. That is why the few reply codes that it has to make up stand here and not in outcome.py.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
    from typing import TypeVar

    T = TypeVar("T")

MAX_REPLY = 65_536
"""Octets of one reply with all its lines; only a broken server says more."""

QUIT = b"QUIT\r\n"
"""What is said last."""

ONE_ANSWER = "vdeliver.localhost"
"""How a client greets that has one answer for all recipients, whatever LMTP tells it: an exit status."""

Result = tuple[str, int, str, str]
"""A recipient as it was given, its reply code, enhanced status code and text."""
_Reply = tuple[int, list[str]]
"""Reply code, and the text of each line."""

_NO_UTF8: _Reply = (553, ["5.6.7 The next server takes no address with such characters"])
"""What a server without SMTPUTF8 must not even be asked (RFC 6531 3.5, 4.2)."""


def dialogue(
    hostname: str,
    sender: str,
    recipients: "Sequence[str]",
    content: "Iterable[bytes]",
    *,
    smtp: bool = False,
    each: bool = False,
    greeted: bool = False,
) -> "Generator[bytes, bytes, list[Result]]":
    """Deliver one message to its recipients; see the module for how to run it.

    `sender` is empty or `<>` for the null sender. `content` comes in pieces of any size, with LF or CRLF line
    ends; it is read only when every recipient was accepted. Where one was not, nobody gets the message, though
    the others are reported with the positive reply that they had; with `each`, those that were accepted get it.
    What goes wrong on the way, an OSError raised by `content` included, is a temporary failure of each recipient
    that had no last word yet. With `smtp` the server speaks SMTP, and has one last word for all; `greeted`: it
    has said its greeting already, see `negotiation`.
    """
    results: list[Result | None] = [None] * len(recipients)
    failure = ""
    try:
        yield from _deliver(hostname, sender, recipients, content, results, smtp=smtp, each=each, greeted=greeted)
    except OSError as error:
        failure = error.strerror or str(error)
    lost = _result("", (451, [f"4.4.2 {failure or 'Connection lost'}"]))
    return [result or (recipient, *lost[1:]) for recipient, result in zip(recipients, results, strict=True)]


def converse(
    run: "Generator[bytes, bytes, T]", read: "Callable[[], bytes]", write: "Callable[[bytes], object]"
) -> "T":
    """Run a dialogue over a blocking connection; `read` returns b"" at its end, both may raise OSError."""
    try:
        step = next(run)
        while True:
            data = b""
            try:
                if step:
                    write(step)
                else:
                    data = read()
            except OSError as error:
                step = run.throw(error)
            else:
                step = run.send(data)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


def inquiry(
    hostname: str, recipients: "Sequence[str]", name: "Callable[[str], object]" = str, *, smtp: bool = True
) -> "Generator[bytes, bytes, list[Result]]":
    """Ask a server which recipients it would take, from the null sender, each by itself; nothing is sent.

    Run as `dialogue`. `name` is told what the server calls itself. Raises ConnectionError where the server says
    no word about any recipient; a recipient that the connection did not last for gets a temporary failure.
    """
    held = bytearray()
    code, lines = yield from _reply(held)
    if code != 220:
        raise ConnectionError(f"Server says {code} {lines[-1]}")
    name(lines[0].partition(" ")[0])
    code, lines = yield from _command((b"EHLO " if smtp else b"LHLO ") + hostname.encode(), held)
    if code != 250:
        raise ConnectionError(f"Server says {code} {lines[-1]}")
    results: list[Result] = []
    try:
        for recipient in recipients:
            reply = yield from _command(b"MAIL FROM:<>", held)
            if _positive(reply):
                reply = yield from _command(b"RCPT TO:" + (path(recipient) or b"<>"), held)
                results.append(_result(recipient, reply))
                yield from _command(b"RSET", held)
            else:
                results.append(_result(recipient, reply))
        yield QUIT
    except OSError as error:
        lost = _result("", (451, [f"4.4.2 {error.strerror or error}"]))
        results += [(recipient, *lost[1:]) for recipient in recipients[len(results) :]]
    return results


def _deliver(
    hostname: str,
    sender: str,
    recipients: "Sequence[str]",
    content: "Iterable[bytes]",
    results: "list[Result | None]",
    *,
    smtp: bool,
    each: bool,
    greeted: bool,
) -> "Generator[bytes, bytes, None]":
    """Hold the dialogue, and put the last word on each recipient in `results`. Raises ConnectionError."""
    held = bytearray()
    mail = b"<>" if sender in {"", "<>"} else path(sender)
    if mail is None:
        results[:] = [_result(recipient, (553, ["5.1.7 Not a valid sender address"])) for recipient in recipients]
        return
    extensions = yield from _greet(hostname, held, smtp=smtp, greeted=greeted)
    mail += b" BODY=8BITMIME" if "8BITMIME" in extensions else b""  # RFC 6152; the content may be anything
    utf8 = "SMTPUTF8" in extensions
    if utf8 and not (sender + "".join(recipients)).isascii():
        mail += b" SMTPUTF8"  # RFC 6531 3.4
    if utf8 or sender.isascii():
        reply = yield from _command(b"MAIL FROM:" + mail, held)
    else:
        reply = _NO_UTF8
    if _positive(reply):
        answers = yield from _name(recipients, held, results, utf8=utf8)
        if any(results) if not each else all(results):
            # One exit status speaks for all recipients: better none now than some of them twice later.
            results[:] = answers
            yield QUIT
            return
        reply = yield from _command(b"DATA", held)
    if reply[0] != 354:
        if _positive(reply):
            raise ConnectionError(f"Server says {reply[0]} to DATA")
        results[:] = [
            known or _result(recipient, reply) for known, recipient in zip(results, recipients, strict=True)
        ]
        yield QUIT
        return
    yield from encoded(content)
    told = False
    for i, recipient in enumerate(recipients):
        if results[i] is None:
            # RFC 2033 4.2: a reply for each recipient, in the order of the RCPTs; SMTP has one for all.
            if not (smtp and told):
                reply = yield from _reply(held)
                _positive(reply)
                told = True
            results[i] = _result(recipient, reply)
    # The last word was said: the reply to QUIT is not worth waiting for.
    yield QUIT


def _name(
    recipients: "Sequence[str]", held: bytearray, results: "list[Result | None]", *, utf8: bool
) -> "Generator[bytes, bytes, list[Result]]":
    """Name the recipients; what was said of each. A refusal is the last word on it, and goes into `results`.

    `utf8`: the server takes addresses that are not ASCII.
    """
    answers: list[Result] = []
    for recipient in recipients:
        route = path(recipient)
        reply = (553, ["5.1.3 Not a valid recipient address"])
        if route is not None and (utf8 or route.isascii()):
            reply = yield from _command(b"RCPT TO:" + route, held)
        elif route is not None:
            reply = _NO_UTF8
        answers.append(_result(recipient, reply))
        if not _positive(reply):
            results[len(answers) - 1] = answers[-1]
    return answers


def negotiation(hostname: str, *, required: bool) -> "Generator[bytes, bytes, bool]":
    """Ask an SMTP server for TLS (RFC 3207); whether TLS is to begin now, and then `dialogue` with `greeted`.

    Run as `dialogue`. Raises ConnectionError where there is no server, or no TLS and it is `required`.
    """
    held = bytearray()
    if "STARTTLS" in (yield from _greet(hostname, held, smtp=True, greeted=False)):
        code, lines = yield from _command(b"STARTTLS", held)
        if held:
            # Somebody on the way may have said it, and after TLS it would pass for the server's word.
            raise ConnectionError("Server speaks before TLS begins")
        if code == 220:
            return True
        if required:
            raise ConnectionError(f"Server says {code} {lines[-1]} to STARTTLS")
    if required:
        raise ConnectionError("Server offers no TLS")
    return False


def _greet(hostname: str, held: bytearray, *, smtp: bool, greeted: bool) -> "Generator[bytes, bytes, set[str]]":
    """Exchange greetings; the keywords of the server's extensions."""
    code, lines = (220, [""]) if greeted else (yield from _reply(held))
    if code == 220:
        name = "".join(c if "!" <= c <= "~" else "-" for c in hostname) or "localhost"
        code, lines = yield from _command((b"EHLO " if smtp else b"LHLO ") + name.encode(), held)
        if smtp and code // 100 == 5:  # RFC 5321 3.2: a server that is older
            code, lines = yield from _command(b"HELO " + name.encode(), held)
        if code == 250:
            return {line.partition(" ")[0].upper() for line in lines[1:]}
    # Whatever the server has against us, it is nothing against the recipients: they can wait.
    raise ConnectionError(f"Server says {code} {lines[-1]}")


def _command(line: bytes, held: bytearray) -> "Generator[bytes, bytes, _Reply]":
    yield line + b"\r\n"
    return (yield from _reply(held))


def _reply(held: bytearray) -> "Generator[bytes, bytes, _Reply]":
    """The next reply, whole (RFC 5321 4.2.1). Raises ConnectionError for the end and for what is no reply."""
    lines: list[str] = []
    size = 0
    while True:
        end = held.find(b"\n")
        if size + (len(held) if end < 0 else end) > MAX_REPLY:
            raise ConnectionError("Server talks without end")
        if end < 0:
            read = yield b""
            if not read:
                raise ConnectionError("Server closed the connection")
            held += read
            continue
        line = bytes(held[:end]).removesuffix(b"\r")
        del held[: end + 1]
        size += end + 1
        code = line[:3]
        if len(code) < 3 or not code.isdigit() or code[:1] not in b"2345" or line[3:4] not in (b"", b" ", b"-"):
            raise ConnectionError("Server speaks neither SMTP nor LMTP")
        lines.append(line[4:].decode("utf-8", "replace"))
        if line[3:4] != b"-":
            return int(code), lines


def _positive(reply: _Reply) -> bool:
    """Whether a command was carried out (RFC 5321 4.2.1). Raises ConnectionError for an answer to DATA."""
    if reply[0] // 100 == 3:
        raise ConnectionError(f"Server says {reply[0]} out of turn")
    return reply[0] // 100 == 2


def _result(recipient: str, reply: _Reply) -> Result:
    """A reply as the result of a recipient, its enhanced status code set apart (RFC 2034 4)."""
    code, lines = reply
    enhanced = f"{code // 100}.0.0"
    texts = []
    for line in lines:
        first, _, rest = line.partition(" ")
        numbers = first.split(".")
        if len(numbers) == 3 and numbers[0] == str(code // 100) and all(n.isdecimal() for n in numbers):
            enhanced, line = first, rest  # noqa: PLW2901
        texts.append(line)
    text = "".join(c if c.isprintable() else "?" for c in " ".join(texts))
    return recipient, code, enhanced, text


def path(address: str) -> bytes | None:
    """An address as a path (RFC 5321 4.1.2), its local part quoted where it has to be; None: there is no way.

    The local part may be given quoted or, as some MTAs hand it to a delivery agent, plain.
    """
    local_part, at, domain = address.rpartition("@")
    if not at or address.endswith('"'):
        local_part, at, domain = address, "", ""
    if not local_part or any(c < " " or "\x7f" <= c <= "\x9f" or c in "\u2028\u2029" for c in address):
        return None
    if any(c in '<>"\\ ' for c in domain):
        return None
    if len(local_part) > 1 and local_part[0] == local_part[-1] == '"':
        # NUL cannot be there any more, and stands for an escaped backslash meanwhile.
        local_part = local_part[1:-1].replace("\\\\", "\0").replace("\\", "").replace("\0", "\\")
    if not local_part or any(c in '"(),:;<>@[\\]' or c.isspace() for c in local_part):
        local_part = '"' + local_part.replace("\\", "\\\\").replace('"', '\\"') + '"'
    try:
        return f"<{local_part}{at}{domain}>".encode()
    except UnicodeEncodeError:  # an argument that was not UTF-8
        return None


def encoded(content: "Iterable[bytes]") -> "Iterator[bytes]":
    """Content as it follows DATA (RFC 5321 4.5.2): CRLF line ends, dots stuffed, the terminator at the end.

    A bare CR is content. A missing last line end is added. No piece is empty; each costs a few passes in C.
    """
    cut = b""  # a CR at the end of a piece: half of a line end, or content
    line_starts = True
    for piece in content:
        octets = cut + piece
        cut = b"\r" if octets.endswith(b"\r") else b""
        octets = octets.removesuffix(b"\r")
        if not octets:
            continue
        if line_starts and octets.startswith(b"."):
            octets = b"." + octets
        line_starts = octets.endswith(b"\n")
        yield octets.replace(b"\r\n", b"\n").replace(b"\n.", b"\n..").replace(b"\n", b"\r\n")
    yield b".\r\n" if line_starts and not cut else cut + b"\r\n.\r\n"
