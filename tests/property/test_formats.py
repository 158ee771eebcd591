"""Texts and values: rendering and parsing are inverse, an edit changes its own entry only, no text raises."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from vmaild.address import Address, AddressError, fold, parse_address
from vmaild.core.directory import (
    Account,
    AliasEntry,
    DomainDefinition,
    Fallback,
    FallbackToAddress,
    FallbackToCommand,
    FallbackToDomain,
    FallbackToName,
    NoFallback,
    ShadowEntry,
    Source,
    SubFolders,
)
from vmaild.core.findings import Finding, Severity
from vmaild.core.site import Listen
from vmaild.formats.aliases import parse_aliases, parse_include, render_alias, with_alias, without_alias
from vmaild.formats.domain import (
    parse_definition,
    parse_fallback,
    render_definition,
    render_fallback,
    settings_of,
    with_settings,
)
from vmaild.formats.passwd import parse_passwd, render_account, valid_login, with_account, without_account
from vmaild.formats.shadow import parse_shadow, with_entry, without_entry
from vmaild.formats.site import parse_listen, parse_site
from vmaild.formats.size import parse_size, render_size


def messy(*pieces: str) -> st.SearchStrategy[str]:
    """Texts that look like a file of some format for a while, and then do not."""
    anything = st.characters(exclude_categories=[]) | st.sampled_from("\x00\r\n\udce9\ufeff #:,\\\"'()[]")
    return st.lists(st.sampled_from([*pieces, "\n", "\n", "\r\n", " ", ":"]) | anything, max_size=40).map("".join)


# -- values

WORDS = st.text(st.sampled_from("abcXYZ09.-_é"), min_size=1, max_size=12)
PRINTABLE = st.text(st.characters(exclude_categories=["C", "Z"]) | st.just(" "), max_size=20)
NAMES = st.sampled_from(["bob", "BOB", "joe who", "a,b", 'a"b', "a\\b", "#x", "|x", "/x", "x:y", "(x)", "é"])
DOMAINS = st.sampled_from(["va.toto.fr", "vb.toto.fr", "localhost", "xn--bcher-kva.example", "a_b.example"])

LOGINS = WORDS.filter(lambda login: valid_login(login) is None)
FIELD = PRINTABLE.filter(lambda text: ":" not in text)
ACCOUNTS = st.builds(
    Account,
    LOGINS,
    st.integers(0, 2**32 - 2),
    st.integers(0, 2**32 - 2),
    FIELD.filter(lambda text: not set(text) & set(",&")),
    FIELD,
    FIELD,
    st.none() | st.integers(0, 2**63 - 1),
    # Neither stands in the file; a field of a tuple that is not named here would be any value.
    autoreply=st.just(False),
    source=st.just(Source("")),
    forward=st.none(),
    quota_messages=st.none() | st.integers(0, 10**9 - 1),
    sub_folders=st.sampled_from(SubFolders),
)
DAYS = st.none() | st.integers(0, 10**9 - 1)
SHADOW_ENTRIES = st.builds(
    ShadowEntry, LOGINS, st.sampled_from(["!", "*", "", "$6$salt$hash", "!$y$j9T$x$y", "x"]), DAYS, DAYS
)


def is_address(text: str) -> bool:
    try:
        return parse_address(text).domain != ""
    except AddressError:
        return False


LOCAL_PARTS = NAMES | WORDS
ADDRESSES = st.builds(Address, LOCAL_PARTS, DOMAINS)
TARGETS = st.one_of(
    LOCAL_PARTS.filter(lambda name: not name.startswith(("|", "/"))),
    WORDS.map("\\{}".format),
    ADDRESSES.map(str).filter(lambda text: is_address(text) and not text.startswith(("|", "/"))),
    PRINTABLE.filter(lambda text: text.strip() != "").map("|{}".format),
    PRINTABLE.map("/{}".format),
    PRINTABLE.map(":include:/{}".format),
)
TARGET_LISTS = st.lists(TARGETS, min_size=1, max_size=6)

FALLBACKS = st.one_of(
    st.just(NoFallback()),
    st.builds(FallbackToAddress, ADDRESSES),
    st.builds(FallbackToDomain, DOMAINS),
    st.builds(FallbackToName, LOCAL_PARTS.filter(lambda name: not name.startswith(("|", "/")))),
    st.builds(FallbackToCommand, PRINTABLE.map(str.strip).filter(bool)),
)
PATHS = PRINTABLE.map("/{}".format)


def unique(values: st.SearchStrategy[str], most: int = 4) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(values, max_size=most, unique=True).map(tuple)


DEFINITIONS = st.builds(
    DomainDefinition,
    st.just("va.example.org"),
    mail_host=st.just("") | DOMAINS,
    addresses=unique(st.ip_addresses(v=4, network="172.16.0.0/12").map(str)),
    aliases=unique(DOMAINS),
    fallback=FALLBACKS,
    alias_files=unique(PATHS, 2),
    quota=st.integers(0, 2**63 - 1),
    max_users=st.integers(0, 2**31 - 1),
    match_full_name=st.booleans(),
    admins=unique(st.sampled_from(["unix:alice", "unix:root", "bob@va.toto.fr"])),
    disabled=st.booleans(),
    certificate=st.just("") | PATHS,
    source=st.just(Source("d")),
)
LISTENS = st.one_of(
    st.builds(Listen, st.just("*") | st.ip_addresses().map(str), st.integers(0, 65535)),
    st.builds(Listen, path=WORDS.map("/run/{}".format)),
)

# -- texts

PASSWD_TEXTS = messy(
    *("bob", "BOB", ":x:1:2:", "Joe,,,,quota=5M:/h:/s", "bob:x:1:2:&,,,Quota=x:/h:/s\n", "+", "quota=", "é")
)
SHADOW_TEXTS = messy(*("bob", "!", "bob:$6$a$b:1:2:3:4:5:6:7\n", ":::::::", "BOB:*::::::6:\r\n", "-1", "19000"))
ALIAS_TEXTS = messy(
    *("bob", "BOB", "bob:", "joe: x\n", "\n  joe", "#c", ",\n", "\\\n", '"joe who"', '"'),
    *("|cmd", "/f", ":include:/x", "@va.fr", "<b>"),
)
TOML_TEXTS = messy(
    *("fallback", " = ", '"bob"', "aliases", "[", "]", '["a", "a"]', "quota", "1", "true", "'", '"""'),
    *("[pop3]\n", "listen", '["*:1"]', "workers = 2\n", "0x", "1979-01-01", "{", "}", ".", "site"),
)


