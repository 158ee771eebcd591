from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import vmaild
from vmaild.address import fold, parse_address
from vmaild.core import routing
from vmaild.core.directory import LookupFailed
from vmaild.formats.passwd import parse_passwd
from vmaild.formats.shadow import parse_shadow
from vmaild.store import definitions as definitions_module
from vmaild.store import directory as directory_module
from vmaild.store import files as files_module
from vmaild.store import lines
from vmaild.store.directory import FileDirectory, canonical_address
from vmaild.store.files import Files
from vmaild.store.layout import Layout, layout

Write = Callable[..., Path]


@pytest.fixture
def here(tmp_path: Path) -> Layout:
    where = Layout(str(tmp_path))
    for folder in (where.definitions, where.last_good, where.spool):
        os.makedirs(folder)
    return where


@pytest.fixture
def write(here: Layout) -> Write:
    """Write a file of the configuration: `write("passwd.va.toto.fr", "bob:...")`."""

    def write(name: str, *lines: str) -> Path:
        path = Path(here.configuration, name)
        path.write_text("".join(f"{line}\n" for line in lines))
        return path

    return write


@pytest.fixture
def va(write: Write) -> None:
    write("domains/va.toto.fr.toml", 'addresses = ["127.0.0.2"]', 'aliases = ["va.example"]')
    write("passwd.va.toto.fr", "bob:x:1:1:Bob Who:/vhome/va.toto.fr/bob:/bin/false", "Alice:x:1:1::/:")
    write("shadow.va.toto.fr", "bob:$6$salt$bob:19000:0:99999:7:::", "Alice:!$6$salt$alice:19000:0:99999:7:::")
    write("aliases.va.toto.fr", "staff: bob, alice")


def targets(directory: FileDirectory, recipient: str) -> list[str]:
    decided = routing.route(directory, parse_address(recipient))
    assert isinstance(decided, routing.Accepted), decided
    return [str(target) for target in decided.targets]


def rejected(directory: FileDirectory, recipient: str) -> bool:
    return isinstance(routing.route(directory, parse_address(recipient)), routing.Rejected)


@pytest.mark.usefixtures("va")
def test_a_domain_is_made_of_its_four_files(here: Layout) -> None:
    directory = FileDirectory(here)
    assert targets(directory, "staff@va.toto.fr") == ["mailbox bob@va.toto.fr", "mailbox Alice@va.toto.fr"]
    assert targets(directory, "BOB@va.example") == ["mailbox bob@va.toto.fr"]
    assert directory.names() == ["va.toto.fr"]
    assert directory.domain_at("127.0.0.2") == "va.toto.fr"
    assert directory.domain_at("127.0.0.3") is None
    entry = directory.password_of("va.toto.fr", "BOB")
    assert entry is not None
    assert entry.password == "$6$salt$bob"
    assert directory.password_of("va.toto.fr", "nobody") is None
    assert directory.any_password("va.toto.fr") == "$6$salt$bob"
    assert directory.findings("va.toto.fr") == ()


def test_an_empty_definition_is_a_domain_without_users(here: Layout, write: Write) -> None:
    write("domains/vb.toto.fr.toml")
    directory = FileDirectory(here)
    assert rejected(directory, "bob@vb.toto.fr")
    assert directory.findings("vb.toto.fr") == ()
    assert directory.any_password("vb.toto.fr") == ""


def test_a_domain_may_be_named_in_any_spelling(here: Layout, write: Write) -> None:
    write("domains/Bücher.Example.toml")
    write("passwd.Bücher.Example", "bob:x:1:1:::")
    directory = FileDirectory(here)
    assert directory.names() == ["xn--bcher-kva.example"]
    assert targets(directory, "bob@BÜCHER.example") == ["mailbox bob@xn--bcher-kva.example"]


@pytest.mark.usefixtures("va")
def test_hand_edits_are_in_force_at_the_next_look_up(here: Layout, write: Write) -> None:
    directory = FileDirectory(here)
    assert rejected(directory, "carol@va.toto.fr")
    write("passwd.va.toto.fr", "carol:x:1:1:::")
    assert targets(directory, "carol@va.toto.fr") == ["mailbox carol@va.toto.fr"]
    assert rejected(directory, "bob@va.toto.fr")
    for login in ("one", "two", "six"):  # the same size within the same tick of the clock
        write("aliases.va.toto.fr", f"{login}: carol")
        assert targets(directory, f"{login}@va.toto.fr") == ["mailbox carol@va.toto.fr"]
    write("domains/va.toto.fr.toml", 'fallback = "carol"')
    assert targets(directory, "any@va.toto.fr") == ["mailbox carol@va.toto.fr"]
    write("shadow.va.toto.fr", "carol:$6$x$y:1:0:99999:7:::")
    entry = directory.password_of("va.toto.fr", "carol")
    assert entry is not None
    assert entry.password == "$6$x$y"


