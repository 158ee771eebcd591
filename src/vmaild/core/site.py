"""What the site as a whole is set to: the values of vmail.toml."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Listen:
    """Where a server waits for connections: a TCP port of one address or of all, or a socket with a path."""

    host: str = ""
    """As ipaddress.ip_address prints it; `*`: every address of the machine, IPv4 and IPv6; empty: see `path`."""
    port: int = 0
    """0: any free one."""
    path: str = ""
    """Of a Unix socket, absolute; a root other than `/` goes before it. Empty: TCP."""

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


LIVE_VIEW = Listen(path="/run/vmail/status.sock")
"""Where a running server tells what it is doing; no setting."""

DRAIN_TIME = 30.0
"""Seconds that sessions in progress are given to finish when the servers end; no setting."""


class RelayKind(StrEnum):
    """How a relay is spoken to."""

    NONE = ""
    """Nobody takes mail for elsewhere."""
    SMTP = "smtp"
    """With TLS where it is offered and the relay is on another machine; its certificate is not looked at."""
    STARTTLS = "smtp+starttls"
    """With TLS only, and a certificate for the name that it is called by."""
    LMTP = "lmtp"
    SENDMAIL = "sendmail"
    """A program that is called as sendmail(8) is."""


@dataclass(frozen=True, slots=True)
class Relay:
    """Who takes mail that leaves the virtual domains."""

    kind: RelayKind
    host: str = ""
    """Name or address, without brackets."""
    port: int = 0
    path: str = ""
    """Of a Unix socket or a program, absolute; it is one of the machine's, whatever the root."""

    def __str__(self) -> str:
        if self.kind is RelayKind.NONE:
            return ""
        if self.path:
            return f"{self.kind}:{'unix:' if self.kind is RelayKind.LMTP else ''}{self.path}"
        return f"{self.kind}://" + (
            f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        )


class OverQuota(StrEnum):
    """What the sender hears when a mailbox is full."""

    REJECT = "reject"
    """Refused for good, 5.2.2."""
    DEFER = "defer"
    """Refused for now, 4.2.2: the sending server tries again for some days."""


@dataclass(frozen=True, slots=True)
class Pop3Settings:
    """Table `pop3`."""

    listen: tuple[Listen, ...] = (Listen("*", 110),)
    tls_listen: tuple[Listen, ...] = ()
    workers: int = 2
    """Processes."""
    native: tuple[str, ...] = ()
    """Command line of the daemon that serves the main domain; empty: nobody does."""
    certificate: str = ""
    """PEM file, chain and key, for domains that have none of their own; absolute, empty: none."""
    shared_addresses: tuple[str, ...] = ()
    """Addresses of this machine where the login names its domain although there is a native daemon."""
    proxies: tuple[str, ...] = ()
    """Addresses and networks, as parse_network prints them, whose connections begin with a PROXY header."""
    max_connections_per_address: int = 50
    """Open at the same time; of IPv6, per /64. 0: no limit."""
    login_delay: int = 0
    """Seconds between two logins of an account (RFC 2449 section 6.5); 0: none."""
    learn_addresses: bool = False
    """Whether an address that no definition names is the domain's whose mail host its PTR record names."""


@dataclass(frozen=True, slots=True)
class LmtpSettings:
    """Table `lmtp`."""

    listen: tuple[Listen, ...] = (Listen(path="/run/vmail/lmtp.sock"),)
    workers: int = 2
    """Processes."""


@dataclass(frozen=True, slots=True)
class MapsSettings:
    """Table `maps`."""

    listen: tuple[Listen, ...] = (Listen(path="/run/vmail/socketmap.sock"),)


@dataclass(frozen=True, slots=True)
class SmtpSettings:
    """Table `smtp`."""

    listen: tuple[Listen, ...] = ()
    allow_remote: bool = False
    """Whether it may serve more than the loopback interface."""


@dataclass(frozen=True, slots=True)
class WebSettings:
    """Table `web`."""

    listen: tuple[Listen, ...] = ()
    certificate: str = ""
    """PEM file, chain and key, for TLS of its own; absolute, empty: none, as behind a proxy."""
    proxies: tuple[str, ...] = ("127.0.0.0/8", "::1")
    """Addresses and networks of reverse proxies: what they say in X-Forwarded-* is believed."""
    pam_service: str = "vmail"
    """The file of /etc/pam.d by which users of this machine are checked (or `other`, where it is missing)."""
    require_second_factor: bool = False
    """Whether administrators and co-administrators may do nothing before they have a second factor."""


@dataclass(frozen=True, slots=True)
class AuthSettings:
    """Table `auth`: what failed logins cost. See auth.throttle."""

    cache: bool = True
    """Whether a verified password is remembered, as a keyed hash in memory."""
    free_failures: int = 5
    """Of an address or account; each one more doubles the seconds that the next login waits."""
    max_delay: int = 15
    """Seconds; the longest wait."""
    max_failures_per_address: int = 100
    """From here on logins are refused."""
    max_failures_per_account: int = 50
    half_life: int = 900
    """Seconds in which half of the failures are forgotten."""
    trusted: tuple[str, ...] = ("127.0.0.0/8", "::1")
    """Addresses and networks that stand for many people: their failures count for the account only, and their
    connections are not limited."""


@dataclass(frozen=True, slots=True)
class MetricsSettings:
    """Table `metrics`."""

    listen: tuple[Listen, ...] = ()


@dataclass(frozen=True, slots=True)
class ForwardingSettings:
    """Table `forwarding`: what owners of accounts may set up for themselves."""

    allowed: bool = True
    """Whether they may at all; where not, what is set up already is passed over, and mail stays."""
    max_targets: int = 5
    """Addresses that one account may forward to."""
    domains: tuple[str, ...] = ()
    """Domains that may be forwarded to, canonical, or `.toto.fr` for all below it; empty: any."""


