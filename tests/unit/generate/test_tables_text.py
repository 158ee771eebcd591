"""The files that an MTA reads say what routing says, and never forget what cannot be read now."""

from __future__ import annotations

from vmaild.address import Address
from vmaild.core.directory import (
    Account,
    AliasEntry,
    AliasFile,
    Domain,
    DomainDefinition,
    FallbackToName,
    LookupFailed,
    Snapshot,
)
from vmaild.generate.tables import render_domain_table, render_domains, render_recipients

VA = Domain(
    DomainDefinition("va.example", aliases=("alias.example",)),
    accounts={"bob": Account("Bob", 1, 1)},
    alias_files=(
        AliasFile(
            "aliases", {"team": AliasEntry("team", ("bob",)), "nowhere": AliasEntry("nowhere", ("nobody",))}
        ),
    ),
)
ALL = Domain(
    DomainDefinition("all.example", fallback=FallbackToName("bob")), accounts={"bob": Account("bob", 1, 1)}
)


class Partly:
    """A directory of which one domain cannot be read."""

    delimiter = "+"

    def find(self, name: str) -> Domain | None:
        if name == "broken.example":
            raise LookupFailed("broken.example")
        return Snapshot({"va.example": VA}).find(name)

    def bounced_to(self, local_part: str) -> Address | None:
        return None


def lines(text: str) -> list[str]:
    head, _, rest = text.partition("\n")
    assert head.startswith("# ")
    return rest.splitlines()


def test_domains_and_their_aliases() -> None:
    definitions = [VA.definition, ALL.definition]
    assert lines(render_domains(definitions, (), "gone.example\n")) == [
        "alias.example",
        "all.example",
        "va.example",
    ]
    assert lines(render_domain_table([VA.definition], (), "")) == ["alias.example ours", "va.example ours"]


def test_while_a_definition_is_damaged_nothing_is_forgotten() -> None:
    before = render_domains([VA.definition, DomainDefinition("b.example", aliases=("bb.example",))], (), "")
    after = render_domains([VA.definition], ["b.example"], before)
    assert after == before
    table = render_domain_table([VA.definition], ["b.example"], "bb.example ours\n")
    assert lines(table) == [f"{name} ours" for name in ("alias.example", "b.example", "bb.example", "va.example")]


def test_recipients_are_those_that_routing_knows() -> None:
    text = render_recipients(Snapshot({"va.example": VA, "all.example": ALL}), ["va.example", "all.example"], "")
    assert lines(text) == [
        "@all.example ours",
        "bob@alias.example ours",
        "bob@all.example ours",
        "bob@va.example ours",
        "team@alias.example ours",
        "team@va.example ours",
    ]


def test_recipients_of_a_domain_that_cannot_be_read_stay() -> None:
    before = "carol@broken.example ours\ndave@gone.example ours\n"
    text = render_recipients(Partly(), ["va.example", "broken.example"], before)
    assert "carol@broken.example ours" in lines(text)
    assert "dave@gone.example ours" not in lines(text)


def test_a_name_with_blanks_is_quoted_for_postmap() -> None:
    odd = Domain(DomainDefinition("o.example"), accounts={"joe who": Account("joe who", 1, 1)})
    assert lines(render_recipients(Snapshot({"o.example": odd}), ["o.example"], "")) == [
        '"joe who"@o.example ours'
    ]