def unplaced(entries: Sequence[Any]) -> list[Any]:
    """Entries without the lines on which they stand."""
    nowhere = Source("")
    return [
        entry._replace(source=nowhere)
        if isinstance(entry, Account)
        else dataclasses.replace(entry, source=nowhere)
        for entry in entries
    ]


def readable(findings: Sequence[Finding]) -> bool:
    """Whether each finding is one line that any terminal can show."""
    return all(str(finding).isprintable() and finding.problem and finding.remedy for finding in findings)


def lines_but(text: str, numbers: Sequence[int]) -> list[str]:
    return [line for number, line in enumerate(text.split("\n"), 1) if number not in numbers]


# -- rendering and parsing are inverse


@given(st.integers(0, 2**63 - 1))
def test_a_rendered_size_is_that_size(size: int) -> None:
    assert parse_size(render_size(size)) == size


@given(ACCOUNTS)
def test_a_rendered_account_is_that_account(account: Account) -> None:
    parsed = parse_passwd(render_account(account), "")
    assert (unplaced(parsed.entries), parsed.findings) == ([account], ())


@given(SHADOW_ENTRIES)
def test_a_rendered_shadow_entry_is_that_entry(entry: ShadowEntry) -> None:
    assert unplaced(parse_shadow(with_entry("", entry), "").entries) == [entry]


@given(LOCAL_PARTS, TARGET_LISTS)
def test_a_rendered_alias_is_that_alias(name: str, targets: list[str]) -> None:
    parsed = parse_aliases(render_alias(name, targets), "")
    assert (unplaced(parsed.entries), parsed.findings) == ([AliasEntry(name, tuple(targets))], ())


@given(FALLBACKS)
def test_a_rendered_fallback_is_that_fallback(fallback: Fallback) -> None:
    assert parse_fallback(render_fallback(fallback)) == fallback


@settings(max_examples=50)
@given(DEFINITIONS)
def test_a_rendered_definition_is_that_definition(definition: DomainDefinition) -> None:
    text = render_definition(definition)
    parsed, findings = parse_definition(text, definition.name, "d")
    assert parsed == definition
    assert all(finding.severity is Severity.WARNING for finding in findings)


@given(LISTENS)
def test_a_rendered_listener_is_that_listener(listen: Listen) -> None:
    assert parse_listen(str(listen)) == listen


# -- an edit changes its own entry only


@given(PASSWD_TEXTS, ACCOUNTS | st.just(Account("bob", 1, 2, "Bob", "/h", "/s", 5)))
def test_setting_an_account_changes_no_other_line(text: str, account: Account) -> None:
    before = parse_passwd(text, "").entries
    edited = with_account(text, account)
    after = parse_passwd(edited, "").entries
    same = [entry for entry in before if fold(entry.login) == fold(account.login)]
    check_edit(text, edited, [entry.source.line for entry in same][:1])
    assert account in unplaced(after)
    assert unplaced([entry for entry in before if entry not in same]) == unplaced(
        [entry for entry in after if fold(entry.login) != fold(account.login)]
    )


def check_edit(text: str, edited: str, changed: Sequence[int]) -> None:
    """Either the changed lines alone differ, or something stands after all the rest."""
    if changed:
        assert lines_but(edited, changed) == lines_but(text, changed)
    else:
        assert edited.startswith(text)


@given(PASSWD_TEXTS, st.sampled_from(["bob", "BOB", "joe"]))
def test_removing_an_account_removes_it_and_nothing_else(text: str, login: str) -> None:
    edited = without_account(text, login)
    check_removal(text, edited, login, lambda text: parse_passwd(text, "").entries, lambda entry: entry.login)


