"""Definitions of domains: what they say, what refuses them, and edits."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from vmaild.address import Address
from vmaild.core.directory import (
    DomainDefinition,
    Fallback,
    FallbackToAddress,
    FallbackToCommand,
    FallbackToDomain,
    FallbackToName,
    NoFallback,
    Source,
)
from vmaild.core.findings import Severity
from vmaild.formats.domain import (
    parse_definition,
    parse_domain_name,
    parse_fallback,
    parse_principal,
    parse_service_address,
    render_definition,
    render_fallback,
    with_settings,
)

WHOLE = """\
mail_host = "MailHost.va.toto.fr"
addresses = ["172.16.0.1", "FE80:0::1", "::ffff:172.16.0.2"]
aliases = ["va.example", "Bücher.example."]
fallback = "@other.example"
alias_files = ["/etc/vmail/a", "/etc/vmail/b"]
quota = "100M"
max_users = 50
match_full_name = true
admins = ["unix:alice", "bob@VA.toto.fr"]
disabled = true
certificate = "/etc/ssl/va.pem"
plain_logins = true
rights = ["bob@VA.toto.fr:mail,  aliases"]
"""


def definition(text: str) -> DomainDefinition:
    found, findings = parse_definition(text, "va.toto.fr", "d.toml")
    assert found is not None
    assert findings == ()
    return found


def faults(text: str) -> list[tuple[int, str, Severity]]:
    found, findings = parse_definition(text, "va.toto.fr", "d.toml")
    assert (found is None) == any(finding.severity is Severity.ERROR for finding in findings)
    return [(finding.line, f"{finding.problem}; {finding.remedy}", finding.severity) for finding in findings]


def test_an_empty_file_is_a_definition() -> None:
    assert definition("") == DomainDefinition("va.toto.fr", source=Source("d.toml"))


def test_every_key() -> None:
    assert definition(WHOLE) == DomainDefinition(
        "va.toto.fr",
        "mailhost.va.toto.fr",
        ("172.16.0.1", "fe80::1", "172.16.0.2"),
        ("va.example", "xn--bcher-kva.example"),
        FallbackToDomain("other.example"),
        ("/etc/vmail/a", "/etc/vmail/b"),
        100 << 20,
        50,
        True,
        ("unix:alice", "bob@va.toto.fr"),
        True,
        "/etc/ssl/va.pem",
        True,
        Source("d.toml"),
        rights=("bob@va.toto.fr: aliases mail",),
    )


def test_the_name_of_the_file_is_the_domain() -> None:
    assert parse_definition("", "VA.Toto.FR", "d")[0] == DomainDefinition("va.toto.fr", source=Source("d"))
    found, findings = parse_definition("", "va toto", "va toto.toml")
    assert found is None
    assert str(findings[0]) == (
        "va toto.toml: the file's name: 'va toto' is not a domain name; name it after the domain: DOMAIN.toml"
    )


def test_a_size_may_be_a_number() -> None:
    assert definition("quota = 1024").quota == 1024


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("\n\nfallback = 5\n", 3, 'fallback is the number 5, not a text; write fallback = "5"'),
        ("fallback = true\n", 1, 'fallback is the value true, not a text; write fallback = "..."'),
        ('aliases = "a.example"', 1, 'not a list of texts; write aliases = ["a.example"]'),
        ("aliases = [1]", 1, "aliases holds the number 1, but all its values must be texts"),
        ("[aliases]\nx = 1", 1, "aliases is a table, not a list"),
        ("mail_host = []", 1, "mail_host is a list, not a text"),
        ("disabled = 1979-05-27", 1, "disabled is a date or time, not true or false"),
        ("max_users = true", 1, "max_users is the value true, not a whole number"),
        ("max_users = 2.5", 1, "max_users is the number 2.5"),
        ("max_users = -1", 1, "max_users -1 is out of range; write a number from 0 on"),
        ("quota = 0x" + "f" * 9999, 1, "quota is too long a number"),
        ("quota = 1.5", 1, 'quota is the number 1.5, not a size; write it like quota = "100M"'),
        ('certificate = "va.pem"', 1, "'va.pem' is not an absolute path"),
        ('mail_host = "[192.0.2.1]"', 1, "'[192.0.2.1]' is not a domain name"),
        ('# c\nquota = "1"\nquota = "2"', 3, "the key stands in this file twice: 'quota = \"2\"'"),
        ("fallback = 'x", 1, "end it with a single quote on the same line"),
        ('fallback = "\\q"', 1, "a backslash stands in double quotes"),
        ("[a]\n[a]", 2, "the table stands in this file twice"),
        ("x = ", 1, "the file ends in the middle of a value"),
        ("= 1", 1, "the line does not start with a key"),
        ('quota = "\x01"', 1, "there is a control character"),
        ("x = {a = 1", 1, "Unclosed inline table"),
        ("x = " + "[" * 9999, 0, "lists nest too deeply"),
        ("x = " + "9" * 9999, 0, "a number is too long"),
        ("quota = '1'\nfallback = 'caf\udce9'", 2, "the line is not UTF-8: 'fallback = 'caf\\xe9''"),
    ],
)
def test_what_refuses_a_definition(text: str, line: int, message: str) -> None:
    found = [fault for fault in faults(text) if fault[2] is Severity.ERROR]
    assert len(found) == 1
    assert found[0][0] == line
    assert message in found[0][1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("quotta = '1'", "there is no setting 'quotta'; write quota, or remove the line"),
        ("'max-users' = 1", "there is no setting 'max-users'; write max_users, or remove the line"),
        ("x = 1", "there is no setting 'x'; remove it; known are addresses, admins, "),
        ("'\\u0007' = 1".replace("'", '"'), "there is no setting '\\x07'"),
        ("aliases = ['VA.toto.fr']", "aliases names the domain itself, 'va.toto.fr'; remove it there"),
        ("addresses = ['::1', '0::1']", "addresses names '::1' more than once; remove all but one"),
        ("fallback = '@va.toto.fr'", "fallback '@va.toto.fr' leads back to this domain"),
        ("# caf\udce9", "the line is not UTF-8: '# caf\\xe9'; save the file as UTF-8"),
    ],
)
def test_what_is_passed_over(text: str, message: str) -> None:
    ((_, told, severity),) = faults(text)
    assert told.startswith(message)
    assert severity is Severity.WARNING


def test_all_faults_are_told_at_once() -> None:
    text = 'quota = "big"\naddresses = ["x", "172.16.0.1", "y"]\nfoo = 1\ndisabled = 0\n'
    assert [line for line, _, _ in faults(text)] == [1, 2, 2, 3, 4]


@pytest.mark.parametrize(
    ("text", "fallback"),
    [
        ("", NoFallback()),
        (" ", NoFallback()),
        ("bob", FallbackToName("bob")),
        ('"joe who"', FallbackToName("joe who")),
        ("bob@Other.Example", FallbackToAddress(Address("bob", "other.example"))),
        ('"a,b"@other.example', FallbackToAddress(Address("a,b", "other.example"))),
        ('"/x"@other.example', FallbackToAddress(Address("/x", "other.example"))),
        ('"|x"@other.example', FallbackToAddress(Address("|x", "other.example"))),
        ("@Other.Example.", FallbackToDomain("other.example")),
        ("| /usr/bin/prog -x a, b", FallbackToCommand("/usr/bin/prog -x a, b")),
    ],
)
def test_fallbacks(text: str, fallback: Fallback) -> None:
    assert parse_fallback(text) == fallback
    assert parse_fallback(render_fallback(fallback)) == fallback


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a, b", "'a, b' is a list, which a fallback cannot be; make an alias for it"),
        ("/dev/null", "'/dev/null' is a file, which a fallback cannot be; make an alias for it"),
        ("|", "there is no command after '|'"),
        ("@", "'' is not a domain name"),
        ("@a b", "'a b' is not a domain name"),
        ("joe who", "'joe who' is not a destination; write \"user@other.example\""),
        ("\\joe", "'\\joe' is not a destination"),
        (":include:/x", "':include:/x' is not a destination"),
        ("joe@", "'joe@' is not a destination"),
        ('"|x"', "'\"|x\"' is no name"),
        ('"/x"', "'\"/x\"' is no name"),
        ("jo\udce9", "'jo\\xe9' is not UTF-8"),
        ("a\0", "'a\\x00' contains a control or invisible character"),
    ],
)
def test_what_is_no_fallback(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(problem)}"):
        parse_fallback(text)


@pytest.mark.parametrize("text", ["unix:alice", "unix:bob.x", "bob@va.toto.fr", '"b b"@va.toto.fr'])
def test_principals(text: str) -> None:
    assert parse_principal(text) == text


@pytest.mark.parametrize(
    "text", ["", "alice", "unix:", "unix:a b", "unix:a@b", "@va.toto.fr", "bob@", "b\udce9@x.org"]
)
def test_who_is_no_principal(text: str) -> None:
    with pytest.raises(ValueError, match='write "unix:LOGIN" or "login@domain"'):
        parse_principal(text)


@pytest.mark.parametrize("text", ["", "localhost", "172.16.0", "0.0.0.0", "::", "224.0.0.1", "172.16.0.1:110"])
def test_what_is_no_service_address(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not (an IP address|the address of one machine); write"):
        parse_service_address(text)


@pytest.mark.parametrize("text", ["", ".", "a..b", "http://x", "[::1]", "a b", "x" * 64, "jo\udce9.fr"])
def test_what_is_no_domain_name(text: str) -> None:
    with pytest.raises(ValueError, match="is not a domain name; write it like"):
        parse_domain_name(text)


def test_a_new_definition_says_only_what_differs() -> None:
    assert render_definition(DomainDefinition("va.toto.fr")) == ""
    text = render_definition(DomainDefinition("va.toto.fr", aliases=("a.example",), quota=1 << 20, disabled=True))
    assert text == 'aliases = ["a.example"]\nquota = "1M"\ndisabled = true\n'


def test_an_edit_keeps_comments_and_order() -> None:
    before = """\
