"""vdeliver as an MTA calls it: exit statuses, with a server and without."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from tests.e2e.clients import fetch, without_trace
from tests.served import COMMANDS, Root, run

MESSAGE = b"From: carol@sender.example\nSubject: Piped\n\nHello.\n"


@pytest.fixture(params=["through the server", "on its own"])
def where(request: pytest.FixtureRequest) -> Root:
    """A demo with a running server, and one without."""
    root: Root = request.getfixturevalue("demo" if request.param == "through the server" else "root")
    root.empty()
    return root


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["bob@va.toto.fr"], 0, ""),
        (["team@va.toto.fr"], 0, ""),
        (["bob+lists@va.example"], 0, ""),
        (["nobody@va.toto.fr"], 67, "550 5.1.1"),
        (["bob@elsewhere.example"], 68, "550 5.1.2"),
        (["bob@va.toto.fr", "nobody@va.toto.fr"], 67, "<nobody@va.toto.fr>: 550 5.1.1"),
        (["accountant@vc.toto.fr"], 75, "451 4.4.1"),
        (["anything@ve.toto.fr"], 75, "451 4.3.0"),
        (["nobody@va.toto.fr", "accountant@vc.toto.fr"], 67, "550 5.1.1"),
        (["bob@va..toto.fr"], 65, "553 5.1.3"),
        ([], 64, "usage"),
        (["--unknown", "bob@va.toto.fr"], 64, "--unknown"),
        (["-f"], 64, "-f"),
    ],
)
def test_the_exit_status_tells_the_mta_what_became_of_it(
    where: Root, arguments: list[str], status: int, says: str
) -> None:
    done = where.vdeliver(MESSAGE, *arguments)
    assert (done.returncode, done.stdout) == (status, "")
    assert says in done.stderr
    assert bool(done.stderr) == bool(status)
    assert bool(where.everything_stored()) == (status == 0)  # one status for all: all or nothing


@pytest.mark.parametrize(
    ("options", "first_line", "sender"),
    [
        (["-f", "carol@sender.example"], b"", b"carol@sender.example"),
        (["-fcarol@sender.example"], b"", b"carol@sender.example"),
        (["-f", ""], b"", b""),
        (["-f", "<>"], b"", b""),
        ([], b"", b""),
        ([], b"From dave@sender.example Thu Feb 13 09:26:53 2025\n", b"dave@sender.example"),
        (["-f", "carol@sender.example"], b"From dave@sender.example Thu Feb 13 09:26\n", b"carol@sender.example"),
    ],
)
def test_the_sender_becomes_the_return_path(
    where: Root, options: list[str], first_line: bytes, sender: bytes
) -> None:
    assert where.vdeliver(first_line + MESSAGE, *options, "bob@va.toto.fr").returncode == 0
    (message,) = where.stored("bob@va.toto.fr")
    assert message.startswith(b"Return-Path: <" + sender + b">\nDelivered-To: bob@va.toto.fr\n")
    assert without_trace(message.replace(b"\n", b"\r\n")) == MESSAGE.replace(b"\n", b"\r\n")


def test_a_recipient_that_is_damaged_defers(where: Root) -> None:
    definition = where.etc / "domains/vc.toto.fr.toml"
    before = definition.read_text()
    (where.path / "var/lib/vmail/last-good/damaged.example.toml").unlink(missing_ok=True)
    damaged = definition.with_name("damaged.example.toml")
    damaged.write_text("fallback = 5\n")
    done = where.vdeliver(MESSAGE, "bob@damaged.example")
    damaged.unlink()
    assert done.returncode == 75
    assert "damaged.example.toml" not in done.stderr  # what is wrong is not the sender's business
    assert definition.read_text() == before


def test_an_empty_message_is_a_message(where: Root) -> None:
    assert where.vdeliver(b"", "bob@va.toto.fr").returncode == 0
    assert len(where.stored("bob@va.toto.fr")) == 1


def test_what_vdeliver_delivered_is_fetched_at_the_right_domain_only(demo: Root) -> None:
    assert demo.vdeliver(MESSAGE, "bob@vb.toto.fr").returncode == 0
    assert [len(fetch(demo, f"bob@{domain}.toto.fr")) for domain in ("va", "vb", "vc")] == [0, 1, 0]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can leave some of its rights to another")
def test_what_sendmail_leaves_of_roots_rights_is_given_up() -> None:
    """F=S: the effective user is another, the real one and the groups are root's (op.me section 5.4)."""
    nobody = pwd.getpwnam("nobody")
    seen = (
        "import os, sys; from vmaild.delivery import pipe; "
        "os.setgroups([0, 4]); os.setgid(int(sys.argv[2])); os.seteuid(int(sys.argv[1])); pipe._be_one_user(); "
        "print(*os.getresuid(), *os.getresgid(), *os.getgroups())"
    )
    user, group = str(nobody.pw_uid), str(nobody.pw_gid)
    done = subprocess.run([sys.executable, "-c", seen, user, group], capture_output=True, text=True, check=True)
    groups = map(str, os.getgrouplist("nobody", nobody.pw_gid))
    assert done.stdout.split() == [user] * 3 + [group] * 3 + list(groups)


