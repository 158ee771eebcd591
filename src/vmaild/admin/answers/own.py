"""Verbs of the desk about one's own account."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vmaild.address import Address
from vmaild.admin import accounts, records
from vmaild.admin.answers.accounts import own_mail, set_forward, set_vacation, user_values
from vmaild.admin.answers.values import Values, Verb, plain, strong
from vmaild.admin.door import Door, refusals
from vmaild.admin.names import parse_name
from vmaild.admin.refusal import Refused
from vmaild.core.clients import client_settings
from vmaild.core.permissions import UNIX
from vmaild.store.messages import Mailbox, Usage


def set_own_password(door: Door, password: str) -> None:
    """Give the actor's own account a new password. Raises Refused."""
    accounts.set_password(door, own_address(door), password=strong(password))


def own_address(door: Door) -> Address:
    """The account that asks. Raises Refused where it is a user of this machine."""
    if door.actor.principal.startswith(UNIX):
        raise Refused("users of this machine change their password with passwd(1)", "use that")
    return parse_name(door.actor.principal)


def _own(door: Door, values: Values) -> Any:  # noqa: ANN401  likewise
    address = own_address(door)
    view = door.view()
    domain = view.domain(address.domain)
    record = records.record_of(view, domain, records.account_of(domain, address))
    mailbox = Mailbox(domain.name, record.account.login)
    with refusals():
        usage = door.messages.usage(mailbox) if door.messages.exists(mailbox) else Usage(0, 0)
    definition = domain.definition
    settings = client_settings(definition, door.site, record.account.login)
    return user_values(record) | {
        "usage": plain(usage),
        **own_mail(door, address),
        "mail_host": settings.host,
        "addresses": list(definition.addresses),
        "bare_login": bool(settings.short_login),
        "pop3": settings.nearby and {"port": settings.nearby.port, "security": settings.nearby.security.value},
        "smtp": settings.smtp and {"port": settings.smtp.port, "security": settings.smtp.security.value},
    }


def _of_own(verb: Verb) -> Verb:
    return lambda door, values: verb(door, {**values, "address": str(own_address(door))})


VERBS: Mapping[str, Verb] = {
    "own": _own,
    "own.vacation": _of_own(set_vacation),
    "own.forward": _of_own(set_forward),
}
