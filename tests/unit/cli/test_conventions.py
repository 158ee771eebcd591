"""What every verb keeps to: exit status, one line of error, --json, --dry-run, help."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from tests.served import unmeasured
from typer.core import TyperGroup
from typer.testing import CliRunner

from vmaild.cli.text import quota_in_words, safe, safe_lines, size_in_words
from vmaild.cli.verbs import app
from vmaild.store.layout import Layout

Vmail = Callable[..., Any]

CHANGES = [
    ("user", "add", "carol@va.toto.fr", "--no-password"),
    ("user", "set", "bob@va.toto.fr", "--quota", "1M", "--lock"),
    ("user", "passwd", "bob@va.toto.fr", "--password-stdin"),
    ("user", "remove", "bob@va.toto.fr"),
    ("user", "remove", "bob@va.toto.fr", "--delete-mail", "--yes"),
    ("alias", "add", "sales@va.toto.fr", "bob", "nobody"),
    ("alias", "set", "team@va.example", "bob"),
    ("alias", "remove", "team@va.toto.fr"),
    ("domain", "add", "vx.toto.fr", "--alias", "vx.example", "--fallback", "@va.toto.fr"),
    ("domain", "set", "va.toto.fr", "--fallback", "bob", "--alias", ""),
    ("domain", "remove", "va.toto.fr"),
    ("admin", "grant", "bob@va.toto.fr", "va.toto.fr"),
]
QUESTIONS = [
    ("user", "list", "va.example"),
    ("user", "show", "bob@va.toto.fr"),
    ("alias", "list", "va.example"),
    ("alias", "show", "team@va.toto.fr"),
    ("domain", "list"),
    ("domain", "show", "va.example"),
    ("admin", "list", "va.toto.fr"),
    ("user", "list"),
    ("alias", "list"),
    ("admin", "list"),
    ("explain", "team@va.example", "--offline"),
    ("check", "va.toto.fr", "--offline"),
    ("check", "--all", "--offline"),
]
REFUSALS = [
    (1, ("user", "show", "nobody@va.toto.fr")),
    (1, ("user", "add", "bob@va.toto.fr", "--no-password")),
    (1, ("user", "remove", "bob@va.toto.fr", "--delete-mail")),
    (1, ("domain", "add", "va.toto.fr")),
    (1, ("domain", "remove", "va.toto.fr", "--delete-mail")),
    (1, ("alias", "show", "nothing@va.toto.fr")),
    (1, ("admin", "revoke", "unix:carol", "va.toto.fr")),
    (1, ("check", "nowhere.example")),
    (2, ("user", "add", "carol@va.toto.fr")),
    (2, ("user", "add", "carol", "--no-password")),
    (2, ("user", "add", "a/b@va.toto.fr", "--no-password")),
    (2, ("user", "add", "carol@va.toto.fr", "--no-password", "--quota", "much")),
    (2, ("user", "set", "bob@va.toto.fr")),
    (2, ("user", "remove", "bob@va.toto.fr", "--keep-mail", "--delete-mail")),
    (2, ("user", "passwd", "bob@va.toto.fr", "--password-stdin")),
    (2, ("domain", "add", "../x")),
    (2, ("domain", "set", "va.toto.fr")),
    (2, ("domain", "set", "va.toto.fr", "--max-users", "many")),
    (2, ("domain", "set", "va.toto.fr", "--address", "localhost")),
    (2, ("alias", "add", "sales@va.toto.fr")),
    (2, ("check", "va.toto.fr", "--all")),
    (2, ("explain", "bob")),
    (2, ("explain",)),
    (2, ("usr", "add")),
    (2, ("user", "add", "--nonsense")),
]


def name(arguments: tuple[str, ...]) -> str:
    return " ".join(arguments)


def tree_hash(layout: Layout) -> str:
    """Of every path under the root with its content and its times, but locks."""
    digest = hashlib.sha256()
    for path in sorted(Path(layout.root).rglob("*")):
        if str(path).startswith(layout.run):
            continue
        state = path.lstat()
        digest.update(f"{path} {state.st_mode} {state.st_mtime_ns} {state.st_size}\n".encode())
        digest.update(path.read_bytes() if path.is_file() else b"")
    return digest.hexdigest()


@pytest.mark.parametrize("arguments", CHANGES, ids=name)
def test_a_dry_run_touches_nothing_and_routes_as_the_real_thing_then_does(
    vmail: Vmail, layout: Layout, arguments: tuple[str, ...]
) -> None:
    before = tree_hash(layout)
    text = vmail(*arguments, "--dry-run", stdin="new\n")
    planned = vmail(*arguments, "--dry-run", "--json", stdin="new\n")
    assert (text.status, planned.status) == (0, 0)
    assert tree_hash(layout) == before
    assert list(Path(layout.run).iterdir()) == []
    assert text.stdout.startswith("Would ")
    done = vmail(*arguments, "--json", stdin="new\n")
    assert done.status == 0
    assert tree_hash(layout) != before
    assert planned.document["dry_run"]
    assert not done.document["dry_run"]
    for key in ("changed", "summary", "rerouted", "warnings"):
        assert done.document[key] == planned.document[key]
    assert planned.document["changed"]
    assert [each["path"] for each in done.document["files"]] == [
        each["path"] for each in planned.document["files"]
    ]
    assert "$y$" not in planned.stdout + text.stdout + done.stdout


@pytest.mark.parametrize("arguments", CHANGES, ids=name)
def test_the_document_of_a_change_has_its_keys(vmail: Vmail, arguments: tuple[str, ...]) -> None:
    document = vmail(*arguments, "--dry-run", "--json", stdin="new\n").document
    assert set(document) == {"changed", "dry_run", "summary", "files", "mail", "rerouted", "warnings"}
    for file in document["files"]:
        assert set(file) == {"path", "diff", "moved_to"}
        assert file["path"] in file["diff"]
    for each in document["rerouted"]:
        assert set(each) == {"address", "before", "after"}
    domains = [each["address"].split("@")[1] for each in document["rerouted"]]
    assert domains == sorted(domains)


@pytest.mark.parametrize("arguments", QUESTIONS, ids=name)
def test_questions_are_answered_as_text_within_80_columns_and_as_one_document(
    vmail: Vmail, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text, answered = vmail(*arguments), vmail(*arguments, "--json")
    assert (text.status, answered.status) == (0, 0)
    assert text.stdout
    assert text.stderr == answered.stderr == ""
    assert isinstance(answered.document, dict)
    assert "\x1b" not in text.stdout
    tables = [line for line in text.stdout.splitlines() if "root/etc" not in line]
    assert max(map(len, tables), default=0) <= 80


def test_a_pipe_gets_each_row_in_one_line(vmail: Vmail, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that grep finds it, however long the names are."""
    monkeypatch.delenv("COLUMNS", raising=False)
    targets = [f"somebody.with.a.long.name.{number}@another.place.example" for number in range(9)]
    vmail("alias", "add", "many@va.toto.fr", *targets, "nobody.at.all.of.that.name.anywhere")
    (row,) = [line for line in vmail("alias", "list", "va.toto.fr").stdout.splitlines() if "many" in line]
    assert ", ".join(targets) in row
    lint = vmail("alias", "lint", "va.toto.fr").stdout.splitlines()
    assert "  target 'nobody.at.all.of.that.name.anywhere' of alias 'many' leads nowhere" in lint


