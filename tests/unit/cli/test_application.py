"""Only the verb that is asked for is loaded, and nobody notices."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import typer.main
from tests.served import unmeasured
from typer.core import TyperGroup

from vmaild.cli.application import application, verb_of
from vmaild.cli.verbs import app


@pytest.mark.parametrize(
    ("words", "verb"),
    [
        ("user list", "user"),
        ("--root domain user list", "user"),
        ("--root=x check --all", "check"),
        ("--root", ""),
        ("--help", ""),
        ("", ""),
    ],
)
def test_the_verb_of_a_command_line(words: str, verb: str) -> None:
    assert verb_of(words.split()) == verb


def verbs(verb: str) -> set[str]:
    group = typer.main.get_command(application(verb))
    assert isinstance(group, TyperGroup)
    return set(group.commands)


def test_a_verb_is_there_alone_and_an_unknown_one_gets_all() -> None:
    everything = typer.main.get_command(app)
    assert isinstance(everything, TyperGroup)
    assert len(everything.commands) > 10
    for name in everything.commands:
        assert verbs(name) == {name}
    assert verbs("") == verbs("nothing") == set(everything.commands)


def test_what_other_verbs_need_is_not_loaded() -> None:
    script = (
        "import sys, json\n"
        "from vmaild.cli.application import application\n"
        "application('user')\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, env=unmeasured())
    loaded = set(json.loads(done.stdout))
    assert "vmaild.cli.users" in loaded
    assert loaded.isdisjoint({"vmaild.cli.check", "vmaild.cli.dns", "vmaild.servers.supervisor", "dns.resolver"})
