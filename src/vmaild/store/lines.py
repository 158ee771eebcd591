"""Files with an entry on each line, kept so that an edit costs what was edited and not the whole file.

The text is kept in pieces of whole lines; an entry is parsed when it is asked for, which takes a third of the
memory and a tenth of the time that an object for each line takes. When the file has changed, the pieces before and
after the edit are recognised by their content, and only what lies between is read. What comes out, findings and
numbers of lines included, is what a reading of the whole gives.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, KeysView, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import accumulate
from typing import Generic, TypeVar

from vmaild.address import fold
from vmaild.core.directory import Account, ShadowEntry, Source
from vmaild.core.findings import Finding
from vmaild.formats.parsed import Parsed
from vmaild.formats.passwd import parse_passwd, plain_account, plain_accounts
from vmaild.formats.shadow import parse_shadow, plain_password, plain_passwords

PIECE = 32768
"""Characters of a piece, but for its last line: some 500 lines."""
_SHIFT = 16
"""Bits for the number of a line in its piece."""

E = TypeVar("E", bound=Account | ShadowEntry)


@dataclass(frozen=True, slots=True)
class LineFormat(Generic[E]):
    """How such a file is read."""

    plain: Callable[[str], dict[str, int] | None]
    """The lines of the folded logins, from 0, where nothing can be wrong; None: a closer look is needed."""
    parse: Callable[[str, str, int], Parsed[E]]
    """Text, path and number of the first line."""
    entry: Callable[[str, Source], E]
    """That of one line of a piece that is plain."""

    def whole(self, text: str, path: str) -> tuple[Mapping[str, E], tuple[Finding, ...]]:
        """The entries by folded login, and the findings, read at once."""
        parsed = self.parse(text, path, 1)
        return {fold(entry.login): entry for entry in parsed.entries}, parsed.findings


PASSWD = LineFormat(plain_accounts, parse_passwd, plain_account)
SHADOW = LineFormat(plain_passwords, parse_shadow, plain_password)


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Some whole lines of a file."""

    serial: int
    text: str
    starts: array[int]
    """Where each line begins, and the end."""
    logins: Sequence[str]
    plain: bool
    """Whether nothing can be wrong in it."""
    findings: int
    """How many there are: they name lines of the file, and are told anew where the piece has moved."""


class Lines(Mapping[str, E]):
    """The entries of a file by folded login. Immutable."""

    __slots__ = ("_firsts", "_form", "_path", "_pieces", "_places", "findings")

    def __init__(
        self,
        form: LineFormat[E],
        path: str,
        pieces: Sequence[Piece],
        places: Mapping[str, int],
        findings: tuple[Finding, ...],
    ) -> None:
        """`places`: the serial of a piece, shifted, and the number of the line in it."""
        self._form = form
        self._path = path
        self._pieces = {piece.serial: piece for piece in pieces}
        """In the order of the file."""
        self._firsts = dict(zip(self._pieces, _firsts(pieces), strict=False))
        self._places = places
        self.findings = findings

    @property
    def pieces(self) -> Sequence[Piece]:
        """All that the text is made of."""
        return tuple(self._pieces.values())

    @property
    def places(self) -> Mapping[str, int]:
        """See __init__."""
        return self._places

    def __getitem__(self, key: str) -> E:
        place = self._places[key]
        piece, number = self._pieces[place >> _SHIFT], place & ((1 << _SHIFT) - 1)
        line = piece.text[piece.starts[number] : piece.starts[number + 1]].removesuffix("\n").removesuffix("\r")
        number += self._firsts[piece.serial]
        if piece.plain:
            return self._form.entry(line, Source(self._path, number))
        return self._form.parse(line, self._path, number).entries[0]

    def __contains__(self, key: object) -> bool:
        return key in self._places

    def __iter__(self) -> Iterator[str]:
        for piece in self._pieces.values():
            yield from piece.logins

    def __len__(self) -> int:
        return len(self._places)

    def keys(self) -> KeysView[str]:
        """As of any mapping; not in the order of the file, but those of two are compared in no time."""
        return self._places.keys()


