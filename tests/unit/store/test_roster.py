"""Looking through many accounts: order, search, and what an edit leaves of an earlier order."""

from __future__ import annotations

import random

from vmaild.store.lines import PASSWD, read_lines
from vmaild.store.roster import Roster

NAMES = ("Zoé Arc", "", "anna BLUM", "Bob, Room 7", "Élodie & Fils")


def passwd(logins: list[str], names: dict[str, str] | None = None) -> str:
    given = names or {}
    return "".join(
        f"{login}:x:1:1:{given.get(login, NAMES[number % len(NAMES)])}:/vhome/x/{login}:/bin/false\n"
        for number, login in enumerate(logins)
    )


def roster(text: str, before: Roster | None = None) -> Roster:
    return Roster(read_lines(PASSWD, text.encode(), "passwd", before.accounts if before else None)[0], before)


def test_orders_and_searches() -> None:
    found = roster(passwd(["bob", "Alice", "zed", "carl"]))
    assert found.found("") == ["alice", "bob", "carl", "zed"]
    assert found.found("", descending=True) == ["zed", "carl", "bob", "alice"]
    assert found.found("", by_name=True) == ["alice", "zed", "carl", "bob"]
    assert found.found("AR") == ["bob", "carl"]  # Arc and carl
    assert found.found("zoé", by_name=True) == ["bob"]
    assert found.found("nobody") == []
    assert found.found("room") == [], "what is behind the name is no name"


def test_after_every_edit_it_is_as_if_read_anew() -> None:
    random.seed(6)
    logins = [f"u{number:05d}" for number in range(3000)]
    random.shuffle(logins)
    text = passwd(logins)
    kept = roster(text)
    for step in range(12):
        lines = text.splitlines(keepends=True)
        match step % 4:
            case 0:
                lines.insert(random.randrange(len(lines)), f"new{step}:x:1:1:Aaron {step}:/h:/bin/false\n")
            case 1:
                del lines[random.randrange(len(lines))]
            case 2:
                login = lines[1700].partition(":")[0]
                lines[1700] = f"{login}:x:1:1:Zzz {step} & Co:/h:/bin/false\n"
            case _:
                lines.append(f"last{step}:x:1:1::/h:/bin/false\n")
        text = "".join(lines)
        kept, anew = roster(text, kept), roster(text)
        for query in ("", "u0012", "aaron", "z"):
            for by_name in (False, True):
                for descending in (False, True):
                    assert kept.found(query, by_name=by_name, descending=descending) == anew.found(
                        query, by_name=by_name, descending=descending
                    )


def test_a_file_with_faults_is_looked_through_as_well() -> None:
    doubled = roster("bob:x:1:1:Bob:/h:/s\nbob:x:1:1:Other:/h:/s\nnonsense\nAnn:x:1:1:Ann:/h:/s\n")
    assert doubled.found("") == ["ann", "bob"]
    assert doubled.found("other") == []
