"""vmail.toml: what it says and what refuses it."""

from __future__ import annotations

import pytest

from vmaild.core.findings import Severity
from vmaild.core.site import (
    AuthSettings,
    DeliverySettings,
    Listen,
    LmtpSettings,
    MapsSettings,
    MetricsSettings,
    OverQuota,
    Pop3Settings,
    Relay,
    RelayKind,
    Site,
    SmtpSettings,
    WebSettings,
)
from vmaild.formats.site import parse_listen, parse_network, parse_site

WHOLE = """\
[site]
admins = ["unix:root", "bob@va.toto.fr"]
user = "vmail"
mta_group = "postfix"
recipient_delimiter = "-"
demo = true
[pop3]
listen = ["*:110", "[::1]:11110"]
tls_listen = ["*:995"]
workers = 4
native = ["/usr/sbin/ipop3d", "-x", "-x"]
certificate = "/etc/ssl/site.pem"
shared_addresses = ["192.0.2.9"]
proxies = ["192.0.2.1", "2001:DB8:0::/64"]
max_connections_per_address = 0
login_delay = 60
[lmtp]
listen = ["unix:/run/vmail/lmtp.sock", "127.0.0.1:11024"]
workers = 1
[smtp]
listen = ["127.0.0.1:11025"]
allow_remote = true
[web]
listen = ["127.0.0.1:8098"]
[delivery]
relay = "smtp://[::1]:2525"
max_size = "50M"
over_quota = "defer"
srs = true
command_time = 60
[auth]
cache = false
free_failures = 0
max_delay = 0
max_failures_per_address = 200
max_failures_per_account = 1
half_life = 60
trusted = []
[metrics]
listen = ["127.0.0.1:9110"]
[maps]
listen = ["unix:/run/vmail/maps.sock"]
"""


def test_an_empty_file_means_the_defaults() -> None:
    assert parse_site("", "vmail.toml") == (Site(), ())
    assert Site().pop3.listen == (Listen("*", 110),)
    assert [str(listen) for listen in Site().lmtp.listen] == ["unix:/run/vmail/lmtp.sock"]
    assert Site().delivery.max_size == 100 << 20


def test_every_key() -> None:
    assert parse_site(WHOLE, "vmail.toml") == (
        Site(
            ("unix:root", "bob@va.toto.fr"),
            "vmail",
            "-",
            True,
            Pop3Settings(
                (Listen("*", 110), Listen("::1", 11110)),
                (Listen("*", 995),),
                4,
                ("/usr/sbin/ipop3d", "-x", "-x"),
                "/etc/ssl/site.pem",
                ("192.0.2.9",),
                ("192.0.2.1", "2001:db8::/64"),
                0,
                60,
            ),
            LmtpSettings((Listen(path="/run/vmail/lmtp.sock"), Listen("127.0.0.1", 11024)), 1),
            SmtpSettings((Listen("127.0.0.1", 11025),), True),
            WebSettings((Listen("127.0.0.1", 8098),)),
            DeliverySettings(Relay(RelayKind.SMTP, "::1", 2525), True, 60, 50 << 20, OverQuota.DEFER),
            AuthSettings(False, 0, 0, 200, 1, 60, ()),
            MetricsSettings((Listen("127.0.0.1", 9110),)),
            maps=MapsSettings((Listen(path="/run/vmail/maps.sock"),)),
            mta_group="postfix",
        ),
        (),
    )


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("[pop3]\n\nworkers = 0", 3, "workers 0 is out of range; write a number from 1 on"),
        ("[lmtp]\nworkers = 1\n[pop3]\nworkers = 0", 4, "workers 0 is out of range"),
        ("pop3.workers = '2'", 1, "workers is the text '2', not a whole number"),
        ("pop3 = { workers = '2' }", 1, "workers is the text '2'"),
        ("pop3 = '*:110'", 1, "pop3 is not a table; write [pop3] on a line of its own"),
        ("[pop3]\nlisten = '*:110'", 2, 'not a list of texts; write listen = ["*:110"]'),
        ("[pop3]\nnative = ['']", 2, "native: '' cannot be part of a command line"),
        ("[site]\nuser = 'a b'", 2, "user: 'a b' cannot be a user's login"),
        ("[site]\nuser = '-x'", 2, "user: '-x' cannot be a user's login"),
        ("[site]\nrecipient_delimiter = 'x'", 2, "recipient_delimiter: 'x' cannot separate login and detail"),
        ("[site]\nrecipient_delimiter = '@'", 2, "recipient_delimiter: '@' cannot separate"),
        ("[site]\nadmins = ['root']", 2, "admins: 'root' does not name an administrator"),
        ("[delivery]\nrelay = 'localhost:25'", 2, "is not a mail server; write it like smtp://127.0.0.1:25"),
        ("[delivery]\nrelay = 'smtp://localhost:99999'", 2, "is not a mail server"),
        ("[delivery]\nover_quota = 'drop'", 2, 'over_quota: \'drop\' is no answer; write "reject" or "defer"'),
        (
            "[pop3]\nmax_connections_per_address = -1",
            2,
            "max_connections_per_address -1 is out of range; write a number from 0",
        ),
        ("[pop3]\ncertificate = 'x.pem'", 2, "'x.pem' is not an absolute path"),
        ("[pop3]\nproxies = ['lb.example']", 2, "proxies: 'lb.example' is neither an IP address nor a network"),
        ("[auth]\nhalf_life = 0", 2, "half_life 0 is out of range; write a number from 1 on"),
        (
            "[auth]\nmax_failures_per_account = 0",
            2,
            "max_failures_per_account 0 is out of range; write a number from 1 on",
        ),
        ("[auth]\ntrusted = ['10.0.0.1/8']", 2, "write 10.0.0.0/8, or the address alone"),
        ("[pop3\n", 1, "Expected ']'"),
    ],
)
def test_what_refuses_the_settings(text: str, line: int, message: str) -> None:
    site, (finding,) = parse_site(text, "vmail.toml")
    assert site is None
    assert (finding.line, finding.severity) == (line, Severity.ERROR)
    assert message in f"{finding.problem}; {finding.remedy}"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (
            "[jabber]\nx = 1",
            1,
            (
                "there is no setting 'jabber'; remove it; "
                "known are addresses, auth, delivery, dns, forwarding, lmtp, maps, metrics, pop3, site, smtp, "
                "vacation, web"
            ),
        ),
        ("[pop4]\nx = 1", 1, "there is no setting 'pop4'; write pop3, or remove the line"),
        ("[pop3]\nlistn = []", 2, "there is no setting 'listn' in [pop3]; write listen, or remove the line"),
        ("allow_remote = true", 1, "allow_remote stands outside of its table; put it below [smtp]"),
        ("[pop3]\nlisten = ['*:1', '*:1']", 2, "listen names '*:1' more than once; remove all but one"),
    ],
)
def test_what_is_passed_over(text: str, line: int, message: str) -> None:
    site, (finding,) = parse_site(text, "vmail.toml")
    assert site is not None
    assert (finding.line, finding.severity) == (line, Severity.WARNING)
    assert f"{finding.problem}; {finding.remedy}" == message


