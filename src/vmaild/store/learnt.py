"""What reverse DNS said of this machine's addresses, kept for the next start and for those who look nothing up.

Names by address: the address as ipaddress prints it, the names canonical. A name is not yet a domain: which one it
means, the definitions say whenever it is asked for.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence

from vmaild.store.atomic import write_atomically
from vmaild.store.layout import Layout

log = logging.getLogger("vmaild.store")

Learnt = Mapping[str, Sequence[str]]


def read_learnt(layout: Layout) -> dict[str, Sequence[str]]:
    """What was learnt last; nothing where that cannot be read."""
    path = layout.learnt_addresses
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
        return {address: tuple(map(str, names)) for address, names in found.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        log.warning("%s cannot be used, and is made anew at the next reload: %s", path, error)
        return {}


def write_learnt(layout: Layout, learnt: Learnt) -> None:
    """Keep it. Raises OSError."""
    text = json.dumps({address: list(names) for address, names in sorted(learnt.items())}, indent=1)
    write_atomically(layout.learnt_addresses, f"{text}\n".encode(), mode=0o644)
