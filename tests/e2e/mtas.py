"""Postfix, Exim and Sendmail as Debian installs them, each on a machine of its own (see machine.py)."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.e2e.machine import Machine
from tests.served import run

HOSTS = """\
127.0.0.1 localhost
127.0.0.9 outside.example
127.0.0.9 partner.example
127.0.1.1 main.example main {name}
"""
"""Sendmail takes what has the address of an interface for its own, and the first name of a line for the others."""


@dataclass(slots=True)
class Mail:
    """An MTA on its machine; `start` when it is set up."""

    machine: Machine
    port: int
    start: Callable[[], object]
    flush: tuple[str, ...]
    """What makes it try everything again that waits."""
    sendmail: tuple[str, ...]
    """What submits a message on standard input."""
    log: str
    settings: dict[str, str] = field(default_factory=dict)
    forget: tuple[str, ...] = ()
    """What makes it forget that a look-up failed, where it remembers that."""

    def swaks(self, sender: str, recipient: str, subject: str, *more: str) -> tuple[int, str]:
        """Inject by SMTP; the exit status, and what was said."""
        server = ("--server", f"127.0.0.1:{self.port}", "--header", f"Subject: {subject}")
        done = run("swaks", *server, "--from", sender, "--to", recipient, *more)
        return done.returncode, done.stdout

    def submit(self, sender: str, recipient: str, subject: str) -> None:
        """Submit on the machine itself."""
        message = f"From: {sender}\nTo: {recipient}\nSubject: {subject}\n\nHello.\n"
        self.machine.run(*self.sendmail, "-f", sender, recipient, stdin=message)

    def try_again(self) -> None:
        """Let what waits be tried now."""
        self.machine.run(*self.flush, check=False)


_TRANSPORT = "transport_maps = inline:{{{{partner.example=smtp:[127.0.0.1]:{}}}}}\n"


def postfix(machine: Machine, port: int, partner: int, domains: str = "main.example", more: str = "") -> Mail:
    """A Postfix whose main domain is `domains`, with the chroot(2) of Debian's master.cf.

    Mail for partner.example goes to the port `partner`, as with the others below.
    """
    machine.write("etc/hosts", HOSTS.format(name=os.uname().nodename))
    machine.run("sh", "-c", "cp /usr/share/postfix/main.cf.debian /etc/postfix/main.cf")
    machine.run("sh", "-c", "cp /usr/share/postfix/master.cf.dist /etc/postfix/master.cf")
    machine.run("sh", "-c", "cp /usr/share/postfix/dynamicmaps.cf /etc/postfix/")
    machine.edit("etc/postfix/master.cf", (r"^smtp      inet  n", f"127.0.0.1:{port} inet n"))
    machine.write(
        "etc/postfix/main.cf",
        machine.text("etc/postfix/main.cf")
        + f"myhostname = {domains.partition(',')[0]}\nmydestination = {domains}\nmynetworks = 127.0.0.1/32\n"
        + "inet_interfaces = 127.0.0.1\ninet_protocols = ipv4\ndisable_dns_lookups = yes\n"
        + "smtp_host_lookup = native\nalias_maps =\nmaillog_file = /var/log/mail.log\n"
        + ("" if "partner.example" in domains else _TRANSPORT.format(partner))
        + "queue_run_delay = 2s\nminimal_backoff_time = 1s\nmaximal_backoff_time = 2s\n"
        + more,
    )
    machine.run("postfix", "set-permissions", check=False)
    return Mail(
        machine,
        port,
        lambda: machine.start("postfix", "start-fg"),
        ("postqueue", "-f"),
        ("sendmail",),
        "var/log/mail.log",
        # Each smtpd(8) keeps what it was told of an address, failures included, until it ends (smtpd_resolve.c).
        forget=("postfix", "reload"),
    )


def exim(machine: Machine, port: int, partner: int, *, split: bool) -> Mail:
    """An Exim that was configured by Debian's questions, for an internet site."""
    machine.write("etc/hosts", HOSTS.format(name=os.uname().nodename))
    machine.write("etc/mailname", "main.example\n")
    machine.write("etc/aliases", "")
    answers = {
        "eximconfig_configtype": "internet",
        "other_hostnames": "main.example",
        "local_interfaces": f"127.0.0.1.{port}",
        "relay_domains": "",
        "minimaldns": "true",
        "relay_nets": "",
        "use_split_config": "true" if split else "false",
        "localdelivery": "mail_spool",
    }
    text = "".join(f"dc_{name}='{value}'\n" for name, value in answers.items())
    machine.write("etc/exim4/update-exim4.conf.conf", f"{text}CFILEMODE='644'\n")
    machine.write("etc/exim4/conf.d/main/000_test", _EXIM)
    template = machine.text("etc/exim4/exim4.conf.template")
    machine.write("etc/exim4/exim4.conf.template", _EXIM + template)
    router = _PARTNER.replace("{port}", str(partner))
    machine.write("etc/exim4/conf.d/router/160_partner", router)
    machine.edit("etc/exim4/exim4.conf.template", (r"^begin routers\n", "begin routers\n" + router))
    for folder in ("spool/exim4/input", "spool/exim4/db", "spool/exim4/msglog", "log/exim4", "lib/exim4"):
        machine.run("install", "-d", "-o", "Debian-exim", "-g", "Debian-exim", f"/var/{folder}")
    machine.run("chmod", "u+s", "/usr/sbin/exim4")
    return Mail(
        machine,
        port,
        lambda: (machine.run("update-exim4.conf"), machine.start("exim4", "-bdf", "-q2s")),
        ("exim4", "-qff"),
        ("exim4", "-bm"),
        "var/log/exim4/mainlog",
    )


