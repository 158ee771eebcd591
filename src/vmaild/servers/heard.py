"""Whether a client has heard an answer, as far as the system can tell.

It may have gone without it: killed, or out of patience (RFC 5321 4.5.3.2.6), and then it brings the message again.
At a local socket what was written is gone from the queue when it was read; over TCP when the other system has it,
which resets the connection where nobody is there to read it (RFC 9293 3.6.1).
"""

from __future__ import annotations

import array
import fcntl
import select
import termios
from enum import Enum


class Heard(Enum):
    """What is known of an answer."""

    YES = "the client, or its system, has it"
    NOT_YET = "it is on its way"
    NEVER = "nobody is there any more"


def heard(fd: int) -> Heard:
    """What became of all that was written to a connected socket. Never fails, never waits."""
    try:
        state = select.poll()
        state.register(fd, 0)
        if any(events & (select.POLLERR | select.POLLNVAL) for _, events in state.poll(0)):
            return Heard.NEVER
        queued = array.array("i", [0])
        fcntl.ioctl(fd, termios.TIOCOUTQ, queued)  # SIOCOUTQ: tcp(7), unix(7)
    except (OSError, ValueError):
        return Heard.NEVER
    return Heard.NOT_YET if queued[0] else Heard.YES