@pytest.mark.parametrize(("status", "arguments"), REFUSALS, ids=str)
def test_errors_are_one_line_with_a_remedy_and_one_document(
    vmail: Vmail, layout: Layout, status: int, arguments: tuple[str, ...]
) -> None:
    before = tree_hash(layout)
    ran, answered = vmail(*arguments), vmail(*arguments, "--json")
    assert (ran.status, answered.status) == (status, status)
    assert re.fullmatch(r"vmail: [^\n]+; [^\n]+\n", ran.stderr)
    assert ran.stdout == ""
    assert answered.stderr == ran.stderr
    error = answered.document["error"]
    assert ran.stderr == f"vmail: {error['problem']}; {error['remedy']}\n"
    assert tree_hash(layout) == before


def test_without_a_root_there_is_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from vmaild.cli.main import main; main()", "domain", "list"]
    ran = subprocess.run(
        command, env={**os.environ, "VMAIL_ROOT": str(tmp_path)}, text=True, capture_output=True, check=False
    )
    assert (ran.returncode, ran.stdout) == (1, "")
    assert (
        ran.stderr == f"vmail: {tmp_path}/etc/vmail/domains does not exist; lay everything out with 'vmail init'\n"
    )


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_a_file_that_may_not_be_read_is_named(vmail: Vmail, layout: Layout) -> None:
    assert vmail("user", "list", "va.toto.fr").status == 0
    Path(layout.definitions).chmod(0o700)
    os.setresuid(65534, 65534, 0)
    try:
        ran = vmail("user", "list", "va.toto.fr")
    finally:
        os.setresuid(0, 0, 0)
    assert (ran.status, ran.stdout) == (1, "")
    assert ran.stderr == (
        f"vmail: {layout.definitions}: Permission denied; run it as root, or as a user who has access\n"
    )


