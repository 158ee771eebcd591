"""What the POP3 bench serves: accounts and mailboxes in our own files, which both servers read.

Every message is in `cur` with the flag of one that has been read, as a client leaves it that keeps its mail on the
server: so no server has anything to rename, and a poll finds what it found the last time.
"""

from __future__ import annotations

import ctypes
import os
import random
import subprocess
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

BENCH, LIGHT, IDLE = "bench.example", "light.example", "idle.example"
"""Domains: LIGHT has the logins and the very mailboxes of BENCH, and a hash that costs next to nothing."""
ADDRESSES = {BENCH: "127.0.0.10", LIGHT: "127.0.0.11", IDLE: "127.0.0.12"}
"""Where each domain is served, by every server on a port of its own."""
MESSAGES = 10
OCTETS = 4096
BIG_OCTETS = 25_000_000
SHORT_OCTETS = 512

MAIL_USER = "nobody"
"""Whose the mailboxes are where root runs the bench; else they are the user's own."""

_GUESSED = 100

_SHA512 = "$6$"
"""With its default of 5,000 rounds."""
_TRADITIONAL = ""
"""The hash of 1979: a few microseconds."""
_WORDS = b"Nobody can tell whether there are three servers or one, and the clients change nothing at all."


@dataclass(frozen=True, slots=True)
class Account:
    """A login with its mailbox: `messages` of `octets` each, as POP3 counts them."""

    domain: str
    name: str
    messages: int
    octets: int

    @property
    def login(self) -> str:
        """What USER says, to all servers alike."""
        return f"{self.name}@{self.domain}"

    @property
    def password(self) -> str:
        """The traditional hash looks at the first eight characters only; these differ there."""
        return f"{self.name}-pw"


@dataclass(frozen=True, slots=True)
class Mail:
    """All accounts, by what is done to them."""

    root: Path
    some: Sequence[Account]
    """With MESSAGES of OCTETS."""
    light: Sequence[Account]
    """The same mailboxes; see LIGHT."""
    big: Account
    """With one message of BIG_OCTETS."""
    many: Account
    """With very many short ones."""
    idle: Sequence[Account]
    """With MESSAGES short ones."""
    guessed: Sequence[Account]
    """Whose passwords others guess; without a mailbox."""

    @property
    def spool(self) -> Path:
        """The folder of all mailboxes."""
        return self.root / "var/spool/vmail"


def lay_out(root: Path, accounts: int, many: int, idle: int) -> Mail:
    """Write everything but the settings of the servers: so many accounts, messages of one, idle accounts."""
    mail = Mail(
        root,
        [Account(BENCH, f"u{number:05}", MESSAGES, OCTETS) for number in range(accounts)],
        [Account(LIGHT, f"u{number:05}", MESSAGES, OCTETS) for number in range(accounts)],
        Account(BENCH, "big", 1, BIG_OCTETS),
        Account(BENCH, "many", many, SHORT_OCTETS),
        [Account(IDLE, f"i{number:05}", MESSAGES, SHORT_OCTETS) for number in range(idle)],
        [Account(BENCH, f"g{number:05}", 0, 0) for number in range(_GUESSED)],
    )
    for folder in ("etc/vmail/domains", "var/spool/vmail", "var/lib/vmail/last-good", "run/vmail", "vhome"):
        (root / folder).mkdir(parents=True)
    _certify(root / "etc/vmail/bench.pem")
    _write_domain(root, BENCH, [*mail.some, mail.big, mail.many, *mail.guessed], _SHA512)
    _write_domain(root, LIGHT, mail.light, _TRADITIONAL)
    _write_domain(root, IDLE, mail.idle, _TRADITIONAL)
    for account in (*mail.some, mail.big):
        _fill(mail, account, (message(account, number) for number in range(account.messages)), _write)
    for account in (mail.many, *mail.idle):
        # Nobody reads these, and 100,000 files take long to write: all messages of a mailbox are one file.
        _fill(mail, account, repeat(message(account, 0), account.messages), _link)
    (mail.spool / LIGHT).symlink_to(BENCH)
    if os.geteuid() == 0:  # Dovecot serves no mail as root
        subprocess.run(["chown", "--recursive", "--no-dereference", f"{MAIL_USER}:", mail.spool], check=True)
    return mail