# This is va.
quota = '100M'    # each
aliases = [
    "va.example",  # old
    "vb.example",
]
disabled = false  # yet

[later]
x = 1
"""
    after = """\
# This is va.
quota = "50M"    # each
aliases = [
    "va.example",  # old
    "vc.example",
]
max_users = 3

[later]
x = 1
"""
    settings = {"quota": "50M", "aliases": ("va.example", "vc.example"), "max_users": 3, "disabled": None}
    assert with_settings(before, settings) == after
    assert with_settings(after, settings) == after
    assert with_settings(after, {"fallback": None}) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("aliases = ['a', 'b']\n", 'aliases = ["b", "a"]\n'),
        ("aliases = []  # none\n", 'aliases = ["b", "a"]  # none\n'),
        ("aliases = 5\r\nx = 1\r\n", 'aliases = ["b", "a"]\r\nx = 1\r\n'),
        ("aliases = ['b', 'a', 'c']", "aliases = ['b', 'a']"),
    ],
)
def test_lists_are_changed_where_they_stand(before: str, after: str) -> None:
    assert with_settings(before, {"aliases": ["b", "a"]}) == after


def test_a_wrong_kind_is_replaced_even_if_it_seems_equal() -> None:
    assert with_settings("max_users = true\n", {"max_users": 1}) == "max_users = 1\n"


def test_an_edit_of_what_is_not_toml_fails() -> None:
    with pytest.raises(ValueError, match="line 1"):
        with_settings("fallback = bob\n", {"quota": "1M"})


def test_what_deliveries_import_stays_light() -> None:
    heavy = ("tomllib", "tomlkit", "difflib", "idna", "ipaddress")
    code = f"""
import sys
before = set(sys.modules)
from vmaild.formats import aliases, domain, passwd, shadow, site
print([name for name in {heavy!r} if name in sys.modules.keys() - before])
"""
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout == "[]\n"
    )