MAILER = 12345
"""The mail user: the owner of the spool."""
_READABLE = """
set -e
mount --make-rprivate /
mkdir -p "$1"
mount --bind "$2" "$1"
home=/$(echo "$2" | cut -d/ -f2)
mount -t tmpfs -o mode=755 none "$home"
mkdir -p "$2"
mount --bind "$1" "$2"
shift 2
exec "$@"
"""
"""Runs a command where this Python lies in folders that everybody may enter: in a mount namespace of its own."""


def as_root(root: Root, recipient: str) -> int:
    """Have root call vdeliver; its exit status."""
    wrapped: list[str | Path] = [
        "unshare",
        "--mount",
        "sh",
        "-c",
        _READABLE,
        "sh",
        root.path.parent / "python",
        sys.base_prefix,
    ]
    known = sys.base_prefix.startswith(("/usr", "/opt"))
    command = (COMMANDS / "vdeliver", "--root", root.path, recipient)
    return run(*(() if known else wrapped), *command, stdin=MESSAGE).returncode


@pytest.mark.skipif(os.getuid() != 0, reason="root calls it")
def test_root_delivers_as_the_mail_user(root: Root) -> None:
    """Nothing is root's afterwards, and through a link that a user has placed root writes nothing."""
    spool = root.path / "var/spool/vmail"
    for path in (root.path, *root.path.rglob("*")):
        if "etc" not in path.relative_to(root.path).parts:
            os.lchown(path, MAILER, MAILER)
    shutil.rmtree(root.path / "run/vmail")  # as after a boot
    os.chown(root.path / "run", 0, 0)
    for path in root.path.parents:
        if path.is_relative_to(tempfile.gettempdir()) and path.stat().st_mode & 0o011 != 0o011:
            path.chmod(path.stat().st_mode | 0o011)  # for whoever is not root
    root.empty()
    assert as_root(root, "bob@va.toto.fr") == 0
    assert len(root.stored("bob@va.toto.fr")) == 1
    made = [*spool.rglob("*"), *root.path.glob("run/vmail/unanswered"), *root.path.glob("var/lib/vmail/*")]
    assert root.path / "run/vmail/unanswered" in made
    assert {path for path in made if path.lstat().st_uid == 0} == set()
    private = root.path / "private"
    private.mkdir(mode=0o700)
    inbox = root.mailbox("alice@va.toto.fr")
    shutil.rmtree(inbox, ignore_errors=True)
    for name in ("tmp", "new", "cur"):
        (private / name).mkdir()
    inbox.symlink_to(private)
    os.lchown(inbox, MAILER, MAILER)
    assert as_root(root, "alice@va.toto.fr") == 75
    assert [path for path in private.rglob("*") if path.is_file()] == []
