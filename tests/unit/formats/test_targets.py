"""Targets of aliases: quotes, escapes and comments, both ways."""

from __future__ import annotations

import pytest

from vmaild.formats.targets import parse_targets, render_target


@pytest.mark.parametrize(
    ("written", "target"),
    [
        ("joe", "joe"),
        ("joe@example.org", "joe@example.org"),
        ("joe@[192.0.2.1]", "joe@[192.0.2.1]"),
        ("\\joe", "\\joe"),
        ('"\\joe"', "\\joe"),
        ('"\\\\joe"', "\\joe"),
        ('"joe who"', "joe who"),
        ('"a, b"', "a, b"),
        ('"a\\"b"', 'a"b'),
        ('"joe@example.org"', "joe@example.org"),
        ('"joe who"@example.org', '"joe who"@example.org'),
        ('"a,b"@example.org', '"a,b"@example.org'),
        ("joe\\ who@example.org", '"joe who"@example.org'),
        ("joe\\ who", "joe who"),
        ("a\\,b", "a,b"),
        ("Joe Who <joe@example.org>", "joe@example.org"),
        ('"Who, Joe" <joe@example.org>', "joe@example.org"),
        ("<joe>", "joe"),
        ("joe (Joe Who, the boss (really))", "joe"),
        ("joe (a \\) b)", "joe"),
        ("(x) joe", "joe"),
        ('"|/usr/bin/prog a, b"', "|/usr/bin/prog a, b"),
        ('|"/usr/bin/prog a, b"', "|/usr/bin/prog a, b"),
        ('| "/usr/bin/prog x"', "|/usr/bin/prog x"),
        ("|/usr/bin/prog", "|/usr/bin/prog"),
        ("|/usr/bin/prog (x) -y", "|/usr/bin/prog (x) -y"),
        ('|/usr/bin/prog "a, b" c', '|/usr/bin/prog "a, b" c'),
        ('"|/usr/bin/prog \\"a b\\" \\\\n"', '|/usr/bin/prog "a b" \\n'),
        ("/var/mail/x", "/var/mail/x"),
        ("/var/mail/joe@x", "/var/mail/joe@x"),
        ('"/file name"', "/file name"),
        ("/caf\udce9", "/caf\udce9"),
        (":include:/etc/list", ":include:/etc/list"),
        (":Include: /etc/list", ":include:/etc/list"),
        ('":include:/a b"', ":include:/a b"),
        (':include:"/a b"', ":include:/a b"),
        ("ren\u00e9@example.org", "ren\u00e9@example.org"),
        ("bob#1", "bob#1"),
    ],
)
def test_one_target_in_its_forms(written: str, target: str) -> None:
    assert parse_targets(written) == (target,)
    assert parse_targets(f"a, {written} ,b") == ("a", target, "b")
    assert parse_targets(render_target(target)) == (target,)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ('""', "there is an empty target"),
        ("<>", "there is an empty target"),
        ("\\", "the double quote|empty target|contains"),
        ("joe bob", "contains a blank; put commas between targets"),
        ("joe # boss", "a comment stands behind a target"),
        ("joe@example.org # boss", "a comment stands behind a target"),
        ("/dev/null # gone", "a comment stands behind a target"),
        ("/file name", "contains a blank; put the whole target in double quotes"),
        ("joe; bob", "contains ';'"),
        ("joe@exa mple", "contains a blank"),
        ("joe@", "is not a mail address; write it like joe@example.org"),
        ("@example.org", "is not a mail address"),
        ('"a"b@example.org', "is not a mail address"),
        ("joe@" + "x" * 64 + ".org", "is not a mail address"),
        ("(joe", "has no partner"),
        ("joe)", "has no partner"),
        ("|", "there is no command"),
        ('"| "', "there is no command"),
        ("./x", "is a relative path"),
        ("../x", "is a relative path"),
        ("~/Mail", "is a relative path"),
        (":include:x", "is not an absolute path"),
        (":fail: gone", "is of no known kind"),
        ("/a\0b", "contains a control character"),
        ("jo\udce9", "is not UTF-8"),
    ],
)
def test_what_is_no_target(written: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_targets(written)


@pytest.mark.parametrize(
    ("target", "written"),
    [
        ("joe", "joe"),
        ("\\joe", "\\joe"),
        ("joe who", '"joe who"'),
        ("#joe", '"#joe"'),
        ('"joe who"@example.org', '"joe who"@example.org'),
        ("joe@[192.0.2.1]", "joe@[192.0.2.1]"),
        ("|/bin/x", '"|/bin/x"'),
        ("/var/x", "/var/x"),
        ("/var/x y", '"/var/x y"'),
        (":include:/l", ":include:/l"),
        ('|a \\ "b"', '"|a \\\\ \\"b\\""'),
        ('\\"a b"@example.org', '"\\\\\\"a b\\"@example.org"'),
    ],
)
def test_quotes_stand_only_where_they_must(target: str, written: str) -> None:
    assert render_target(target) == written
    assert parse_targets(written) == (target,)


def test_a_list_without_end_takes_no_time() -> None:
    assert len(parse_targets(", ".join(["member@example.org"] * 50_000))) == 50_000
    with pytest.raises(ValueError, match="not closed"):
        parse_targets(", ".join(["member@example.org"] * 50_000) + ' "')