@pytest.mark.usefixtures("va")
def test_an_address_and_an_alias_added_in_place_are_seen_within_a_second(here: Layout, write: Write) -> None:
    directory = FileDirectory(here)
    assert directory.domain_at("127.0.0.9") is None
    write("domains/va.toto.fr.toml", 'addresses = ["127.0.0.9"]', 'aliases = ["new.example"]')
    deadline = time.monotonic() + 5
    while directory.domain_at("127.0.0.9") is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert directory.domain_at("127.0.0.9") == "va.toto.fr"
    assert targets(directory, "bob@new.example") == ["mailbox bob@va.toto.fr"]
    assert directory.find("va.example") is None


@pytest.mark.usefixtures("va")
def test_a_new_definition_is_seen_at_once(here: Layout, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = FileDirectory(here)
    directory.names()
    write("domains/vb.toto.fr.toml", 'addresses = ["127.0.0.3"]', 'aliases = ["vb.example"]')
    assert directory.domain_at("127.0.0.3") == "vb.toto.fr"
    assert directory.find("vb.example") is not None
    os.unlink(here.definition("vb.toto.fr"))
    assert directory.names() == ["va.toto.fr"]
    monkeypatch.setattr(definitions_module, "VANISH_AFTER", 0.0)
    assert directory.find("vb.toto.fr") is None
    assert directory.names() == ["va.toto.fr"]


@pytest.mark.usefixtures("va")
def test_a_damaged_definition_keeps_the_last_good_one(here: Layout, write: Write) -> None:
    directory = FileDirectory(here)
    assert targets(directory, "bob@va.example") == ["mailbox bob@va.toto.fr"]
    write("domains/va.toto.fr.toml", 'aliases = ["va.exa')
    assert targets(directory, "bob@va.example") == ["mailbox bob@va.toto.fr"]
    assert directory.domain_at("127.0.0.2") == "va.toto.fr"
    # A process that never saw the good one takes the copy.
    restarted = FileDirectory(here)
    assert targets(restarted, "bob@va.example") == ["mailbox bob@va.toto.fr"]
    (finding,) = restarted.findings("va.toto.fr")
    assert finding.line == 1


def test_a_definition_that_was_never_good_defers_its_domain_alone(here: Layout, write: Write) -> None:
    write("domains/bad.example.toml", "fallback = ")
    write("domains/good.example.toml")
    write("passwd.good.example", "bob:x:1:1:::")
    directory = FileDirectory(here)
    decided = routing.route(directory, parse_address("bob@bad.example"))
    assert isinstance(decided, routing.Undecided)
    assert targets(directory, "bob@good.example") == ["mailbox bob@good.example"]
    assert directory.findings("bad.example")
    assert directory.names() == ["bad.example", "good.example"]


@pytest.mark.usefixtures("va")
def test_a_damaged_line_costs_that_line(here: Layout, write: Write) -> None:
    write("passwd.va.toto.fr", "bob:x:1:1:::", "broken line", "carol:x:1:1:::")
    directory = FileDirectory(here)
    assert targets(directory, "carol@va.toto.fr") == ["mailbox carol@va.toto.fr"]
    assert [finding.line for finding in directory.findings("va.toto.fr")] == [2]


@pytest.mark.usefixtures("va")
def test_what_cannot_be_read_defers_or_keeps_what_was_read_last(here: Layout) -> None:
    running = FileDirectory(here)
    assert targets(running, "bob@va.toto.fr")
    os.unlink(here.passwd("va.toto.fr"))
    os.mkdir(here.passwd("va.toto.fr"))  # what even root cannot read as a file
    assert targets(running, "bob@va.toto.fr") == ["mailbox bob@va.toto.fr"]
    fresh = FileDirectory(here)
    with pytest.raises(LookupFailed, match=r"passwd\.va\.toto\.fr"):
        fresh.find("va.toto.fr")
    assert any("passwd.va.toto.fr" in finding.path for finding in fresh.findings("va.toto.fr"))


@pytest.mark.usefixtures("va")
def test_a_file_that_vanishes_for_a_moment_makes_nobody_unknown(
    here: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = FileDirectory(here)
    assert targets(directory, "bob@va.toto.fr")
    os.rename(here.passwd("va.toto.fr"), here.passwd("va.toto.fr") + "~")
    assert targets(directory, "bob@va.toto.fr") == ["mailbox bob@va.toto.fr"]
    monkeypatch.setattr(definitions_module, "VANISH_AFTER", 0.0)
    assert rejected(directory, "bob@va.toto.fr")
    os.rename(here.passwd("va.toto.fr") + "~", here.passwd("va.toto.fr"))
    assert targets(directory, "bob@va.toto.fr") == ["mailbox bob@va.toto.fr"]


@pytest.mark.usefixtures("va")
def test_a_file_that_vanished_long_before_it_was_looked_for_is_gone(
    here: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = FileDirectory(here)
    assert targets(directory, "bob@va.toto.fr")
    os.unlink(here.passwd("va.toto.fr"))
    later = SimpleNamespace(time=lambda: time.time() + 3, time_ns=time.time_ns)
    monkeypatch.setattr(files_module, "time", later)
    assert rejected(directory, "bob@va.toto.fr")


@pytest.mark.usefixtures("va")
@pytest.mark.parametrize("asked_for", ["bob@va.toto.fr", "bob@va.example", ""])
def test_a_definition_that_vanishes_for_a_moment_makes_no_domain_unknown(
    here: Layout, monkeypatch: pytest.MonkeyPatch, asked_for: str
) -> None:
    """What an editor does that keeps a copy: the old one is moved away, then the new one is written."""
    directory = FileDirectory(here)
    assert directory.names() == ["va.toto.fr"]
    if asked_for:
        assert targets(directory, asked_for)
    path = here.definition("va.toto.fr")
    os.rename(path, f"{path}~")
    for _ in range(2):
        for recipient in ("bob@va.toto.fr", "bob@va.example"):
            assert isinstance(routing.route(directory, parse_address(recipient)), routing.Undecided)
        assert isinstance(routing.route(directory, parse_address("bob@elsewhere.example")), routing.NotLocal)
        assert directory.names() == []  # which looks at all of them
    os.rename(f"{path}~", path)
    assert targets(directory, "bob@va.toto.fr") == ["mailbox bob@va.toto.fr"]
    os.unlink(path)
    monkeypatch.setattr(definitions_module, "VANISH_AFTER", 0.0)
    assert isinstance(routing.route(directory, parse_address("bob@va.toto.fr")), routing.NotLocal)
    assert directory.names() == []


@pytest.mark.usefixtures("va")
def test_a_domain_that_is_removed_is_unknown_at_once(here: Layout) -> None:
    """The copy of its definition goes with it."""
    directory = FileDirectory(here)
    assert targets(directory, "bob@va.example")
    os.unlink(here.definition("va.toto.fr"))
    os.unlink(f"{here.last_good}/va.toto.fr.toml")
    for recipient in ("bob@va.toto.fr", "bob@va.example"):
        assert isinstance(routing.route(directory, parse_address(recipient)), routing.NotLocal)


def test_what_two_domains_claim_belongs_to_neither(here: Layout, write: Write) -> None:
    for name in ("va.toto.fr", "vb.toto.fr"):
        write(f"domains/{name}.toml", 'addresses = ["127.0.0.2"]', 'aliases = ["both.example"]')
    directory = FileDirectory(here)
    assert directory.domain_at("127.0.0.2") is None
    with pytest.raises(LookupFailed, match=r"claimed by va\.toto\.fr and vb\.toto\.fr"):
        directory.find("both.example")
    assert [finding.problem for finding in directory.findings("vb.toto.fr")] == [
        "domain alias 'both.example' belongs to va.toto.fr too",
        "service address 127.0.0.2 belongs to va.toto.fr too",
    ]


def test_a_domains_own_name_comes_before_an_alias_of_that_name(here: Layout, write: Write) -> None:
    write("domains/va.toto.fr.toml", 'aliases = ["vb.toto.fr"]')
    write("domains/vb.toto.fr.toml")
    directory = FileDirectory(here)
    found = directory.find("vb.toto.fr")
    assert found is not None
    assert found.name == "vb.toto.fr"
    assert len(directory.findings("va.toto.fr")) == 1


@pytest.mark.usefixtures("va")
def test_extra_alias_files_and_lists_are_under_the_root_too(here: Layout, write: Write) -> None:
    write("domains/va.toto.fr.toml", 'alias_files = ["/etc/vmail/extra", "/etc/vmail/gone"]')
    write("extra", "everyone: :include:/etc/vmail/list", "staff: nobody")
    listed = write("list", "bob", "joe@example.org")
    directory = FileDirectory(here)
    assert targets(directory, "everyone@va.toto.fr") == ["mailbox bob@va.toto.fr", "resend to joe@example.org"]
    assert len(targets(directory, "staff@va.toto.fr")) == 2
    (finding,) = directory.findings("va.toto.fr")
    assert finding.path.endswith("/etc/vmail/gone")
    listed.write_text("alice\n")
    assert targets(directory, "everyone@va.toto.fr") == ["mailbox Alice@va.toto.fr"]


@pytest.mark.parametrize("mode", [0o640, 0o600, 0o646, 0o602])
def test_only_a_file_that_nobody_else_may_write_runs_commands(here: Layout, write: Write, mode: int) -> None:
    write("domains/va.toto.fr.toml")
    aliases = write("aliases.va.toto.fr", "robot: |/bin/true")
    aliases.chmod(mode)
    decided = routing.route(FileDirectory(here), parse_address("robot@va.toto.fr"))
    assert isinstance(decided, routing.Undecided if mode & 0o002 else routing.Accepted)


def test_with_a_co_administrator_only_extra_files_run_commands(here: Layout, write: Write) -> None:
    write("domains/va.toto.fr.toml", 'admins = ["unix:alice"]', 'alias_files = ["/etc/vmail/extra"]')
    write("aliases.va.toto.fr", "robot: |/bin/true")
    write("extra", "machine: |/bin/true")
    directory = FileDirectory(here)
    assert isinstance(routing.route(directory, parse_address("robot@va.toto.fr")), routing.Undecided)
    assert targets(directory, "machine@va.toto.fr") == ["command |/bin/true"]


@pytest.mark.usefixtures("va")
def test_a_vacation_text_is_noticed(here: Layout) -> None:
    directory = FileDirectory(here)
    home = here.home("va.toto.fr", "bob")
    os.makedirs(home)
    assert len(targets(directory, "bob@va.toto.fr")) == 1
    Path(home, "vacation").write_text("away\n")
    assert targets(directory, "bob@va.toto.fr") == [
        "mailbox bob@va.toto.fr",
        "automatic reply of bob@va.toto.fr",
    ]


@pytest.mark.usefixtures("va")
def test_full_names_match_where_asked(here: Layout, write: Write) -> None:
    write("domains/va.toto.fr.toml", "match_full_name = true")
    assert targets(FileDirectory(here), "bob.who@va.toto.fr") == ["mailbox bob@va.toto.fr"]


@pytest.mark.usefixtures("va")
def test_an_overlay_shows_what_would_be(here: Layout) -> None:
    overlay = {
        here.passwd("va.toto.fr"): b"carol:x:1:1:::\n",
        here.definition("vb.toto.fr"): b'aliases = ["vb.example"]\n',
        here.aliases("va.toto.fr"): None,
    }
    would_be = FileDirectory(here, files=Files(overlay))
    assert targets(would_be, "carol@va.toto.fr") == ["mailbox carol@va.toto.fr"]
    assert rejected(would_be, "staff@va.toto.fr")
    assert would_be.find("vb.example") is not None
    assert would_be.names() == ["va.toto.fr", "vb.toto.fr"]
    without = FileDirectory(here, files=Files({here.definition("va.toto.fr"): None}))
    assert without.find("va.toto.fr") is None
    assert without.names() == []
    assert FileDirectory(here).find("vb.toto.fr") is None


def many(write: Write, number: int) -> None:
    for count in range(number):
        write(
            f"domains/d{count}.example.toml", f'aliases = ["a{count}.example"]', f'addresses = ["127.1.1.{count}"]'
        )


def test_of_many_definitions_an_index_is_kept_which_the_files_outrank(here: Layout, write: Write) -> None:
    many(write, 120)
    time.sleep(0.06)  # until the files have settled
    assert FileDirectory(here).domain_at("127.1.1.7") == "d7.example"
    index = Path(here.state, "definitions.json")
    # That it is used shows where it is wrong: only there.
    index.write_text(index.read_text().replace('127.1.1.7"', '127.2.2.7"').replace("a8.example", "x8.example"))
    directory = FileDirectory(here)
    assert directory.domain_at("127.2.2.7") == "d7.example"
    assert directory.find("x8.example") is None
    write("domains/d7.example.toml", 'addresses = ["127.3.3.7"]', "broken")
    write("domains/d9.example.toml", 'addresses = ["127.3.3.9"]')
    changed = FileDirectory(here)
    assert changed.domain_at("127.3.3.9") == "d9.example"
    assert changed.domain_at("127.1.1.9") is None
    assert changed.domain_at("127.1.1.7") == "d7.example", "the last good definition is in force"
    assert changed.domain_at("127.1.1.99") == "d99.example"


@pytest.mark.parametrize("damage", ["", "[]", '{"version": 1', '{"version": "VERSION", "seen": 1, "claims": []}'])
def test_a_damaged_index_is_made_anew(here: Layout, write: Write, damage: str) -> None:
    many(write, 120)
    time.sleep(0.06)
    index = Path(here.state, "definitions.json")
    index.write_text(damage.replace("VERSION", vmaild.__version__))
    assert FileDirectory(here).domain_at("127.1.1.7") == "d7.example"
    assert "127.1.1.7" in index.read_text()


def test_a_few_definitions_need_no_index_and_a_reader_writes_none(here: Layout, write: Write) -> None:
    many(write, 20)
    assert len(FileDirectory(here).names()) == 20
    many(write, 120)
    assert len(FileDirectory(here, keep_copies=False).names()) == 120
    assert not Path(here.state, "definitions.json").exists()


def test_very_many_definitions_are_looked_at_a_few_at_a_time(
    here: Layout, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    many(write, 200)
    directory = FileDirectory(here)
    assert directory.domain_at("127.1.1.7") == "d7.example"
    monkeypatch.setattr(definitions_module, "_BURST", 0.0001)
    time.sleep(0.06)
    write("domains/new.example.toml", 'addresses = ["127.4.4.4"]')
    assert directory.find("new.example") is not None, "its own name is known at once"
    looks = 1
    while directory.domain_at("127.4.4.4") is None and looks < 1000:
        looks += 1
        time.sleep(0.01)
    assert 1 < looks < 1000
    write("domains/newer.example.toml")
    assert len(directory.names()) == 202, "who asks for all gets all"


def test_domains_that_are_not_asked_for_are_let_go(
    here: Layout, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory_module, "CACHED_ENTRIES", 50)
    many(write, 10)
    for count in range(10):
        write(f"passwd.d{count}.example", "bob:x:1:1:::")
        write(f"shadow.d{count}.example", f"bob:$6$salt${count}:1:0:99999:7:::")
    time.sleep(0.06)
    directory = FileDirectory(here)
    for _ in range(2):
        for count in range(10):
            assert targets(directory, f"bob@d{count}.example") == [f"mailbox bob@d{count}.example"]
            entry = directory.password_of(f"d{count}.example", "bob")
            assert entry is not None
            assert entry.password == f"$6$salt${count}"
    first, last = directory.find("d0.example"), directory.find("d9.example")
    for count in range(1, 4):
        directory.find(f"d{count}.example")
        assert directory.find("d9.example") is last
    assert directory.find("d0.example") is not first


LOGINS = st.sampled_from(["bob", "Bob", "alice", "a.b-c_d", "-x", "é", ""])
PASSWD_LINES = st.one_of(
    st.builds("{}:x:1:{}:{}:/home:/bin/sh".format, LOGINS, st.sampled_from(["1", "-1"]), st.sampled_from(
        ["", "Bob Who", "A & B", "Bob,,,,quota=10M", "Bob,,,,quota=9999999T", "é", "a:b"]
    )),
    st.sampled_from(["", " ", "# comment", " # comment", "\r", "bob:x:1:1:::\r", "+::::::", "bob"]),
)  # fmt: skip
SHADOW_LINES = st.one_of(
    st.builds("{}:{}:{}:0:99999:7::{}:".format, LOGINS, st.sampled_from(
        ["$6$salt$hash", "!", "*", "!$6$salt$hash", "", "secret", "$6$a:b", "é"]
    ), st.sampled_from(["", "19000", "-1", "x"]), st.sampled_from(["", "20000", "x"])),
    st.sampled_from(["", " ", "# comment", "bob:$6$x$y:1", "bob:$6$x$y:1:::::::\r", "+bob::::::::"]),
)  # fmt: skip


@given(st.lists(PASSWD_LINES, max_size=5).map("\n".join), st.lists(SHADOW_LINES, max_size=5).map("\n".join))
def test_lines_are_read_as_the_parsers_read_them(
    tmp_path_factory: pytest.TempPathFactory, passwd: str, shadow: str
) -> None:
    where = Layout(str(tmp_path_factory.mktemp("root")))
    os.makedirs(where.definitions)
    Path(where.definition("va.toto.fr")).touch()
    Path(where.passwd("va.toto.fr")).write_bytes(passwd.encode())
    Path(where.shadow("va.toto.fr")).write_bytes(shadow.encode())
    directory = FileDirectory(where)
    domain = directory.find("va.toto.fr")
    assert domain is not None
    accounts = parse_passwd(passwd, where.passwd("va.toto.fr"))
    assert dict(domain.accounts) == {fold(account.login): account for account in accounts.entries}
    passwords = parse_shadow(shadow, where.shadow("va.toto.fr"))
    for entry in passwords.entries:
        assert directory.password_of("va.toto.fr", entry.login) == entry
    assert directory.findings("va.toto.fr") == (*accounts.findings, *passwords.findings)


def test_no_configuration_at_all_is_no_domain(tmp_path: Path) -> None:
    directory = FileDirectory(Layout(str(tmp_path)))
    assert directory.names() == []
    assert directory.find("va.toto.fr") is None


def test_an_unchanged_domain_is_the_same_object(here: Layout, write: Write) -> None:
    write("domains/va.toto.fr.toml")
    directory = FileDirectory(here)
    time.sleep(0.06)  # until the file has settled
    assert directory.find("va.toto.fr") is directory.find("va.toto.fr")


@pytest.mark.parametrize(
    ("address", "expected"),
    [("127.0.0.2", "127.0.0.2"), ("::ffff:127.0.0.2", "127.0.0.2"), ("2001:DB8::0:1", "2001:db8::1")],
)
def test_an_ip_address_has_one_spelling(address: str, expected: str) -> None:
    assert canonical_address(address) == expected


def test_the_root_comes_from_argument_or_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VMAIL_ROOT", f"{tmp_path}/")
    assert layout().site == f"{tmp_path}/etc/vmail/vmail.toml"
    assert layout("").site == "/etc/vmail/vmail.toml"
    assert layout("/srv/x/../y").spool == "/srv/y/var/spool/vmail"


@pytest.mark.usefixtures("va")
def test_a_host_name_stands_for_the_domain_that_bears_it(
    here: Layout, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(definitions_module, "_BURST", 60.0)  # however slow the machine is
    write("domains/vb.toto.fr.toml", 'mail_host = "mail.both.fr"', 'aliases = ["vb.example"]')
    directory = FileDirectory(here)
    assert directory.domain_named("VA.toto.fr.") == "va.toto.fr"
    assert directory.domain_named("va.example") == "va.toto.fr"
    assert directory.domain_named("vb.example") == "vb.toto.fr"
    assert directory.domain_named("mail.both.fr") == "vb.toto.fr"
    assert directory.domain_named("elsewhere.example") is None
    assert directory.domain_named("no name") is None
    write("domains/vc.toto.fr.toml", 'mail_host = "mail.both.fr"')
    assert directory.domain_named("mail.both.fr") is None


def test_of_a_large_file_only_what_was_edited_is_read_again(
    here: Layout, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    plain = lines.PASSWD.plain

    def counted(text: str) -> dict[str, int] | None:
        read.append(text.count("\n"))
        return plain(text)

    monkeypatch.setattr("vmaild.store.directory.PASSWD", replace(lines.PASSWD, plain=counted))
    accounts = [f"user{number}:x:1:1:User {number}:/h:/s" for number in range(20_000)]
    write("domains/va.toto.fr.toml")
    path = write("passwd.va.toto.fr", *accounts)
    directory = FileDirectory(here)
    assert not rejected(directory, "user19999@va.toto.fr")
    assert sum(read) == 20_000
    more = ["one:x:1:1:::", *accounts]
    for edited in (more, [*more[:10_000], "bad line", *more[10_000:]], more, more[:-1], accounts[:-1]):
        write("passwd.va.toto.fr", *edited)
        os.utime(path, (1, 1))
        read.clear()
        domain = directory.find("va.toto.fr")
        assert domain is not None
        assert len(domain.accounts) == sum(":" in line for line in edited)
        assert sum(read) < 4_000
        told = [finding.line for finding in directory.findings("va.toto.fr") if finding.path == str(path)]
        assert told == [number for number, line in enumerate(edited, 1) if ":" not in line]
        assert domain.accounts["user19998"].source.line == edited.index(accounts[19_998]) + 1
