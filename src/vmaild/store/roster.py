"""The accounts of a domain as people look through them: in order of their logins or their names, and searched.

An order of 100,000 names takes its time to make, so it is made of what it was before: after an edit only the
pieces of the file that have changed are read again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from vmaild.core.directory import Account
from vmaild.formats.passwd import plain_names
from vmaild.store.lines import Lines, Piece

_Texts = Mapping[str, str]
"""What is searched of an account, by folded login: the full name in lower case, and the login behind it."""


class Roster:
    """The folded logins of a domain, in order. Immutable."""

    def __init__(self, accounts: Mapping[str, Account], before: Roster | None = None) -> None:
        """`before`: of an earlier state of the same file."""
        self.accounts = accounts
        self._before = _Before.of(before) if before else _NOTHING
        self._pieces: Mapping[Piece, _Texts] = {}
        self._texts: dict[str, str] = {}
        if isinstance(accounts, Lines):
            known = self._before.pieces
            self._pieces = {each: known.get(each) or _texts_of(accounts, each) for each in accounts.pieces}
            for texts in self._pieces.values():
                self._texts.update(texts)
        else:
            self._texts = {key: _text(key, account.full_name) for key, account in accounts.items()}

    def found(self, query: str, *, by_name: bool = False, descending: bool = False) -> Sequence[str]:
        """Those in whose login or full name a text stands, whatever its case; empty: all."""
        ordered = self._by_name if by_name else self._by_login
        wanted = query.lower()
        found = ordered.logins
        if wanted:
            found = [key for key, text in zip(found, ordered.texts, strict=True) if wanted in text]
        return found[::-1] if descending else found

    @cached_property
    def _by_login(self) -> _Order:
        logins = self._as_before(self._before.by_login)
        logins.sort()
        return self._order(logins)

    @cached_property
    def _by_name(self) -> _Order:
        logins = self._as_before(self._before.by_name)
        logins.sort(key=self._texts.__getitem__)
        return self._order(logins)

    def _order(self, logins: Sequence[str]) -> _Order:
        return _Order(logins, list(map(self._texts.__getitem__, logins)))

    def _as_before(self, before: _Order) -> list[str]:
        """All, in nearly the right order, which list.sort puts right in no time."""
        texts, kept = self._texts, set(before.logins)
        return [*(key for key in before.logins if key in texts), *(key for key in texts if key not in kept)]


@dataclass(frozen=True, slots=True)
class _Order:
    """Logins in an order, and what is searched of each."""

    logins: Sequence[str] = ()
    texts: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class _Before:
    """What a roster takes over from an earlier one; not the whole, or none would ever be forgotten."""

    pieces: Mapping[Piece, _Texts]
    by_login: _Order
    by_name: _Order

    @classmethod
    def of(cls, roster: Roster) -> _Before:
        made = vars(roster)  # what nobody has asked for is not made now
        earlier = roster._before
        return cls(roster._pieces, made.get("_by_login", earlier.by_login), made.get("_by_name", earlier.by_name))


_NOTHING = _Before({}, _Order(), _Order())


def _texts_of(accounts: Lines[Account], piece: Piece) -> _Texts:
    if piece.plain:
        return {login: _text(login, name) for login, name in plain_names(piece.text)}
    return {key: _text(key, accounts[key].full_name) for key in piece.logins}


def _text(login: str, name: str) -> str:
    return f"{name.lower()}\n{login}"
