"""What single verbs print, and the files afterwards."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vmaild.auth.passwords import verify
from vmaild.store.layout import Layout

Vmail = Callable[..., Any]
VMAIL = [sys.executable, "-c", "from vmaild.cli.main import main; main()"]


def hash_of(layout: Layout, login: str) -> str:
    for line in Path(layout.shadow("va.toto.fr")).read_text().splitlines():
        if line.startswith(f"{login}:"):
            return line.split(":")[1]
    raise AssertionError(f"no line of {login}")


# -- users


def test_a_password_comes_from_the_first_line_of_standard_input(vmail: Vmail, layout: Layout) -> None:
    ran = vmail("user", "add", "carol@va.toto.fr", "--password-stdin", stdin="pass wörd\r\nrest\n")
    assert ran.status == 0
    assert verify("pass wörd".encode(), hash_of(layout, "carol"))
    assert "pass" not in ran.stdout.replace("passwd", "").replace("password", "")
    vmail("user", "passwd", "carol@va.toto.fr", "--password-stdin", stdin="other")
    assert verify(b"other", hash_of(layout, "carol"))


def test_show_tells_what_is_in_force_and_where_it_is_written(vmail: Vmail, layout: Layout) -> None:
    vmail("user", "set", "bob@va.toto.fr", "--quota", "1536k")
    text = vmail("user", "show", "bob@va.toto.fr").stdout
    for piece in (
        "bob@va.toto.fr",
        "Bob Martin",
        "1.5 MB",
        "no, has no password",
        f"{layout.passwd('va.toto.fr')}:1",
    ):
        assert piece in text
    document = vmail("user", "show", "BOB@va.example", "--json").document
    assert document["address"] == "bob@va.toto.fr"
    assert (document["quota"], document["quota_is_own"]) == (1536 << 10, True)
    assert document["mailbox"] == {"messages": 0, "bytes": 0}
    assert document["source"] == {"file": layout.passwd("va.toto.fr"), "line": 1}


def test_lists_of_users_are_sorted(vmail: Vmail) -> None:
    assert [user["login"] for user in vmail("user", "list", "va.example", "--json").document["users"]] == [
        "alice",
        "bob",
    ]
    vmail("domain", "add", "vx.toto.fr")
    assert vmail("user", "list", "vx.toto.fr").stdout == "vx.toto.fr has no accounts.\n"


def test_without_a_domain_all_are_listed(vmail: Vmail) -> None:
    vmail("domain", "add", "vb.toto.fr", "--address", "172.16.0.2")
    vmail("user", "add", "bob@vb.toto.fr", "--no-password")
    vmail("alias", "add", "team@vb.toto.fr", "bob")
    vmail("admin", "grant", "bob@vb.toto.fr", "vb.toto.fr")
    assert [user["address"] for user in vmail("user", "list", "--json").document["users"]] == [
        "alice@va.toto.fr",
        "bob@va.toto.fr",
        "bob@vb.toto.fr",
    ]
    assert "bob@vb.toto.fr" in vmail("user", "list").stdout
    assert "team@vb.toto.fr" in vmail("alias", "list").stdout
    assert vmail("admin", "list").stdout == "vb.toto.fr  bob@vb.toto.fr\n"
    found = vmail("admin", "list", "--json").document["domains"]
    assert {each["domain"]: each["admins"] for each in found} == {
        "va.toto.fr": [],
        "vb.toto.fr": ["bob@vb.toto.fr"],
    }


def test_dns_of_all_domains(vmail: Vmail, tmp_path: Path) -> None:
    """One zone for a network, whosever its addresses are."""
    vmail("domain", "set", "va.toto.fr", "--address", "172.16.0.1")
    vmail("domain", "add", "vb.toto.fr", "--address", "172.16.0.2")
    zones = vmail("dns", "zone", "--json").document["zones"]
    assert set(zones) == {"va.toto.fr", "va.example", "vb.toto.fr", "0.16.172.in-addr.arpa"}
    pointers = [line.split()[-1] for line in zones["0.16.172.in-addr.arpa"].splitlines() if " PTR " in line]
    assert pointers == ["mailhost.va.toto.fr.", "mailhost.vb.toto.fr."]
    shown = vmail("dns", "show", "--offline", "--json").document["domains"]
    assert [each["domain"] for each in shown] == ["va.toto.fr", "vb.toto.fr"]
    file = tmp_path / "db.172.16.0"
    kept = [line for line in zones["0.16.172.in-addr.arpa"].splitlines() if " PTR " not in line]
    file.write_text("\n".join(kept) + "\n")
    ran = vmail("dns", "apply", "--zone-file", f"0.16.172.in-addr.arpa={file}", "--json")
    assert (ran.status, len(ran.document["domains"])) == (0, 2)
    written = file.read_text()
    assert "mailhost.va.toto.fr." in written
    assert "mailhost.vb.toto.fr." in written


def test_removed_mail_is_said_to_be_archived_and_where(vmail: Vmail, layout: Layout) -> None:
    os.makedirs(f"{layout.spool}/va.toto.fr/bob/new")
    mail = vmail("user", "remove", "bob@va.toto.fr", "--yes", "--json").document["mail"]
    assert [(each["kind"], each["what"], each["action"]) for each in mail] == [
        ("mailbox", "bob@va.toto.fr", "archived")
    ]
    assert os.path.isdir(mail[0]["where"])


def test_no_account_is_that_of_root(vmail: Vmail, layout: Layout) -> None:
    """Whoever reads the passwd file, Dovecot among others, goes by its numbers."""
    owner = os.stat(layout.spool)
    vmail("user", "add", "carol@va.toto.fr", "--no-password")
    shown = vmail("user", "show", "carol@va.toto.fr", "--json").document
    assert (shown["uid"], shown["gid"]) == (owner.st_uid or 60000, owner.st_gid or 60000)


# -- domains


def test_a_domain_from_the_command_line(vmail: Vmail) -> None:
    options = "--address 172.16.0.1 --address 172.16.0.2 --alias vx.example --fallback bob@va.toto.fr --quota 100M"
    options += " --max-users 5 --match-full-name --mail-host mailhost.vx.toto.fr --alias-file /etc/vmail/extra"
    options += " --disable --plain-logins --quota-messages 500 --max-message-size 5M --filter /bin/cat"
    options += " --recipient-delimiter - --language fr"
    assert vmail("domain", "add", "VX.toto.fr", *options.split()).status == 0
    shown = vmail("domain", "show", "vx.example", "--json").document
    assert {key: value for key, value in shown.items() if key != "source"} == {
        "name": "vx.toto.fr",
        "addresses": ["172.16.0.1", "172.16.0.2"],
        "aliases": ["vx.example"],
        "fallback": "bob@va.toto.fr",
        "quota": 100 << 20,
        "max_users": 5,
        "match_full_name": True,
        "mail_host": "mailhost.vx.toto.fr",
        "alias_files": ["/etc/vmail/extra"],
        "admins": [],
        "rights": [],
        "certificate": "",
        "plain_logins": True,
        "quota_messages": 500,
        "max_message_size": 5 << 20,
        "filter": "/bin/cat",
        "recipient_delimiter": "-",
        "language": "fr",
        "disabled": True,
        "users": 0,
        "alias_count": 0,
    }
    vmail("domain", "set", "vx.toto.fr", "--enable", "--no-match-full-name", "--address", "", "--fallback", "")
    shown = vmail("domain", "show", "vx.toto.fr", "--json").document
    assert (shown["disabled"], shown["match_full_name"], shown["addresses"], shown["fallback"]) == (
        False,
        False,
        [],
        "",
    )
    assert shown["aliases"] == ["vx.example"]


def test_the_list_of_domains_includes_damaged_ones(vmail: Vmail, layout: Layout) -> None:
    Path(layout.definition("vx.toto.fr")).write_text("fallback = x\n")
    listed = vmail("domain", "list", "--json").document["domains"]
    assert [domain["name"] for domain in listed] == ["va.toto.fr", "vx.toto.fr"]
    assert "problem" in listed[1]
    assert "damaged" in vmail("domain", "list").stdout


def test_a_long_table_of_routes_is_cut_for_people_and_whole_for_scripts(vmail: Vmail, layout: Layout) -> None:
    lines = "".join(f"u{number}:x:1:1::/h:/s\n" for number in range(40))
    Path(layout.passwd("va.toto.fr")).write_text(lines)
    text = vmail("domain", "set", "va.toto.fr", "--alias", "new.example", "--dry-run").stdout
    assert "and 64 more addresses; --json lists them all" in text
    document = vmail("domain", "set", "va.toto.fr", "--alias", "new.example", "--dry-run", "--json").document
    assert len(document["rerouted"]) == 84


# -- aliases


def test_aliases_are_listed_with_file_and_line(vmail: Vmail, layout: Layout) -> None:
    (alias,) = vmail("alias", "list", "va.example", "--json").document["aliases"]
    assert alias["targets"] == ["bob", "alice"]
    assert alias["source"] == {"file": layout.aliases("va.toto.fr"), "line": 1}
    assert "team" in vmail("alias", "list", "va.toto.fr").stdout
    vmail("domain", "add", "vx.toto.fr")
    assert vmail("alias", "list", "vx.toto.fr").stdout == "vx.toto.fr has no aliases.\n"


def test_targets_that_look_like_options_follow_two_dashes(vmail: Vmail, layout: Layout) -> None:
    assert vmail("alias", "add", "sales@va.toto.fr", "--", "-x@example.org").status == 0
    assert "sales: -x@example.org" in Path(layout.aliases("va.toto.fr")).read_text()


def test_warnings_go_to_standard_error(vmail: Vmail) -> None:
    ran = vmail("alias", "add", "sales@va.toto.fr", "nobody")
    assert ran.status == 0
    assert ran.stderr.startswith("warning: target 'nobody' of alias 'sales' leads nowhere")
    assert "warning" not in ran.stdout


# -- administrators


def test_co_administrators_are_granted_listed_and_revoked(vmail: Vmail) -> None:
    vmail("admin", "grant", "bob@va.toto.fr", "va.toto.fr")
    assert vmail("admin", "list", "va.toto.fr").stdout == "bob@va.toto.fr\n"
    assert vmail("admin", "list", "va.toto.fr", "--json").document == {
        "domain": "va.toto.fr",
        "admins": ["bob@va.toto.fr"],
        "rights": {"bob@va.toto.fr": ["accounts", "removal", "passwords", "aliases", "mail"]},
    }
    assert vmail("admin", "grant", "bob@va.toto.fr", "va.toto.fr", "--right", "mail").status == 0
    assert vmail("admin", "list", "va.toto.fr").stdout == "bob@va.toto.fr: mail\n"
    assert vmail("admin", "grant", "bob@va.toto.fr", "va.toto.fr", "--right", "all").status == 2
    assert vmail("admin", "revoke", "bob@va.toto.fr", "va.toto.fr").status == 0
    assert vmail("admin", "list", "va.toto.fr").stdout == "va.toto.fr has no co-administrators.\n"


# -- explain


def test_explain_prints_steps_targets_and_the_answer(vmail: Vmail, layout: Layout) -> None:
    ran = vmail("explain", "team@va.example", "--offline")
    assert ran.status == 0
    lines = ran.stdout.splitlines()
    assert lines[0] == "team@va.example"
    assert lines[1] == f"  1. domain alias 'va.example' of va.toto.fr  [{layout.definition('va.toto.fr')}]"
    assert lines[2] == f"  2. alias 'team' -> bob, alice  [{layout.aliases('va.toto.fr')}:1]"
    assert "  -> mailbox bob@va.toto.fr (login bob, quota none)" in lines
    assert "     holds 0 bytes in 0 messages" in lines
    assert lines[-1] == "250 2.1.5 Recipient accepted"


@pytest.mark.parametrize(
    ("address", "status", "code", "enhanced", "condition"),
    [
        ("bob@va.toto.fr", 0, 250, "2.1.5", "accepted"),
        ("nobody@va.toto.fr", 1, 550, "5.1.1", "no_such_user"),
        ("bob@nowhere.example", 1, 550, "5.1.2", "not_local"),
        ("out@va.toto.fr", 0, 250, "2.1.5", "accepted"),
    ],
)
def test_explain_answers_as_the_server_does(
    vmail: Vmail, layout: Layout, address: str, status: int, code: int, enhanced: str, condition: str
) -> None:
    Path(layout.aliases("va.toto.fr")).write_text("out: x@example.org\n")
    ran = vmail("explain", address, "--offline", "--json")
    answer = ran.document["answer"]
    assert (answer["code"], answer["enhanced"], answer["condition"]) == (code, enhanced, condition)
    assert ran.status == (0 if condition == "accepted" else 1) == status
    assert ran.document["address"] == address


def test_every_kind_of_target_and_step_is_in_the_document(vmail: Vmail, layout: Layout) -> None:
    text = 'all: bob+x, out@example.org, "|/usr/bin/true", /var/log/x\nowner-all: alice\n'
    Path(layout.aliases("va.toto.fr")).write_text(text)
    os.makedirs(layout.home("va.toto.fr", "bob"))
    Path(layout.home("va.toto.fr", "bob"), "vacation").write_text("away")
    document = vmail("explain", "all@va.toto.fr", "--offline", "--json").document
    assert document["targets"] == [
        {
            "kind": "mailbox",
            "domain": "va.toto.fr",
            "login": "bob",
            "detail": "x",
            "quota": 0,
            "quota_messages": 0,
            "usage": {"bytes": 0, "messages": 0},
            "full": False,
        },
        {"kind": "autoreply", "domain": "va.toto.fr", "login": "bob"},
        {"kind": "resend", "address": "out@example.org", "owner": "owner-all@va.toto.fr"},
        {"kind": "command", "command": "/usr/bin/true", "domain": "va.toto.fr", "user": "all"},
        {"kind": "file", "path": "/var/log/x"},
    ]
    step = document["steps"][1]
    assert (step["rule"], step["file"], step["line"], step["depth"]) == (
        "alias",
        layout.aliases("va.toto.fr"),
        1,
        0,
    )
    assert all(set(step) == {"rule", "text", "file", "line", "depth"} for step in document["steps"])


def test_explain_says_why_mail_waits(vmail: Vmail) -> None:
    vmail("domain", "set", "va.toto.fr", "--disable")
    ran = vmail("explain", "bob@va.toto.fr", "--offline")
    assert ran.status == 1
    assert "mail waits: va.toto.fr is disabled" in ran.stdout
    assert ran.stdout.splitlines()[-1].startswith("450 4.2.1 ")


# -- check


def test_check_says_in_one_line_that_all_is_well(vmail: Vmail) -> None:
    assert (
        vmail("check", "va.toto.fr", "--offline").stdout == "va.toto.fr: nothing is wrong with the configuration\n"
    )
    assert vmail("check", "--all", "--offline").stdout == "everything: nothing is wrong with the configuration\n"
    assert vmail("check", "--all", "--offline", "--json").document["findings"] == []


def test_check_shows_place_problem_and_remedy_and_fails(vmail: Vmail, layout: Layout) -> None:
    with open(layout.aliases("va.toto.fr"), "a", encoding="ascii") as file:
        file.write("sales: nobody\n")
    Path(layout.shadow("va.toto.fr")).chmod(0o644)
    ran = vmail("check", "va.toto.fr", "--offline")
    assert ran.status == 1
    assert (
        f"warning  {layout.aliases('va.toto.fr')}:2\n  target 'nobody' of alias 'sales' leads nowhere\n"
        in ran.stdout
    )
    assert f"error  {layout.shadow('va.toto.fr')}\n" in ran.stdout
    assert ran.stdout.endswith("1 errors, 1 warnings\n")
    ran = vmail("check", "va.toto.fr", "--offline", "--json")
    assert ran.status == 1
    assert [(each["severity"], each["line"]) for each in ran.document["findings"]] == [
        ("warning", 2),
        ("error", 0),
    ]


# -- in front of a terminal


def at_terminal(layout: Layout, arguments: list[str], answers: list[str]) -> tuple[int, str]:
    """Run a command on a terminal of its own, typing an answer whenever it waits; its status and all it shows."""
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        # setsid --ctty makes it the controlling terminal, where passwords are asked for.
        ["setsid", "--ctty", "--wait", *VMAIL, "--root", layout.root, *arguments],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env={**os.environ, "TERM": "dumb"},
    )
    os.close(terminal)
    shown, waiting, end = "", list(answers), time.monotonic() + 30
    while time.monotonic() < end:
        if not select.select([controller], [], [], 0.1)[0]:
            continue
        try:
            shown += os.read(controller, 4096).decode()
        except OSError:
            break  # it has ended
        if waiting and shown.rstrip().endswith((":", "]:")) and not shown.endswith("\n"):
            os.write(controller, waiting.pop(0).encode() + b"\n")
    os.close(controller)
    return process.wait(10), shown.replace("\r\n", "\n")


def test_a_password_is_asked_for_twice_and_not_shown(layout: Layout) -> None:
    status, shown = at_terminal(layout, ["user", "passwd", "bob@va.toto.fr"], ["s3cret", "s3cret"])
    assert status == 0, shown
    assert "Password for bob@va.toto.fr:" in shown
    assert "Once more:" in shown
    assert "s3cret" not in shown
    assert verify(b"s3cret", hash_of(layout, "bob"))


def test_what_is_refused_is_refused_before_a_password_is_asked_for(layout: Layout) -> None:
    status, shown = at_terminal(layout, ["user", "add", "bob@va.toto.fr"], ["never", "typed"])
    assert status == 1
    assert "exists already" in shown
    assert "Password" not in shown


def test_two_different_passwords_change_nothing(layout: Layout) -> None:
    status, shown = at_terminal(layout, ["user", "passwd", "bob@va.toto.fr"], ["one", "two"])
    assert status == 1
    assert "vmail: the two passwords differ; run it again" in shown
    assert hash_of(layout, "bob") == "!"


@pytest.mark.parametrize(("answer", "gone"), [("", False), ("y", True)])
def test_removing_shows_what_happens_and_asks(layout: Layout, answer: str, gone: bool) -> None:
    status, shown = at_terminal(layout, ["user", "remove", "bob@va.toto.fr"], [answer])
    assert "This will remove account bob@va.toto.fr:" in shown
    assert re.search(r"\nbob@va.toto.fr +mailbox bob@va.toto.fr +refused: No such user", shown)
    assert status == (0 if gone else 1)
    assert ("bob" not in Path(layout.passwd("va.toto.fr")).read_text()) is gone
    assert ("vmail: not confirmed; nothing was changed" in shown) is not gone