def check_removal(
    text: str, edited: str, key: str, parse: Callable[[str], Sequence[Any]], key_of: Callable[[Any], str]
) -> None:
    before, after = unplaced(parse(text)), unplaced(parse(edited))
    assert after == [entry for entry in before if fold(key_of(entry)) != fold(key)]
    kept = iter(text.split("\n"))
    assert all(line in kept for line in edited.split("\n") if line), "the lines that stay keep their order"


@given(SHADOW_TEXTS, SHADOW_ENTRIES | st.just(ShadowEntry("bob", "$6$x$y", 5, None)))
def test_setting_a_password_changes_no_other_line(text: str, entry: ShadowEntry) -> None:
    before = parse_shadow(text, "").entries
    edited = with_entry(text, entry)
    check_edit(text, edited, [old.source.line for old in before if fold(old.login) == fold(entry.login)])
    assert entry in unplaced(parse_shadow(edited, "").entries)


@given(SHADOW_TEXTS, st.sampled_from(["bob", "BOB", "joe"]))
def test_removing_a_password_removes_it_and_nothing_else(text: str, login: str) -> None:
    edited = without_entry(text, login)
    check_removal(text, edited, login, lambda text: parse_shadow(text, "").entries, lambda entry: entry.login)


@settings(max_examples=200)
@given(ALIAS_TEXTS, st.just("bob") | LOCAL_PARTS, TARGET_LISTS)
def test_setting_an_alias_changes_no_other(text: str, name: str, targets: list[str]) -> None:
    before = parse_aliases(text, "").entries
    edited = with_alias(text, name, targets)
    after = parse_aliases(edited, "").entries
    assert AliasEntry(name, tuple(targets)) in unplaced(after)
    assert unplaced([entry for entry in before if fold(entry.name) != fold(name)]) == unplaced(
        [entry for entry in after if fold(entry.name) != fold(name)]
    )
    if all(fold(entry.name) != fold(name) for entry in before):
        assert edited.startswith(text)
    comments = [line for line in text.split("\n") if line.startswith("#")]
    rest = iter(edited.split("\n"))
    assert all(comment in rest for comment in comments)


@settings(max_examples=200)
@given(ALIAS_TEXTS, st.sampled_from(["bob", "BOB", "joe", "joe who"]))
def test_removing_an_alias_removes_it_and_nothing_else(text: str, name: str) -> None:
    edited = without_alias(text, name)
    check_removal(text, edited, name, lambda text: parse_aliases(text, "").entries, lambda entry: entry.name)


@settings(max_examples=50)
@given(DEFINITIONS, DEFINITIONS)
def test_setting_keys_of_a_definition_sets_those_and_keeps_comments(
    old: DomainDefinition, new: DomainDefinition
) -> None:
    text = "".join(f"{line}  # note\n" for line in render_definition(old).splitlines())
    assume(tomllib.loads(text) == tomllib.loads(render_definition(old)))
    wanted = settings_of(new)
    edited = with_settings(text, {key: wanted.get(key) for key in settings_of(old)} | wanted)
    assert parse_definition(edited, new.name, "d")[0] == new
    kept = [line for line in text.splitlines() if line.partition(" = ")[0] in wanted]
    assert edited.count("# note") == len(kept)


# -- no text whatever makes a parser raise


@given(PASSWD_TEXTS)
def test_any_text_is_a_passwd_file_with_findings(text: str) -> None:
    parsed = parse_passwd(text, "passwd")
    assert readable(parsed.findings)
    assert len({fold(account.login) for account in parsed.entries}) == len(parsed.entries)
    assert all(account.full_name.encode() is not None for account in parsed.entries)


@given(SHADOW_TEXTS)
def test_any_text_is_a_shadow_file_with_findings(text: str) -> None:
    assert readable(parse_shadow(text, "shadow").findings)


@settings(max_examples=200)
@given(ALIAS_TEXTS)
def test_any_text_is_an_alias_file_with_findings(text: str) -> None:
    parsed = parse_aliases(text, "aliases")
    assert readable(parsed.findings)
    for entry in parsed.entries:
        again = parse_aliases(render_alias(entry.name, entry.targets), "")
        assert unplaced(again.entries) == unplaced([entry])


@given(ALIAS_TEXTS)
def test_any_text_is_a_list_with_findings(text: str) -> None:
    assert readable(parse_include(text, "list")[1])


@given(TOML_TEXTS)
def test_any_text_is_a_definition_or_has_an_error(text: str) -> None:
    definition, findings = parse_definition(text, "va.toto.fr", "va.toto.fr.toml")
    assert readable(findings)
    assert (definition is None) == any(finding.severity is Severity.ERROR for finding in findings)


@given(TOML_TEXTS)
def test_any_text_is_a_site_or_has_an_error(text: str) -> None:
    site, findings = parse_site(text, "vmail.toml")
    assert readable(findings)
    assert (site is None) == any(finding.severity is Severity.ERROR for finding in findings)
