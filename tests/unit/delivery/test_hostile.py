"""What others put in the way of a delivery: files that are none, links, lists without end, relays that hang."""

from __future__ import annotations

import mailbox
import os
import resource
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import pytest
from tests.relay import ScriptedRelay, running
from tests.unit.delivery.test_outside import BODY, agent, aliases, deliver, here, mail, open_to_all, script, smtp

from vmaild.address import parse_address
from vmaild.core import routing
from vmaild.core.site import Relay, RelayKind
from vmaild.delivery import files, resend
from vmaild.outcome import Condition, Deferred, Delivered, Rejected
from vmaild.store.directory import FileDirectory
from vmaild.store.layout import Layout
from vmaild.store.processes import began, boot

__all__ = ["here"]

T = TypeVar("T")
HASH = "root:$6$saltsalt$KpBvbRdJ3uG6fqXyq0:19000:0:99999:7:::"
NOBODY = 65534

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to other users")


def promptly(act: Callable[[], T], seconds: float = 10.0) -> T:
    """What `act` returns; fails where it hangs, as a worker would."""
    results: list[T] = []
    thread = threading.Thread(target=lambda: results.append(act()), daemon=True)
    thread.start()
    thread.join(seconds)
    assert results, "it hangs, or failed"
    return results[0]


# -- lists and homes


@pytest.mark.parametrize("kind", ["fifo", "device", "folder", "nothing"])
def test_a_list_that_is_no_file_costs_that_list(here: Layout, kind: str) -> None:
    aliases(here, "team: :include:/etc/vmail/team\nboth: bob, alice\n")
    path = here.path("/etc/vmail/team")
    match kind:
        case "fifo":
            os.mkfifo(path)
        case "device":
            os.symlink("/dev/zero", path)
        case "folder":
            os.mkdir(path)
    ours = agent(here)
    assert promptly(lambda: ours.accept(parse_address("team@va.test")))[0] == Deferred(Condition.BAD_CONFIGURATION)
    assert ours.accept(parse_address("both@va.test"))[0] == Delivered(Condition.ACCEPTED)
    findings = FileDirectory(here).findings("va.test")
    assert [finding.path for finding in findings] == ([] if kind == "nothing" else [path])
    # Once it is a list, it counts at once.
    match kind:
        case "folder":
            os.rmdir(path)
        case "fifo" | "device":
            os.unlink(path)
    Path(path).write_text("bob\n")
    assert ours.accept(parse_address("team@va.test"))[0] == Delivered(Condition.ACCEPTED)


def test_an_alias_file_that_is_a_fifo_hangs_nobody(here: Layout) -> None:
    os.mkfifo(here.aliases("va.test"))
    outcome, _ = promptly(lambda: agent(here).accept(parse_address("bob@va.test")))
    assert outcome == Deferred(Condition.LOOKUP_FAILED)


@pytest.mark.parametrize("name", ["forward", "vacation"])
def test_a_home_with_a_fifo_costs_that_account(here: Layout, name: str) -> None:
    os.makedirs(here.home("va.test", "bob"))
    os.mkfifo(f"{here.home('va.test', 'bob')}/{name}")
    promptly(lambda: agent(here).accept(parse_address("bob@va.test")))
    assert agent(here).accept(parse_address("alice@va.test"))[0] == Delivered(Condition.ACCEPTED)
    promptly(lambda: FileDirectory(here).findings("va.test"))


@as_root
@pytest.mark.parametrize("way", ["list", "folder"])
def test_a_link_of_the_list_s_owner_shows_nothing_of_other_files(here: Layout, way: str) -> None:
    """The owner of a list may be a user of the machine, and the findings are shown to co-administrators."""
    secrets = Path(here.path("/secrets"))
    secrets.mkdir()
    (secrets / "team").write_text(f"{HASH}\n")
    (secrets / "team").chmod(0o600)
    lists = Path(here.path("/lists"))
    if way == "list":
        lists.mkdir()
        (lists / "team").symlink_to(secrets / "team")
        os.lchown(lists / "team", NOBODY, NOBODY)
    else:
        lists.symlink_to(secrets)
        os.lchown(lists, NOBODY, NOBODY)
    aliases(here, "team: :include:/lists/team\n")
    directory = FileDirectory(here)
    (finding,) = directory.findings("va.test")
    assert "$6$" not in str(finding)
    assert "a symbolic link of somebody else leads there" in str(finding)
    assert isinstance(routing.route(directory, parse_address("team@va.test")), routing.Undecided)
    # What root links to, or the owner of what it leads to, is meant.
    os.chown(secrets / "team", NOBODY, NOBODY)
    (secrets / "team").write_text("bob\n")
    assert isinstance(routing.route(directory, parse_address("team@va.test")), routing.Accepted)
    os.chown(secrets / "team", 1, 1)
    os.lchown(lists / "team" if way == "list" else lists, 0, 0)
    assert isinstance(routing.route(directory, parse_address("team@va.test")), routing.Accepted)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644])
