"""What the owner of an account types into a mail program: decided from the settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from vmaild.core.directory import DomainDefinition
from vmaild.core.dns_plan import SUBMISSIONS, mail_host_of
from vmaild.core.site import Listen, Site


class Security(Enum):
    """As mail programs call it."""

    TLS = "SSL/TLS"
    STARTTLS = "STARTTLS"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Connection:
    """One server of a mail program's settings; its name is the mail host."""

    port: int
    security: Security


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """All settings for one account."""

    address: str
    host: str
    login: str
    """With its domain: so it is right at an address that domains share, too."""
    short_login: str
    """What is enough where the domain has an address of its own; empty: it has none."""
    pop3: Connection | None
    """None: no POP3 server is set up that takes its password."""
    nearby: Connection | None
    """As `pop3`, else without TLS, where passwords are taken from this machine only. None: no server."""
    smtp: Connection | None
    """None: the site names no port for mail from mail programs."""


def client_settings(definition: DomainDefinition, site: Site, login: str) -> ClientSettings:
    """The settings for an account of a domain: the safest connection that there is."""
    smtp = None
    if site.dns.submission:
        direct = site.dns.submission == SUBMISSIONS
        smtp = Connection(site.dns.submission, Security.TLS if direct else Security.STARTTLS)
    address = f"{login}@{definition.name}"
    pop3 = _pop3(definition, site)
    plain = _port(site.pop3.listen, 110, definition.addresses)
    nearby = pop3 or (Connection(plain, Security.NONE) if plain else None)
    short = login if definition.addresses else ""
    return ClientSettings(address, mail_host_of(definition), address, short, pop3, nearby, smtp)


def _pop3(definition: DomainDefinition, site: Site) -> Connection | None:
    certificate = definition.certificate or site.pop3.certificate
    direct = _port(site.pop3.tls_listen, 995, definition.addresses)
    plain = _port(site.pop3.listen, 110, definition.addresses)
    if certificate and direct:
        return Connection(direct, Security.TLS)
    if certificate and plain:
        return Connection(plain, Security.STARTTLS)
    # Without TLS a password from another machine is taken only where the domain says so.
    return Connection(plain, Security.NONE) if plain and definition.plain_logins else None


def _port(listens: Sequence[Listen], usual: int, addresses: Sequence[str]) -> int:
    """A port that the domain is served at; the usual one, if it is among them. 0: there is none."""
    ports = [each.port for each in listens if each.port and (each.host == "*" or each.host in addresses)]
    if not addresses:
        ports = [each.port for each in listens if each.port]
    return usual if usual in ports else next(iter(ports), 0)
