"""Whatever the set-up: routing ends, mail leaves only by a written target, a fallback shadows nothing."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from vmaild.address import Address
from vmaild.core import routing
from vmaild.core.directory import (
    Account,
    AliasEntry,
    AliasFile,
    Domain,
    DomainDefinition,
    Fallback,
    FallbackToAddress,
    FallbackToDomain,
    FallbackToName,
    NoFallback,
    Snapshot,
)

NAMES = st.sampled_from(["a", "b", "c", "d", "a+x", "joe.who", "owner-a"])
DOMAINS = ["va.test", "vb.test", "vc.test"]
OUTSIDE = ["example.org", "example.net"]
ANY_DOMAIN = st.sampled_from([*DOMAINS, "alias.test", *OUTSIDE])
TARGET = st.one_of(
    NAMES,
    NAMES.map(lambda name: "\\" + name),
    st.builds(lambda name, domain: f"{name}@{domain}", NAMES, ANY_DOMAIN),
    st.just("|/bin/run"),
    st.just("/var/file"),
)
FALLBACK: st.SearchStrategy[Fallback] = st.one_of(
    st.just(NoFallback()),
    st.builds(FallbackToAddress, st.builds(Address, NAMES, ANY_DOMAIN)),
    st.builds(FallbackToDomain, ANY_DOMAIN),
    st.builds(FallbackToName, NAMES),
)


@st.composite
def domains(draw: st.DrawFn, name: str) -> Domain:
    files = [
        {key: AliasEntry(key, tuple(targets)) for key, targets in entries.items()}
        for entries in draw(st.lists(st.dictionaries(NAMES, st.lists(TARGET, min_size=1, max_size=4)), max_size=3))
    ]
    full_names = draw(st.booleans())
    logins = draw(st.sets(NAMES))
    return Domain(
        DomainDefinition(
            name,
            fallback=draw(FALLBACK),
            match_full_name=full_names,
            aliases=("alias.test",) if name == "va.test" else (),
        ),
        {login: Account(login, 1, 1) for login in logins},
        {"joe.who": tuple(logins & {"b"})} if full_names else {},
        tuple(AliasFile(f"aliases.{number}", entries) for number, entries in enumerate(files)),
    )


DIRECTORY = st.builds(
    lambda *found: Snapshot({domain.name: domain for domain in found}), *(domains(name) for name in DOMAINS)
)
RECIPIENT = st.builds(Address, NAMES, st.sampled_from([*DOMAINS, "alias.test"]))


def written_addresses(directory: Snapshot) -> set[str]:
    """Every outside address that a target or a fallback could mean."""
    written = set()
    for domain in directory.domains.values():
        for alias_file in domain.alias_files:
            for entry in alias_file.entries.values():
                written |= {target for target in entry.targets if "@" in target}
        match domain.definition.fallback:
            case FallbackToAddress(address):
                written.add(str(address))
            case FallbackToDomain(other):
                written.add(f"@{other}")
            case _:
                pass
    return written


@given(DIRECTORY, RECIPIENT)
@settings(max_examples=150)
def test_mail_leaves_only_by_a_written_target(directory: Snapshot, recipient: Address) -> None:
    decided = routing.route(directory, recipient)
    if not isinstance(decided, routing.Accepted):
        return
    written = written_addresses(directory)
    for target in decided.targets:
        match target:
            case routing.Resend(address):
                assert address.domain in OUTSIDE
                assert str(address) in written or f"@{address.domain}" in written
            case routing.ToMailbox(domain, login):
                assert login in directory.domains[domain].accounts
            case _:
                pass
    mailboxes = [(t.domain, t.login) for t in decided.targets if isinstance(t, routing.ToMailbox)]
    assert len(set(mailboxes)) == len(mailboxes)


@given(DIRECTORY, RECIPIENT)
@settings(max_examples=150)
def test_steps_change_nothing_and_the_same_question_has_the_same_answer(
    directory: Snapshot, recipient: Address
) -> None:
    plain = routing.route(directory, recipient)
    told = routing.route(directory, recipient, explain=True)
    assert routing.answer(plain) == routing.answer(told)
    if isinstance(plain, routing.Accepted):
        assert isinstance(told, routing.Accepted)
        assert plain.targets == told.targets


@given(DIRECTORY, RECIPIENT, FALLBACK)
@settings(max_examples=150)
def test_the_fallback_shadows_no_alias_and_no_account(
    directory: Snapshot, recipient: Address, other: Fallback
) -> None:
    """A name that is an account, or an alias for accounts only, goes the same way under any fallback."""
    domain = directory.find(recipient.domain)
    assert domain is not None
    is_alias = any(recipient.key in alias_file.entries for alias_file in domain.alias_files)
    if is_alias or recipient.key not in domain.accounts:
        return
    definition = DomainDefinition(domain.name, fallback=other, aliases=domain.definition.aliases)
    changed = Domain(definition, domain.accounts, domain.full_names, domain.alias_files)
    with_other = Snapshot({**directory.domains, domain.name: changed})
    expected = routing.Accepted((routing.ToMailbox(domain.name, recipient.local_part),))
    assert routing.route(directory, recipient) == expected
    assert routing.route(with_other, recipient) == expected