def test_faults_of_a_list_quote_only_what_everybody_may_read(here: Layout, mode: int) -> None:
    aliases(here, "team: :include:/etc/vmail/team\n")
    listed = Path(here.path("/etc/vmail/team"))
    listed.write_text(f"bob\n{HASH}\n")
    listed.chmod(mode)
    (finding,) = FileDirectory(here).findings("va.test")
    assert finding.line == 2
    assert ("$6$" in str(finding)) == (mode == 0o644)
    assert isinstance(routing.route(FileDirectory(here), parse_address("team@va.test")), routing.Accepted)


def test_a_list_of_a_file_that_a_co_administrator_writes_is_not_even_read(here: Layout) -> None:
    Path(here.definition("va.test")).write_text('admins = ["unix:alice"]\n')
    aliases(here, "mine: :include:/etc/shadow.copy\n")
    Path(here.path("/etc/shadow.copy")).write_text(f"{HASH}\n")
    assert FileDirectory(here).findings("va.test") == ()


@as_root
def test_a_forwarding_that_is_a_link_is_not_followed(here: Layout) -> None:
    Path(here.path("/secret")).write_text(f"{HASH}\n")
    home = Path(here.home("va.test", "bob"))
    home.mkdir(parents=True)
    (home / "forward").symlink_to(here.path("/secret"))
    os.lchown(home / "forward", NOBODY, NOBODY)
    assert "$6$" not in " ".join(map(str, FileDirectory(here).findings("va.test")))


@pytest.mark.parametrize(
    ("line", "times", "expected"),
    [
        ("joe@example.org", 2_000_000, "bytes, more than the 4194304 that are read"),
        ("a, b, c", 40_000, "the list has more than 10000 targets"),
        ("", 2_000_000, "the list has more than 10000 targets or 100000 lines"),
        ('"', 90_000, "more than 100 lines are no targets"),
    ],
)
def test_a_list_without_end_is_bounded(here: Layout, line: str, times: int, expected: str) -> None:
    aliases(here, "team: :include:/etc/vmail/team\n")
    Path(here.path("/etc/vmail/team")).write_text(f"{line}\n" * times)
    directory = FileDirectory(here)
    assert isinstance(
        promptly(lambda: routing.route(directory, parse_address("team@va.test")), 5), routing.Undecided
    )
    assert expected in str(directory.findings("va.test")[-1])
    assert len(directory.findings("va.test")) <= 101


# -- relays


def has_ended(pid: int) -> bool:
    try:
        return "zombie" in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return True


def test_a_sendmail_that_hangs_is_ended_with_all_it_started(
    here: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resend, "ANSWER_TIME", 1.0)
    aliases(here, "out: joe@example.org\n")
    # It reads nothing, so a large message would not even go into its pipe.
    program = script(tmp_path, f"sleep 300 & echo $! >{tmp_path}/child; sleep 300")
    ours = agent(here, Relay(RelayKind.SENDMAIL, path=program))
    body = BODY + b"0123456789\n" * 100_000
    done = promptly(lambda: deliver(ours, here, "out@va.test", body=body), 20)
    assert done == [Deferred(Condition.NEXT_SERVER_WAITS)]
    child = int((tmp_path / "child").read_text())
    deadline = time.monotonic() + 10
    while not has_ended(child):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_relay_that_does_not_answer_is_asked_once_for_a_message(
    here: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resend, "ANSWER_TIME", 0.5)
    names = [f"a{number}" for number in range(20)]
    aliases(here, "".join(f"{name}: {name}@example.org\n" for name in names))
    calls = []

    def take(listener: socket.socket) -> None:
        while True:
            try:
                calls.append(listener.accept()[0])  # and not a word
            except OSError:
                return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=take, args=(listener,), daemon=True).start()
        ours = agent(here, Relay(RelayKind.SMTP, "127.0.0.1", listener.getsockname()[1]))
        began = time.monotonic()
        outcomes = deliver(ours, here, *(f"{name}@va.test" for name in names), "bob@va.test")
        listener.shutdown(socket.SHUT_RDWR)
    for call in calls:
        call.close()
    assert [type(outcome) for outcome in outcomes] == [Deferred] * 20 + [Delivered]
    assert time.monotonic() - began < 5
    assert len(calls) == 1
    # The next message has a try of its own.
    with running(ScriptedRelay()) as relay:
        assert deliver(agent(here, smtp(relay)), here, "a1@va.test") == [Delivered()]


