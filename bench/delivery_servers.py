"""The servers of the delivery bench: accounts, and who delivers to them, each into a spool of its own.

Ours is measured as it is installed: compiled, the mail user owning what `vmail init` gives to it, and `/run` in
memory.
Dovecot reads our passwd files, and delivers as its manual advises: a process for each LMTP connection that serves
message after message, an authentication cache, `mail_fsync = optimized`, by which a message and its folder are
synced before it is accepted. Both servers write their logs to a file.
"""

from __future__ import annotations

import compileall
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import roots
from bench.pop3_servers import NotUp, Server
from bench.pop3_site import MAIL_USER

import vmaild
from vmaild.store.layout import Layout

DOMAIN = "bench.example"
BIG = f"big@{DOMAIN}"
WORKERS = 2
COMMANDS = Path(sys.executable).parent
LDA = Path("/usr/lib/dovecot/dovecot-lda")
_IN_MEMORY = Path("/dev/shm")
_PATIENCE = 30.0

_DOVECOT = """\
base_dir = {home}/run
state_dir = {home}/state
log_path = {home}/log
protocols = lmtp
ssl = no
auth_cache_size = 64M
auth_cache_ttl = 1 hour
mail_location = maildir:{spool}/%d/%n
mail_fsync = optimized
first_valid_uid = 1
first_valid_gid = 0
postmaster_address = postmaster@{domain}
{users}
passdb {{
  driver = passwd-file
  args = username_format=%n {root}/etc/vmail/shadow.%d
}}
userdb {{
  driver = passwd-file
  args = username_format=%n {root}/etc/vmail/passwd.%d
  override_fields = {owner} home={home}/homes/%d/%n
}}
service lmtp {{
  process_min_avail = {workers}
  process_limit = 200
  unix_listener lmtp {{
    mode = 0666
  }}
}}
service auth {{
  unix_listener auth-userdb {{
    mode = 0666
  }}
}}
{nowhere}
"""

_OURS = """\
[site]
user = "{user}"
[pop3]
listen = []
[lmtp]
listen = ["unix:/run/vmail/lmtp.sock"]
workers = {workers}
[smtp]
listen = []
[maps]
listen = []
[web]
listen = []
"""


@dataclass(frozen=True, slots=True)
class Deliverer:
    """A running server, and how a message gets to it."""

    server: Server
    socket: str
    """Of LMTP."""
    spool: Path
    agent: Sequence[str]
    """The command line of its delivery agent; the recipient comes last."""

    @property
    def name(self) -> str:
        """As in tables."""
        return self.server.name

    def new(self, address: str) -> Path:
        """Where a recipient's messages come to stand."""
        login, _, domain = address.partition("@")
        return self.spool / domain / login / "new"

    def holds(self, address: str) -> int:
        """How many messages a recipient has got."""
        return len(os.listdir(self.new(address)))

    def forget(self, address: str) -> None:
        """Remove what a recipient has got."""
        for entry in os.scandir(self.new(address)):
            os.unlink(entry.path)


def accounts(number: int) -> list[str]:
    """So many addresses."""
    return [f"u{index:06d}@{DOMAIN}" for index in range(number)]


@contextmanager
def laid_out(folder: Path, number: int) -> Iterator[Path]:
    """A root with one domain of so many accounts and BIG."""
    layout = roots.lay_out(folder / "root", 0, 0)
    root = Path(layout.root)
    with tempfile.TemporaryDirectory(
        prefix="vmaild-delivery-", dir=_IN_MEMORY if _IN_MEMORY.is_dir() else None
    ) as run:
        shutil.rmtree(root / "run")
        (root / "run").symlink_to(run)
        (root / "run/vmail").mkdir()
        Path(run).chmod(0o755)
        _fill(layout, root, number)
        yield root


def _fill(layout: Layout, root: Path, number: int) -> None:
    Path(layout.definition(DOMAIN)).write_text("")
    logins = [address.partition("@")[0] for address in (*accounts(number), BIG)]
    lines = [f"{login}:x:60000:60000::/vhome/{DOMAIN}/{login}:/bin/false\n" for login in logins]
    Path(layout.passwd(DOMAIN)).write_text("".join(lines))
    for path in (f"{layout.spool}/{DOMAIN}", f"{root}/vhome"):
        os.makedirs(path, exist_ok=True)
    user = MAIL_USER if os.geteuid() == 0 else ""
    (root / "etc/vmail/vmail.toml").write_text(_OURS.format(workers=WORKERS, user=user))
    if user:
        _give_away(root / "var", root / "vhome", root / "run/vmail")


def start_ours(root: Path, folder: Path) -> Deliverer:
    """`vmail serve`, compiled as an installed one is."""
    compileall.compile_dir(Path(vmaild.__file__).parent, quiet=1)
    path = f"{root}/run/vmail/lmtp.sock"
    server = _start("vmaild", [COMMANDS / "vmail", "--root", root, "serve"], folder / "vmaild.log", path)
    agent = [str(COMMANDS / "vdeliver"), "--root", str(root), "-f", "sender@sender.example"]
    return Deliverer(server, path, root / "var/spool/vmail", agent)


def start_dovecot(root: Path, folder: Path) -> Deliverer:
    """Debian's Dovecot on the same accounts."""
    if not Path("/usr/lib/dovecot/lmtp").exists():
        raise NotUp("there is no Dovecot with LMTP: tools/debian-packages bench")
    home = folder / "dovecot"
    spool = home / "spool"
    for needed in (home / "homes", spool / DOMAIN):
        needed.mkdir(parents=True)
    if os.geteuid() == 0:
        users, nowhere, owner = "", "", f"uid={MAIL_USER} gid=nogroup"
        _give_away(spool, home / "homes")
    else:  # all its processes run as whoever runs the bench, and cannot chroot
        users = "".join(f"default_{role}_user = {os.getuid()}\n" for role in ("internal", "login"))
        users += f"default_internal_group = {os.getgid()}"
        nowhere, owner = "service anvil {\n  chroot =\n}", f"uid={os.getuid()} gid={os.getgid()}"
    settings = home / "dovecot.conf"
    settings.write_text(
        _DOVECOT.format(
            home=home,
            spool=spool,
            root=root,
            domain=DOMAIN,
            users=users,
            owner=owner,
            nowhere=nowhere,
            workers=WORKERS,
        )
    )
    path = f"{home}/run/lmtp"
    program = shutil.which("dovecot", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    server = _start("Dovecot", [program, "-F", "-c", settings], home / "log", path)
    agent = [str(LDA), "-c", str(settings), "-f", "sender@sender.example", "-d"]
    return Deliverer(server, path, spool, agent)


def _give_away(*folders: Path) -> None:
    """Let the mail user own them: neither server delivers as root."""
    subprocess.run(["chown", "--recursive", f"{MAIL_USER}:", *folders], check=True)


def _start(name: str, command: Sequence[object], log: Path, path: str) -> Server:
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Server(name, 0, process, log)
    end = time.monotonic() + _PATIENCE
    while not _answers(path):
        if process.poll() is not None or time.monotonic() > end:
            server.stop()
            said = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
            raise NotUp(f"{name} did not come up: {said}")
        time.sleep(0.05)
    return server


def _answers(path: str) -> bool:
    """Whether somebody greets there."""
    try:
        with socket.socket(socket.AF_UNIX) as attempt:
            attempt.settimeout(5)
            attempt.connect(path)
            return attempt.recv(3) == b"220"
    except OSError:
        return False
