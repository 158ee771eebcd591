"""Accounts as people ask for them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from vmaild.address import Address
from vmaild.admin.door import Door, refusals
from vmaild.admin.refusal import Code, Refused
from vmaild.admin.view import View
from vmaild.core.directory import Account, Domain, quota_of
from vmaild.store.messages import Mailbox, Usage


@dataclass(frozen=True, slots=True)
class AccountRecord:
    """An account as people ask for it."""

    account: Account
    domain: str
    quota: int
    """Bytes in force: its own or the domain's; 0: no limit."""
    quota_messages: int
    """Messages, likewise."""
    has_password: bool
    locked: bool
    usage: Usage | None = None

    @property
    def address(self) -> str:
        """Its mail address, and its qualified login."""
        return str(Address(self.account.login, self.domain))


def list_users(door: Door, domain_name: str) -> list[AccountRecord]:
    """The accounts of a domain, sorted by login. Raises Refused."""
    view, domain = door.see(domain_name)
    with refusals():
        return [record_of(view, domain, account) for _, account in sorted(domain.accounts.items())]


def show_user(door: Door, address: Address) -> AccountRecord:
    """One account, with what its mailbox holds. Raises Refused."""
    view, domain = door.see(address.domain)
    record = record_of(view, domain, account_of(domain, address))
    mailbox = Mailbox(domain.name, record.account.login)
    with refusals():
        usage = door.messages.usage(mailbox) if door.messages.exists(mailbox) else Usage(0, 0)
    return replace(record, usage=usage)


def account_of(domain: Domain, address: Address) -> Account:
    """The account of that name in a domain. Raises Refused where there is none."""
    account = domain.accounts.get(address.key)
    if account is None:
        raise Refused(
            f"there is no account {address.local_part} in {domain.name}",
            f"'vmail user list {domain.name}' shows which there are",
            Code.NOT_FOUND,
        )
    return account


def record_of(view: View, domain: Domain, account: Account) -> AccountRecord:
    """All about an account but what its mailbox holds. Raises Refused."""
    entry = view.password_of(domain, account.login)
    hashed = entry.password if entry else ""
    quota = quota_of(domain.definition, account)
    return AccountRecord(
        account,
        domain.name,
        quota.bytes,
        quota.messages,
        has_password=bool(hashed.lstrip("!*")),
        locked=entry.locked if entry else False,
    )
