"""Two administrators change a server's domains while mail flows: no message is refused, lost, or there twice."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

from tests.e2e.clients import Lmtp
from tests.served import SHARED, Root, Served

from vmaild.address import Address
from vmaild.admin import accounts, aliases
from vmaild.admin.domains import DomainSettings, add_domain, remove_domain, set_domain
from vmaild.admin.door import Door
from vmaild.core.permissions import Actor
from vmaild.core.site import Site
from vmaild.store.layout import Layout

VA = "va.toto.fr"
ROUNDS = 12
STEADY = {
    "bob@va.toto.fr": ("bob",),
    "team@va.toto.fr": ("bob", "alice"),
    "alice@va.example": ("alice",),
}
"""Recipients that nobody changes, in files that are changed all the time."""


def administrator(root: Root) -> Door:
    return Door(Layout(str(root.path)), Site(), Actor("unix:root", site_admin=True), lock_wait=60)


def mail(root: Root, recipient: str, subject: str) -> str:
    """Deliver by LMTP; what is answered in the end."""
    with Lmtp((SHARED, root.lmtp)) as session:
        return session.deliver(f"Subject: {subject}\r\n\r\nHello.\r\n".encode(), [recipient])[0]


def comes_and_goes(root: Root, name: str, answers: list[str]) -> None:
    """The first: people, each of whom gets mail at once, and none any more once they are gone."""
    door = administrator(root)
    for number in range(ROUNDS):
        address = Address(f"{name}{number}", VA)
        accounts.add_user(door, address, password=None)
        answers.append(mail(root, str(address), "welcome")[:3])
        accounts.set_user(door, address, accounts.AccountSettings(full_name=f"Number {number}", quota="5M"))
        aliases.set_alias(door, Address(f"{name}-list", VA), ["bob", f"{name}{number}"])
        if number % 2:
            aliases.remove_alias(door, Address(f"{name}-list", VA))
            accounts.remove_user(door, address)
            answers.append(mail(root, str(address), "too late")[:3])


def rules_change(root: Root, name: str, answers: list[str]) -> None:
    """The second: the domain's own settings, and another domain."""
    door = administrator(root)
    for number in range(ROUNDS):
        other = f"{name}{number}.example"
        set_domain(door, VA, DomainSettings(quota=f"{90 + number}M"))
        add_domain(door, other, DomainSettings(aliases=[f"alias-of-{other}"], fallback="bob@vb.toto.fr"))
        answers.append(mail(root, f"anybody@{other}", "new domain")[:3])
        aliases.set_alias(door, Address(f"{name}{number}", VA), ["alice"])
        remove_domain(door, other)
        answers.append(mail(root, f"anybody@{other}", "no domain")[:3])


def test_two_administrators_while_mail_flows(served: Served) -> None:
    root = served.root
    root.empty()
    over = threading.Event()
    sent = Counter[str]()
    refused: list[str] = []

    def send_on(recipient: str) -> None:
        number = 0
        while not over.is_set():
            answer = mail(root, recipient, f"{recipient}-{number}")
            number += 1
            if answer.startswith("250"):
                sent.update(STEADY[recipient])
            else:
                refused.append(answer)

    people: list[str] = []
    domains: list[str] = []
    editors: list[tuple[Callable[[Root, str, list[str]], None], str, list[str]]] = [
        (comes_and_goes, "p", people),
        (rules_change, "d", domains),
    ]
    senders = [threading.Thread(target=send_on, args=(recipient,)) for recipient in STEADY]
    threads = [threading.Thread(target=edit, args=(root, *arguments)) for edit, *arguments in editors]
    for thread in (*senders, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    over.set()
    for thread in senders:
        thread.join()
    assert refused == []
    assert people == ["250", "250", "550"] * (ROUNDS // 2)
    assert domains == ["250", "550"] * ROUNDS
    stored = {login: root.stored(f"{login}@{VA}") for login in ("bob", "alice")}
    assert {login: len(messages) for login, messages in stored.items()} == sent
    assert min(sent.values()) > ROUNDS
    for login, messages in stored.items():
        subjects = Counter(message.partition(b"Subject: ")[2].partition(b"\n")[0] for message in messages)
        assert set(subjects.values()) == {1}, login
    served.check_log()
