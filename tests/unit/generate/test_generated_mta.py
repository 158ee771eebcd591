"""What is written into an MTA's files: what is there stays to the byte, and a second time changes nothing."""

from __future__ import annotations

import re

import pytest

from vmaild.generate.exim import exim_pieces, wired_exim
from vmaild.generate.mta import Conflict, Maps, Wiring, with_block, without_block
from vmaild.generate.postfix import expanded, parameters, wired_postfix
from vmaild.generate.sendmail import sendmail_pieces, wired_sendmail

POSTFIX = Wiring("/etc/postfix")
MAIN, MASTER = "/etc/postfix/main.cf", "/etc/postfix/master.cf"
MAIN_CF = """\
# See /usr/share/postfix/main.cf.dist
myhostname = main.example
mydestination = $myhostname,
   localhost.$mydomain , localhost
# virtual_transport = commented
"""
EXIM = Wiring("/etc/exim4")
SETTINGS = "/etc/exim4/update-exim4.conf.conf"
TEMPLATE = "/etc/exim4/exim4.conf.template"
SENDMAIL = Wiring("/etc/mail")


def postfix(main: str = MAIN_CF, master: str = "smtp inet n - y - - smtpd") -> dict[str, str | None]:
    return {MAIN: main, MASTER: master}


@pytest.mark.parametrize("text", ["", "one\n", "one\ntwo"])
@pytest.mark.parametrize("comment", ["#", "dnl #"])
def test_a_block_comes_and_goes(text: str, comment: str) -> None:
    whole = text if not text or text.endswith("\n") else f"{text}\n"
    once = with_block(text, "ours = 1\n", comment=comment)
    assert once.startswith(whole)
    assert with_block(once, "ours = 1\n", comment=comment) == once
    assert without_block(with_block(once, "ours = 2\nmore\n", comment=comment), comment) == whole
    after = once + "theirs = 1\n"
    assert with_block(after, "ours = 2\n", comment=comment).endswith("# END vmaild\ntheirs = 1\n")


def test_postfix_keeps_what_is_there() -> None:
    wired = wired_postfix(POSTFIX, postfix(), {"va.toto.fr"})
    main, master = wired.files[MAIN], wired.files[MASTER]
    assert main.startswith(MAIN_CF)
    assert parameters(main) == parameters(MAIN_CF) | {
        "virtual_mailbox_domains": "proxy:socketmap:unix:/run/vmail/socketmap.sock:domains",
        "virtual_mailbox_maps": "proxy:socketmap:unix:/run/vmail/socketmap.sock:recipients",
        "virtual_transport": "vmail:unix:/run/vmail/lmtp.sock",
    }
    assert master.startswith("smtp inet n - y - - smtpd\n# BEGIN vmaild")
    assert wired.warnings == ()
    assert wired_postfix(POSTFIX, postfix(main, master), {"va.toto.fr"}).files == wired.files


def test_postfix_without_a_server_reads_files() -> None:
    wiring = Wiring("/etc/postfix", maps=Maps.LMDB)
    wired = wired_postfix(wiring, postfix(), ())
    assert parameters(wired.files[MAIN])["virtual_mailbox_maps"] == "lmdb:/etc/vmail/mta/postfix-recipients"
    (warning,) = wired.warnings
    assert "recipient_delimiter" in warning


def test_parameters_of_main_cf() -> None:
    text = "a = 1\n  2\n# b = 3\n\tno continuation of a comment?\nc=$a, ${d}\nd =\na = 4\n"
    assert parameters(text)["a"] == "4"
    assert parameters(text)["d"] == ""
    assert expanded("$c X,${a}", {"a": "4", "c": "$a y"}) == {"4", "y", "x"}


@pytest.mark.parametrize(
    ("main", "says"),
    [
        ("virtual_mailbox_domains = old.example\n", "old.example for other virtual domains"),
        ("virtual_transport = lmtp:unix:private/dovecot-lmtp\n", "dovecot-lmtp for other"),
    ],
)
def test_postfix_with_virtual_domains_of_its_own_is_left_alone(main: str, says: str) -> None:
    with pytest.raises(Conflict, match=says):
        wired_postfix(POSTFIX, postfix(main), ())


def test_a_service_of_our_name_is_a_conflict() -> None:
    with pytest.raises(Conflict, match="service vmail"):
        wired_postfix(POSTFIX, postfix(master="vmail unix - n n - - pipe\n"), ())


def test_what_stands_in_the_way_in_main_cf_is_told() -> None:
    main = "mydomain = va.toto.fr\nmydestination = $mydomain, localhost\nproxy_read_maps = $local_recipient_maps\n"
    warnings = wired_postfix(POSTFIX, postfix(main), {"va.toto.fr", "vb.toto.fr"}).warnings
    assert [warning.partition(": ")[2][:40] for warning in warnings] == [
        "mydestination names va.toto.fr: Postfix ",
        "proxy_read_maps hides our maps: add $vir",
    ]


@pytest.mark.parametrize("missing", [MAIN, MASTER])
def test_there_has_to_be_a_postfix(missing: str) -> None:
    with pytest.raises(Conflict, match=f"{missing} does not exist"):
        wired_postfix(POSTFIX, postfix() | {missing: None}, ())


