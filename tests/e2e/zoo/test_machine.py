"""What ails the machine, built for real: full file systems, wrong owners, a wrong clock, dead sockets, MTAs."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e import mtas
from tests.e2e.machine import Machine
from tests.served import COMMANDS, Root, Served, moments, run

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="namespaces want root")

Findings = dict[str, dict[str, Any]]
"""By code."""


def found(text: str) -> Findings:
    return {each["code"]: each for each in json.loads(text)["findings"]}


def checked(root: Root, before: str = "true") -> Findings:
    """What the check says in a mount namespace of its own, after a command."""
    command = f"mount --make-rprivate / && {before} && exec {COMMANDS}/vmail --root {root.path} check --all --json"
    done = run("unshare", "--mount", "sh", "-c", command)
    assert done.returncode in (0, 1), done.stderr
    return found(done.stdout)


def test_a_served_demo_has_no_finding(served: Served) -> None:
    assert checked(served.root) == {}


@pytest.mark.parametrize(
    ("options", "fill", "code", "remedy"),
    [
        ("size=2m", "cat /dev/zero >{}/x || true", "disk.full", "--quota"),
        ("size=10m", "head -c 10000000 /dev/zero >{}/x", "disk.low", "--quota"),
        ("nr_inodes=120", "touch $(seq -f {}/%g 119) || true", "inodes.full", "mkfs"),
        ("nr_inodes=120", "touch $(seq -f {}/%g 116)", "inodes.low", "mkfs"),
    ],
)
def test_a_full_spool(root: Root, options: str, fill: str, code: str, remedy: str) -> None:
    spool = root.path / "var/spool/vmail"
    finding = checked(root, f"mount -t tmpfs -o {options} none {spool} && {fill.format(spool)}")[code]
    assert remedy in finding["remedy"]
    assert str(spool) in finding["problem"]


def test_sockets_that_nobody_serves(root: Root) -> None:
    about = checked(root)
    for code in ("lmtp.dead", "socketmap.dead"):
        assert "vmail serve" in about[code]["remedy"]


def test_a_clock_that_is_behind(root: Root) -> None:
    ahead = time.time() + 3 * 86400 + 60
    os.utime(root.etc / "vmail.toml", (ahead, ahead))
    finding = checked(root)["clock.behind"]
    assert "3 days" in finding["problem"]
    assert "timedatectl" in finding["remedy"]


def test_a_spool_that_belongs_to_somebody_else(root: Root) -> None:
    site = root.etc / "vmail.toml"
    site.write_text(site.read_text().replace("[site]", '[site]\nuser = "nobody"'))
    for path in (root.path / "var/spool/vmail", *(root.path / "var/spool/vmail").iterdir()):
        os.chown(path, 65534, 65534)
    assert "spool.owner" not in checked(root)
    os.chown(root.path / "var/spool/vmail/va.toto.fr", 0, 0)
    finding = checked(root)["spool.owner"]
    assert finding["remedy"] == f"chown -R nobody {root.path}/var/spool/vmail/va.toto.fr"


# -- the MTA


@pytest.fixture
def postfix(root: Root, free_port: Callable[[], int]) -> Iterator[mtas.Mail]:
    """A Postfix that was never told of vmaild, and a site that names it."""
    machine = Machine("postfix", root.path.with_name("m"), root.path)
    try:
        mail = mtas.postfix(machine, free_port(), 1)
        site = root.etc / "vmail.toml"
        text = site.read_text().replace("demo = true", 'mta_group = "postfix"')
        site.write_text(text.replace("[delivery]", f'[delivery]\nrelay = "smtp://127.0.0.1:{mail.port}"'))
        yield mail
    finally:
        print(machine.text("var/log/mail.log"))
        machine.stop()


def asked(mail: mtas.Mail) -> Findings:
    """What is said of the MTA; DNS is out of reach."""
    done = mail.machine.vmail("check", "va.toto.fr", "--resolver", "127.0.0.1:9", "--json", check=False)
    assert done.returncode in (0, 1), done.stderr
    return {code: each for code, each in found(done.stdout).items() if code.startswith("mta.")}


def reconfigured(mail: mtas.Mail, *settings: str) -> Findings:
    """The same, with other settings."""
    mail.machine.run("postconf", "-e", *settings)
    mail.machine.run("postfix", "reload")
    time.sleep(1)  # until then old processes may answer
    return asked(mail)


@pytest.mark.timeout(300)
def test_an_mta_that_is_set_up_wrongly(postfix: mtas.Mail, root: Root, tmp_path: Path) -> None:
    silent = asked(postfix)["mta.silent"]
    assert "start the MTA" in silent["remedy"]
    postfix.start()
    for _ in moments("Postfix does not answer"):
        if run("swaks", "--server", f"127.0.0.1:{postfix.port}", "--quit-after", "EHLO").returncode == 0:
            break
    about = asked(postfix)
    assert set(about) == {"mta.accepts_unknown"}, "it would relay anything for this machine"
    assert "knows nothing of" in about["mta.accepts_unknown"]["problem"]

    about = reconfigured(postfix, "mynetworks=192.0.2.1/32")
    assert set(about) == {"mta.unknown_domain"}
    assert "vmail mta install" in about["mta.unknown_domain"]["remedy"]

    about = reconfigured(postfix, "mydestination=main.example, va.toto.fr, va.example", "local_recipient_maps=")
    assert {"mta.accepts_unknown", "mta.main_domain"} <= set(about)
    assert about["mta.main_domain"]["remedy"].endswith("out of mydestination")

    about = reconfigured(
        postfix, "mydestination=main.example", "mynetworks=0.0.0.0/0", "masquerade_domains=toto.fr"
    )
    assert "mynetworks_style" in about["mta.relays"]["remedy"]
    assert "masquerade_domains = !va.toto.fr toto.fr" in about["mta.rewrites"]["remedy"]

    postfix.machine.vmail("mta", "install", "postfix")
    mended = ("mynetworks=127.0.0.1/32", "masquerade_domains=!va.toto.fr toto.fr")
    assert set(reconfigured(postfix, *mended)) == {"mta.waits"}
    postfix.machine.serve(root)
    assert reconfigured(postfix, *mended) == {}