def test_a_relay_that_refuses_one_recipient_is_asked_for_the_others(here: Layout) -> None:
    aliases(here, "a: a@example.org\nb: b@example.org\n")
    answers = {"a@example.org": "451 4.4.2 come back", "b@example.org": "250 ok"}
    with running(ScriptedRelay(rcpt=lambda recipient: answers[recipient])) as relay:
        outcomes = deliver(agent(here, smtp(relay)), here, "a@va.test", "b@va.test")
    assert list(map(type, outcomes)) == [Deferred, Delivered]


def test_an_address_outside_ascii_is_not_said_to_a_relay_without_smtputf8(here: Layout) -> None:
    aliases(here, "out: jörg@example.org, joe@example.org\nplain: jim@example.org\n")
    said: list[str] = []

    def answer(recipient: str) -> str:
        said.append(recipient)
        return "250 ok"

    with running(ScriptedRelay(rcpt=answer)) as relay:
        (outcome,) = deliver(agent(here, smtp(relay)), here, "out@va.test")
        assert (outcome.code, outcome.enhanced) == (553, "5.6.7")
        assert isinstance(outcome, Rejected)
        (outcome,) = deliver(agent(here, smtp(relay)), here, "plain@va.test", sender="änne@example.org")
        assert (outcome.code, outcome.enhanced) == (553, "5.6.7")
    assert said == ["joe@example.org"]


@pytest.mark.parametrize("relay_too", [False, True])
def test_a_message_has_its_time_and_what_is_left_waits(here: Layout, tmp_path: Path, relay_too: bool) -> None:
    program = script(tmp_path, "exec sleep 60")
    targets = ", ".join(f'"|{program} {number}"' for number in range(5))
    outside = ", joe@example.org" if relay_too else ""
    aliases(here, f"slow: {targets}{outside}, bob\nlater: {targets}, alice\n")
    with running(ScriptedRelay(pause=1.5)) as relay:
        ours = agent(here, smtp(relay), message_time=2)
        began = time.monotonic()
        outcomes = deliver(ours, here, "slow@va.test", "later@va.test")
        assert time.monotonic() - began < 5
    assert isinstance(outcomes[0], Deferred)
    assert outcomes[1] == Deferred(Condition.OUT_OF_TIME)
    assert mail(here, "alice") == []


# -- programs


def test_a_program_runs_once_also_with_thousands_of_connections(here: Layout, tmp_path: Path) -> None:
    aliases(here, f'robot: "|{script(tmp_path, f"cat >/dev/null; echo ran >>{tmp_path}/runs")}"\n')
    (tmp_path / "runs").touch()
    (tmp_path / "runs").chmod(0o666)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4096 if hard == resource.RLIM_INFINITY else min(hard, 4096)
    if wanted < 1200:
        pytest.skip("the hard limit of descriptors is too low")
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        assert deliver(agent(here), here, "robot@va.test") == [Delivered()]
    finally:
        for fd in held:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (tmp_path / "runs").read_text() == "ran\n"


def test_what_a_program_leaves_behind_is_not_listened_to_for_ever(here: Layout, tmp_path: Path) -> None:
    """It has done its work and says so; that it runs once more for what its child says is not wanted."""
    program = script(tmp_path, f"cat >/dev/null; echo ran >>{tmp_path}/runs; (trap '' PIPE; exec yes) & exit 0")
    (tmp_path / "runs").touch()
    (tmp_path / "runs").chmod(0o666)
    aliases(here, f'robot: "|{program}"\n')
    assert promptly(lambda: deliver(agent(here, command_time=20), here, "robot@va.test")) == [Delivered()]
    assert (tmp_path / "runs").read_text() == "ran\n"


