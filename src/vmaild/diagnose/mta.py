"""Probe a running MTA: who would be taken, asked by RCPT alone, and whether the sockets that it needs answer.

Nothing is ever sent: each recipient is named and the transaction reset.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence

from vmaild.address import Address
from vmaild.core.directory import Directory, Domain, LookupFailed
from vmaild.core.mta import Asked, MtaEvidence, Purpose, Socket
from vmaild.core.routing import Accepted, Rejected, route
from vmaild.protocol.lmtp_client import converse, inquiry
from vmaild.protocol.socketmap import parse_reply, request

UNKNOWN = "vmaild-probe-no-such-user"
"""A name that nobody has."""
FOREIGN = "vmaild-probe@example.net"
"""An address of somebody else (RFC 2606)."""

Question = tuple[Purpose, str]


def questions(directory: Directory, domains: Sequence[str]) -> list[Question]:
    """What to ask about these domains: of each, somebody who is there and somebody who is not.

    Left out is a domain that cannot be looked up, and what a domain has not: accounts, or unknown names.
    """
    asked: list[Question] = []
    for name in domains:
        try:
            domain = directory.find(name)
        except LookupFailed:
            continue
        if domain is not None:
            asked += _of_domain(directory, domain)
    return asked


def _of_domain(directory: Directory, domain: Domain) -> Iterator[Question]:
    names = [*domain.accounts, *(name for aliases in domain.alias_files for name in aliases.entries)]
    known = next(
        (name for name in names if isinstance(route(directory, Address(name, domain.name)), Accepted)), None
    )
    for host in (domain.name, *domain.definition.aliases):
        if known is not None:
            yield Purpose.KNOWN, str(Address(known, host))
        if isinstance(route(directory, Address(UNKNOWN, domain.name)), Rejected):
            yield Purpose.UNKNOWN, f"{UNKNOWN}@{host}"


def probe_mta(
    server: tuple[str, int],
    asked: Sequence[Question],
    sockets: Sequence[tuple[str, str]] = (),
    *,
    timeout: float = 30.0,
    on_progress: Callable[[], object] = lambda: None,
) -> MtaEvidence:
    """Ask an MTA; `sockets` are names and paths of ours. Never raises; blocks for as long as the MTA does."""
    where = f"[{server[0]}]:{server[1]}" if ":" in server[0] else f"{server[0]}:{server[1]}"
    seen = tuple(Socket(name, path, socket_problem(name, path, timeout)) for name, path in sockets)
    named: list[str] = []
    try:
        # The main domain is what the MTA calls itself, so it is asked first and in a connection of its own.
        _ask(server, [], named, timeout, on_progress)
        whole = [*asked, (Purpose.MAIN, f"postmaster@{named[0]}"), (Purpose.RELAY, FOREIGN)]
        answers = _ask(server, whole, named, timeout, on_progress)
    except OSError as error:
        return MtaEvidence(where, str(error.strerror or error), named[0] if named else "", (), seen)
    return MtaEvidence(where, "", named[0], tuple(answers), seen)


def _ask(
    server: tuple[str, int],
    asked: Sequence[Question],
    named: list[str],
    timeout: float,
    on_progress: Callable[[], object],
) -> list[Asked]:
    """One connection. Raises OSError."""
    run = inquiry(socket.gethostname(), [recipient for _, recipient in asked], named.append)
    with socket.create_connection(server, timeout) as connection:

        def read() -> bytes:
            on_progress()
            return connection.recv(65536)

        results = converse(run, read, connection.sendall)
    return [Asked(purpose, *result) for (purpose, _), result in zip(asked, results, strict=True)]


def socket_problem(name: str, path: str, timeout: float) -> str:
    """Why one of our sockets does not answer; empty: it does."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout)
            connection.connect(path)
            if name == "socketmap":
                connection.sendall(request("domains", "example.net"))
                answered = parse_reply(connection.recv(4096)) is not None
            else:
                answered = connection.recv(4096).startswith(b"220")
                connection.sendall(b"QUIT\r\n")
    except OSError as error:
        return error.strerror or str(error)
    except ValueError as error:
        return str(error)
    return "" if answered else "it does not speak as it should"
