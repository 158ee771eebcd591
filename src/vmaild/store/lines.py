"""Files with an entry on each line, kept so that an edit costs what was edited and not the whole file.

The content is kept in pieces of whole lines; an entry is parsed when it is asked for, which takes a third of the
memory and a tenth of the time that an object for each line takes. When the file has changed, the pieces before and
after the edit are recognised by their content, and only what lies between is read. What comes out, findings and
numbers of lines included, is what a reading of the whole gives.

All of it is in octets, as they are on disk: to decode a file of some megabytes, or to copy an index of all of its
logins, would take longer than all the rest of a change.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import accumulate, chain
from typing import Any, Generic, TypeVar

from vmaild.address import fold
from vmaild.core.directory import Account, ShadowEntry, Source
from vmaild.core.findings import Finding
from vmaild.formats.parsed import Parsed
from vmaild.formats.passwd import parse_passwd, plain_account, plain_accounts
from vmaild.formats.shadow import parse_shadow, plain_password, plain_passwords
from vmaild.store.files import text_of

PIECE = 32768
"""Octets of a piece, but for its last line: some 500 lines."""
_SHIFT = 16
"""Bits for the number of a line in its piece."""
_LINE = (1 << _SHIFT) - 1
_LF = 0x0A
_FEW = 4096
"""Logins that may have moved before an index of all is made anew."""

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

    def whole(self, content: bytes, path: str) -> tuple[Mapping[str, E], tuple[Finding, ...]]:
        """The entries by folded login, and the findings, read at once."""
        parsed = self.parse(text_of(content), path, 1)
        return {fold(entry.login): entry for entry in parsed.entries}, parsed.findings


PASSWD = LineFormat(plain_accounts, parse_passwd, plain_account)
SHADOW = LineFormat(plain_passwords, parse_shadow, plain_password)


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Some whole lines of a file."""

    serial: int
    content: bytes
    starts: array[int]
    """Where each line begins, and the end."""
    logins: Sequence[str]
    plain: bool
    """Whether nothing can be wrong in it."""
    findings: int
    """How many there are: they name lines of the file, and are told anew where the piece has moved."""

    @property
    def text(self) -> str:
        """Its text."""
        return text_of(self.content)


class Places:
    """In which line of which piece each login stands: an index of all, and over it what edits have moved.

    Immutable: both are shared with what was read before, until so much has moved that they are made one.
    """

    __slots__ = ("_all", "_moved", "count")

    def __init__(self, known: dict[str, int], moved: dict[str, int], count: int) -> None:
        """`moved`: -1 for a login that is gone."""
        self._all = known
        self._moved = moved
        self.count = count

    def get(self, login: str) -> int:
        """The serial of a piece, shifted, and the number of the line in it; -1: there is no such login."""
        place = self._moved.get(login) if self._moved else None
        return self._all.get(login, -1) if place is None else place

    def changed(self, gone: Iterable[str], new: Iterable[tuple[str, int]]) -> Places | None:
        """Without some, then with others; None: one of those is there already."""
        moved, count = dict(self._moved), self.count
        for login in gone:
            moved[login] = -1
            count -= 1
        for login, place in new:
            if moved.get(login, -1) >= 0 or (login not in moved and login in self._all):
                return None
            moved[login] = place
            count += 1
        if len(moved) <= max(_FEW, len(self._all) >> 2):
            return Places(self._all, moved, count)
        known = {**self._all, **moved}
        return Places({login: place for login, place in known.items() if place >= 0}, {}, count)


class Lines(Mapping[str, E]):
    """The entries of a file by folded login. Immutable."""

    __slots__ = ("_firsts", "_form", "_path", "_pieces", "_places", "findings")

    def __init__(
        self,
        form: LineFormat[E],
        path: str,
        pieces: Sequence[Piece],
        places: Places,
        findings: tuple[Finding, ...],
    ) -> None:
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
    def places(self) -> Places:
        """Where each login stands."""
        return self._places

    def part(self, key: str) -> slice:
        """The octets of the line of a login, with its end; where there is none, of the last lines of the file.

        Where anything is wrong, of the whole piece: there may be a second line of it, not in force.
        """
        place = self._places.get(key)
        serial = place >> _SHIFT if place >= 0 else next(reversed(self._pieces), 0)
        before = 0
        for piece in self._pieces.values():
            if piece.serial == serial:
                number, alone = place & _LINE, place >= 0 and piece.plain
                first, last = piece.starts[number : number + 2] if alone else (0, len(piece.content))
                return slice(before + first, before + last)
            before += len(piece.content)
        return slice(0, 0)

    def __getitem__(self, key: str) -> E:
        place = self._places.get(key)
        if place < 0:
            raise KeyError(key)
        return self._at(place)

    def get(self, key: str, default: Any = None) -> Any:  # noqa: ANN401  as Mapping has it
        """See Mapping, whose own asks by an exception whether there is one."""
        place = self._places.get(key)
        return default if place < 0 else self._at(place)

    def _at(self, place: int) -> E:
        piece, number = self._pieces[place >> _SHIFT], place & _LINE
        line = text_of(piece.content[piece.starts[number] : piece.starts[number + 1]])
        line = line.removesuffix("\n").removesuffix("\r")
        number += self._firsts[piece.serial]
        if piece.plain:
            return self._form.entry(line, Source(self._path, number))
        return self._form.parse(line, self._path, number).entries[0]

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._places.get(key) >= 0

    def __iter__(self) -> Iterator[str]:
        return chain.from_iterable([piece.logins for piece in self._pieces.values()])

    def __len__(self) -> int:
        return self._places.count