@pytest.mark.parametrize(
    ("recipient", "sender", "expected"),
    [
        ("-rf@va.test", "-ox@example.org", ["_rf", "_ox@example.org", "a/_rf.txt"]),
        (
            "x/../../etc/cron@va.test",
            "/etc/x@example.org",
            ["x_.._.._etc_cron", "_etc_x@example.org", "a/x_.._.._etc_cron.txt"],
        ),
        ('".."@va.test', "..@example.org", ["_.", "_.@example.org", "a/_..txt"]),
        ("bob.b-c@va.test", "a.b-c+d@example.org", ["bob.b-c", "a.b-c+d@example.org", "a/bob.b-c.txt"]),
    ],
)
def test_what_outsiders_write_becomes_neither_an_option_nor_a_path(
    here: Layout, tmp_path: Path, recipient: str, sender: str, expected: list[str]
) -> None:
    text = f'cd {tmp_path}\ncat >/dev/null\nfor a; do echo "$a"; done >arguments\necho $USER >user'
    program = script(tmp_path, text)
    Path(here.definition("va.test")).write_text(f"fallback = '|{program} %u %f a/%u.txt'\n")
    assert deliver(agent(here), here, recipient, sender=sender) == [Delivered()]
    assert (tmp_path / "arguments").read_text().splitlines() == expected
    assert not (tmp_path / "user").read_text().startswith("-")


@pytest.mark.parametrize(
    ("site", "own", "name"), [("+", "-", "robot-new"), ("+", "", "robot+new"), ("-", "+", "robot+new")]
)
def test_the_sub_address_of_a_program_is_parted_as_its_domain_parts_it(
    here: Layout, tmp_path: Path, site: str, own: str, name: str
) -> None:
    program = script(tmp_path, f'cat >/dev/null; echo "$EXTENSION" >{tmp_path}/extension')
    aliases(here, f'robot: "|{program}"\n')
    Path(here.definition("va.test")).write_text(f'recipient_delimiter = "{own}"\n' if own else "")
    ours = agent(here, delimiter=site)
    assert deliver(ours, here, f"{name.upper()}@va.test") == [Delivered()]
    assert (tmp_path / "extension").read_text() == "NEW\n"


# -- files


def writable(here: Layout, *folders: str) -> None:
    open_to_all(Path(here.root))
    for folder in ("/var", *folders):
        os.makedirs(here.path(folder), exist_ok=True)
        os.chmod(here.path(folder), 0o777)


@pytest.mark.parametrize(
    ("there", "gap"),
    [
        (b"", b""),
        (b"From x\n\nwhole\n\n", b""),
        (b"From x\n\nno empty line\n", b"\n"),
        (b"From x\n\ntorn li", b"\n\n"),
        (b"x", b"\n\n"),
    ],
)
def test_a_torn_mbox_swallows_no_message(here: Layout, there: bytes, gap: bytes) -> None:
    aliases(here, "log: /var/log.mbox\n")
    writable(here)
    path = Path(here.path("/var/log.mbox"))
    path.write_bytes(there)
    path.chmod(0o666)
    assert deliver(agent(here), here, "log@va.test") == [Delivered()]
    written = path.read_bytes()
    assert written.startswith(there + gap + b"From ann@example.org  ")
    with closing(mailbox.mbox(str(path))) as box:
        assert [message["Subject"] for message in box][-1] == "hello"