def read_lines(
    form: LineFormat[E], text: str, path: str, before: object = None
) -> tuple[Mapping[str, E], tuple[Finding, ...]]:
    """The entries of a file and what is wrong with it; `before`: what was read of it last."""
    last: Lines[E] = before if isinstance(before, Lines) else Lines(form, path, (), {}, ())
    old = last.pieces
    head = _common_head(old, text)
    start = _length(old[:head])
    if last is before and head == len(old) and start == len(text):
        return last, last.findings
    tail = _common_tail(old[head:], text, start)
    kept_before, gone, kept_behind = old[:head], old[head : len(old) - tail], old[len(old) - tail :]
    places = dict(last.places)
    for piece in gone:
        for login in piece.logins:
            del places[login]
    serial = max((piece.serial for piece in old), default=0)
    middle: list[Piece] = []
    for number, part in enumerate(_parts(text, start, len(text) - _length(kept_behind)), serial + 1):
        piece, numbers = _piece(form, number, part)
        for login, line in numbers.items():
            # The first of two lines counts, and the other is told of: that is seen in the whole only.
            if login in places:
                return form.whole(text, path)
            places[login] = number << _SHIFT | line
        middle.append(piece)
    pieces = [*kept_before, *middle, *kept_behind]
    findings = tuple(_findings(form, path, pieces))
    return Lines(form, path, pieces, places, findings), findings


def apart(one: Mapping[str, E], other: Mapping[str, E]) -> Set[str]:
    """The logins that only one of two files has; of two states of one file, what they share is not looked at."""
    if isinstance(one, Lines) and isinstance(other, Lines):
        shared = {*one.pieces} & {*other.pieces}
        return _logins_but(one, shared) ^ _logins_but(other, shared)
    return one.keys() ^ other.keys()


# -- parts


def _logins_but(lines: Lines[E], shared: Set[Piece]) -> set[str]:
    """The logins of the other pieces."""
    return {login for piece in lines.pieces if piece not in shared for login in piece.logins}


def _common_head(old: Sequence[Piece], text: str) -> int:
    """How many pieces the text begins with, as it did before."""
    position = 0
    for count, piece in enumerate(old):
        end = position + len(piece.text)
        # A last line without its end may have grown.
        if not text.startswith(piece.text, position) or (not piece.text.endswith("\n") and end != len(text)):
            return count
        position = end
    return len(old)


def _common_tail(old: Sequence[Piece], text: str, start: int) -> int:
    """How many of these pieces the text ends with, behind `start`."""
    end = len(text)
    for count, piece in enumerate(reversed(old)):
        begin = end - len(piece.text)
        # What stands before a piece has to be a whole line.
        if begin < start or not text.startswith(piece.text, begin) or (begin and text[begin - 1] != "\n"):
            return count
        end = begin
    return len(old)


def _parts(text: str, start: int, end: int) -> Iterator[str]:
    """A part of the text, cut into pieces at ends of lines."""
    while start < end:
        cut = text.find("\n", min(start + PIECE, end) - 1, end) + 1 or end
        yield text[start:cut]
        start = cut


def _piece(form: LineFormat[E], serial: int, text: str) -> tuple[Piece, dict[str, int]]:
    """A piece, and the lines of its logins in it."""
    findings = 0
    plain = numbers = form.plain(text)
    if numbers is None:
        parsed = form.parse(text, "", 0)
        findings = len(parsed.findings)
        numbers = {fold(entry.login): entry.source.line for entry in parsed.entries}
    lines = text.split("\n")
    starts = array("L", accumulate((len(line) + 1 for line in lines), initial=0))
    starts[-1] = len(text)
    return Piece(serial, text, starts, tuple(numbers), plain is not None, findings), numbers


def _findings(form: LineFormat[E], path: str, pieces: Sequence[Piece]) -> Iterator[Finding]:
    for piece, first in zip(pieces, _firsts(pieces), strict=False):
        if piece.findings:
            yield from form.parse(piece.text, path, first).findings


def _length(pieces: Sequence[Piece]) -> int:
    return sum(len(piece.text) for piece in pieces)


def _firsts(pieces: Sequence[Piece]) -> Iterable[int]:
    """The number of the first line of each piece."""
    return accumulate((len(piece.starts) - 2 for piece in pieces), initial=1)
