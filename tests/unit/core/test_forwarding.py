"""Forwarding by the owner: how routing follows it, and what the site allows."""

from __future__ import annotations

import pytest

from vmaild.address import Address, parse_address
from vmaild.core.directory import (
    Account,
    AliasEntry,
    AliasFile,
    Directory,
    Domain,
    DomainDefinition,
    FallbackToName,
    Forward,
    Snapshot,
    Source,
    SubFolders,
    quota_of,
)
from vmaild.core.forwarding import forwarding_problem
from vmaild.core.routing import Accepted, AutoReply, Resend, Rule, ToMailbox, Undecided, route
from vmaild.core.site import ForwardingSettings

VA = "va.toto.fr"
BOB, ALICE = ToMailbox(VA, "bob"), ToMailbox(VA, "alice")
ANN = Resend(parse_address("ann@example.org"))


def directory(delimiter: str | None = None, **forwards: tuple[str, bool]) -> Directory:
    """Bob and alice and whoever is named: `bob=("targets", keep a copy)`."""
    accounts = {login: Account(login, 1, 1) for login in ("bob", "alice")}
    for login, (targets, keep_copy) in forwards.items():
        addresses = tuple(map(parse_address, targets.split()))
        accounts[login] = Account(login, 1, 1, forward=Forward(addresses, keep_copy, Source("forward")))
    aliases = AliasFile(
        "aliases", {"team": AliasEntry("team", ("bob", "alice")), "me": AliasEntry("me", ("\\bob",))}
    )
    definition = DomainDefinition(VA, fallback=FallbackToName("alice"), recipient_delimiter=delimiter)
    return Snapshot({VA: Domain(definition, accounts, alias_files=(aliases,))})


def targets(recipient: str, where: Directory) -> set[object]:
    decided = route(where, Address(recipient, VA))
    assert isinstance(decided, Accepted)
    assert len(set(decided.targets)) == len(decided.targets)
    return set(decided.targets)


@pytest.mark.parametrize("recipient", ["bob", "bob+lists", "me", "BOB"])
def test_mail_goes_where_the_owner_wants_it(recipient: str) -> None:
    assert targets(recipient, directory(bob=("ann@example.org", False))) == {ANN}
    kept = targets(recipient, directory(bob=(f"ann@example.org alice@{VA}", True)))
    assert {type(target) for target in kept} == {Resend, ToMailbox}
    assert len(kept) == 3


def test_forwarding_in_a_circle_ends_in_the_mailbox_where_it_began() -> None:
    circle = directory(bob=(f"alice@{VA}", False), alice=(f"bob@{VA}", False))
    assert targets("bob", circle) == {BOB}
    assert targets("alice", circle) == {ALICE}
    assert targets("team", circle) == {BOB}
    assert targets("bob", directory(bob=(f"bob@{VA}", False))) == {BOB}
    assert targets("bob", directory(bob=(f"team@{VA}", False))) == {BOB, ALICE}


def test_mail_stays_where_the_forwarding_leads_nowhere() -> None:
    accounts = {"bob": Account("bob", 1, 1, forward=Forward((Address("gone", VA),), source=Source("forward")))}
    where = Snapshot({VA: Domain(DomainDefinition(VA), accounts)})
    assert targets("bob", where) == {BOB}
    steps = route(where, Address("bob", VA), explain=True).steps
    assert [step.text for step in steps if step.rule is Rule.FORWARD][-1].endswith("the mail stays here")


def test_a_vacation_text_goes_on_answering() -> None:
    account = Account("bob", 1, 1, autoreply=True, forward=Forward((parse_address("ann@example.org"),)))
    where = Snapshot({VA: Domain(DomainDefinition(VA), {"bob": account})})
    assert targets("bob", where) == {ANN, AutoReply(VA, "bob")}


def test_a_chain_of_forwardings_is_bounded() -> None:
    accounts = {
        f"u{number}": Account(f"u{number}", 1, 1, forward=Forward((Address(f"u{number + 1}", VA),)))
        for number in range(200)
    }
    assert isinstance(route(Snapshot({VA: Domain(DomainDefinition(VA), accounts)}), Address("u0", VA)), Undecided)


def test_a_domain_may_have_a_delimiter_of_its_own() -> None:
    assert targets("bob-lists", directory("-")) == {ToMailbox(VA, "bob", "lists")}
    assert targets("bob+lists", directory("-")) == {ALICE}  # the fallback
    assert targets("bob+lists", directory("")) == {ALICE}
    assert targets("bob+lists", directory()) == {ToMailbox(VA, "bob", "lists")}


def test_what_the_site_allows() -> None:
    addresses = [parse_address("ann@example.org"), parse_address("b@mail.example.com")]
    assert forwarding_problem(addresses, ForwardingSettings()) is None
    assert forwarding_problem(addresses, ForwardingSettings(domains=("example.org", ".example.com"))) is None
    for settings in (
        ForwardingSettings(allowed=False),
        ForwardingSettings(max_targets=1),
        ForwardingSettings(domains=("example.org",)),
        ForwardingSettings(domains=("example.com", "example.org")),
    ):
        problem = forwarding_problem(addresses, settings)
        assert problem is not None
        assert all(problem)


def test_the_quota_of_an_account_is_its_own_or_the_domains() -> None:
    definition = DomainDefinition(VA, quota=100, quota_messages=10)
    account = Account("bob", 1, 1, sub_folders=SubFolders.NONE)
    assert quota_of(definition, account) == (whole := quota_of(definition, account))
    assert (whole.bytes, whole.messages) == (100, 10)
    own = quota_of(definition, account._replace(quota=0, quota_messages=5))
    assert (own.bytes, own.messages) == (0, 5)
    assert not quota_of(DomainDefinition(VA), account)