@dataclass(frozen=True, slots=True)
class VacationSettings:
    """Table `vacation`: automatic replies."""

    allowed: bool = True
    """Whether any are sent."""
    days: int = 7
    """Within so many days nobody is answered twice by one account, where its owner has not set other days."""


@dataclass(frozen=True, slots=True)
class DnsSettings:
    """Table `dns`: what the records of all domains have in common, and where they are written."""

    ttl: int = 3600
    primary: str = ""
    """The primary name server, for new zones; empty: the domain's mail host."""
    name_servers: tuple[str, ...] = ()
    """All of them; empty: the primary alone."""
    spf: str = "v=spf1 mx -all"
    """Empty: no record; so for the following."""
    dmarc: str = "v=DMARC1; p=none"
    caa: str = ""
    """The authority that issues certificates, such as letsencrypt.org."""
    mta_sts: str = ""
    """The id of the policy that https://mta-sts.DOMAIN serves (RFC 8461 section 3.1)."""
    tlsrpt: str = ""
    """Where reports on TLS go: `mailto:` and an address, or an https address (RFC 8460 section 3); empty: none."""
    tlsa: bool = False
    """Whether the MTA shows the domain's certificate, and senders with DANE may insist on it."""
    autoconfig: bool = False
    """Whether the names autoconfig and autodiscover lead to the mail host."""
    submission: int = 0
    """The port where the MTA takes mail from clients: 465 for TLS from the start, else STARTTLS; 0: none."""
    resolver: str = ""
    """Who is asked about DNS: `192.0.2.53`, `192.0.2.53:5353`; empty: the system's own."""
    named_conf: str = "/etc/bind/named.conf"
    reload: bool = False
    """Whether rndc tells BIND of each zone that was written."""
    update_server: str = ""
    """The primary that takes dynamic updates (RFC 2136), `192.0.2.53:53`; empty: none does."""
    update_key: str = ""
    """The file of the key that signs them, as tsig-keygen writes it; absolute."""
    update_key_name: str = ""
    """Which key of that file; empty: the only one."""


class NetworkFile(StrEnum):
    """What puts addresses up when the machine starts; the value is the word for it in vmail.toml."""

    AUTO = "auto"
    """Whichever this machine uses."""
    NETWORKD = "networkd"
    IFUPDOWN = "ifupdown"
    NETPLAN = "netplan"
    NONE = "none"
    """Nothing: somebody else sees to it."""


@dataclass(frozen=True, slots=True)
class AddressSettings:
    """Table `addresses`: how this machine gets the service addresses of its domains."""

    interface: str = ""
    """Where they are put up; empty: vmaild puts none up."""
    pool: tuple[str, ...] = ()
    """Where new ones are taken from: networks, addresses and ranges `FIRST-LAST`, in canonical spelling."""
    prefix_length: int = 32
    """Of IPv4 addresses; 32: they bring no route of their own."""
    prefix_length_6: int = 128
    duplicate_detection: bool = True
    """Whether the kernel asks the network first whether another machine has an IPv6 address (RFC 4862)."""
    file: NetworkFile = NetworkFile.AUTO


@dataclass(frozen=True, slots=True)
class DeliverySettings:
    """Table `delivery`."""

    relay: Relay = Relay(RelayKind.SMTP, "127.0.0.1", 25)
    srs: bool = False
    """Whether the sender of what is sent on is rewritten (SRS), for the SPF of its domain."""
    command_time: int = 300
    """Seconds that a program behind an alias may take."""
    max_size: int = 100 << 20
    """Bytes of one message; 0: no limit."""
    over_quota: OverQuota = OverQuota.REJECT
    quota_warning: int = 90
    """Per cent of a quota from which on the mailbox gets a warning; 0: none is sent."""
    language: str = "en"
    """Of what is written to users of domains that have no language of their own: `en` or `fr`."""
    filter_time: int = 60
    """Seconds that a domain's filter program may take for one message."""
    message_time: int = 540
    """Seconds from the end of a message to its answer; what is not done by then waits."""


@dataclass(frozen=True, slots=True)
class Site:
    """All of vmail.toml; every key may be absent. The keys of its table `site` stand here themselves."""

    admins: tuple[str, ...] = ("unix:root",)
    """Principals who may do everything: `unix:root` or `bob@va.toto.fr`."""
    user: str = ""
    """The user whom the servers run as; empty: whoever starts them."""
    recipient_delimiter: str = "+"
    """What separates login and detail in `bob+lists`; empty: there are no sub-addresses."""
    demo: bool = False
    """Whether this is the demonstration, whose accounts have well-known passwords."""
    pop3: Pop3Settings = Pop3Settings()
    lmtp: LmtpSettings = LmtpSettings()
    smtp: SmtpSettings = SmtpSettings()
    web: WebSettings = WebSettings()
    delivery: DeliverySettings = DeliverySettings()
    auth: AuthSettings = AuthSettings()
    metrics: MetricsSettings = MetricsSettings()
    dns: DnsSettings = DnsSettings()
    addresses: AddressSettings = AddressSettings()
    forwarding: ForwardingSettings = ForwardingSettings()
    vacation: VacationSettings = VacationSettings()
    maps: MapsSettings = MapsSettings()
    mta_group: str = ""
    """The group that may use the sockets for mail and maps; empty: that of whoever starts the servers."""


@lru_cache(4096)
def is_among(address: str, networks: Sequence[str]) -> bool:
    """Whether an IP address is one of these, or in one of these networks; what is no address is not.

    `networks` is a tuple, as settings have it.
    """
    import ipaddress  # noqa: PLC0415  most deliveries have no need of it

    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(found in ipaddress.ip_network(network) for network in networks)
