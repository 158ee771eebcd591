"""What an MTA hears: there, certainly not there, or not to be said now."""

from __future__ import annotations

import pytest

from vmaild.address import Address
from vmaild.core.directory import (
    Account,
    AliasEntry,
    AliasFile,
    Directory,
    Domain,
    DomainDefinition,
    FallbackToName,
    LookupFailed,
    NoFallback,
    Snapshot,
)
from vmaild.core.tables import Absent, Answer, CouldNotLook, Present, domain_answer, recipient_answer
from vmaild.outcome import Condition

BOB = Account("bob", 1, 1)


def domain(name: str, *, fallback: bool = False, disabled: bool = False, alias: str = "") -> Domain:
    """A domain with the account bob and the alias team."""
    definition = DomainDefinition(
        name,
        aliases=(alias,) if alias else (),
        fallback=FallbackToName("bob") if fallback else NoFallback(),
        disabled=disabled,
    )
    return Domain(
        definition,
        accounts={"bob": BOB},
        alias_files=(AliasFile("aliases", {"team": AliasEntry("team", ("bob", "carol@else.example"))}),),
    )


SNAPSHOT = Snapshot(
    {
        "va.example": domain("va.example", alias="alias.example"),
        "all.example": domain("all.example", fallback=True),
        "off.example": domain("off.example", disabled=True),
    }
)


class Broken:
    """A directory that cannot be read."""

    delimiter = "+"

    def find(self, name: str) -> Domain | None:
        raise LookupFailed(f"{name}: Permission denied")

    def bounced_to(self, local_part: str) -> Address | None:
        return None


@pytest.mark.parametrize(
    ("key", "answer"),
    [
        ("va.example", Present("va.example")),
        ("VA.Example.", Present("va.example")),
        ("alias.example", Present("va.example")),
        ("off.example", Present("off.example")),
        ("else.example", Absent()),
        (".example", Absent()),
        ("", Absent()),
        ("not a domain", Absent()),
    ],
)
def test_domains(key: str, answer: Answer) -> None:
    assert domain_answer(SNAPSHOT, key) == answer


@pytest.mark.parametrize(
    ("key", "there"),
    [
        ("bob@va.example", True),
        ("BOB@VA.example", True),
        ("bob+lists@va.example", True),
        ('"bob"@va.example', True),
        ("team@va.example", True),
        ("bob@alias.example", True),
        ("anybody@all.example", True),
        ("nobody@va.example", False),
        ("bob@else.example", False),
        ("@va.example", False),
        ("@all.example", False),
        ("bob", False),
        ("", False),
        ("a b@va.example", False),
    ],
)
def test_recipients(key: str, there: bool) -> None:
    answer = recipient_answer(SNAPSHOT, key)
    assert isinstance(answer, Present if there else Absent)


def test_what_cannot_be_said_now_is_neither() -> None:
    broken: Directory = Broken()
    for answer in (domain_answer(broken, "va.example"), recipient_answer(broken, "bob@va.example")):
        assert isinstance(answer, CouldNotLook)
        assert answer.reason is Condition.LOOKUP_FAILED
        assert "Permission denied" in answer.problem
    assert recipient_answer(SNAPSHOT, "bob@off.example") == CouldNotLook(
        Condition.DOMAIN_DISABLED, "off.example is disabled"
    )
