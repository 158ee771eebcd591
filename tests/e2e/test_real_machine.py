"""vmaild in the folders of the machine itself, from `vmail init` to mail after the next boot."""

from __future__ import annotations

import os
import poplib
import smtplib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.e2e.machine import Machine
from tests.served import COMMANDS, moments

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="a machine of its own wants root, and a mount namespace")

PASSWORD = "Zug-um-Zug-7"


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A machine that systemd has booted, as far as can be seen from its files."""
    made = Machine("postfix", tmp_path / "machine", tmp_path / "nothing")
    (made.files / "run/systemd/system").mkdir(parents=True)
    for folder in COMMANDS, Path(os.__file__).parent:  # on a real machine all users can read them
        for above in folder.parents:
            made.run("chmod", "a+x", above)
    yield made
    print(made.text("var/log/serve.log"))
    made.stop()


def vmail(machine: Machine, *arguments: str, stdin: str = "") -> str:
    """Run `vmail` without a root of its own."""
    return machine.run(COMMANDS / "vmail", *arguments, stdin=stdin).stdout


def test_what_init_gave_to_the_mail_user_is_its_own_after_a_boot_too(
    machine: Machine, free_port: Callable[[], int]
) -> None:
    advice = vmail(machine, "init")
    assert "adduser --system --group" in advice
    machine.run("sh", "-c", advice[advice.index("adduser") :].split("&&")[0])
    assert "systemctl enable --now vmaild.service" in vmail(machine, "init")
    assert f'ExecStart="{COMMANDS}/vmail" serve\n' in machine.text("etc/systemd/system/vmaild.service")

    pop3, lmtp = free_port(), free_port()
    machine.edit(
        "etc/vmail/vmail.toml",
        (r"^# listen = \[\"\*:110\"\]", f'listen = ["127.0.0.9:{pop3}"]'),
        (r"^# listen = \[\"unix:/run/vmail/lmtp.sock\"\]", f'listen = ["127.0.0.9:{lmtp}"]'),
    )
    vmail(machine, "domain", "add", "va.toto.fr", "--address", "127.0.0.9")
    vmail(machine, "user", "add", "bob@va.toto.fr", "--password-stdin", stdin=f"{PASSWORD}\n")

    machine.run("umount", "/run")  # what a boot leaves of it
    machine.run("mount", "-t", "tmpfs", "-o", "mode=755", "none", "/run")
    machine.write("var/log/serve.log", "")
    machine.start("sh", "-c", f"exec {COMMANDS}/vmail serve >/var/log/serve.log 2>&1")
    for _ in moments("it does not serve"):
        if " serving " in machine.text("var/log/serve.log"):
            break

    with smtplib.LMTP("127.0.0.9", lmtp) as client:
        client.sendmail("carol@outside.example", "bob@va.toto.fr", "Subject: one\r\n\r\nHello.\r\n")
    machine.run(COMMANDS / "vdeliver", "bob@va.toto.fr", stdin="Subject: two\n\nHello.\n")
    reader = poplib.POP3("127.0.0.9", pop3)
    reader.user("bob")
    reader.pass_(PASSWORD)
    assert reader.stat()[0] == 2
    reader.quit()

    log = machine.text("var/log/serve.log")
    assert " WARNING " not in log, log
    assert " ERROR " not in log, log
    owners = machine.run("stat", "-c", "%U %A", "/run/vmail", "/run/vmail/unanswered").stdout
    assert owners == "vmail drwxr-xr-x\nvmail drwx------\n"