def test_what_cannot_be_appended_whole_is_taken_back(here: Layout) -> None:
    aliases(here, "log: /var/log.mbox\n")
    writable(here)
    path = Path(here.path("/var/log.mbox"))
    path.write_bytes(b"From x\n\ntorn")
    path.chmod(0o666)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ours, body = agent(here), BODY + b"0123456789\n" * 20_000
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(body) + 200, limits[1]))
    try:
        (outcome,) = deliver(ours, here, "log@va.test", body=body + b"more\n" * 100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert isinstance(outcome, Deferred)
    assert path.read_bytes() == b"From x\n\ntorn"
    assert deliver(ours, here, "log@va.test", body=body) == [Delivered()]
    assert len(path.read_bytes()) > len(body)


@pytest.mark.parametrize(
    ("word", "age", "delivered"),
    [
        ("{boot}:{gone}:1", 0, True),  # one of ours, killed
        ("{boot}:{here}:1", 0, True),  # likewise, and its number was given again
        ("{boot}:{here}:{began}", 0, True),  # of this process, which could not remove it
        ("{boot}:{other}:{its}", 0, False),
        ("{boot}:{other}:{its}", 601, True),
        ("", 0, False),
        ("", 601, True),
        ("4711\n", 0, False),  # of another program
        ("another boot:{gone}:1", 0, False),
    ],
)
def test_a_lock_that_was_left_behind_holds_nobody_up(
    here: Layout, monkeypatch: pytest.MonkeyPatch, word: str, age: int, delivered: bool
) -> None:
    monkeypatch.setattr(files, "LOCK_TIME", 0.2)
    aliases(here, "log: /var/log.mbox\n")
    writable(here)
    gone = subprocess.Popen(["true"])
    gone.wait()
    lock, own = Path(here.path("/var/log.mbox.lock")), str(os.getpid())
    other = str(os.getppid())
    lock.write_text(
        word.format(boot=boot(), gone=gone.pid, here=own, began=began(own), other=other, its=began(other))
    )
    lock.chmod(0o644)
    os.utime(lock, (time.time() - age,) * 2)
    outcome = Delivered() if delivered else Deferred(Condition.INTERNAL)
    assert deliver(agent(here), here, "log@va.test") == [outcome]
    assert lock.exists() != delivered


def test_threads_that_append_at_once_wait_for_each_other(here: Layout) -> None:
    """Also where the folder takes no PATH.lock."""
    aliases(here, "log: /var/log.mbox\n")
    writable(here)
    path = Path(here.path("/var/log.mbox"))
    path.write_bytes(b"")
    path.chmod(0o666)
    os.chmod(here.path("/var"), 0o755)
    body = BODY + b"0123456789\n" * 40_000
    ours = [agent(here) for _ in range(4)]
    threads = [
        threading.Thread(target=deliver, args=(one, here, "log@va.test"), kwargs={"body": body}) for one in ours
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    entries = path.read_bytes().split(b"From ann@example.org  ")[1:]
    assert len(entries) == 4
    assert all(entry.endswith(body + b"\n") for entry in entries)


@as_root
@pytest.mark.parametrize("target", ["/var/log.mbox", "/var/lists/all/"])
def test_root_writes_as_the_mail_user(here: Layout, target: str) -> None:
    """Whatever stands behind the path, only what the mail user may write is written."""
    aliases(here, f"log: {target}\n")
    writable(here, "/var/lists")
    for owner in (NOBODY, 12345):
        os.chown(here.incoming, owner, owner)
        assert deliver(agent(here), here, "log@va.test") == [Delivered()]
        places = [Path(here.path("/var/lists")), *Path(here.path("/var")).glob("log*")]
        found = [path for place in places for path in (place, *place.rglob("*"))]
        made = [path for path in found if path.stat().st_uid == owner]
        assert made
        for path in sorted(made, reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
    assert os.geteuid() == 0
    Path(here.path("/var/made")).touch()
    assert os.stat(here.path("/var/made")).st_uid == 0
    # What only root may write takes nothing.
    os.chmod(here.path("/var"), 0o755)
    os.chmod(here.path("/var/lists"), 0o755)
    assert deliver(agent(here), here, "log@va.test") == [Deferred(Condition.INTERNAL)]


@as_root
@pytest.mark.parametrize("name", ["box", "there", "", "new/"])
def test_a_link_of_a_user_leads_to_no_file_of_others(here: Layout, name: str) -> None:
    aliases(here, f"log: /home/joe/dir/{name}\n")
    writable(here, "/home/joe", "/private")
    os.chown(here.path("/private"), 12345, 12345)
    os.chown(here.incoming, 12345, 12345)
    Path(here.path("/private/there")).touch()
    os.chown(here.path("/private/there"), 12345, 12345)
    os.symlink(here.path("/private"), here.path("/home/joe/dir"))
    os.lchown(here.path("/home/joe/dir"), NOBODY, NOBODY)
    assert deliver(agent(here), here, "log@va.test") == [Deferred(Condition.INTERNAL)]
    assert [path.name for path in Path(here.path("/private")).iterdir()] == ["there"]
    assert Path(here.path("/private/there")).read_bytes() == b""
    # A link of root's is meant.
    os.lchown(here.path("/home/joe/dir"), 0, 0)
    done = deliver(agent(here), here, "log@va.test")
    assert done == [Delivered()]