def test_sendmail_includes_a_file_of_ours() -> None:
    files = {
        "/etc/mail/sendmail.mc": "MAILER(`smtp')dnl\n",
        "/etc/mail/local-host-names": "localhost\nVA.toto.fr\n",
    }
    wired = wired_sendmail(SENDMAIL, files, {"va.toto.fr"})
    main = wired.files["/etc/mail/sendmail.mc"]
    assert main.startswith("MAILER(`smtp')dnl\ndnl # BEGIN vmaild")
    assert "include(`/etc/mail/vmail.m4')dnl\n" in main
    (warning,) = wired.warnings
    assert "local-host-names names va.toto.fr" in warning
    assert wired_sendmail(SENDMAIL, files | dict(wired.files), {"va.toto.fr"}) == wired


def test_the_sides_of_every_rule_of_sendmail_are_parted_by_tabs() -> None:
    for wiring in (SENDMAIL, Wiring("/etc/mail", vdeliver="/usr/bin/vdeliver", user="vmail")):
        ours, _ = sendmail_pieces(wiring)
        rules = [line for line in ours.text.split("\n") if line.startswith("R")]
        assert len(rules) == 19
        assert all(len([side for side in rule.split("\t") if side]) == 2 for rule in rules)
        assert all(" " * 4 not in rule for rule in rules)


def test_sendmail_always_calls_vdeliver_as_the_mail_user_and_recipients_are_no_options() -> None:
    wiring = Wiring("/etc/mail", vdeliver="/usr/bin/vdeliver", user="vmail", root="/srv/vmail")
    ours, _ = sendmail_pieces(wiring)
    _, _, mailer = ours.text.partition("\nMvmail,")
    assert "U=vmail," in mailer
    assert re.search(r"F=\w*S", mailer)
    assert "A=vdeliver --root /srv/vmail -f $g -- $u\n" in mailer
    without, _ = sendmail_pieces(Wiring("/etc/mail", vdeliver="/usr/bin/vdeliver", user="vmail"))
    assert "A=vdeliver -f $g -- $u\n" in without.text


def test_a_check_of_their_own_is_a_conflict() -> None:
    with pytest.raises(Conflict, match="Local_check_rcpt"):
        wired_sendmail(SENDMAIL, {"/etc/mail/sendmail.mc": "LOCAL_RULESETS\nSLocal_check_rcpt\n"}, ())
    with pytest.raises(Conflict, match="does not exist"):
        wired_sendmail(SENDMAIL, {}, ())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("dc_relay_domains=''", "dc_relay_domains='/etc/vmail/mta/domains'"),
        ("dc_relay_domains=", "dc_relay_domains='/etc/vmail/mta/domains'"),
        (
            'dc_relay_domains="a.example;b.example"',
            "dc_relay_domains='a.example ; b.example ; /etc/vmail/mta/domains'",
        ),
    ],
)
def test_exim_relays_what_the_list_names(before: str, after: str) -> None:
    files: dict[str, str | None] = {SETTINGS: f"dc_use_split_config='true'\n{before}\ndc_minimaldns='false'\n"}
    wired = wired_exim(EXIM, files, ())
    assert wired.files[SETTINGS] == f"dc_use_split_config='true'\n{after}\ndc_minimaldns='false'\n"
    assert wired_exim(EXIM, files | dict(wired.files), ()).files == wired.files
    assert wired.files["/etc/exim4/conf.d/router/050_vmail"] == exim_pieces(EXIM)[2].text


def test_both_forms_of_debians_exim_are_served() -> None:
    template = "# head\nbegin acl\n# acls\nbegin routers\n# routers\nbegin transports\n# transports\n"
    files: dict[str, str | None] = {SETTINGS: "dc_relay_domains=''\n", TEMPLATE: template}
    wired = wired_exim(EXIM, files, ())
    written = wired.files[TEMPLATE]
    assert without_block(written) == template
    assert written.index("begin routers") < written.index("vmail_recipient:") < written.index("# routers")
    assert wired_exim(EXIM, files | dict(wired.files), ()).files == wired.files
    with pytest.raises(Conflict, match="no line 'begin acl'"):
        wired_exim(EXIM, {SETTINGS: "dc_relay_domains=''\n", TEMPLATE: "begin routers\n"}, ())


def test_an_exim_that_debian_has_not_set_up_is_not_touched() -> None:
    with pytest.raises(Conflict, match="does not exist"):
        wired_exim(EXIM, {}, ())
    with pytest.raises(Conflict, match="dpkg-reconfigure"):
        wired_exim(EXIM, {SETTINGS: "dc_eximconfig_configtype='none'\n"}, ())


def test_a_domain_that_exim_delivers_itself_is_told() -> None:
    files = {SETTINGS: "dc_other_hostnames='main.example : va.toto.fr'\ndc_relay_domains=''\n"}
    (warning,) = wired_exim(EXIM, files, {"va.toto.fr", "vb.toto.fr"}).warnings
    assert "dc_other_hostnames names va.toto.fr" in warning
