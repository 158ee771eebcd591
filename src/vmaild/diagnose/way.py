"""Follow the way of a message from outside: DNS, then the MTA, asked by RCPT alone. Nothing is ever sent."""

from __future__ import annotations

import asyncio
import socket
import time

from vmaild.core.evidence import Machine, Place, Reply
from vmaild.core.way import Exchanger, MtaAnswer, Way, exchanger, exchangers_in
from vmaild.diagnose.asking import Asker
from vmaild.diagnose.probes_machine import machine_evidence
from vmaild.protocol.lmtp_client import converse, inquiry

DNS_TIME = 3.0
"""Seconds for all questions to DNS together."""
MTA_TIME = 5.0
"""Seconds for all that the MTA says."""
_HERE = "127.0.0.1"


def find_way(
    recipient: str, domain: str, resolver: str = "", server: tuple[str, int] | None = None, *, ours: bool
) -> Way:
    """The way to a recipient. Raises ValueError for a resolver that cannot be.

    `ours`: whether the domain is one of this machine's; the MTA is asked only then, so that nobody else is
    bothered. `server`: whom to ask; None: who stands in the MX, if that is this machine, else port 25 of loopback.
    """
    machine = machine_evidence()
    try:
        asker = Asker(resolver)
    except ValueError as error:
        if resolver:
            raise
        way = Way(machine=machine, problem=str(error))
    else:
        way = asyncio.run(_in_time(asker, domain, machine))
    if not ours:
        return way
    host, port = server or (_exchanger_here(way) or _HERE, 25)
    return Way(way.exchangers, way.implicit, way.null, machine, ask_mta((host, port), recipient), way.problem)


async def _in_time(asker: Asker, domain: str, machine: Machine) -> Way:
    try:
        return await asyncio.wait_for(_by_dns(asker, domain, machine), DNS_TIME)
    except TimeoutError:
        return Way(machine=machine, problem="DNS does not answer in time")


async def _by_dns(asker: Asker, domain: str, machine: Machine) -> Way:
    mx = await asker.ask(domain, "MX")
    if mx.reply is Reply.UNKNOWN:
        return Way(machine=machine, problem=mx.problem)
    pairs = exchangers_in(mx)
    if pairs and pairs[0][1] == ".":
        return Way(null=True, machine=machine)

    async def addressed(preference: int, host: str) -> Exchanger:
        a, aaaa = await asyncio.gather(asker.ask(host, "A"), asker.ask(host, "AAAA"))
        return exchanger(preference, host, (a, aaaa))

    found = tuple(await asyncio.gather(*(addressed(*pair) for pair in pairs or [(0, domain)])))
    if pairs:
        return Way(found, machine=machine)
    return Way(tuple(each for each in found if each.addresses), implicit=bool(found[0].addresses), machine=machine)


def _exchanger_here(way: Way) -> str:
    """The first address of an exchanger that is this machine's; empty: there is none."""
    here = [
        address
        for each in way.exchangers
        for address in each.addresses
        if way.machine.place(address) is Place.HERE
    ]
    return next(iter(here), "")


def ask_mta(server: tuple[str, int], recipient: str) -> MtaAnswer:
    """Ask an MTA whether it would take a recipient. Raises nothing; within MTA_TIME."""
    where = f"[{server[0]}]:{server[1]}" if ":" in server[0] else f"{server[0]}:{server[1]}"
    end = time.monotonic() + MTA_TIME
    named: list[str] = []
    try:
        with socket.create_connection(server, MTA_TIME) as connection:

            def read() -> bytes:
                # A server that says a letter a second is as silent as one that says nothing.
                connection.settimeout(max(end - time.monotonic(), 0.001))
                return connection.recv(65536)

            run = inquiry(socket.gethostname(), [recipient], named.append)
            ((_, code, enhanced, text),) = converse(run, read, connection.sendall)
    except TimeoutError:
        return MtaAnswer(where, problem="it does not answer in time")
    except OSError as error:
        return MtaAnswer(where, problem=error.strerror or str(error))
    name = named[0] if named else ""
    if enhanced == "4.4.2":  # made up by `inquiry`, where the connection did not last
        return MtaAnswer(where, name, problem=text)
    return MtaAnswer(where, name, code, enhanced, text)
