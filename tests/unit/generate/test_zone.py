from __future__ import annotations

import re

import dns.zone
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmaild.core.dns_plan import Need, Record, Wanted
from vmaild.generate.zone import ZoneUnusable, edited_zone, next_serial, records_for, with_next_serial, zone_text

TODAY = 20261127
HAND = """\
; kept by hand since 1998 (SOA 1 2 3)
$ORIGIN fr.
$TTL 1h
toto\tIN SOA ns.toto hostmaster.toto (
\t\t; the next one is the serial
\t\t2026112601 ; serial
\t\t3h 1h 1w 1h )
\tNS ns.toto
$ORIGIN toto.fr.
ns  A 192.0.2.1
www 300 A 192.0.2.2
    TXT "a ; b" ( "c"
  "d" )
"""
MX = Record("va.toto.fr", "MX", "10 mailhost.va.toto.fr.")
SPF = Record("va.toto.fr", "TXT", '"v=spf1 mx -all"')


def meaning(text: str) -> set[tuple[str, str, str]]:
    zone = dns.zone.from_text(text, "toto.fr", relativize=False, check_origin=False)
    return {
        (str(name), rdata.rdtype.name, str(rdata)) for name, _, rdata in zone.iterate_rdatas() if rdata.rdtype != 6
    }


def test_all_other_bytes_stay() -> None:
    edited = edited_zone(HAND, "toto.fr", "va.toto.fr", [MX, SPF], TODAY)
    block = re.search(r"; BEGIN vmaild.*?; END vmaild va.toto.fr\n", edited.text, re.DOTALL)
    assert block is not None
    assert edited.text.replace(block[0], "").replace("2026112700", "2026112601") == HAND
    assert meaning(edited.text) - meaning(HAND) == {
        ("va.toto.fr.", "MX", "10 mailhost.va.toto.fr."),
        ("va.toto.fr.", "TXT", '"v=spf1 mx -all"'),
    }
    assert edited_zone(edited.text, "toto.fr", "va.toto.fr", [MX, SPF], TODAY).text == edited.text
    removed = edited_zone(edited.text, "toto.fr", "va.toto.fr", [], TODAY)
    assert removed.text.replace("2026112701", "2026112601") == HAND


def test_what_stands_by_hand_is_not_contradicted() -> None:
    text = HAND + 'va MX 5 other\n   TXT "v=spf1 -all"\n   TXT "other=1"\n'
    edited = edited_zone(text, "toto.fr", "va.toto.fr", [MX, SPF], TODAY)
    assert edited.text == text
    assert len(edited.conflicts) == 2
    assert "5 other.toto.fr." in edited.conflicts[0]
    same = HAND + "va MX 10 mailhost.va\n"
    assert edited_zone(same, "toto.fr", "va.toto.fr", [MX], TODAY).text == same


def test_a_line_that_continues_ours_keeps_its_owner() -> None:
    first = edited_zone(HAND, "toto.fr", "va.toto.fr", [MX], TODAY).text
    text = first + "mail A 192.0.2.9\n"
    edited = edited_zone(text, "toto.fr", "va.toto.fr", [MX, SPF], TODAY).text
    assert edited.endswith("mail A 192.0.2.9\n")
    assert ("mail.toto.fr.", "A", "192.0.2.9") in meaning(edited)


@pytest.mark.parametrize(
    ("serial", "after"),
    [
        (1, 2),
        (2026112601, 2026112700),
        (2026112700, 2026112701),
        (2026113000, 2026113001),
        (4294967295, 1),
        (0, 1),
    ],
)
def test_serials(serial: int, after: int) -> None:
    assert next_serial(serial, TODAY) == after


def test_what_is_no_zone_is_left_alone() -> None:
    for text in ("", "www A 192.0.2.1\n", "@ SOA a b x 1 1 1 1\n", "@ SOA a b 1 1 1 1 1\nwww A nonsense\n"):
        with pytest.raises(ZoneUnusable):
            edited_zone(text, "toto.fr", "va.toto.fr", [MX], TODAY)


def test_records_go_to_the_deepest_zone() -> None:
    plan = [Wanted(MX, Need.REQUIRED, "")]
    assert records_for("toto.fr", plan) == (MX,)
    assert records_for("toto.fr", plan, ["toto.fr", "va.toto.fr"]) == ()
    assert records_for("o.fr", plan) == ()


_COMMENT = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=12).map(lambda text: f";{text}")
_LINE = st.one_of(
    st.just(""),
    _COMMENT,
    st.builds(
        lambda name, blank, number: f"{name}{blank}A ( 192.0.2.{number} )",
        st.sampled_from(["a", "b", "x.y"]),
        st.sampled_from([" ", "\t", " 60 IN "]),
        st.integers(1, 9),
    ),
    st.just(' TXT "; ( SOA" x'),
    st.just("$ORIGIN sub.toto.fr."),
    st.just("$TTL 2h"),
)


@given(st.lists(_LINE, max_size=12), st.integers(0, (1 << 32) - 1), st.sampled_from(["\n", "\r\n"]))
def test_any_hand_kept_zone_keeps_bytes_and_meaning(lines: list[str], serial: int, end: str) -> None:
    head = f"$TTL 1h{end}@ IN SOA ns hostmaster ( ; x{end} {serial} 1h 1h 1w 1h ){end} NS ns.example.{end}"
    text = head + "".join(line + end for line in lines)
    edited = edited_zone(text, "toto.fr", "va.toto.fr", [MX], TODAY)
    assert meaning(edited.text) == meaning(text) | {("va.toto.fr.", "MX", "10 mailhost.va.toto.fr.")}
    back = edited_zone(edited.text, "toto.fr", "va.toto.fr", [], TODAY).text
    assert re.sub(r" \d+ 1h 1h", " S 1h 1h", back, count=1) == re.sub(r" \d+ 1h 1h", " S 1h 1h", text, count=1)


def test_a_whole_zone() -> None:
    text = zone_text("va.toto.fr", [MX], ["mailhost.va.toto.fr"], 2026112700, 3600)
    zone = dns.zone.from_text(text, "va.toto.fr", relativize=False)
    assert zone.get_soa().serial == 2026112700
    assert with_next_serial(text, TODAY).count("2026112701") == 1
