"""Which mailbox a login opens: the address that a client connects to decides."""

from __future__ import annotations

import pytest
from tests.e2e.clients import Pop3, password_of, send
from tests.served import ADDRESSES, SHARED, Root

ACCOUNTS = [f"{login}@{domain}" for domain in ADDRESSES for login in ("bob", "alice")]


@pytest.fixture
def labelled(demo: Root) -> Root:
    """Each mailbox holds one message that names it."""
    for account in ACCOUNTS:
        assert send(demo, f"Subject: for {account}\r\n\r\n".encode(), account)[0].startswith("250")
    return demo


def test_the_same_login_in_three_domains_opens_three_mailboxes(labelled: Root) -> None:
    for domain, address in ADDRESSES.items():
        for login in ("bob", "alice"):
            with Pop3((address, labelled.pop3)) as session:
                assert session.greeting.startswith(f"+OK Virtual {domain} POP3 Server (Version ")
                assert session.log_in(login, password_of(f"{login}@{domain}")).startswith("+OK")
                assert session.count() == 1
                assert f"Subject: for {login}@{domain}\r\n".encode() in session.block("TOP 1 0")


@pytest.mark.parametrize("form", ["{login}@{domain}", "{login}%{domain}", "{login}@{upper}"])
def test_on_the_shared_address_the_login_names_its_domain(labelled: Root, form: str) -> None:
    for account in ACCOUNTS:
        login, _, domain = account.partition("@")
        with Pop3((SHARED, labelled.pop3)) as session:
            name = form.format(login=login, domain=domain, upper=domain.upper())
            assert session.log_in(name, password_of(account)).startswith("+OK")
            assert f"Subject: for {account}\r\n".encode() in session.block("RETR 1")


def test_a_domain_alias_names_its_domain(labelled: Root) -> None:
    with Pop3((SHARED, labelled.pop3)) as session:
        assert session.log_in("alice@va.example", "alice-va").startswith("+OK")
        assert b"Subject: for alice@va.toto.fr" in session.block("RETR 1")


def test_a_login_may_name_the_domain_of_the_address(labelled: Root) -> None:
    with Pop3((ADDRESSES["va.toto.fr"], labelled.pop3)) as session:
        assert session.log_in("bob@va.toto.fr", "bob-va").startswith("+OK")


def test_every_wrong_login_fails_in_the_same_words(labelled: Root) -> None:
    va = ADDRESSES["va.toto.fr"]
    replies = []
    for address, login, password in [
        (va, "bob", "wrong"),
        (va, "bob", "bob-vb"),  # the password of the bob of another domain
        (va, "bob@vb.toto.fr", "bob-vb"),  # right, but not here
        (va, "bob%vb.toto.fr", "bob-vb"),
        (va, "nobody", "bob-va"),
        (va, "team", "bob-va"),
        (va, "bob@nowhere.example", "bob-va"),
        (SHARED, "bob", "bob-va"),  # of which domain?
        (SHARED, "bob@vb.toto.fr", "bob-va"),
        (SHARED, "nobody@va.toto.fr", "bob-va"),
        (SHARED, "bob@", "bob-va"),
    ]:
        with Pop3((address, labelled.pop3)) as session:
            replies.append(session.log_in(login, password))
            assert session.ask("STAT").startswith("-ERR")
    assert set(replies) == {"-ERR [AUTH] wrong login or password"}


def test_the_shared_address_greets_for_no_domain(demo: Root) -> None:
    with Pop3((SHARED, demo.pop3)) as session:
        assert session.greeting.startswith("+OK ")
        assert "toto" not in session.greeting
