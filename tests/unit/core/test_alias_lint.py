"""Aliases that work, and are not as their writer will have meant them."""

from __future__ import annotations

import pytest

from vmaild.core import alias_lint
from vmaild.core.alias_lint import oddities
from vmaild.core.directory import Account, AliasEntry, AliasFile, Domain, DomainDefinition, Snapshot, Source

VA = "va.toto.fr"


def odd(*files: dict[str, str], removed: tuple[str, ...] = ()) -> list[tuple[str, int, str]]:
    """File, line and problem of each; an alias file is given as `{"name": "target, target"}`."""
    alias_files = tuple(
        AliasFile(
            f"f{number}",
            {
                name: AliasEntry(name, tuple(targets.split(", ")), Source(f"f{number}", line))
                for line, (name, targets) in enumerate(file.items(), 1)
            },
        )
        for number, file in enumerate(files)
    )
    accounts = {login: Account(login, 1, 1) for login in ("bob", "alice")}
    domain = Domain(DomainDefinition(VA), accounts, alias_files=alias_files)
    faults = list(oddities(Snapshot({VA: domain}), domain, removed))
    assert all(fault.remedy for fault in faults)
    return [(fault.source.path, fault.source.line, fault.problem) for fault in faults]


def test_what_is_as_it_should_be() -> None:
    assert (
        odd({"team": "bob, alice", "bob": "\\bob, ann@example.org", "alice": "alice, bob"}, {"sales": "team"})
        == []
    )


@pytest.mark.parametrize(
    ("files", "place", "problem"),
    [
        (({"a": "bob"}, {"b": "bob", "a": "alice"}), ("f1", 2), "hidden by that of f0:1"),
        (({"bob": "alice"},), ("f0", 1), "hides the account"),
        (({"x": "bob"}, {"bob": "ann@example.org"}), ("f1", 1), "hides the account"),
        (({"a": "bob, alice, BOB"},), ("f0", 1), "names 'BOB' twice"),
        (({"a": "joe@gone.example, bob"},), ("f0", 1), "a domain that was removed"),
    ],
)
def test_what_is_odd(files: tuple[dict[str, str], ...], place: tuple[str, int], problem: str) -> None:
    ((*where, told),) = odd(*files, removed=("gone.example", VA))
    assert tuple(where) == place
    assert problem in told


def test_a_list_that_explodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alias_lint, "MANY", 6)
    one, two = (", ".join(f"{name}{number}@example.org" for number in range(3)) for name in "xy")
    ((_, line, told),) = odd({"one": one, "two": two, "all": "one, two"})
    assert (line, "expands to 6 targets" in told) == (3, True)
