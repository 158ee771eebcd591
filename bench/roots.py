"""Roots to measure on: as many domains, accounts or messages as are asked for.

Every second definition has a quota, every tenth a domain alias, another tenth a service address; the rest are
empty files, which is all that a domain needs.
"""

from __future__ import annotations

import os
from pathlib import Path

from vmaild.store.layout import Layout

LOGIN = "u000000"
"""The first account of every domain."""
# DES, salt "ab", of PASSWORD: so quick to check that not the hash is measured.
PASSWORD, _HASH = "bench", "ab3Nxe3bAE.r."

_SITE = """\
[pop3]
listen = [{pop3}]
workers = {workers}
[lmtp]
listen = ["unix:/run/vmail/lmtp.sock"]
[smtp]
listen = []
"""
_WEB = """\
[site]
admins = ["{admin}"]
[web]
listen = ["127.0.0.1:{port}"]
"""


def domain(number: int) -> str:
    """The name of a domain."""
    return f"d{number:06d}.example"


def domain_alias(number: int) -> str:
    """Its domain alias; every tenth has one."""
    return f"a{number // 10 * 10:06d}.example"


def lay_out(folder: Path, domains: int, accounts: int) -> Layout:
    """A root with so many domains of so many accounts each."""
    root = Layout(str(folder))
    for path in (root.definitions, root.last_good, root.incoming, root.run):
        os.makedirs(path)
    passwd = [f"u{i:06d}:x:60000:60000:User {i}:{{home}}/u{i:06d}:/bin/false\n" for i in range(accounts)]
    shadow = "".join(f"u{i:06d}:{_HASH}:19000:0:99999:7:::\n" for i in range(accounts))
    for number in range(domains):
        name = domain(number)
        _write(root.definition(name), _definition(number))
        if accounts:
            _write(root.passwd(name), "".join(passwd).replace("{home}", f"/vhome/{name}"))
            _write(root.shadow(name), shadow)
        if accounts > 1:
            _write(root.aliases(name), f"postmaster: {LOGIN}\n")
    configure(root)
    return root


def configure(
    root: Layout,
    *,
    workers: int = 2,
    listen: tuple[str, ...] = ("127.0.0.1:0",),
    web: tuple[str, int] | None = None,
) -> None:
    """Write vmail.toml; `web`: its administrator, and its port."""
    text = _SITE.format(pop3=", ".join(f'"{place}"' for place in listen), workers=workers)
    _write(root.site, text + (_WEB.format(admin=web[0], port=web[1]) if web else ""))


def fill(root: Layout, name: str, messages: int) -> None:
    """Put so many small messages in the mailbox of a domain's first account, as delivered over some months."""
    cur = f"{root.spool}/{name}/{LOGIN}/cur"
    for folder in ("new", "cur", "tmp"):
        os.makedirs(f"{root.spool}/{name}/{LOGIN}/{folder}", exist_ok=True)
    for number in range(messages):
        # Seconds in which several arrived, so that the order needs more than them.
        unique = f"{1700000000 + number // 3}.M{number % 3:06d}P1R{number:016x}"
        _write(f"{cur}/{unique}.bench,S=28,W=31:2,S", "Subject: bench\n\nHello again\n")


def _definition(number: int) -> str:
    lines = []
    if number % 2 == 0:
        lines.append('quota = "100M"')
    if number % 10 == 0:
        lines.append(f'aliases = ["{domain_alias(number)}"]')
    if number % 10 == 5:
        lines.append(f'addresses = ["fd00::{number // 65536:x}:{number % 65536:x}"]')
    return "".join(f"{line}\n" for line in lines)


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
