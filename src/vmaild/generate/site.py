"""A vmail.toml that explains itself: every key with a comment, and only what is asked for in force."""

from __future__ import annotations

import json
from collections.abc import Mapping

_HEAD = """\
# vmail.toml: the settings of this site. Every key may be absent; a line that begins with "#" shows the default.
# A change is in force after "vmail serve" has got SIGHUP. Domains have files of their own, in domains/: those,
# the passwd, shadow and alias files are read again by themselves.
"""

_TABLES: dict[str, dict[str, tuple[object, str]]] = {
    "site": {
        "admins": (["unix:root"], 'Who may change everything: "unix:LOGIN" of this machine, or "login@domain".'),
        "user": ("", "The user whom the servers run as once they listen; empty: whoever starts them."),
        "mta_group": (
            "",
            (
                "The group of the MTA's user, who is let in to the Unix sockets for mail and maps; empty:\n"
                "the group of whoever starts the servers."
            ),
        ),
        "recipient_delimiter": ("+", "Parts login and sub-address: bob+lists is bob's. Empty: no sub-addresses."),
        "demo": (False, "Whether this is the demonstration, whose accounts have well-known passwords."),
    },
    "pop3": {
        "listen": (
            ["*:110"],
            (
                'Where POP3 is served: "ADDRESS:PORT", "*:PORT" for every address. The address that a client\n'
                "connects to tells which domain it means; on one that belongs to no domain the login has to:\n"
                "bob@va.toto.fr, or bob%va.toto.fr."
            ),
        ),
        "tls_listen": (
            [],
            "Where POP3 is served over TLS from the first byte; its port is 995.",
        ),
        "workers": (2, "Processes; one for each core that POP3 may use."),
        "native": (
            [],
            (
                "The command line of the daemon that serves the machine's own users, such as\n"
                '["/usr/sbin/ipop3d"]: what comes to an address of no domain is handed over, unread.'
            ),
        ),
        "certificate": ("", "For TLS with domains that name no certificate: a PEM file with chain and key."),
        "shared_addresses": (
            [],
            "Addresses of this machine where the login names its domain although there is a native daemon.",
        ),
        "proxies": (
            [],
            (
                "Addresses and networks of load balancers: their connections begin with a PROXY header, which\n"
                "tells the address of the client."
            ),
        ),
        "max_connections_per_address": (50, "Open at the same time from one address; 0: no limit."),
        "login_delay": (0, "Seconds that an account has to wait from one login to the next; 0: none."),
        "learn_addresses": (
            False,
            (
                "Whether an address that no domain names is that of the domain whose mail host its PTR record\n"
                "names. It is looked up when the settings are loaded, never for a connection."
            ),
        ),
    },
    "lmtp": {
        "listen": (
            ["unix:/run/vmail/lmtp.sock"],
            'Where the MTA hands mail over (RFC 2033): "unix:/PATH" or "ADDRESS:PORT".',
        ),
        "workers": (2, "Processes; they serve SMTP, too."),
    },
    "maps": {
        "listen": (
            ["unix:/run/vmail/socketmap.sock"],
            "Where the MTA asks which domains and which recipients there are (socketmap).",
        ),
    },
    "smtp": {
        "listen": ([], "An SMTP server for trying things out, on loopback addresses. It never relays."),
        "allow_remote": (False, "Whether SMTP may listen on other addresses, too."),
    },
    "web": {
        "listen": (
            [],
            (
                "Where the web pages are served. The address or name by which they are reached tells the domain.\n"
                "Loopback, behind a reverse proxy, or with a certificate of its own: passwords are typed there."
            ),
        ),
        "certificate": ("", "For TLS of its own: a PEM file with chain and key."),
        "proxies": (["127.0.0.0/8", "::1"], "Reverse proxies, whose X-Forwarded-* headers are believed."),
        "pam_service": ("vmail", "The file of /etc/pam.d that checks users of this machine, who administer."),
        "require_second_factor": (
            False,
            "Whether whoever administers must sign in with a code from a telephone (TOTP), too.",
        ),
    },
    "auth": {
        "cache": (
            True,
            "Whether a password that was right is remembered in memory, as a keyed hash.",
        ),
        "free_failures": (5, "Failed logins without consequence; each one more doubles the wait of the next."),
        "max_delay": (15, "The longest wait, in seconds."),
        "max_failures_per_address": (100, "From here on an address is refused;"),
        "max_failures_per_account": (50, "from here on an account is."),
        "half_life": (900, "Seconds in which half of the failures are forgotten."),
        "trusted": (
            ["127.0.0.0/8", "::1"],
            "Addresses and networks of many people: no limit but that of each account.",
        ),
    },
    "dns": {
        "ttl": (3600, "Seconds that others may keep a record of ours."),
        "primary": ("", "The primary name server, for zones made anew; empty: the domain's mail host."),
        "name_servers": ([], "All name servers, for zones made anew; empty: the primary alone."),
        "spf": ("v=spf1 mx -all", "Who may send mail of our domains (RFC 7208); empty: no record."),
        "dmarc": ("v=DMARC1; p=none", "What receivers do with forged mail (RFC 7489); empty: no record."),
        "caa": ("", "Who may issue certificates, such as letsencrypt.org (RFC 8659); empty: no record."),
        "mta_sts": ("", "The id of the policy that https://mta-sts.DOMAIN serves (RFC 8461); empty: no record."),
        "tlsrpt": (
            "",
            "Where reports on TLS go, like mailto:postmaster@example.org (RFC 8460); empty: no record.",
        ),
        "tlsa": (False, "Whether the MTA shows the domain's certificate, so that DANE may pin it (RFC 7672)."),
        "autoconfig": (False, "Whether autoconfig.DOMAIN and autodiscover.DOMAIN lead to the mail host."),
        "submission": (
            0,
            "Where the MTA takes mail of mail programs: 587 (STARTTLS), 465 (TLS); 0: it does not.",
        ),
        "resolver": (
            "",
            'Whom \'vmail check\' asks: "192.0.2.53" or "192.0.2.53:5353"; empty: the system\'s resolver.',
        ),
        "named_conf": ("/etc/bind/named.conf", "The configuration of BIND, which tells where its zone files are."),
        "reload": (False, "Whether 'rndc reload ZONE' is run for each zone that was written."),
        "update_server": ("", 'The primary that takes dynamic updates: "192.0.2.53"; for vmail dns update.'),
        "update_key": ("", "The file of the key that signs them, made by tsig-keygen; nobody else may read it."),
        "update_key_name": ("", "Which key of that file; empty: the only one."),
    },
    "addresses": {
        "interface": (
            "",
            "Where 'vmail address apply' puts the service addresses of the domains up, such as eth0.",
        ),
        "pool": (
            [],
            (
                "Where --address auto takes the next free one from: networks, addresses, and ranges such as\n"
                '"192.0.2.10-192.0.2.20". With addresses of IPv4 and of IPv6 a domain gets one of each.'
            ),
        ),
        "prefix_length": (32, "Of IPv4 addresses; with 32 they bring no route of their own."),
        "prefix_length_6": (128, "Of IPv6 addresses."),
        "duplicate_detection": (
            True,
            "Whether the network is asked first if another machine has an IPv6 address.",
        ),
        "file": (
            "auto",
            (
                "What puts them up after a reboot: a file of ours for networkd, ifupdown or netplan; auto:\n"
                "whichever this machine uses; none: no file."
            ),
        ),
    },
    "metrics": {
        "listen": ([], "Where figures for a monitoring system are to be had."),
    },
    "delivery": {
        "relay": (
            "smtp://127.0.0.1:25",
            (
                "Who takes what goes on to addresses outside: smtp://HOST:PORT,\n"
                "smtp+starttls://HOST:PORT (with TLS only, and a certificate for HOST), lmtp://HOST:PORT,\n"
                "lmtp:unix:/PATH or sendmail:/usr/sbin/sendmail. Empty: no mail leaves the domains."
            ),
        ),
        "srs": (
            False,
            (
                "Whether the sender of what is sent on becomes an address of the domain that sends it on (SRS),\n"
                "so that the SPF of the sender's domain does not refuse it. Bounces find their way back."
            ),
        ),
        "command_time": (300, "Seconds that a program behind an alias may take."),
        "max_size": ("100M", 'The largest message that is taken; "0": no limit.'),
        "over_quota": ("reject", 'What the sender of a message to a full mailbox hears: "reject" or "defer".'),
        "quota_warning": (90, "Per cent of its quota at which a mailbox gets a warning; 0: none is written."),
        "language": ("en", 'Of such letters, where a domain has no language of its own: "en" or "fr".'),
        "filter_time": (60, "Seconds that the filter program of a domain may take for one message."),
        "message_time": (
            540,
            "Seconds until a message is answered; what is not done then waits. Less than MTAs wait, mostly 600.",
        ),
    },
    "forwarding": {
        "allowed": (True, "Whether owners of accounts may forward their mail, or have co-administrators do so."),
        "max_targets": (5, "Addresses that one account may forward to."),
        "domains": ([], 'The domains they may be in: "example.org", ".example.org" for all below it. Empty: any.'),
    },
    "vacation": {
        "allowed": (True, "Whether automatic replies are sent."),
        "days": (7, "Within so many days nobody is answered twice by one account."),
    },
}


def render_site(settings: Mapping[str, object]) -> str:
    """The file, with `settings` in force: values (str, bool, int, list of str) by `table.key`.

    Raises KeyError for a key that vmail.toml does not have.
    """
    left = dict(settings)
    text = _HEAD
    for table, keys in _TABLES.items():
        text += f"\n[{table}]\n"
        for number, (key, (default, comment)) in enumerate(keys.items()):
            text += "\n" if number else ""
            name = f"{table}.{key}"
            text += "".join(f"# {line}\n" for line in comment.split("\n"))
            mark, value = ("", left.pop(name)) if name in left else ("# ", default)
            # What JSON writes for these kinds of values is TOML as well.
            text += f"{mark}{key} = {json.dumps(value, ensure_ascii=False)}\n"
    if left:
        raise KeyError(*left)
    return text
