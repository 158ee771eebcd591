"""What an account or a domain leaves behind when it goes: mailboxes and homes, kept, archived or deleted.

Whoever is given the name next must not inherit the mail of the one before unasked, nor be asked for the codes of
the other's telephone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from vmaild.admin.execute import archive_stamp
from vmaild.admin.plan import FileEdit, HomeEffect, Mail, MailEffect
from vmaild.admin.view import View
from vmaild.store.messages import Mailbox, MessageStore
from vmaild.store.second_factor import Factors


def of_account(
    messages: MessageStore, view: View, domain: str, login: str, mail: Mail
) -> Iterator[MailEffect | HomeEffect]:
    """What becomes of the mailbox and the home of that name, where there are any."""
    if messages.exists(Mailbox(domain, login)):
        yield MailEffect(mail, domain, login)
    yield from _home(view, f"{domain}/{login}", mail)


def of_domain(view: View, domain: str, mail: Mail) -> Iterator[MailEffect | HomeEffect]:
    """What becomes of all mailboxes and homes of a domain."""
    yield MailEffect(mail, domain)
    yield from _home(view, domain, mail)


def factor_of(view: View, domain: str, login: str = "") -> Iterator[FileEdit]:
    """The second factors of an account or, without a login, of all of a domain: never kept, never archived.

    After the password in a plan: an account that still opens must not lose its protection first.
    """
    factors = Factors(view.layout)
    principals = [f"{login}@{domain}"] if login else factors.of_domain(domain)
    for principal in principals:
        path = factors.path(principal)
        if os.path.lexists(path):
            yield FileEdit(path, b"", None, instead=f"second factor of {principal} removed")


def _home(view: View, name: str, mail: Mail) -> Iterator[HomeEffect]:
    homes = view.layout.path("/vhome")
    if os.path.lexists(f"{homes}/{name}"):
        target = fresh_path(f"{homes}/.archive/{name}.{archive_stamp()}") if mail is Mail.ARCHIVE else ""
        yield HomeEffect(mail, f"{homes}/{name}", target)


def fresh_path(path: str) -> str:
    """The path, or the first of PATH.2, PATH.3 and so on that is not there yet."""
    candidate, number = path, 1
    while os.path.lexists(candidate):
        number += 1
        candidate = f"{path}.{number}"
    return candidate