def message(account: Account, number: int) -> bytes:
    """A message of exactly as many octets as the account's have, with CRLF line ends.

    The large one is mostly an attachment, in lines of BASE64.
    """
    header = (
        f"Return-Path: <sender{number}@sender.example>\r\nDelivered-To: {account.login}\r\n"
        f"From: Sender <sender{number}@sender.example>\r\nTo: {account.login}\r\nSubject: Message {number}\r\n"
        f"Message-ID: <{number}.{account.name}@sender.example>\r\n"
        "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    ).encode()
    encoded = b""
    if account.octets >= BIG_OCTETS:
        line = b64encode(bytes(range(57))) + b"\r\n"
        encoded = line * ((account.octets - OCTETS) // len(line))
    return header + encoded + b"".join(_lines(account.octets - len(header) - len(encoded)))


def _lines(octets: int) -> Iterator[bytes]:
    """Lines of text of varied lengths, one in twenty with a dot in front, of so many octets in all."""
    number = 0
    while octets:
        number += 1
        length = min(octets, 24 + number * 37 % 52)
        if octets - length == 1:  # too short for a line of its own
            length += 1
        dot = b"." if number % 20 == 0 else b""
        yield (dot + _WORDS)[: length - 2] + b"\r\n"
        octets -= length


def _certify(file: Path) -> None:
    """A key on P-256 and a certificate for it, in one file that both servers read."""
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=bench.example"
    )
    made = subprocess.run([*command.split(), "-keyout", "-"], capture_output=True, check=True)
    file.write_bytes(made.stdout)


def _write_domain(root: Path, name: str, accounts: Sequence[Account], method: str) -> None:
    etc = root / "etc/vmail"
    (etc / f"domains/{name}.toml").write_text(f'addresses = ["{ADDRESSES[name]}"]\n')
    users = [
        f"{account.name}:x:{60000 + number}:100::/vhome/{name}/{account.name}:\n"
        for number, account in enumerate(accounts)
    ]
    (etc / f"passwd.{name}").write_text("".join(users))
    hashes = [f"{account.name}:{_hash(account.password, method)}:20000:0:99999:7:::\n" for account in accounts]
    (etc / f"shadow.{name}").write_text("".join(hashes))


def _hash(password: str, method: str) -> str:
    crypt = ctypes.CDLL("libcrypt.so.1").crypt
    crypt.restype = ctypes.c_char_p
    salt = "".join(random.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=8 if method else 2))
    hashed: bytes = crypt(password.encode(), f"{method}{salt}".encode())
    return hashed.decode()


def _fill(
    mail: Mail, account: Account, contents: Iterator[bytes], store: Callable[[str, bytes, str], None]
) -> None:
    """Write a maildir; `store` makes a file of a path and a content, or a link to the maildir's first file."""
    maildir = mail.spool / account.domain / account.name
    for folder in ("tmp", "new", "cur"):
        (maildir / folder).mkdir(parents=True)
    began = int(time.time()) - 86400
    first = ""
    for number, content in enumerate(contents):
        size = len(content) - content.count(b"\r")
        name = f"{began + number // 100}.M{number:06}P{os.getpid()}.bench,S={size},W={len(content)}:2,S"
        store(f"{maildir}/cur/{name}", content, first)
        first = first or f"{maildir}/cur/{name}"


def _write(path: str, content: bytes, _: str) -> None:
    with open(path, "xb", buffering=0) as file:
        file.write(content.replace(b"\r\n", b"\n"))


def _link(path: str, content: bytes, first: str) -> None:
    if first:
        os.link(first, path)
    else:
        _write(path, content, first)
