"""A mail server that answers as it is told, for tests of who sends to it: SMTP or LMTP, on loopback."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class Taken:
    """One transaction that got as far as its end."""

    sender: str
    recipients: list[str]
    content: bytes


@dataclass
class ScriptedRelay:
    """See the module. `rcpt` and `data` answer a recipient; `data` gets "" where SMTP has one word for all."""

    lmtp: bool = False
    rcpt: Callable[[str], str] = lambda _: "250 2.1.5 ok"
    data: Callable[[str], str] = lambda _: "250 2.0.0 taken"
    drop_after_data: bool = False
    pause: float = 0.0
    taken: list[Taken] = field(default_factory=list)
    port: int = 0

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        # A client may be killed in the middle.
        with suppress(ConnectionError), connection, connection.makefile("rb") as lines:

            def say(text: str) -> None:
                connection.sendall(text.encode() + b"\r\n")

            say("220 relay.test")
            sender, recipients = "", list[str]()
            for line in lines:
                time.sleep(self.pause)
                verb = line.split()[0].upper() if line.split() else b""
                argument = line.decode().partition("<")[2].partition(">")[0]
                if verb in {b"EHLO", b"LHLO"}:
                    right = (verb == b"LHLO") == self.lmtp
                    say(
                        "250-relay.test\r\n250-ENHANCEDSTATUSCODES\r\n250 8BITMIME" if right else "500 5.5.1 what?"
                    )
                elif verb == b"MAIL":
                    sender, recipients = argument, []
                    say("250 2.1.0 ok")
                elif verb == b"RCPT":
                    answer = self.rcpt(argument)
                    if answer.startswith("2"):
                        recipients.append(argument)
                    say(answer)
                elif verb == b"DATA":
                    say("354 go on")
                    content = b""
                    while not content.endswith(b"\r\n.\r\n"):
                        more = lines.readline()
                        if not more:
                            return
                        content += more
                    if self.drop_after_data:
                        return
                    self.taken.append(Taken(sender, recipients, content[:-3]))
                    for recipient in recipients if self.lmtp else [""]:
                        say(self.data(recipient))
                elif verb == b"QUIT":
                    say("221 2.0.0 bye")
                    return
                else:
                    say("502 5.5.1 not here")


@contextmanager
def running(relay: ScriptedRelay) -> Iterator[ScriptedRelay]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        relay.port = listener.getsockname()[1]
        threading.Thread(target=relay._serve, args=(listener,), daemon=True).start()
        yield relay
        listener.shutdown(socket.SHUT_RDWR)