def test_the_version_is_told_and_told_fast() -> None:
    program = "import sys; from vmaild.cli.main import main; sys.argv[1:] = ['--version']; main()"
    program += "; print(len(sys.modules))"
    # Coverage would import much at the very start.
    environment = unmeasured()
    command = [sys.executable, "-c", program]
    ran = subprocess.run(command, text=True, capture_output=True, check=True, env=environment)
    version, modules = ran.stdout.splitlines()
    assert re.fullmatch(r"vmail \d+\.\d+\.\d+", version)
    assert int(modules) < 100, "that much is not needed to tell a version"


def test_the_version_is_an_option_like_others(vmail: Vmail) -> None:
    assert vmail("--version").stdout.startswith("vmail ")


def verbs(group: TyperGroup, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for word, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from verbs(command, (*words, word))
        else:
            yield (*words, word)


def all_verbs() -> list[tuple[str, ...]]:
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    return list(verbs(group))


def test_the_verbs_of_the_contract_are_there() -> None:
    groups = {
        "domain": "add set show list remove",
        "user": "add set show list remove passwd",
        "alias": "add set show list remove",
        "admin": "grant revoke list",
    }
    expected = {(group, verb) for group, verbs in groups.items() for verb in verbs.split()}
    assert set(all_verbs()) >= expected | {("init",), ("serve",), ("explain",), ("check",)}


@pytest.mark.parametrize("words", all_verbs(), ids=name)
def test_every_verb_explains_itself_with_an_example(vmail: Vmail, words: tuple[str, ...]) -> None:
    ran = vmail(*words, "--help")
    assert ran.status == 0
    assert f"Usage: vmail {' '.join(words)} [OPTIONS]" in ran.stdout
    assert "Examples:\n" in ran.stdout
    assert any(f"vmail {' '.join(words)}" in line or "--root demo" in line for line in ran.stdout.splitlines()[3:])
    assert max(map(len, ran.stdout.splitlines())) <= 80
    assert ("--json" in ran.stdout) or words == ("serve",)
    changes = words[-1] in {"add", "set", "remove", "passwd", "grant", "revoke", "init", "install", "tables"}
    changes = changes or words[-1] in {"vacation", "forward", "apply", "second-factor", "import"}
    changes = changes or words in {
        ("check",),
        ("dns", "export"),
        ("dns", "update"),
        ("backup", "make"),
        ("backup", "restore"),
    }
    assert ("--dry-run" in ran.stdout) is changes


@pytest.mark.parametrize("words", [("user",), ("domain",), ("alias",), ("admin",), ("check",)], ids=name)
def test_without_arguments_groups_and_check_explain_themselves(vmail: Vmail, words: tuple[str, ...]) -> None:
    ran = vmail(*words)
    assert ran.status == 2, "a script whose variable is empty must not take that for success"
    assert ran.stdout.startswith("Usage: vmail")
    assert ran.stderr == ""


def test_vmail_alone_lists_its_verbs() -> None:
    result = CliRunner(env={"VMAIL_ROOT": ""}).invoke(app, [], prog_name="vmail")
    assert result.exit_code == 2
    assert result.stdout.startswith("Usage: vmail [OPTIONS] COMMAND")


def test_help_is_one_line_for_each_verb(vmail: Vmail) -> None:
    for words in ((), ("user",), ("domain",), ("alias",), ("admin",)):
        section = vmail(*words, "-h").stdout.partition("Commands:\n")[2].partition("\n\n")[0]
        assert "..." not in section
        assert all(line.endswith(".") for line in section.splitlines() if line.strip())


def test_colours_are_for_terminals_that_want_them(vmail: Vmail, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b" not in vmail("check", "va.toto.fr", "--offline").stdout
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[32m" in vmail("check", "va.toto.fr", "--offline").stdout
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[32m" not in vmail("check", "va.toto.fr", "--offline").stdout


def test_a_reader_that_has_seen_enough_gets_no_complaint(layout: Layout) -> None:
    Path(layout.passwd("va.toto.fr")).write_text("".join(f"u{number}:x:1:1::/h:/s\n" for number in range(3000)))
    command = [sys.executable, "-c", "from vmaild.cli.main import main; main()", "--root", layout.root]
    for option in ([], ["--json"]):
        with subprocess.Popen(
            [*command, "user", "list", "va.toto.fr", *option], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.readline()
            process.stdout.close()
            assert process.stderr.read() == b""


def test_letters_that_a_locale_lacks_are_escaped(layout: Layout) -> None:
    Path(layout.passwd("va.toto.fr")).write_text("bob:x:1:1:Zoë:/h:/s\n", encoding="utf-8")
    command = [sys.executable, "-c", "from vmaild.cli.main import main; main()", "--root", layout.root]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    for verb in (["user", "list", "va.toto.fr"], ["user", "show", "bob@va.toto.fr"]):
        ran = subprocess.run([*command, *verb], env=environment, text=True, capture_output=True, check=True)
        assert "Zo\\xeb" in ran.stdout


def test_nothing_that_files_contain_reaches_the_terminal_raw(vmail: Vmail, layout: Layout) -> None:
    Path(layout.passwd("va.toto.fr")).write_bytes(b"bob:x:1:1:\x1b[31mBob\x07 \xe9:/h:/s\nev\x1bil:x:1:1::/h:/s\n")
    for arguments in (
        ("user", "list", "va.toto.fr"),
        ("user", "show", "bob@va.toto.fr"),
        ("check", "va.toto.fr", "--offline"),
    ):
        assert "\x1b" not in vmail(*arguments).stdout
    planned = vmail("user", "set", "bob@va.toto.fr", "--full-name", "Bob", "--dry-run")
    assert "\x1b" not in planned.stdout
    assert "\\x1b[31mBob" in planned.stdout
    json.loads(vmail("user", "list", "va.toto.fr", "--json").stdout)


def test_logs_of_the_rooms_below_do_not_spill_onto_the_terminal(layout: Layout) -> None:
    Path(layout.passwd("va.toto.fr")).write_text("nonsense\nbob:x:1:1::/h:/s\n")
    command = [sys.executable, "-c", "from vmaild.cli.main import main; main()", "--root", layout.root]
    ran = subprocess.run([*command, "user", "list", "va.toto.fr"], text=True, capture_output=True, check=True)
    assert ran.stderr == ""


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1 kB"),
        (1536, "1.5 kB"),
        (100 << 20, "100 MB"),
        (5 << 43, "40 TB"),
    ],
)
def test_sizes_in_words(size: int, words: str) -> None:
    assert size_in_words(size) == words
    assert quota_in_words(size) == (words if size else "none")


def test_safe_text() -> None:
    assert safe("Zoë") == "Zoë"
    assert safe("a\x1b[0m\n\udce9") == "a\\x1b[0m\\n\\xe9"
    assert safe_lines("a\tb\nc\x07") == "a       b\nc\\x07"
