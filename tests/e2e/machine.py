"""A machine of its own to install an MTA on: its files lie over the real ones, in a mount namespace.

Debian's packages find their parts at fixed paths and want users of their own. Both are given to them without a
change of the real machine: an overlay over `/` with the unpacked packages is what they take for `/`.
Network and processes are the real ones. All is gone when the process ends that holds the namespace.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from tests.served import COMMANDS, PATIENCE, Root, Served, moments, run, start

PACKAGES = Path(__file__).resolve().parents[2] / ".cache/debian"
SITE = Path("/srv/vmail")
"""Where the machine has the root of vmaild."""
USERS = ("postfix", "postdrop", "Debian-exim", "smmta", "smmsp", "dave", "office")

_SET_UP = """
set -e
mount --make-rprivate /
mount -t tmpfs -o mode=755 none {work}
mkdir {work}/upper {work}/inner {work}/root
cp -a {packages}/. {work}/upper
rm -rf {work}/upper/lib  # on the real machine a link
mount -t overlay none -o lowerdir=/,upperdir={work}/upper,workdir={work}/inner {work}/root
cd {work}/root
mkdir -p srv/vmail
for folder in proc sys dev; do mount --rbind /$folder $folder; done
mount -t tmpfs -o mode=755 none run
mkdir run/lock
mount --bind {root} srv/vmail
mount -t tmpfs -o mode=1777 none var/mail
echo ready
exec chroot . sleep infinity
"""


class Machine:
    """An installed MTA, and vmaild beside it."""

    def __init__(self, mta: str, work: Path, root: Path) -> None:
        self.mta = mta
        packages = PACKAGES / mta
        if not packages.is_dir():
            pytest.fail(f"{mta} is missing: run tools/debian-packages tests")
        work.mkdir()
        root.mkdir(exist_ok=True)
        script = _SET_UP.format(work=work, packages=packages, root=root)
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", script], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
        )
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != "ready\n":
            self._holder.wait()
            pytest.fail("no namespace of its own can be made")
        for _ in moments("the namespace is not entered"):
            if os.readlink(f"/proc/{self._holder.pid}/exe").endswith("sleep"):
                break
        self.files = Path(f"/proc/{self._holder.pid}/root")
        """Its `/`, as seen from here. Only to be read and written: what resolves links would leave it."""
        self._started: list[subprocess.Popen[bytes]] = []
        self._served: Path | None = None
        self._add_users()

    def _add_users(self) -> None:
        for name in ("passwd", "group"):
            with (self.files / "etc" / name).open("a") as file:
                for user, number in zip(USERS, range(980, 990), strict=False):
                    file.write(
                        f"{user}:x:{number}:{number}::/:/bin/sh\n" if name == "passwd" else f"{user}:x:{number}:\n"
                    )

    def inside(self, *command: str | Path) -> list[str | Path]:
        """A command line that runs in the machine."""
        return ["nsenter", f"--target={self._holder.pid}", "--mount", "--root", "--wd", "--", *command]

    def run(
        self, *command: str | Path, stdin: bytes | str = b"", check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a program in it."""
        return run(*self.inside(*command), stdin=stdin, check=check)

    def vmail(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `vmail` in it."""
        return self.run(COMMANDS / "vmail", "--root", SITE, *arguments, check=check)

    def serve(self, root: Root) -> Served:
        """Start `vmail serve` in it."""
        served = start(root, verb=True, prefix=self.inside(), seen_at=SITE)
        self._started.append(served.process)
        self._served = served.log
        return served

    def start(self, *command: str | Path) -> subprocess.Popen[bytes]:
        """Start a program in it."""
        process = subprocess.Popen(
            self.inside(*command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._started.append(process)
        return process

    def write(self, path: str, text: str) -> None:
        """Write a file in it."""
        file = self.files / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def edit(self, path: str, *pairs: tuple[str, str]) -> None:
        """Replace texts, patterns of re, in a file in it."""
        text = (self.files / path).read_text()
        for pattern, replacement in pairs:
            text, count = re.subn(pattern, replacement, text, flags=re.MULTILINE)
            assert count, f"{path} has no {pattern}"
        self.write(path, text)

    def text(self, path: str) -> str:
        """A file in it; empty while there is none."""
        try:
            return (self.files / path).read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def told(self, *logs: str) -> str:
        """The ends of logs of the MTA, and what our servers have logged since they were last started in it."""
        ends = [(log, self.text(log)) for log in logs]
        if self._served:
            ends.append((self._served.name, self._served.read_text(errors="replace")))
        return "".join(f"--- {self.mta}: {name}\n{''.join(text.splitlines(True)[-60:])}" for name, text in ends)

    def inbox(self, user: str = "dave") -> str:
        """The mail of a user of the main domain."""
        return self.text(f"var/mail/{user}")

    def stop(self) -> None:
        """End everything in it."""
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in self._started:
            process.wait(PATIENCE)
        self._holder.wait(PATIENCE)
        assert self._holder.stdout is not None
        self._holder.stdout.close()

    def processes(self) -> list[int]:
        """Every process in it: it alone has this namespace."""
        namespace = os.readlink(f"/proc/{self._holder.pid}/ns/mnt")
        found = []
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                if entry.name.isdigit() and os.readlink(entry / "ns/mnt") == namespace:
                    found.append(int(entry.name))
        return found
