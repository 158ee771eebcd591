"""A demo of one's own: laid out in a scratch folder, on free ports, and served by a real `vmail serve`."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

COMMANDS = Path(sys.executable).parent
"""Where the installed vmail, vdeliver and vpop3d are."""
ADDRESSES = {"va.toto.fr": "127.0.0.2", "vb.toto.fr": "127.0.0.3", "vc.toto.fr": "127.0.0.4"}
SHARED = "127.0.0.1"
SERVERS: Sequence[str | Path] = (sys.executable, "-P", "-X", "no_debug_ranges", "-m", "vmaild.servers")
"""What `vmail serve` becomes."""
PATIENCE = 30.0
"""Seconds for what takes a moment on an idle machine."""


def unmeasured() -> dict[str, str]:
    """The environment of a program whose lines are not counted, which would take their time and make files."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}


def run(*command: str | Path, stdin: bytes | str = b"", check: bool = False) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; its output is text."""
    given = stdin.encode() if isinstance(stdin, str) else stdin
    done = subprocess.run(command, input=given, capture_output=True, timeout=PATIENCE * 3, check=False)
    text = subprocess.CompletedProcess(command, done.returncode, done.stdout.decode(), done.stderr.decode())
    if check and done.returncode:
        raise AssertionError(f"{command} ended with {done.returncode}: {text.stdout}{text.stderr}")
    return text


@dataclass(frozen=True, slots=True)
class Root:
    """A demo root and the ports that its vmail.toml names."""

    path: Path
    pop3: int
    lmtp: int
    smtp: int
    web: int = 0
    """0: it serves no pages."""

    @property
    def etc(self) -> Path:
        """Its configuration folder."""
        return self.path / "etc/vmail"

    @property
    def socket(self) -> Path:
        """The local socket of its LMTP server."""
        return self.path / "run/vmail/lmtp.sock"

    def mailbox(self, address: str) -> Path:
        """The maildir of an account."""
        login, _, domain = address.partition("@")
        return self.path / "var/spool/vmail" / domain / login

    def stored(self, address: str) -> list[bytes]:
        """The messages of an account as they are on disk, oldest first."""
        folders = [self.mailbox(address) / name for name in ("new", "cur")]
        files = sorted((file for folder in folders if folder.is_dir() for file in folder.iterdir()), key=str)
        return [file.read_bytes() for file in files]

    def everything_stored(self) -> dict[str, int]:
        """How many messages each account has; accounts without any are left out."""
        spool = self.path / "var/spool/vmail"
        counts = {
            f"{login.name}@{domain.name}": sum(1 for name in ("new", "cur") for _ in (login / name).iterdir())
            for domain in spool.iterdir()
            if not domain.name.startswith(".")
            for login in domain.iterdir()
        }
        return {address: count for address, count in counts.items() if count}

    def empty(self) -> None:
        """Remove every message from every mailbox, as an IMAP client may."""
        for pattern in ("*/*/*/*", "*/*/maildirsize"):
            for file in self.path.glob(f"var/spool/vmail/{pattern}"):
                file.unlink()

    def vmail(self, *arguments: str, stdin: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `vmail` on this root."""
        return run(COMMANDS / "vmail", "--root", self.path, *arguments, stdin=stdin, check=check)

    def vdeliver(self, content: bytes, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `vdeliver` on this root with a message on standard input."""
        return run(COMMANDS / "vdeliver", "--root", self.path, *arguments, stdin=content)


@dataclass(slots=True)
class Served:
    """A running `vmail serve`."""

    root: Root
    process: subprocess.Popen[bytes]
    log: Path

    def workers(self) -> list[int]:
        """The pids of its worker processes."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def stop(self) -> int:
        """Let it drain and end; its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(PATIENCE + 15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def check_log(self) -> None:
        """Fail where it logged a traceback."""
        text = self.log.read_text(errors="replace")
        if "Traceback (most recent call last)" in text:
            raise AssertionError(f"the server logged a traceback:\n{text}")


def processes_of(session: int) -> list[int]:
    """The pids of all processes of a session (setsid(2)), zombies left out."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                # After the command's name, which is in parentheses: state, parent, group, session.
                state, _, _, belongs = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
            except OSError:
                continue
            if int(belongs) == session and state != "Z":
                found.append(int(entry.name))
    return found


def copy_root(template: Path, path: Path, ports: Sequence[int]) -> Root:
    """A copy of a laid-out demo with its own ports for POP3, LMTP, SMTP and, where a fourth is given, the web."""
    shutil.copytree(template, path, symlinks=True)
    pop3, lmtp, smtp, *web = ports
    site = path / "etc/vmail/vmail.toml"
    text = site.read_text()
    site.write_text(text.replace("8098", str(web[0])) if web else re.sub(r"(?m)^listen = .*8098.*$", "", text))
    numbers = {"11110": str(pop3), "11024": str(lmtp), "11025": str(smtp)}
    site.write_text(re.sub(r"\b11(110|024|025)\b", lambda found: numbers[found[0]], site.read_text()))
    return Root(path, pop3, lmtp, smtp, *web)


def start(
    root: Root,
    *,
    greets: bool = True,
    verb: bool = False,
    prefix: Sequence[str | Path] = (),
    seen_at: Path | None = None,
) -> Served:
    """Start the servers on a root and wait until they serve; `greets`: the POP3 server speaks first.

    `verb`: by `vmail serve`, which takes longer: it looks at the root, and then becomes the same process.
    `prefix` are words before the command that bring it to another file system, where the root is `seen_at`.
    """
    at = seen_at or root.path
    command: list[str | Path] = [COMMANDS / "vmail", "--root", at, "serve"] if verb else [*SERVERS, at]
    log = root.path / "serve.log"
    log.unlink(missing_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*prefix, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    served = Served(root, process, log)
    try:
        for _ in moments("vmail serve did not come up"):
            if " serving " in log.read_text(errors="replace"):
                break
            assert process.poll() is None, f"vmail serve ended with {process.returncode}"
    except BaseException:
        served.stop()
        print(log.read_text(errors="replace"))
        raise
    return served


def moments(what: str, seconds: float = PATIENCE) -> Iterator[None]:
    """Attempts, a moment apart; fails with `what` after the last."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield
        time.sleep(0.02)
    raise AssertionError(f"{what} within {seconds} seconds")


class Ports:
    """Free ports, below those that the system gives to outgoing connections; a range for each test process."""

    _FIRST, _EACH = 12000, 2000

    def __init__(self, worker: str) -> None:
        """`worker` is the name of the test process, such as gw1."""
        number = int(re.sub(r"\D", "", worker) or "0") % 10
        self._next = self._FIRST + number * self._EACH + os.getpid() % self._EACH // 2
        self._end = self._FIRST + (number + 1) * self._EACH

    def take(self) -> int:
        """A port that is free on every address that tests listen on."""
        while self._next < self._end:
            self._next += 1
            if all(is_free(address, self._next) for address in (SHARED, *ADDRESSES.values())):
                return self._next
        raise AssertionError("no free ports are left")


def is_free(address: str, port: int) -> bool:
    """Whether nobody listens there."""
    with socket.socket() as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind((address, port))
        except OSError:
            return False
        return True
