from __future__ import annotations

import pytest

from vmaild.core.clients import Connection, Security, client_settings
from vmaild.core.directory import DomainDefinition
from vmaild.core.site import DnsSettings, Listen, Pop3Settings, Site

PLAIN, TLS = (Listen("*", 110),), (Listen("*", 995),)
OTHER = (Listen("192.0.2.9", 995), Listen("172.16.0.1", 1995))


@pytest.mark.parametrize(
    ("pop3", "plain_logins", "expected"),
    [
        (Pop3Settings(PLAIN, TLS, certificate="/c"), False, Connection(995, Security.TLS)),
        (Pop3Settings(PLAIN, OTHER, certificate="/c"), False, Connection(1995, Security.TLS)),
        (Pop3Settings(PLAIN, (), certificate="/c"), False, Connection(110, Security.STARTTLS)),
        (Pop3Settings(PLAIN, TLS), False, None),
        (Pop3Settings(PLAIN, TLS), True, Connection(110, Security.NONE)),
        (Pop3Settings((), ()), True, None),
    ],
)
def test_the_safest_connection_there_is(
    pop3: Pop3Settings, plain_logins: bool, expected: Connection | None
) -> None:
    definition = DomainDefinition("va.toto.fr", addresses=("172.16.0.1",), plain_logins=plain_logins)
    found = client_settings(definition, Site(pop3=pop3), "bob")
    assert (found.pop3, found.smtp) == (expected, None)
    assert (found.host, found.login, found.short_login) == ("mailhost.va.toto.fr", "bob@va.toto.fr", "bob")


def test_a_certificate_of_the_domain_counts_and_the_port_says_how_mail_is_sent() -> None:
    definition = DomainDefinition("va.toto.fr", mail_host="mx.toto.fr", certificate="/c")
    site = Site(pop3=Pop3Settings(PLAIN, OTHER), dns=DnsSettings(submission=465))
    found = client_settings(definition, site, "bob")
    assert (found.host, found.pop3) == ("mx.toto.fr", Connection(995, Security.TLS))
    assert found.short_login == "", "who shares an address has to name the domain"
    assert found.smtp == Connection(465, Security.TLS)
    site = Site(dns=DnsSettings(submission=587))
    assert client_settings(definition, site, "bob").smtp == Connection(587, Security.STARTTLS)