_EXIM = "MAIN_HARDCODE_PRIMARY_HOSTNAME = main.example\n"
_PARTNER = """\
partner:
  driver = manualroute
  domains = partner.example
  transport = remote_smtp
  route_list = partner.example 127.0.0.1::{port} byname
  self = send
"""


_NEVER_BUSY = "".join(f"define(`conf{limit}_LA', `10000')dnl\n" for limit in ("REFUSE", "QUEUE"))
"""A machine that is busy with tests is no reason to refuse mail, or to leave it in the queue."""


def sendmail(machine: Machine, port: int, partner: int) -> Mail:
    """A Sendmail with Debian's sendmail.mc, without what slows or limits the connections of one client."""
    machine.write("etc/hosts", HOSTS.format(name=os.uname().nodename))
    machine.write("etc/mail/service.switch", "hosts files\naliases files\n")
    machine.write("etc/mail/local-host-names", "main.example\n")
    machine.write("etc/mail/access", "Connect:127.0.0.1 RELAY\n")
    machine.write("etc/mail/mailertable", "partner.example esmtp:[127.0.0.1]\n")
    for name in ("m4/dialup.m4", "m4/provider.m4"):
        machine.write(f"etc/mail/{name}", "")
    machine.write("etc/mail/aliases", "postmaster: root\n")
    machine.run("install", "-d", "/var/spool/mqueue", "/run/sendmail/mta")
    for name in ("access", "mailertable"):
        machine.run("sh", "-c", f"makemap -C /dev/null hash /etc/mail/{name} </etc/mail/{name}")
    machine.run("cp", "/usr/share/sendmail/cf/debian/sendmail.mc", "/etc/mail/")
    daemon = f"DAEMON_OPTIONS(`Family=inet, Name=MTA-v4, Port={port}, Addr=127.0.0.1')dnl"
    machine.edit(
        "etc/mail/sendmail.mc",
        (r"^DAEMON_OPTIONS.*Name=MTA-v4.*$", daemon),
        (
            r"^DAEMON_OPTIONS.*Name=MSP-v4.*$",
            "define(`confDOMAIN_NAME', `main.example')dnl\n" + _NEVER_BUSY,
        ),
        (r"^FEATURE\(`(greet_pause|conncontrol|ratecontrol).*$", ""),
        (r"^define\(`conf(CONNECTION_RATE_THROTTLE|BAD_RCPT_THROTTLE).*$", ""),
        (r"^FEATURE\(`use_cw_file.*$", "FEATURE(`use_cw_file')dnl\nFEATURE(`mailertable')dnl"),
        (
            r"^MAILER\(`local.*$",
            "FEATURE(`local_lmtp', `/usr/libexec/sendmail/mail.local')dnl\nMAILER(`local')dnl",
        ),
        (r"^MAILER\(`smtp.*$", f"define(`ESMTP_MAILER_ARGS', `TCP $h {partner}')dnl\nMAILER(`smtp')dnl"),
    )
    program = "/usr/libexec/sendmail/sendmail"
    return Mail(
        machine,
        port,
        lambda: (
            machine.run("sh", "-c", "m4 /etc/mail/sendmail.mc >/etc/mail/sendmail.cf"),
            machine.run(program, "-bi"),
            machine.start(program, "-bD", "-q2s", "-X", "/var/log/mail.log"),
        ),
        (program, "-q"),
        (program, "-Am"),
        "var/log/mail.log",
    )
