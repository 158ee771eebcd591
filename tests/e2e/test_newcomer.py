"""The first five minutes: `vmail init`, `make run`, and every line that the demo tells to try."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.clients import Pop3, fetch
from tests.served import COMMANDS, PATIENCE, SHARED, Root, Served, is_free, moments, processes_of, run, start

HOME = Path(__file__).parents[2]


@pytest.fixture
def served(root: Root) -> Iterator[Served]:
    """The demo as `vmail serve` serves it, with what it prints."""
    server = start(root, verb=True)
    yield server
    server.stop()
    server.check_log()


def welcome(server: Served) -> str:
    """What the demo prints when it is up."""
    for _ in moments("the demo does not say what to try"):
        if "sales@va.example" in server.log.read_text():
            break
    return server.log.read_text()


def vmail(path: Path, *arguments: str, stdin: str = "", check: bool = False) -> subprocess.CompletedProcess[str]:
    """Run `vmail` on a root that is no demo."""
    return run(COMMANDS / "vmail", "--root", path, *arguments, stdin=stdin, check=check)


def suggestions(text: str) -> list[str]:
    """The blocks of indented lines that the demo prints under its titles, as one would paste them."""
    _, _, below = text.partition("Fetch a message")
    return re.findall(r"^\n((?:  .*\n)+)", below, re.MULTILINE)


def test_every_line_that_the_demo_prints_works(served: Served) -> None:
    text = welcome(served)
    assert "serves the demo. Ctrl-C ends it." in text
    reading, sending, asking = suggestions(text)
    read = run("sh", "-ec", reading, check=True).stdout
    assert read.index("Dear Bob Martin") < read.index("Dear Bob Lefèvre")
    sent = run("sh", "-ec", sending, check=True).stdout
    assert "Subject: Hello\r\n\r\nWho is on the team?\r\n" in sent
    assert fetch(served.root, "bob@va.toto.fr")[-1].endswith(b"Subject: Hello\r\n\r\nWho is on the team?\r\n")
    asked = run("sh", "-ec", asking, check=True)
    for words in ("bob@va.toto.fr", "alice@va.toto.fr", "aliases.va.toto.fr"):
        assert words in asked.stdout
    assert served.root.vmail("explain", "sales@va.toto.fr", "--offline").stdout.count("mailbox") >= 2


def test_the_readme_shows_what_is_printed(served: Served) -> None:
    root = served.root
    printed = welcome(served) + root.vmail("explain", "everyone@va.toto.fr", "--offline").stdout
    printed = printed.replace(f"{COMMANDS}/vmail --root {root.path}", ".venv/bin/vmail --root demo")
    for ours, theirs in ((root.pop3, 11110), (root.lmtp, 11024), (root.smtp, 11025)):
        printed = printed.replace(f":{ours}", f":{theirs}")
    readme = (HOME / "README.md").read_text().replace("/home/you/vmaild/demo", str(root.path))
    first, second = re.findall(r"^```\n\$ .*\n((?:.*\n)*?)```$", readme, re.MULTILINE)
    _, _, told = first.partition("sample messages\n")
    assert told in printed
    # How much a mailbox holds depends on the names of the machine and of folders.
    shown, readme_shows = (re.sub(r"holds [\d.]+ \S+", "holds", text) for text in (printed, second))
    assert readme_shows in shown.replace(f"{root.path}/", "demo/")


def test_what_is_printed_names_every_place(served: Served) -> None:
    text, root = welcome(served), served.root
    for place in (f"127.0.0.2:{root.pop3}", f"127.0.0.3:{root.pop3}", f"127.0.0.4:{root.pop3}"):
        assert place in text
    for place in (f"{SHARED}:{root.lmtp}", f"{SHARED}:{root.smtp}", f"unix:{root.socket}"):
        assert place in text
    assert max(len(line) for line in text.splitlines() if "unix:" not in line and "--root" not in line) <= 100


def test_sample_mail_is_there_to_be_read(served: Served) -> None:
    root = served.root
    assert [message.count(b"Dear Bob Martin") for message in fetch(root, "bob@va.toto.fr")] == [1, 0, 0]
    assert "Noël".encode() in fetch(root, "alice@va.toto.fr")[0]
    for domain in ("vb", "vc"):
        assert b"Dear Bob" in fetch(root, f"bob@{domain}.toto.fr")[0]
    for address in ("bob@va.toto.fr", "alice@vb.toto.fr"):
        for message in fetch(root, address):
            assert re.search(rb"\r\nDate: .*\r\nFrom: .*\r\n", message)
            assert b"\r\nMIME-Version: 1.0\r\n" in message


def test_the_configuration_that_init_writes_is_without_fault(root: Root) -> None:
    checked = root.vmail("check", "--all", "--offline", check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_init_again_changes_nothing_and_brings_nothing_back(root: Root) -> None:
    (root.etc / "aliases.va.toto.fr").unlink()
    (root.etc / "passwd.va.toto.fr").write_text("bob:x:1:1:Robert:/:/bin/false\n")
    before = {path: path.read_bytes() for path in root.path.rglob("*") if path.is_file()}
    done = root.vmail("init", "--demo")
    assert "Nothing to lay out" in done.stdout
    assert {path: path.read_bytes() for path in root.path.rglob("*") if path.is_file()} == before


def test_init_that_was_interrupted_is_completed(root: Root) -> None:
    # vmail.toml comes last.
    (root.etc / "vmail.toml").unlink()
    (root.etc / "domains/vc.toto.fr.toml").unlink()
    (root.etc / "passwd.vc.toto.fr").unlink()
    shutil.rmtree(root.mailbox("bob@vc.toto.fr"))
    bob = root.stored("bob@va.toto.fr")
    document = json.loads(root.vmail("init", "--demo", "--json").stdout)
    assert [Path(path).name for path in document["files"]] == [
        "passwd.vc.toto.fr",
        "vc.toto.fr.toml",
        "vmail.toml",
    ]
    assert document["messages"] == 1
    assert root.stored("bob@va.toto.fr") == bob


def test_init_without_demo(tmp_path: Path) -> None:
    path = tmp_path / "site"
    planned = json.loads(vmail(path, "init", "--dry-run", "--json", check=True).stdout)
    assert not path.exists()
    done = json.loads(vmail(path, "init", "--json", check=True).stdout)
    assert done == planned | {"dry_run": False}
    modes = {
        "etc/vmail": 0o755,
        "etc/vmail/domains": 0o755,
        "var/spool/vmail": 0o750,
        "var/spool/vmail/.incoming": 0o700,
        "vhome": 0o755,
        "var/lib/vmail": 0o750,
        "run/vmail": 0o755,
    }
    assert {name: stat.S_IMODE((path / name).stat().st_mode) for name in modes} == modes
    assert list((path / "etc/vmail/domains").iterdir()) == []
    # A domain of one's own, from nothing.
    vmail(path, "domain", "add", "my.example", "--address", "127.0.0.9", check=True)
    vmail(path, "user", "add", "eve@my.example", "--password-stdin", stdin="secret\n", check=True)
    assert run(COMMANDS / "vdeliver", "--root", path, "eve@my.example", stdin="Subject: x\n\n").returncode == 0


@pytest.mark.parametrize("root_given", [[], ["--root", "//"]], ids=["no root", "the root of all"])
def test_the_demo_never_comes_to_the_system_itself(root_given: list[str]) -> None:
    done = run("env", "-u", "VMAIL_ROOT", COMMANDS / "vmail", *root_given, "init", "--demo")
    assert done.returncode == 1
    assert "never laid out in the system's own folders" in done.stderr


def test_the_demo_never_comes_to_a_root_in_use(tmp_path: Path) -> None:
    vmail(tmp_path, "init", check=True)
    done = vmail(tmp_path, "init", "--demo")
    assert done.returncode == 1
    assert "is in use" in done.stderr
    # Nor without a vmail.toml, which may be absent.
    (tmp_path / "etc/vmail/vmail.toml").unlink()
    (tmp_path / "etc/vmail/domains/real.example.toml").touch()
    assert vmail(tmp_path, "init", "--demo").returncode == 1
    assert not list(tmp_path.glob("etc/vmail/shadow.*"))


def test_passwords_are_for_nobody_else_to_read(root: Root) -> None:
    for path in root.etc.glob("shadow.*"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        assert "bob-v" not in path.read_text()
    assert stat.S_IMODE(root.mailbox("bob@va.toto.fr").stat().st_mode) == 0o700


def test_make_run_and_ctrl_c(root: Root, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as output:
        # The virtual environment is what runs this test: make must not begin to renew it.
        make = subprocess.Popen(
            ["make", "-o", ".venv/run", "-o", ".venv/dev", "run", f"ROOT={root.path}"],
            cwd=HOME, stdout=output, stderr=output, start_new_session=True,
            env={name: value for name, value in os.environ.items() if not name.startswith("MAKE")},
        )  # fmt: skip
    try:
        for _ in moments(f"make run: {log.read_text()}"):
            if "sales@va.example" in log.read_text() or make.poll() is not None:
                break
        assert make.poll() is None, log.read_text()
        with Pop3(("127.0.0.2", root.pop3)) as session:
            assert session.log_in("bob", "bob-va").startswith("+OK")
            session.ask("QUIT")
        os.killpg(make.pid, signal.SIGINT)
        make.wait(PATIENCE)
        for _ in moments("processes are left behind", 10):
            if not processes_of(make.pid):
                break
    finally:
        for pid in processes_of(make.pid):
            os.kill(pid, signal.SIGKILL)
        make.wait()
    assert "Traceback" not in log.read_text()
    assert all(is_free("127.0.0.2", port) for port in (root.pop3, root.lmtp, root.smtp))
    assert not root.socket.exists()
