"""A maildrop as one POP3 session sees it: numbers, sizes, marks of deletion."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

_NONE: AbstractSet[int] = frozenset()


class Maildrop:
    """Messages by index from 0; their numbers are from 1 and keep for the session (RFC 1939 section 5)."""

    __slots__ = ("_deleted", "count", "highest", "octets", "sizes", "uids")

    def __init__(self, sizes: Sequence[int], uids: Sequence[str], octets: int | None = None) -> None:
        """`octets` is the sum of the sizes, where it is known."""
        self.sizes = sizes
        self.uids = uids
        self._deleted = _NONE  # a set of its own only for who deletes
        self.count = len(sizes)
        """Messages that are not deleted."""
        self.octets = sum(sizes) if octets is None else octets
        """Theirs."""
        self.highest = 0
        """The highest number accessed (RFC 1460); 0: none."""

    def __len__(self) -> int:
        """Messages in all."""
        return len(self.sizes)

    @property
    def deleted(self) -> tuple[int, ...]:
        """Indices of the messages marked, ascending."""
        return tuple(sorted(self._deleted)) if self._deleted else ()

    def is_deleted(self, index: int) -> bool:
        """Whether this message is marked."""
        return index in self._deleted

    def access(self, index: int) -> None:
        """Take note of it for LAST: RETR and DELE do, TOP does not (RFC 1460 section 5)."""
        self.highest = max(self.highest, index + 1)

    def delete(self, index: int) -> None:
        """Mark a message that is not marked yet."""
        if self._deleted:
            self._deleted |= {index}  # in place
        else:
            self._deleted = {index}
        self.count -= 1
        self.octets -= self.sizes[index]
        self.access(index)

    def reset(self) -> None:
        """Forget the marks, and what was accessed."""
        self.count = len(self.sizes)
        self.octets += sum(self.sizes[index] for index in self._deleted)
        self._deleted = _NONE
        self.highest = 0

    def listing(self, values: Sequence[object]) -> str:
        """A line for each message that is not marked, with its number and its value."""
        rows = enumerate(values, 1)
        deleted = self._deleted
        if deleted:
            return "".join([f"{number} {value}\r\n" for number, value in rows if number - 1 not in deleted])
        return "".join([f"{number} {value}\r\n" for number, value in rows])