def read_lines(
    form: LineFormat[E], content: bytes, path: str, before: object = None
) -> tuple[Mapping[str, E], tuple[Finding, ...]]:
    """The entries of a file and what is wrong with it; `before`: what was read of it last."""
    last: Lines[E] = before if isinstance(before, Lines) else Lines(form, path, (), Places({}, {}, 0), ())
    old = last.pieces
    head = _common_head(old, content)
    start = _length(old[:head])
    if last is before and head == len(old) and start == len(content):
        return last, last.findings
    tail = _common_tail(old[head:], content, start)
    kept_before, gone, kept_behind = old[:head], old[head : len(old) - tail], old[len(old) - tail :]
    serial = max((piece.serial for piece in old), default=0)
    middle: list[Piece] = []
    new: list[tuple[str, int]] = []
    for number, part in enumerate(_parts(content, start, len(content) - _length(kept_behind)), serial + 1):
        piece, numbers = _piece(form, number, part)
        new += [(login, number << _SHIFT | line) for login, line in numbers.items()]
        middle.append(piece)
    places = last.places.changed((login for piece in gone for login in piece.logins), new)
    # The first of two lines counts, and the other is told of: that is seen in the whole only.
    if places is None:
        return form.whole(content, path)
    pieces = [*kept_before, *middle, *kept_behind]
    findings = tuple(_findings(form, path, pieces))
    return Lines(form, path, pieces, places, findings), findings


def edited(
    form: LineFormat[E], content: bytes, path: str, before: object, login: str, edit: Callable[[str], str]
) -> bytes:
    """The content of a file after an edit of the line of a (folded) login, or, where there is none, of its end.

    `edit` is given the text of as little as is known to be enough, or all of it; `before` as for read_lines.
    """
    lines = read_lines(form, content, path, before)[0]
    part = lines.part(login) if isinstance(lines, Lines) else slice(0, len(content))
    text, all_of_it = edit(text_of(content[part])), memoryview(content)
    return b"".join((all_of_it[: part.start], text.encode("utf-8", "surrogateescape"), all_of_it[part.stop :]))


def apart(one: Mapping[str, E], other: Mapping[str, E]) -> Set[str]:
    """The logins that only one of two files has; of two states of one file, what they share is not looked at."""
    if isinstance(one, Lines) and isinstance(other, Lines):
        shared = {*one.pieces} & {*other.pieces}
        return _logins_but(one, shared) ^ _logins_but(other, shared)
    return {*one} ^ {*other}


# -- parts


def _logins_but(lines: Lines[E], shared: Set[Piece]) -> set[str]:
    """The logins of the other pieces."""
    return {login for piece in lines.pieces if piece not in shared for login in piece.logins}


def _common_head(old: Sequence[Piece], content: bytes) -> int:
    """How many pieces the content begins with, as it did before."""
    position = 0
    for count, piece in enumerate(old):
        end = position + len(piece.content)
        # A last line without its end may have grown.
        is_whole = piece.content.endswith(b"\n") or end == len(content)
        if not is_whole or not content.startswith(piece.content, position):
            return count
        position = end
    return len(old)


def _common_tail(old: Sequence[Piece], content: bytes, start: int) -> int:
    """How many of these pieces the content ends with, behind `start`."""
    end = len(content)
    for count, piece in enumerate(reversed(old)):
        begin = end - len(piece.content)
        # What stands before a piece has to be a whole line.
        is_apart = begin >= start and (not begin or content[begin - 1] == _LF)
        if not is_apart or not content.startswith(piece.content, begin):
            return count
        end = begin
    return len(old)


def _parts(content: bytes, start: int, end: int) -> Iterator[bytes]:
    """A part of the content, cut into pieces at ends of lines; none is left over that would be very small."""
    while start < end:
        large = end - start > PIECE + PIECE // 2
        cut = (content.find(b"\n", start + PIECE - 1, end) + 1 or end) if large else end
        yield content[start:cut]
        start = cut


def _piece(form: LineFormat[E], serial: int, content: bytes) -> tuple[Piece, dict[str, int]]:
    """A piece, and the lines of its logins in it."""
    findings, text = 0, text_of(content)
    plain = numbers = form.plain(text)
    if numbers is None:
        parsed = form.parse(text, "", 0)
        findings = len(parsed.findings)
        numbers = {fold(entry.login): entry.source.line for entry in parsed.entries}
    starts = array("L", accumulate((len(line) + 1 for line in content.split(b"\n")), initial=0))
    starts[-1] = len(content)
    return Piece(serial, content, starts, tuple(numbers), plain is not None, findings), numbers


def _findings(form: LineFormat[E], path: str, pieces: Sequence[Piece]) -> Iterator[Finding]:
    for piece, first in zip(pieces, _firsts(pieces), strict=False):
        if piece.findings:
            yield from form.parse(piece.text, path, first).findings


def _length(pieces: Sequence[Piece]) -> int:
    return sum(len(piece.content) for piece in pieces)


def _firsts(pieces: Sequence[Piece]) -> Iterable[int]:
    """The number of the first line of each piece."""
    return accumulate((len(piece.starts) - 2 for piece in pieces), initial=1)
