"""A small internet of the test's own, in a network namespace: name servers, a resolver, addresses, our servers.

The resolver (127.0.0.1) holds the root and follows its delegations to the name servers (127.0.0.53, 127.0.0.54),
as out there; all listen on port 53, and are real BINDs. Nothing leaves the namespace, which has the loopback
interface only.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.served import COMMANDS, PATIENCE, Root, Served, moments, run, start

NS1, NS2, NS3 = "127.0.0.53", "127.0.0.54", "127.0.0.55"
"""Two name servers, and an address where none is."""
SERVERS = f"ns A {NS1}\nns2 A {NS2}\nns3 A {NS3}\n"
SOA = "$TTL 300\n@ SOA ns.zoo.test. h.zoo.test. ({serial} 1h 15m 1w 300)\n"

_SET_UP = """
set -e
mount --make-rprivate /
ip link set lo up
for address in {servers} {addresses}; do ip address add $address dev lo; done
mount -t tmpfs none /etc/bind
cp {folder}/rndc.conf /etc/bind
echo nameserver 127.0.0.1 >{folder}/resolv.conf
mount --bind {folder}/resolv.conf /etc/resolv.conf
echo ready
exec sleep infinity
"""


@dataclass(frozen=True, slots=True)
class Zone:
    """A zone as its name server has it."""

    name: str
    text: str
    """Without the SOA."""
    serial: int = 1

    @property
    def whole(self) -> str:
        """The zone file."""
        return SOA.format(serial=self.serial) + self.text


class World:
    """The namespace and what runs in it."""

    def __init__(self, folder: Path, addresses: Iterable[str]) -> None:
        self.folder = folder
        self._running: list[subprocess.Popen[bytes]] = []
        self._served: list[Served] = []
        (folder / "rndc.conf").write_text(_RNDC)
        script = _SET_UP.format(folder=folder, addresses=" ".join(addresses), servers=f"{NS1}/32 {NS2}/32")
        self._holder = subprocess.Popen(
            ["unshare", "--net", "--mount", "sh", "-c", script], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"ready\n"
        for _ in moments("the namespace is not entered"):
            if os.readlink(f"/proc/{self._holder.pid}/exe").endswith("sleep"):
                break

    def inside(self, *command: str | Path) -> list[str | Path]:
        """A command line that runs in it."""
        return ["nsenter", f"--target={self._holder.pid}", "--net", "--mount", "--wd=/", "--", *command]

    def run(self, *command: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a program in it to its end."""
        return run(*self.inside(*command), check=check)

    def start(self, *command: str | Path) -> subprocess.Popen[bytes]:
        """Start a program in it."""
        log = (self.folder / f"{Path(command[0]).name}-{len(self._running)}.log").open("wb")
        with log:
            process = subprocess.Popen(
                self.inside(*command), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._running.append(process)
        return process

    def serve(self, root: Path) -> Served:
        """Start `vmail serve` in it."""
        served = start(Root(root, 110, 0, 0), verb=True, prefix=self.inside())
        self._served.append(served)
        return served

    def dig(self, *question: str) -> list[str]:
        """What dig says, in short; nothing where there is no answer."""
        said = self.run("dig", "+short", "+tries=1", "+time=2", *question, check=False).stdout
        return [line for line in said.splitlines() if not line.startswith(";")]

    def check(self, root: Path, *arguments: str, env: Mapping[str, str] | None = None) -> Any:
        """The document of `vmail check`."""
        words = [f"{name}={value}" for name, value in (env or {}).items()]
        done = self.run(
            "env", *words, COMMANDS / "vmail", "--root", root, "check", *arguments, "--json", check=False
        )
        assert done.returncode in (0, 1), done.stdout + done.stderr
        assert not done.stderr, done.stderr
        found = json.loads(done.stdout)
        sure = [each for each in found["findings"] if each["severity"] != "unknown"]
        assert done.returncode == bool(sure), sure
        return found

    # -- name servers

    def name_server(self, address: str, zones: Sequence[Zone], *, writable: Path | None = None) -> None:
        """An authoritative server."""
        folder = writable or self.folder / f"named-{address}"
        folder.mkdir(parents=True, exist_ok=True)
        lines = [f'zone "{zone.name}" {{ type primary; file "{folder}/db.{zone.name}"; }};' for zone in zones]
        for zone in zones:
            (folder / f"db.{zone.name}").write_text(zone.whole)
        self._named(address, folder, "recursion no;", lines)

    def resolver(
        self, delegations: Mapping[str, Sequence[str]], ttl: int = 300, address: str = "127.0.0.1"
    ) -> None:
        """A resolver that holds the root: zones and their name servers; `ttl`: how long it keeps an answer."""
        folder = self.folder / f"named-{address}"
        folder.mkdir()
        text = SOA.format(serial=1) + "@ NS root.zoo.test.\nroot.zoo.test. A 127.0.0.1\n"
        text += "".join(f"{host}.zoo.test. A {at}\n" for host, at in (("ns", NS1), ("ns2", NS2), ("ns3", NS3)))
        text += "".join(f"{zone}. NS {server}.\n" for zone, servers in delegations.items() for server in servers)
        (folder / "db.root").write_text(text)
        options = "recursion yes; empty-zones-enable no; resolver-query-timeout 3000; "
        options += f"max-cache-ttl {ttl}; max-ncache-ttl {ttl};"
        self._named(address, folder, options, [f'zone "." {{ type primary; file "{folder}/db.root"; }};'])

    def _named(self, address: str, folder: Path, options: str, lines: Iterable[str]) -> None:
        text = f'options {{ directory "{folder}"; listen-on {{ {address}; }}; listen-on-v6 {{ none; }};\n'
        text += f'pid-file "{folder}/pid"; session-keyfile "{folder}/session.key"; dnssec-validation no;\n'
        text += f"check-names primary ignore; check-mx ignore; check-integrity no; notify no; {options} }};\n"
        text += f'key "k" {{ algorithm hmac-sha256; secret "{_KEY}"; }};\n'
        text += f'controls {{ inet {address} port 953 allow {{ any; }} keys {{ "k"; }}; }};\n' + "\n".join(lines)
        path = self.folder / f"named-{address}.conf"
        path.write_text(text)
        self.start("named", "-g", "-n", "1", "-c", path)
        for _ in moments(f"no name server at {address}"):
            if re.search(
                "status: ", self.run("dig", "+tries=1", "+time=1", f"@{address}", ".", check=False).stdout
            ):
                return

    def rndc(self, address: str, *command: str) -> None:
        """Tell a name server something."""
        self.run("rndc", "-s", address, *command)

    def stop(self) -> None:
        """End everything in it."""
        for served in self._served:
            served.stop()
        for process in self._running:
            with suppress(ProcessLookupError):
                process.terminate()
        for process in self._running:
            process.wait(PATIENCE)
        self._holder.kill()
        self._holder.wait(PATIENCE)
        assert self._holder.stdout is not None
        self._holder.stdout.close()


_KEY = "c2VjcmV0IG9mIGEgdGVzdCBvbmx5"
_RNDC = (
    f'key "k" {{ algorithm hmac-sha256; secret "{_KEY}"; }};\n'
    f'options {{ default-key "k"; default-server {NS1}; default-port 953; }};\n'
)


class Authority:
    """A certificate authority, and what it signs; EC keys, since they are made at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.path = folder / "ca.pem"
        self._openssl(
            "req", "-x509", *_KEYS, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Zoo", "-days", "99"
        )

    def certificate(
        self, label: str, names: Sequence[str], *, start: str = "", end: str = "", signed: bool = True
    ) -> Path:
        """A PEM file with key and certificate; times as openssl takes them: 20240101000000Z."""
        subject = (
            "-subj",
            f"/CN={label}",
            "-addext",
            f"subjectAltName={','.join(f'DNS:{name}' for name in names)}",
        )
        if not signed:
            days = ("-days", "99", "-addext", "basicConstraints=critical,CA:FALSE")
            self._openssl(
                "req", "-x509", *_KEYS, "-keyout", f"{label}.key", "-out", f"{label}.crt", *subject, *days
            )
        else:
            self._openssl("req", *_KEYS, "-keyout", f"{label}.key", "-out", f"{label}.csr", *subject)
            self._sign(label, start or "20240101000000Z", end or "20991231000000Z")
        found = self.folder / f"{label}.pem"
        found.write_text((self.folder / f"{label}.key").read_text() + (self.folder / f"{label}.crt").read_text())
        return found

    def _sign(self, label: str, start: str, end: str) -> None:
        base = "[ca]\ndefault_ca=c\n[c]\ndatabase=index\nserial=serial\nnew_certs_dir=.\ndefault_md=sha256\n"
        base += "policy=p\ncopy_extensions=copy\nunique_subject=no\n[p]\ncommonName=supplied\n"
        (self.folder / "ca.conf").write_text(base)
        (self.folder / "index").write_text("")
        (self.folder / "serial").write_text(f"{abs(hash(label)) % 10**8 + 10**9}\n")
        times = ("-startdate", start, "-enddate", end)
        files = ("-cert", "ca.pem", "-keyfile", "ca.key", "-in", f"{label}.csr", "-out", f"{label}.crt")
        self._openssl("ca", "-config", "ca.conf", "-batch", "-notext", *times, *files)

    def _openssl(self, *words: str | Path) -> None:
        done = subprocess.run(["openssl", *words], cwd=self.folder, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()


_KEYS = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
