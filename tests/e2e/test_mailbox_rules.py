"""Through a running server's LMTP: names, fallbacks, folders, size, quota, filter."""

from __future__ import annotations

from tests.e2e.clients import Lmtp, send
from tests.served import SHARED, Served

LETTER = b"From: ann@example.org\r\nTo: bob@va.example\r\nSubject: hi\r\nMessage-ID: <1@x>\r\n\r\nHello.\r\n"
FALLBACKS = {
    "": None,
    "alice": "alice@va.toto.fr",
    "team": "bob@va.toto.fr",
    "alice@vb.toto.fr": "alice@vb.toto.fr",
    "@vb.toto.fr": "joe@vb.toto.fr",
}


def define(served: Served, **settings: str) -> None:
    """Edit the definition of va.toto.fr by hand."""
    path = served.root.etc / "domains/va.toto.fr.toml"
    keys = {"aliases": '["va.example"]'} | {name: f'"{value}"' for name, value in settings.items()}
    path.write_text("".join(f"{name} = {value}\n" for name, value in keys.items()))


def arrives(served: Served, recipient: str, address: str | None) -> None:
    """A message to `recipient` is put into that mailbox; None: it is refused."""
    served.root.empty()
    (answer,) = send(served.root, LETTER, recipient)
    if address is None:
        assert answer.startswith("550 5.1.1"), answer
    else:
        assert answer.startswith("250"), answer
        assert len(served.root.stored(address)) == 1, served.root.everything_stored()


def test_every_form_of_a_name(served: Served) -> None:
    for recipient, address in {
        "bob@va.toto.fr": "bob@va.toto.fr",
        "BOB@VA.Toto.FR": "bob@va.toto.fr",
        "bob@va.example": "bob@va.toto.fr",
        "bob+lists@va.example": "bob@va.toto.fr",
        "alice.dubois@vb.toto.fr": "alice@vb.toto.fr",
        "Alice.Dubois+x@vb.toto.fr": "alice@vb.toto.fr",
        '"bob"@va.toto.fr': "bob@va.toto.fr",
        "alice.moreau@va.toto.fr": None,  # that domain does not match full names
        "nobody@va.toto.fr": None,
    }.items():
        arrives(served, recipient, address)


def test_every_form_of_a_fallback(served: Served) -> None:
    with (served.root.etc / "passwd.vb.toto.fr").open("a") as passwd:
        passwd.write("joe:x:1:1:::\n")
    for fallback, address in FALLBACKS.items():
        define(served, fallback=fallback)
        arrives(served, "joe@va.toto.fr", address)
        arrives(served, "bob@va.toto.fr", "bob@va.toto.fr")  # it never hides anybody
    define(served, fallback="|/bin/cat")
    (answer,) = send(served.root, LETTER, "joe@va.toto.fr")
    assert answer.startswith("250"), answer


def test_size_quota_folder_and_filter(served: Served) -> None:
    root = served.root
    root.empty()
    define(served, max_message_size="2k", recipient_delimiter="-")
    passwd = root.etc / "passwd.va.toto.fr"
    passwd.write_text(passwd.read_text() + "max:x:1:1:Max,,,,quota_messages=2 folders=create::\n")
    with Lmtp((SHARED, root.lmtp)) as session:
        session.reply("LHLO x")
        session.reply("MAIL FROM:<ann@example.org> SIZE=2049")
        assert session.reply("RCPT TO:<bob@va.toto.fr>").startswith("552 5.3.4")
        assert session.reply("RCPT TO:<bob@vb.toto.fr>").startswith("250")
    (answer,) = send(root, LETTER + b"x" * 2048 + b"\r\n", "bob@va.toto.fr")
    assert answer.startswith("552 5.3.4"), answer
    assert send(root, LETTER, "max-shop@va.toto.fr")[0].startswith("250")
    assert len(list(root.mailbox("max@va.toto.fr").glob(".shop/new/*"))) == 1
    define(served, filter="/bin/false")
    (answer,) = send(root, LETTER, "alice@va.toto.fr")
    assert answer.startswith("451 4.3.0"), answer
    define(served, filter="/bin/cat")
    assert send(root, LETTER, "alice@va.toto.fr")[0].startswith("250")
    assert send(root, LETTER, "max@va.toto.fr")[0].startswith("250")
    (answer,) = send(root, LETTER, "max@va.toto.fr")
    assert answer.startswith("552 5.2.2"), answer
