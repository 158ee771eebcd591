"""Fuzz what reads bytes from outside: the protocol cores and the parsers of the configuration.

usage: python tools/fuzz.py TARGET [options of libFuzzer]

atheris guides it by coverage. It is no dependency of the project, so give it a virtual environment of its own:

    python3.11 -m venv /tmp/fuzz && /tmp/fuzz/bin/pip install atheris idna tomlkit
    PYTHONPATH=src /tmp/fuzz/bin/python tools/fuzz.py pop3 -max_total_time=120 -max_len=4096 -len_control=0 corpus/

`corpus/` may be empty and is filled. An input that shows a fault is kept as `crash-...`; give its name in place of
the options to run it again. A fault is an exception that the docstrings do not name, a stream that means
something else when the network cuts it otherwise, a reply that is not one, or a value that does not survive
being written down.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

import atheris

with atheris.instrument_imports(include=["vmaild"]):
    from vmaild.formats.aliases import parse_aliases, parse_include
    from vmaild.formats.domain import parse_definition, parse_fallback, render_definition, render_fallback
    from vmaild.formats.parsed import FormatError
    from vmaild.formats.passwd import parse_passwd, render_account
    from vmaild.formats.shadow import parse_shadow
    from vmaild.formats.site import parse_listen, parse_network, parse_site
    from vmaild.formats.size import parse_size, render_size
    from vmaild.formats.targets import parse_targets, render_target
    from vmaild.outcome import Condition, Delivered
    from vmaild.protocol import lmtp, pop3
    from vmaild.protocol import pop3_events as ask
    from vmaild.protocol.multiline import wire_size
    from vmaild.protocol.proxy import LOCAL, NEED_MORE, Proxied, ProxyHeader, ProxyHeaderError
    from vmaild.protocol.waits import Wait

Given = TypeVar("Given")
Read = TypeVar("Read")
Observed = list[object]
CONTENTS = (b"Subject: one\n\none\n", b".\n..\nno newline", b"")


def pieces(data: bytes, cuts: int) -> Iterator[bytes]:
    """The data in pieces of 1 to 16 octets, by the bits of `cuts` over and over; 0: in one piece."""
    start, turn = 0, 0
    while start < len(data):
        size = (cuts >> 4 * (turn % 4) & 15) + 1 if cuts else len(data)
        yield data[start : start + size]
        start, turn = start + size, turn + 1


# -- the protocol cores: what is understood and answered does not depend on the cuts


def pop3_answer(event: object) -> ask.Answer:
    """What a small maildrop answers."""
    match event:
        case ask.CheckPassword(_, password):
            wrong = ask.LoginRefused(ask.ResponseCode.AUTH, "wrong")
            return wrong if password.startswith(b"w") else ask.PasswordAccepted()
        case ask.OpenMaildrop():
            return ask.MaildropOpened([wire_size(content) for content in CONTENTS], ["a", "b", "c"])
        case ask.ReadMessage(index):
            return ask.MessageUnreadable("gone") if index == 2 else ask.WholeMessage(CONTENTS[index])
        case ask.Commit(deleted):
            return ask.Committed(len(deleted) // 2)
        case _:
            return ask.TlsUnavailable()


def pop3_dialogue(stream: bytes, cuts: int) -> Observed:
    """All events and the whole output of a POP3 session."""
    settings = pop3.Settings(stls=True, mechanisms=("PLAIN", "LOGIN"), utf8=True, lang=True, last=True)
    core = pop3.Connection("va.toto.fr", "0", settings)
    seen: Observed = []
    output = b""
    for piece in (*pieces(stream, cuts), b""):
        core.receive_data(piece)
        while True:
            event = core.next_event()
            output += core.data_to_send()
            if isinstance(event, ask.ConnectionClosed):
                return [*seen, event, output]
            if not isinstance(event, Wait):
                seen.append(event)
                core.send(pop3_answer(event))
            elif event is not Wait.SEND_FIRST:
                break
    raise AssertionError("the end of the connection did not end the session")


_POP3_LINE = re.compile(rb"\+OK.*|-ERR .+|\+ [A-Za-z0-9+/=]*|[^\r\n]*", re.DOTALL)


def fuzz_pop3(stream: bytes, cuts: int) -> None:
    """A session is the same however it is cut, and speaks in whole lines."""
    whole = pop3_dialogue(stream, 0)
    assert pop3_dialogue(stream, cuts) == whole
    output = whole[-1]
    assert isinstance(output, bytes)
    assert output.endswith(b"\r\n")
    assert all(_POP3_LINE.fullmatch(line) for line in output.split(b"\r\n")), "a stray CR or LF"


def lmtp_dialogue(dialect: lmtp.Dialect, stream: bytes, cuts: int) -> Observed:
    """All events, with pieces of content joined, and the whole output of an LMTP session."""
    core = lmtp.Connection(dialect, "mx.example", max_size=500)
    seen: Observed = []
    content, output, accepted = b"", b"", 0
    for piece in (*pieces(stream, cuts), b""):
        core.receive_data(piece)
        while True:
            event = core.next_event()
            output += core.data_to_send()
            match event:
                case lmtp.ConnectionClosed():
                    return [*seen, event, output]
                case Wait.SEND_FIRST:
                    continue
                case Wait():
                    break
                case lmtp.ContentChunk(data):
                    content += data
                    continue
                case lmtp.MailFrom() | lmtp.TransactionReset():
                    content, accepted = b"", 0  # of a message that is dropped, any part may have come
                case lmtp.Recipient():
                    accepted += 1
                    core.send(Delivered(Condition.ACCEPTED))
                case lmtp.DataStarted():
                    core.send(lmtp.Ready())
                case lmtp.ContentEnded(size):
                    assert size == len(content) <= 500
                    seen.append(content)
                    core.send([Delivered()] * accepted)
            seen.append(event)
    raise AssertionError("the end of the connection did not end the session")


_LMTP_LINE = re.compile(rb"[2-5]\d\d[ -][\x20-\x7e\x80-\xff]*")


def fuzz_lmtp(stream: bytes, cuts: int) -> None:
    """A session is the same however it is cut, and every reply is one."""
    for dialect in lmtp.Dialect:
        whole = lmtp_dialogue(dialect, stream, 0)
        assert lmtp_dialogue(dialect, stream, cuts) == whole
        output = whole[-1]
        assert isinstance(output, bytes)
        *lines, rest = output.split(b"\r\n")
        assert rest == b""
        assert all(_LMTP_LINE.fullmatch(line) for line in lines)


def proxy_header(stream: bytes, cuts: int) -> object:
    """What a header says, and what comes behind it; None: it is none."""
    header = ProxyHeader()
    given = 0
    for piece in (*pieces(stream, cuts), b""):
        try:
            result = header.receive_data(piece)
        except ProxyHeaderError:
            return None
        given += len(piece)
        if result is not NEED_MORE:
            assert result is LOCAL or isinstance(result, Proxied)
            return result, header.rest + stream[given:]
    raise AssertionError("the end of the connection did not end the header")


def fuzz_proxy(stream: bytes, cuts: int) -> None:
    """A header is the same however it is cut. The two signatures are too long to be found by chance."""
    for start in (b"", b"PROXY TCP4 ", b"\r\n\r\n\0\r\nQUIT\n!"):
        assert proxy_header(start + stream, 0) == proxy_header(start + stream, cuts)


# -- the parsers: they take any text


def fuzz_formats(data: bytes, _: int) -> None:
    """No text breaks a parser, and what is read survives being written."""
    text = data.decode("utf-8", "surrogateescape")
    parse_shadow(text, "f")
    parse_include(text, "f")
    parse_aliases(text, "f")
    parse_site(text, "f")
    definition, _findings = parse_definition(text, "va.toto.fr", "f")
    for written in read(render_definition, definition) if definition else []:
        assert parse_definition(written, "va.toto.fr", "f")[0] == definition
    for account in parse_passwd(text, "f").entries:
        for written in read(render_account, account):
            (again,) = parse_passwd(written, "f").entries
            assert replace(again, source=account.source) == account


def fuzz_values(data: bytes, _: int) -> None:
    """A value is read, or refused in words; what is read survives being written."""
    text = data.decode("utf-8", "surrogateescape")
    for parse in (parse_listen, parse_network):
        read(parse, text)
    for size in read(parse_size, text):
        assert parse_size(render_size(size)) == size
    for fallback in read(parse_fallback, text):
        assert parse_fallback(render_fallback(fallback)) == fallback
    for target in (target for targets in read(parse_targets, text) for target in targets):
        assert parse_targets(render_target(target)) == (target,)


def read(parse: Callable[[Given], Read], given: Given) -> list[Read]:
    """The result in a list; an empty one where what is given is refused."""
    try:
        return [parse(given)]
    except FormatError as refusal:
        refused = str(refusal)
    assert refused.isprintable()
    return []


TARGETS: dict[str, Callable[[bytes, int], None]] = {
    "pop3": fuzz_pop3,
    "lmtp": fuzz_lmtp,
    "proxy": fuzz_proxy,
    "formats": fuzz_formats,
    "values": fuzz_values,
}


def main() -> None:
    """The command."""
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"usage: {sys.argv[0]} {'|'.join(TARGETS)} [options of libFuzzer]")
    check = TARGETS[sys.argv.pop(1)]

    def one_input(data: bytes) -> None:
        check(data[2:], int.from_bytes(data[:2], "little"))

    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
