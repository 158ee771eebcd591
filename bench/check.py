"""How long `vmail check --all` takes for many domains, with a real BIND behind a line that is slow.

    python bench/check.py [DOMAINS [MILLISECONDS]]

In a network namespace of its own: a resolver and a name server (BIND), each behind a relay that holds up every
datagram for MILLISECONDS (20); our servers at a service address for each domain. All domains are healthy: what is
wrong takes no longer. Wants root, for the namespace.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import cast

HERE = Path(__file__).parent
sys.path[0] = str(HERE.parent)  # this folder is the package `bench`, that beside it `tests`

from tests.e2e.zoo.world import NS1, World, Zone  # noqa: E402
from tests.served import COMMANDS, moments, run  # noqa: E402

RESOLVER, SERVER = "127.0.0.11", "127.0.0.63"
"""The real ones; the relays have the addresses that everybody knows."""


class Relay(asyncio.DatagramProtocol):
    """Hands datagrams on to another address, each so many seconds late on its way there."""

    def __init__(self, target: tuple[str, int], late: float) -> None:
        self.target, self.late = target, late
        self.kept: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        task = asyncio.get_running_loop().create_task(self._pass(data, addr))
        self.kept.add(task)
        task.add_done_callback(self.kept.discard)

    async def _pass(self, data: bytes, client: tuple[str, int]) -> None:
        await asyncio.sleep(self.late)
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[bytes] = loop.create_future()
        transport, _ = await loop.create_datagram_endpoint(lambda: Once(answered), remote_addr=self.target)
        transport.sendto(data)
        try:
            self.transport.sendto(await asyncio.wait_for(answered, 5), client)
        except TimeoutError:
            return
        finally:
            transport.close()


class Once(asyncio.DatagramProtocol):
    """One answer."""

    def __init__(self, answered: asyncio.Future[bytes]) -> None:
        self.answered = answered

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if not self.answered.done():
            self.answered.set_result(data)


async def relays(late: float) -> None:
    """Both of them, until killed."""
    loop = asyncio.get_running_loop()
    for front, back in (("127.0.0.1", RESOLVER), (NS1, SERVER)):
        await loop.create_datagram_endpoint(lambda back=back: Relay((back, 53), late), local_addr=(front, 53))
    await asyncio.sleep(3600)


def address(number: int) -> str:
    """The service address of a domain, of the network for benchmarks (RFC 2544)."""
    return f"198.18.{number // 250}.{number % 250 + 1}"


def zones(domains: int) -> list[Zone]:
    """Forward and reverse."""
    texts = '@ TXT "v=spf1 mx -all"\n_dmarc TXT "v=DMARC1; p=none"\nk._domainkey TXT "v=DKIM1; k=rsa; p=QUJD"\n'
    found = [
        Zone(f"d{number}.test", f"@ NS ns.zoo.test.\n@ MX 10 mailhost\nmailhost A {address(number)}\n{texts}")
        for number in range(domains)
    ]
    pointers = [f"{number % 250 + 1}.{number // 250} PTR mailhost.d{number}.test.\n" for number in range(domains)]
    found.append(Zone("18.198.in-addr.arpa", "@ NS ns.zoo.test.\n" + "".join(pointers)))
    return [*found, Zone("zoo.test", f"@ NS ns\nns A {NS1}\n")]


def lay_out(root: Path, domains: int) -> None:
    """A site that serves them."""
    run(COMMANDS / "vmail", "--root", root, "init", check=True)
    etc = root / "etc/vmail"
    (etc / "vmail.toml").write_text('[pop3]\nlisten = ["*:110"]\n[delivery]\nrelay = ""\n')
    (etc / "dkim.pem").write_text("-----BEGIN PUBLIC KEY-----\nQUJD\n-----END PUBLIC KEY-----\n")
    for number in range(domains):
        text = f'addresses = ["{address(number)}"]\ndkim_selector = "k"\ndkim_key = "/etc/vmail/dkim.pem"\n'
        (etc / f"domains/d{number}.test.toml").write_text(text)


def measure(domains: int, late: float) -> None:
    """Print a line."""
    folder = Path(tempfile.mkdtemp(prefix="check"))
    addresses = [f"{address(number)}/32" for number in range(domains)]
    world = World(folder, [f"{RESOLVER}/32", f"{SERVER}/32", *addresses])
    try:
        lay_out(folder / "r", domains)
        all_zones = zones(domains)
        world.name_server(SERVER, all_zones)
        world.start(sys.executable, Path(__file__).resolve(), "relays", str(late))
        for _ in moments("the relays do not answer"):
            if world.dig(f"@{NS1}", "zoo.test", "SOA"):
                break
        world.resolver({zone.name: ["ns.zoo.test"] for zone in all_zones}, address=RESOLVER)
        world.serve(folder / "r")
        for state in ("cold", "warm"):
            began = time.monotonic()
            command = world.inside(COMMANDS / "vmail", "--root", folder / "r", "check", "--all", "--json")
            done = subprocess.run(command, capture_output=True, check=False)
            seconds = time.monotonic() - began
            found = json.loads(done.stdout)
            codes = sorted({each["code"] for each in found["findings"]})
            print(f"{domains} domains, {late * 1000:.0f} ms, {state} cache: {seconds:.1f} s; findings: {codes}")
    finally:
        world.stop()
        shutil.rmtree(folder)


if __name__ == "__main__":
    if sys.argv[1:2] == ["relays"]:
        asyncio.run(relays(float(sys.argv[2])))
    else:
        numbers = [int(word) for word in sys.argv[1:]] + [500, 20][len(sys.argv) - 1 :]
        measure(numbers[0], numbers[1] / 1000)
