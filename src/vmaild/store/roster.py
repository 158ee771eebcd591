"""The accounts of a domain as people look through them: in order of their logins or their names, and searched.

An order of 100,000 names takes its time to make, so it is made of what it was before: after an edit only the
pieces of the file that have changed are read again, and who is not in them stays in place.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from vmaild.core.directory import Account
from vmaild.formats.passwd import plain_names
from vmaild.store.lines import Lines, Piece

_Texts = Mapping[str, str]
"""What is searched of an account, by folded login: the full name in lower case, and the login behind it."""
_FEW = 500
"""Changes of an order up to which they are put in one by one."""


class Roster:
    """The folded logins of a domain, in order. Immutable."""

    def __init__(self, accounts: Mapping[str, Account], before: Roster | None = None) -> None:
        """`before`: of an earlier state of the same file."""
        self.accounts = accounts
        self._pieces: Mapping[Piece, _Texts] = {}
        self._orders: dict[bool, _Order] = {}
        """Those that somebody has asked for, by whether they go by the name."""
        if isinstance(accounts, Lines):
            known = before._pieces if before else {}
            self._pieces = {each: known.get(each) or _texts_of(accounts, each) for each in accounts.pieces}
            if before is not None and known:
                self._take_over(before)

    def found(self, query: str, *, by_name: bool = False, descending: bool = False) -> Sequence[str]:
        """Those in whose login or full name a text stands, whatever its case; empty: all."""
        if by_name not in self._orders:
            texts = self._texts()
            self._orders[by_name] = _order(texts, texts, by_name=by_name)
        ordered = self._orders[by_name]
        wanted = query.lower()
        found = ordered.logins
        if wanted:
            found = [key for key, text in zip(found, ordered.texts, strict=True) if wanted in text]
        return found[::-1] if descending else found

    def _texts(self) -> _Texts:
        """Those of all."""
        if isinstance(self.accounts, Lines):
            return _merged(self._pieces.values())
        return {key: _text(key, account.full_name) for key, account in self.accounts.items()}

    def _take_over(self, before: Roster) -> None:
        """Make the orders of what they were."""
        gone = _merged(texts for piece, texts in before._pieces.items() if piece not in self._pieces)
        come = _merged(texts for piece, texts in self._pieces.items() if piece not in before._pieces)
        left = {key: text for key, text in gone.items() if come.get(key) != text}
        new = {key: text for key, text in come.items() if gone.get(key) != text}
        few = len(left) + len(new) <= _FEW
        texts = {} if few else self._texts()
        for by_name, order in before._orders.copy().items():
            if few:
                self._orders[by_name] = order.changed(left, new, by_name=by_name)
            else:
                # In nearly the right order, which list.sort puts right in no time.
                kept = [key for key in order.logins if key in texts and key not in new]
                self._orders[by_name] = _order(texts, [*kept, *new], by_name=by_name)


@dataclass(frozen=True, slots=True)
class _Order:
    """Logins in an order, and what is searched of each."""

    logins: Sequence[str]
    texts: Sequence[str]

    def changed(self, left: _Texts, new: _Texts, *, by_name: bool) -> _Order:
        """The order without some, then with others."""
        logins, texts = [*self.logins], [*self.texts]
        keys = texts if by_name else logins
        for login, text in left.items():
            place = bisect_left(keys, text if by_name else login)
            del logins[place], texts[place]
        for login, text in new.items():
            place = bisect_left(keys, text if by_name else login)
            logins.insert(place, login)
            texts.insert(place, text)
        return _Order(logins, texts)


def _order(texts: _Texts, logins: Iterable[str], *, by_name: bool) -> _Order:
    ordered = sorted(logins, key=texts.__getitem__ if by_name else None)
    return _Order(ordered, [*map(texts.__getitem__, ordered)])


def _merged(parts: Iterable[_Texts]) -> dict[str, str]:
    merged: dict[str, str] = {}
    for part in parts:
        merged.update(part)
    return merged


def _texts_of(accounts: Lines[Account], piece: Piece) -> _Texts:
    if piece.plain:
        return {login: _text(login, name) for login, name in plain_names(piece.text)}
    return {key: _text(key, accounts[key].full_name) for key in piece.logins}


def _text(login: str, name: str) -> str:
    return f"{name.lower()}\n{login}"
