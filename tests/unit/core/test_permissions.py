from dataclasses import replace

import pytest

from vmaild.address import Address, AddressError
from vmaild.core.directory import DomainDefinition
from vmaild.core.permissions import (
    Action,
    Actor,
    Right,
    allowed,
    canonical_principal,
    is_simple,
    outranks,
    owns,
    rights_of,
    same_principal,
    split_rights,
)

VA = DomainDefinition("va.toto.fr", admins=("unix:alice", "Bob@VA.toto.fr"))
VB = DomainDefinition("vb.toto.fr")


@pytest.mark.parametrize("action", Action)
def test_a_site_administrator_may_do_everything_even_where_there_is_no_definition(action: Action) -> None:
    root = Actor("unix:root", site_admin=True)
    assert allowed(root, action, VA)
    assert allowed(root, action, None)


@pytest.mark.parametrize("principal", ["unix:alice", "bob@va.toto.fr"])
@pytest.mark.parametrize("action", Action)
def test_a_co_administrator_sees_and_manages_accounts_and_aliases_of_that_domain_only(
    principal: str, action: Action
) -> None:
    actor = Actor(principal)
    assert allowed(actor, action, VA) is (action not in {Action.PROGRAMS, Action.DEFINITION, Action.MACHINE})
    assert not allowed(actor, action, VB)
    assert not allowed(actor, action, None)


@pytest.mark.parametrize(
    "principal", ["unix:mallory", "alice", "alice@va.toto.fr", "bob@vb.toto.fr", "unix:Alice", ""]
)
def test_nobody_else_may_do_anything(principal: str) -> None:
    assert not any(allowed(Actor(principal), action, VA) for action in Action)


def test_rights_limit_a_co_administrator() -> None:
    limited = replace(VA, rights=("Bob@VA.toto.fr: aliases mail", "unix:carol: accounts"))
    bob, alice, carol = Actor("bob@va.toto.fr"), Actor("unix:alice"), Actor("unix:carol")
    may = {action for action in Action if allowed(bob, action, limited)}
    assert may == {Action.SEE, Action.ALIASES, Action.OWN_MAIL}
    assert rights_of("unix:alice", limited) == set(Right), "who is not limited may all"
    assert allowed(alice, Action.REMOVAL, limited)
    assert not any(allowed(carol, action, limited) for action in Action), "rights name nobody an administrator"
    twice = replace(VA, rights=("unix:alice: aliases mail", "unix:alice: mail removal"))
    assert rights_of("unix:alice", twice) == {Right.MAIL}


@pytest.mark.parametrize("entry", ["", ":", "unix:alice", "unix:alice:", "bob@va.toto.fr: all", ": mail", "mail"])
def test_what_names_no_right_is_a_fault(entry: str) -> None:
    with pytest.raises(ValueError, match="right"):
        split_rights(entry)


def test_who_outranks_whom() -> None:
    both = (VA, replace(VB, admins=("unix:alice",)))
    alice, bob = Actor("unix:alice"), Actor("bob@va.toto.fr")
    assert outranks("unix:alice", bob, (), both)
    assert not outranks("bob@va.toto.fr", alice, (), both)
    assert not outranks("unix:alice", alice, ("unix:alice",), both)
    assert outranks("unix:alice", bob, ("unix:alice",), ())
    assert not outranks("carol@va.toto.fr", bob, (), both)
    assert not outranks("unix:alice", Actor("unix:root", site_admin=True), (), both)
    limited = replace(VA, rights=("bob@va.toto.fr: mail",))
    assert outranks("unix:alice", bob, (), (limited,))


def test_an_owner_may_set_up_what_is_for_the_own_mail_only() -> None:
    bob = Address("Bob", "va.toto.fr")
    for action in Action:
        assert owns(Actor("bob@va.toto.fr"), action, bob) is (action in {Action.OWN_MAIL, Action.OWN_PASSWORD})
        assert not owns(Actor("alice@va.toto.fr"), action, bob)
        assert not owns(Actor("bob@vb.toto.fr"), action, bob)
        assert not owns(Actor("unix:bob"), action, bob)


def test_a_damaged_entry_of_admins_makes_nobody_an_administrator() -> None:
    damaged = DomainDefinition("va.toto.fr", admins=("", "unix:", "@", "bob"))
    for principal in ("", "unix:", "@", "bob"):
        assert not allowed(Actor(principal), Action.SEE, damaged)


def test_principals_have_one_spelling() -> None:
    assert canonical_principal("unix:Alice") == "unix:Alice"
    assert canonical_principal("Bob@VA.Toto.fr") == "bob@va.toto.fr"
    assert same_principal("bob@va.toto.fr", "BOB@va.TOTO.fr")
    assert not same_principal("unix:alice", "unix:Alice")


@pytest.mark.parametrize("text", ["", "alice", "unix:", "unix:a b", "unix:a/b", "unix:a:b", "bob@", "@va.toto.fr"])
def test_what_is_no_principal_is_refused(text: str) -> None:
    with pytest.raises(AddressError):
        canonical_principal(text)


def test_an_actor_says_how_they_came_to_be_it() -> None:
    assert str(Actor("unix:root", site_admin=True, via="sudo: alice")) == "unix:root (sudo: alice)"
    assert str(Actor("unix:root", site_admin=True)) == "unix:root"


@pytest.mark.parametrize(
    ("target", "simple"),
    [
        ("bob", True),
        ("\\bob", True),
        ("bob@va.toto.fr", True),
        ("|/bin/sh", False),
        (" |/bin/sh", False),
        ("/etc/passwd", False),
        (":include:/etc/passwd", False),
        (":fail:", False),
    ],
)
def test_simple_targets_neither_run_nor_read_nor_write(target: str, simple: bool) -> None:
    assert is_simple(target) is simple
