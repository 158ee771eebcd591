"""What the site as a whole is set to: the values of vmail.toml."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


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


@dataclass(frozen=True, slots=True)
class LmtpSettings:
    """Table `lmtp`."""

    listen: tuple[Listen, ...] = (Listen(path="/run/vmail/lmtp.sock"),)
    workers: int = 2
    """Processes."""


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


@dataclass(frozen=True, slots=True)
class DeliverySettings:
    """Table `delivery`."""

    relay: str = "smtp://127.0.0.1:25"
    """Who takes mail that leaves the virtual domains: `smtp://HOST:PORT`."""
    max_size: int = 100 << 20
    """Bytes of one message; 0: no limit."""
    over_quota: OverQuota = OverQuota.REJECT


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
