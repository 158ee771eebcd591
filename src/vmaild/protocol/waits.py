"""What every protocol core says when it has no event, and how it tells our faults from the peer's."""

from __future__ import annotations

from enum import Enum
from typing import Final

MAX_HELD_INPUT = 65_536
"""Octets: when more is waiting to be obeyed, `data_wanted` asks the outside to stop reading."""
MAX_HELD_OUTPUT = 262_144
"""Octets: when more is waiting to be sent, no further command is obeyed. Else a client that pipelines short
commands with long replies by the thousand, and reads nothing, would fill our memory."""


class LocalProtocolError(Exception):
    """Our side said what was not asked: a defect of ours, never the client's doing."""


class Wait(Enum):
    """Why there is no event now."""

    NEED_DATA = "the client has to say something"
    PAUSED = "a question has to be answered"
    SEND_FIRST = "much is waiting to be sent: send it, and ask for events again"


NEED_DATA: Final = Wait.NEED_DATA
PAUSED: Final = Wait.PAUSED
SEND_FIRST: Final = Wait.SEND_FIRST
