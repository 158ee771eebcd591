"""What `vmail check --fix` and `vmail address` print; what they do with networks is tested in namespaces."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vmaild.store.layout import Layout

Vmail = Callable[..., Any]


def mode(path: str) -> int:
    return Path(path).stat().st_mode & 0o777


def test_a_fix_is_shown_then_done_and_checked_again(vmail: Vmail, layout: Layout) -> None:
    shadow = layout.shadow("va.toto.fr")
    Path(shadow).chmod(0o666)
    before = vmail("check", "va.toto.fr", "--offline").stdout
    assert shadow in before.replace("\n", "")
    shown = vmail("check", "va.toto.fr", "--fix", "--dry-run")
    assert shadow in shown.stdout.replace("\n", "")
    assert mode(shadow) == 0o666
    document = json.loads(vmail("check", "va.toto.fr", "--fix", "--dry-run", "--json").stdout)
    problems = [each["problem"] for each in document["mended"]]
    assert "" in problems
    assert all("named.conf is not there" in problem for problem in problems if problem)
    assert mode(shadow) == 0o666
    vmail("check", "va.toto.fr", "--fix")
    assert mode(shadow) & 0o006 == 0
    assert shadow not in vmail("check", "va.toto.fr", "--offline").stdout.replace("\n", "")


def test_addresses_are_listed_and_those_on_loopback_are_up(vmail: Vmail) -> None:
    assert "no service addresses" in vmail("address", "show").stdout
    assert vmail("domain", "set", "va.toto.fr", "--address", "127.0.0.2").status == 0
    assert vmail("domain", "add", "vx.toto.fr", "--address", "127.0.0.3").status == 0
    shown = vmail("address", "show")
    assert shown.status == 0
    assert "127.0.0.2" in shown.stdout
    document = json.loads(vmail("address", "show", "va.toto.fr", "--json").stdout)
    assert "127.0.0.2" in json.dumps(document)
    assert "127.0.0.3" not in json.dumps(document)
    applied = vmail("address", "apply", "--dry-run")
    assert applied.status == 0
    assert vmail("address", "apply", "nowhere.example").status == 1
