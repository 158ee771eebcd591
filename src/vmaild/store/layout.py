"""Where everything is on disk, under one root."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths of the embedded default; `root` prefixes every one, also those written in configuration."""

    root: str = ""
    """Empty for the system's own; else absolute and without a final slash (see `layout`)."""

    def path(self, written: str) -> str:
        """An absolute path of the configuration as it is on this disk."""
        return self.root + written

    @property
    def configuration(self) -> str:
        """The folder of all configuration; its owner is the site administrator."""
        return self.path("/etc/vmail")

    @property
    def site(self) -> str:
        """Site settings."""
        return self.path("/etc/vmail/vmail.toml")

    @property
    def definitions(self) -> str:
        """The folder of domain definitions."""
        return self.path("/etc/vmail/domains")

    def definition(self, domain: str) -> str:
        """The definition of one domain."""
        return f"{self.definitions}/{domain}.toml"

    def passwd(self, domain: str) -> str:
        """The accounts of a domain."""
        return self.path(f"/etc/vmail/passwd.{domain}")

    def shadow(self, domain: str) -> str:
        """The passwords of a domain."""
        return self.path(f"/etc/vmail/shadow.{domain}")

    def aliases(self, domain: str) -> str:
        """The implicit alias file of a domain."""
        return self.path(f"/etc/vmail/aliases.{domain}")

    @property
    def second_factors(self) -> str:
        """The folder of the second factors of people who sign in to the web."""
        return self.path("/etc/vmail/second-factor")

    @property
    def spool(self) -> str:
        """The mailboxes of all domains."""
        return self.path("/var/spool/vmail")

    @property
    def incoming(self) -> str:
        """Large messages on their way in; on the same file system as the mailboxes."""
        return self.path("/var/spool/vmail/.incoming")

    @property
    def partial(self) -> str:
        """Notes on messages that were delivered in part."""
        return self.path("/var/spool/vmail/.partial")

    @property
    def form_secret(self) -> str:
        """What proves that a form was made by our pages."""
        return self.path("/var/lib/vmail/form.secret")

    @property
    def srs_secret(self) -> str:
        """What proves that an address of sender rewriting is our own."""
        return self.path("/var/lib/vmail/srs.secret")

    def home(self, domain: str, login: str) -> str:
        """The home of an account."""
        return self.path(f"/vhome/{domain}/{login}")

    @property
    def state(self) -> str:
        """State that is not configuration."""
        return self.path("/var/lib/vmail")

    @property
    def placed_addresses(self) -> str:
        """The record of the addresses that vmaild has put up on this machine."""
        return self.path("/var/lib/vmail/addresses.json")

    @property
    def learnt_addresses(self) -> str:
        """What reverse DNS said of this machine's addresses when the settings were loaded."""
        return self.path("/var/lib/vmail/learnt-addresses.json")

    @property
    def last_good(self) -> str:
        """Copies of the definitions as they were last understood."""
        return self.path("/var/lib/vmail/last-good")

    @property
    def backups(self) -> str:
        """The folder of the backups of domains; root's own, as whatever is in it can be put into force."""
        return self.path("/var/backups/vmail")

    def published(self, domain: str) -> str:
        """Which records of a domain dynamic updates have put into DNS."""
        return self.path(f"/var/lib/vmail/published/{domain}")

    @property
    def run(self) -> str:
        """Sockets, locks, pid files."""
        return self.path("/run/vmail")

    @property
    def unanswered(self) -> str:
        """Notes on messages that are in a mailbox while their sender still waits."""
        return self.path("/run/vmail/unanswered")

    @property
    def unanswered_on_disk(self) -> str:
        """The same, where the mail user cannot make that: after a boot, until a server has run."""
        return self.path("/var/spool/vmail/.unanswered")

    def lock(self, name: str) -> str:
        """A lock file of the administration."""
        return self.path(f"/run/vmail/lock.{name}")


def layout(root: str | None = None) -> Layout:
    """The layout under `root`, or VMAIL_ROOT, or the system's own."""
    chosen = root if root is not None else os.environ.get("VMAIL_ROOT", "")
    return Layout(os.path.abspath(chosen).rstrip("/") if chosen else "")
