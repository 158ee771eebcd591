"""What somebody had before them in a form: a change is refused where that is not so any more.

A stamp is a digest of the values that a form shows. It comes with the values, goes back with the change as `seen`,
and is compared where others can change nothing any more. A change without it is carried out as things are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable

from vmaild.admin.answers.values import Values, Verb
from vmaild.admin.door import Door
from vmaild.admin.refusal import Code, Refused

Shown = Callable[[Door, Values], object]
"""The plain values that the form of a verb shows. Raises Refused."""


def stamp(shown: object) -> str:
    """The stamp of plain values."""
    text = json.dumps(shown, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def unless_changed(shown: Shown, verb: Verb) -> Verb:
    """A verb that is refused where `seen` of its values is not the stamp of what is there at that moment."""

    def guarded(door: Door, values: Values) -> object:
        wanted = str(values.get("seen") or "")

        def see() -> None:
            if stamp(shown(door, values)) != wanted:
                raise Refused(
                    "somebody else has changed this meanwhile",
                    "look at it in another window: sent again, what you wrote takes the place of that",
                    Code.CHANGED,
                )

        if wanted:
            door.guard = see
        return verb(door, values)

    return guarded
