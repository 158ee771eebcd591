"""`vmail mta` as it is typed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vmaild.store.layout import Layout

Vmail = Callable[..., Any]


@pytest.fixture
def postfix(tmp_path: Path) -> str:
    (tmp_path / "main.cf").write_text("mydestination = main.example\n")
    (tmp_path / "master.cf").write_text("")
    return str(tmp_path)


@pytest.mark.parametrize(
    ("mta", "says"),
    [
        ("postfix", "virtual_transport = vmail:unix:{root}/run/vmail/lmtp.sock"),
        ("sendmail", "R< @ > $| $*\t\t\t$: $1"),
        ("exim", "socket = {root}/run/vmail/lmtp.sock"),
    ],
)
def test_show_prints_what_goes_where(vmail: Vmail, layout: Layout, mta: str, says: str) -> None:
    shown = vmail("mta", "show", mta)
    assert shown.status == 0
    assert says.format(root=layout.root) in shown.stdout
    pieces = vmail("mta", "show", mta, "--json").document["pieces"]
    assert all(piece["path"] in shown.stdout for piece in pieces)
    assert any(says.format(root=layout.root) in piece["text"] for piece in pieces)


def test_install_says_what_is_left_to_do(vmail: Vmail, postfix: str) -> None:
    arguments = ("mta", "install", "postfix", "--config-dir", postfix)
    dry = vmail(*arguments, "--dry-run")
    assert "+virtual_mailbox_domains = " in dry.stdout
    assert Path(postfix, "main.cf").read_text() == "mydestination = main.example\n"
    done = vmail(*arguments)
    assert (done.status, "postfix reload" in done.stdout) == (0, True)
    again = vmail(*arguments, "--json").document
    assert (again["changed"], again["commands"]) == (False, [])


def test_programs_that_would_run_are_shown(vmail: Vmail, postfix: str) -> None:
    arguments = ("mta", "install", "postfix", "--config-dir", postfix, "--maps", "lmdb", "--dry-run")
    assert "run postmap lmdb:" in vmail(*arguments).stdout
    assert [program[0] for program in vmail(*arguments, "--json").document["programs"]] == ["postmap"] * 2


def test_tables_of_none_change_nothing(vmail: Vmail) -> None:
    done = vmail("mta", "tables")
    assert (done.status, "Nothing to change" in done.stdout) == (0, True)


def test_another_mta_is_a_wrong_usage(vmail: Vmail) -> None:
    done = vmail("mta", "show", "qmail")
    assert (done.status, done.stderr.partition(";")[0]) == (
        2,
        "vmail: invalid value for 'MTA': 'qmail' is not one of 'postfix', 'sendmail', 'exim'",
    )


def test_check_tells_that_nobody_is_there(vmail: Vmail, free_port: Callable[[], int]) -> None:
    server = f"127.0.0.1:{free_port()}"
    checked = vmail("mta", "check", "--server", server)
    assert checked.status == 1
    assert f"error  {server}\n  no MTA answers: Connection refused" in checked.stdout
    document = vmail("mta", "check", "va.example", "--server", server, "--json").document
    assert [finding["severity"] for finding in document["findings"]] == ["error"] * 3
    assert [each["name"] for each in document["sockets"]] == ["lmtp", "socketmap"]


@pytest.mark.parametrize("server", ["127.0.0.1", "127.0.0.1:smtp", "[::1]:0"])
def test_check_wants_a_host_and_a_port(vmail: Vmail, server: str) -> None:
    assert vmail("mta", "check", "--server", server).status == 2
