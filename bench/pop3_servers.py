"""The servers of the POP3 bench: started under one folder, each with its processes, CPU time and memory.

Dovecot is set as its manual advises for many short sessions: login processes that serve many clients and stay
(`service_count = 0`), an authentication cache, hashes checked by more than one process, nothing to syslog. It
reads our passwd and shadow files, and our maildirs. Both servers write their logs to a file.

A second Dovecot, `Dovecot+`, also keeps the processes that serve a mailbox, for a thousand sessions each, instead
of starting one for each session: a setting that its manual knows and few sites use, and the best that we found.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.pop3_site import ADDRESSES, MAIL_USER, Mail

WORKERS = 2
_PATIENCE = 30.0
_TICK = os.sysconf("SC_CLK_TCK")
_VMAIL = Path(sys.executable).parent / "vmail"
_LIMIT = Path(__file__).parent / "limit.py"

_DOVECOT = """\
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = pop3
listen = {addresses}
ssl = yes
ssl_cert = <{root}/etc/vmail/bench.pem
ssl_key = <{root}/etc/vmail/bench.pem
disable_plaintext_auth = no
auth_mechanisms = plain
auth_cache_size = 64M
auth_cache_ttl = 1 hour
auth_cache_verify_password_with_worker = yes
auth_failure_delay = 0
mail_location = maildir:{spool}/%d/%n
mail_max_userip_connections = 0
first_valid_uid = 1
first_valid_gid = 0
{users}
passdb {{
  driver = passwd-file
  args = username_format=%n {root}/etc/vmail/shadow.%d
}}
userdb {{
  driver = static
  args = home={root}/vhome/%d/%n
}}
service pop3-login {{
  service_count = 0
  process_min_avail = {workers}
  client_limit = 8000
  {nowhere}
  inet_listener pop3 {{
    port = {port}
  }}
  inet_listener pop3s {{
    port = {tls_port}
    ssl = yes
  }}
}}
service pop3 {{
  process_limit = 6000
  service_count = {sessions}
}}
service auth {{
  client_limit = 16000
}}
service anvil {{
  client_limit = 16000
  {nowhere}
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service config {{
  client_limit = 16000
}}
"""

_OURS = """\
[pop3]
listen = [{listen}]
tls_listen = [{tls_listen}]
certificate = "/etc/vmail/bench.pem"
workers = {workers}
[lmtp]
listen = []
workers = 1
[maps]
listen = []
[web]
listen = []
[auth]
# Else the guesses would be refused unseen, and there would be nothing to measure.
free_failures = 1000000000
max_failures_per_address = 1000000000
max_failures_per_account = 1000000000
"""


class NotUp(Exception):
    """A server did not come up; the text is what it said."""


@dataclass(slots=True)
class Server:
    """A running server with all its processes."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    log: Path
    tls_port: int = 0
    """0: it speaks no TLS."""

    def pids(self) -> list[int]:
        """All its processes, its first one before the others."""
        found = [self.process.pid]
        for pid in found:
            for task in _entries(f"/proc/{pid}/task"):
                found += map(int, _read(f"/proc/{pid}/task/{task}/children").split())
        return found

    def cpu(self) -> float:
        """Seconds of CPU that it has used up to now, with processes that have ended."""
        ticks = 0
        for pid in self.pids():
            # After the command's name, which is in parentheses, fields 14 to 17 of proc_pid_stat(5).
            ticks += sum(map(int, _read(f"/proc/{pid}/stat").rpartition(")")[2].split()[11:15]))
        return ticks / _TICK

    def memory(self) -> int:
        """Bytes, what processes share counted once (the sum of PSS)."""
        return sum(_kilobytes(f"/proc/{pid}/smaps_rollup", "Pss:") for pid in self.pids()) * 1024

    def forget_peak(self) -> None:
        """Let `peak` count from now on."""
        for pid in self.pids():
            try:
                Path(f"/proc/{pid}/clear_refs").write_text("5")
            except OSError:  # ended meanwhile
                continue

    def peak(self) -> int:
        """Bytes, the sum of what each process had resident at most."""
        return sum(_kilobytes(f"/proc/{pid}/status", "VmHWM:") for pid in self.pids()) * 1024

    def stop(self) -> None:
        """End it."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def start_ours(mail: Mail, folder: Path) -> Server:
    """`vmail serve` on the mail's root."""
    port, tls_port = _free_ports()
    listen, tls_listen = (
        ", ".join(f'"{address}:{number}"' for address in ADDRESSES.values()) for number in (port, tls_port)
    )
    settings = _OURS.format(listen=listen, tls_listen=tls_listen, workers=WORKERS)
    (mail.root / "etc/vmail/vmail.toml").write_text(settings)
    return _start("vmaild", port, [_VMAIL, "--root", mail.root, "serve"], folder / "vmaild.log", tls_port)


def start_dovecot(mail: Mail, folder: Path, sessions: int = 1) -> Server:
    """Debian's Dovecot on the same accounts; each process that serves a mailbox ends after so many `sessions`."""
    port, tls_port = _free_ports()
    name = "Dovecot+" if sessions > 1 else "Dovecot"
    home = folder / name.lower()
    home.mkdir()
    if os.geteuid() == 0:
        users, nowhere = f"mail_uid = {MAIL_USER}", ""
    else:  # all its processes run as whoever runs the bench, and cannot chroot
        users = "".join(f"default_{role}_user = {os.getuid()}\n" for role in ("internal", "login"))
        users += f"default_internal_group = {os.getgid()}"
        nowhere = "chroot ="
    settings = _DOVECOT.format(
        folder=home,
        addresses=" ".join(ADDRESSES.values()),
        spool=mail.spool,
        root=mail.root,
        users=users,
        nowhere=nowhere,
        port=port,
        tls_port=tls_port,
        workers=WORKERS,
        sessions=sessions,
    )
    (home / "dovecot.conf").write_text(settings)
    return _start(name, port, [_dovecot(), "-F", "-c", home / "dovecot.conf"], home / "log", tls_port)


def start_limit(messages: int, content: bytes, folder: Path) -> Server:
    """The bare server of limit.py, every account of which has so many messages of this content."""
    port = _free_port()
    file = folder / f"content-{len(content)}"
    file.write_bytes(content)
    command = [sys.executable, _LIMIT, port, WORKERS, messages, file, *ADDRESSES.values()]
    return _start("limit", port, command, folder / "limit.log")


def dovecot_version() -> str:
    """What is installed."""
    return subprocess.run([_dovecot(), "--version"], capture_output=True, text=True, check=True).stdout.split()[0]


def _dovecot() -> str:
    found = shutil.which("dovecot", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        raise NotUp("there is no Dovecot: tools/debian-packages bench")
    return found


def _start(name: str, port: int, command: Sequence[object], log: Path, tls_port: int = 0) -> Server:
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Server(name, port, process, log, tls_port)
    end = time.monotonic() + _PATIENCE
    while not all(_answers(address, port) for address in ADDRESSES.values()):
        if process.poll() is not None or time.monotonic() > end:
            server.stop()
            raise NotUp(f"{name} did not come up: {_end_of(log)}")
        time.sleep(0.05)
    return server


def _end_of(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-20:])


def _answers(address: str, port: int) -> bool:
    """Whether somebody greets there."""
    try:
        with socket.create_connection((address, port), 5) as attempt:
            return attempt.recv(3) == b"+OK"
    except OSError:
        return False


def _free_ports() -> tuple[int, int]:
    """Two of them."""
    first = _free_port()
    return first, _free_port(first + 1)


def _free_port(above: int = 0) -> int:
    """A port that is free on all addresses, below those of outgoing connections."""
    for port in range(max(above, 21000 + os.getpid() % 5000), 32000):
        try:
            for address in ADDRESSES.values():
                socket.create_server((address, port)).close()
        except OSError:
            continue
        return port
    raise NotUp("no free port")


def _entries(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:  # ended meanwhile
        return []


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:  # ended meanwhile
        return ""


def _kilobytes(path: str, field: str) -> int:
    for line in _read(path).splitlines():
        if line.startswith(field):
            return int(line.split()[1])
    return 0
