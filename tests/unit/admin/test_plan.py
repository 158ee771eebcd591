from __future__ import annotations

from vmaild.admin.plan import FileEdit, HomeEffect, Mail, MailEffect, Plan


def test_a_diff_is_unified_and_names_the_file() -> None:
    diff = FileEdit("/a", b"one\ntwo\n", b"one\nthree\n").diff
    assert diff == "--- /a\n+++ /a\n@@ -1,2 +1,2 @@\n one\n-two\n+three\n"


def test_files_that_come_and_go() -> None:
    assert FileEdit("/a", None, b"one\n").diff == "--- /dev/null\n+++ /a\n@@ -0,0 +1 @@\n+one\n"
    assert FileEdit("/a", b"one\n", None).diff == "--- /a\n+++ /dev/null\n@@ -1 +0,0 @@\n-one\n"
    assert FileEdit("/a", None, b"").diff == "/a: created, empty\n"
    assert FileEdit("/a", b"", None).diff == "/a: removed, it was empty\n"
    assert FileEdit("/a", b"one\n", None, instead="removed", moved_to="/b").diff == "/a moved to /b\n"


def test_a_missing_last_line_end_and_bytes_that_are_no_text_are_shown() -> None:
    diff = FileEdit("/a", b"\xe9\x0cone", b"\xe9\x0cone\ntwo\n").diff
    assert "-\udce9\x0cone\n\\ No newline at end of file\n+\udce9\x0cone\n+two\n" in diff


def test_words_stand_for_what_must_not_be_seen() -> None:
    edit = FileEdit("/shadow", b"bob:$6$old:1::::::\n", b"bob:$6$new:1::::::\n", instead="password of bob set")
    assert edit.diff == "/shadow: password of bob set\n"
    assert "$6$" not in repr(edit)


def test_hashes_in_an_old_passwd_file_are_not_shown() -> None:
    diff = FileEdit("/passwd", b"bob:$1$a$hash:1:1::/h:/s\n", b"bob:$1$a$hash:1:1:Bob:/h:/s\n", passwd=True).diff
    assert "$1$" not in diff
    assert "+bob:x:1:1:Bob:/h:/s\n" in diff


def test_effects_are_said_in_words() -> None:
    assert str(MailEffect(Mail.CREATE, "va", "bob")) == "mailbox of bob@va created"
    assert str(MailEffect(Mail.ARCHIVE, "va", where="/x")) == "all mailboxes of va archived to /x"
    assert str(HomeEffect(Mail.DELETE, "/vhome/va/bob")) == "/vhome/va/bob deleted"


def test_keeping_mail_is_no_change() -> None:
    assert not Plan("v", "d", "s", "x").changes
    assert not Plan("v", "d", "s", "x", (MailEffect(Mail.KEEP, "d", "bob"),)).changes
    assert Plan("v", "d", "s", "x", (HomeEffect(Mail.ARCHIVE, "/h"),)).changes
