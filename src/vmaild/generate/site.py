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
        "tls_listen": ([], "Where POP3 over TLS is to be served. Not served yet."),
        "workers": (2, "Processes; one for each core that POP3 may use."),
        "native": (
            [],
            (
                "Under inetd: the command line of the daemon that serves the machine's own users, who are handed\n"
                'over unread, such as ["/usr/sbin/ipop3d"].'
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
    "smtp": {
        "listen": ([], "An SMTP server for trying things out, on loopback addresses. It never relays."),
        "allow_remote": (False, "Whether SMTP may listen on other addresses, too."),
    },
    "web": {
        "listen": ([], "Where the web pages are to be served. Not served yet."),
    },
    "delivery": {
        "relay": ("smtp://127.0.0.1:25", "The MTA that takes mail for other servers. Not used yet."),
        "max_size": ("100M", 'The largest message that is taken; "0": no limit.'),
        "over_quota": ("reject", 'What the sender of a message to a full mailbox hears: "reject" or "defer".'),
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