def test_a_delimiter_and_a_relay_can_be_absent() -> None:
    site, findings = parse_site("[site]\nrecipient_delimiter = ''\n[delivery]\nrelay = ''\nmax_size = 0\n", "v")
    assert findings == ()
    assert site is not None
    assert (site.recipient_delimiter, site.delivery.relay, site.delivery.max_size) == (
        "",
        Relay(RelayKind.NONE),
        0,
    )


@pytest.mark.parametrize(
    ("text", "listen"),
    [
        ("127.0.0.1:110", Listen("127.0.0.1", 110)),
        ("*:0", Listen("*", 0)),
        ("[::1]:110", Listen("::1", 110)),
        ("[0:0::1]:65535", Listen("::1", 65535)),
        ("unix:/run/x:y", Listen(path="/run/x:y")),
    ],
)
def test_where_to_listen(text: str, listen: Listen) -> None:
    assert parse_listen(text) == listen
    assert parse_listen(str(listen)) == listen


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not an address and a port; write ADDRESS:PORT like 127.0.0.1:110"),
        ("110", "is not an address and a port"),
        (":110", "is not an address and a port"),
        ("127.0.0.1", "is not an address and a port"),
        ("127.0.0.1:", "'' in '127.0.0.1:' is not a port"),
        ("*:pop3", "'pop3' in '\\*:pop3' is not a port; write a number up to 65535"),
        ("*:65536", "is not a port"),
        ("::1:110", "is ambiguous; write brackets around an IPv6 address"),
        ("[127.0.0.1]:110", "is ambiguous"),
        ("localhost:110", "'localhost' in 'localhost:110' is not an IP address"),
        ("unix:lmtp.sock", "'lmtp.sock' is not an absolute path"),
        ("unix:/" + "x" * 107, "is too long for a socket; keep to 107 bytes"),
    ],
)
def test_where_nobody_can_listen(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_listen(text)


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1/32", "192.0.2.1"),
        (" 192.0.2.0/24 ", "192.0.2.0/24"),
        ("192.0.2.0/255.255.255.0", "192.0.2.0/24"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("2001:DB8:0::/48", "2001:db8::/48"),
        ("::1/128", "::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
    ],
)
def test_networks(text: str, network: str) -> None:
    assert parse_network(text) == network
    assert parse_network(network) == network


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is neither an IP address nor a network; write it like 192.0.2.1 or 192.0.2.0/24"),
        ("localhost", "'localhost' is neither"),
        ("192.0.2.0/33", "is neither"),
        ("192.0.2", "is neither"),
        ("192.0.2.1:110", "is neither"),
        ("192.0.2.1/24", "is an address with the length of a network; write 192.0.2.0/24, or the address alone"),
        ("2001:db8::1/64", "write 2001:db8::/64, or"),
    ],
)
def test_what_is_no_network(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_network(text)


@pytest.mark.parametrize(
    ("text", "relay"),
    [
        ("smtp://127.0.0.1", Relay(RelayKind.SMTP, "127.0.0.1", 25)),
        ("lmtp://[::1]:2400", Relay(RelayKind.LMTP, "::1", 2400)),
        ("lmtp:unix:/run/relay.sock", Relay(RelayKind.LMTP, path="/run/relay.sock")),
        ("sendmail:/usr/sbin/sendmail", Relay(RelayKind.SENDMAIL, path="/usr/sbin/sendmail")),
    ],
)
def test_relays(text: str, relay: Relay) -> None:
    site, findings = parse_site(f"[delivery]\nrelay = {text!r}\n", "v")
    assert findings == ()
    assert site is not None
    assert site.delivery.relay == relay
    assert str(relay).startswith(text)
