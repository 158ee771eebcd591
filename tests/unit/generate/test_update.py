from __future__ import annotations

import dns.rdataset

from vmaild.core.dns_plan import Record
from vmaild.formats.published import parse_published, render_published
from vmaild.generate.update import Found, places, zone_change

MX = Record("va.toto.fr", "MX", "10 mailhost.va.toto.fr.")
SPF = Record("va.toto.fr", "TXT", '"v=spf1 mx -all"')
ALIAS = Record("autoconfig.va.toto.fr", "CNAME", "mailhost.va.toto.fr.")


def found(*records: Record) -> Found:
    there: dict[tuple[str, str], dns.rdataset.Rdataset | None] = dict.fromkeys(places([MX, SPF, ALIAS, *records]))
    for record in records:
        texts = [each.rdata for each in records if (each.name, each.type) == (record.name, record.type)]
        there[record.name, record.type] = dns.rdataset.from_text("IN", record.type, record.ttl, *texts)
    return there


def test_what_is_ours_follows_the_plan() -> None:
    change = zone_change("toto.fr", found(), [MX, SPF], ())
    assert (change.add, change.remove, change.ours) == ((MX, SPF), (), (MX, SPF))
    assert zone_change("toto.fr", found(MX, SPF), [MX, SPF], [MX, SPF]).lines == ()
    other = Record("va.toto.fr", "MX", "10 other.toto.fr.")
    change = zone_change("toto.fr", found(MX, SPF), [other, SPF], [MX, SPF])
    assert change.lines == (f"-{MX}", f"+{other}")
    assert ("va.toto.fr", "MX") in change.guarded
    assert ("va.toto.fr", "CNAME") in change.guarded
    assert ("va.toto.fr", "TXT") not in change.guarded


def test_a_record_that_was_there_before_us_stays_theirs() -> None:
    change = zone_change("toto.fr", found(MX), [MX], ())
    assert (change.lines, change.ours) == ((), ())
    assert zone_change("toto.fr", found(MX), [], ()).lines == ()


def test_a_new_ttl_is_a_change_but_not_where_others_share_the_name() -> None:
    longer = Record(MX.name, MX.type, MX.rdata, 86400)
    assert zone_change("toto.fr", found(MX), [longer], [MX]).add == (longer,)
    text = Record("va.toto.fr", "TXT", '"by hand"')
    assert zone_change("toto.fr", found(SPF, text), [Record(*_parts(SPF), 86400)], [SPF]).lines == ()


def _parts(record: Record) -> tuple[str, str, str]:
    return record.name, record.type, record.rdata


def test_nothing_stands_beside_an_alias() -> None:
    change = zone_change("toto.fr", found(Record(ALIAS.name, "A", "192.0.2.1")), [ALIAS], ())
    assert change.lines == ()
    assert "has by hand: A 192.0.2.1" in change.conflicts[0]


def test_what_somebody_put_beside_ours_takes_ours_out() -> None:
    foreign = Record("va.toto.fr", "MX", "5 other.example.")
    change = zone_change("toto.fr", found(MX, foreign), [MX], [MX])
    assert change.lines == (f"-{MX}",)
    assert change.conflicts


def test_what_another_domain_of_ours_needs_is_shared() -> None:
    change = zone_change("toto.fr", found(MX), [MX], (), [MX])
    assert (change.lines, change.ours) == ((), (MX,))
    assert zone_change("toto.fr", found(MX), [], [MX], [MX]).lines == ()


def test_the_note_is_read_as_it_was_written() -> None:
    text = Record("m1._domainkey.va.toto.fr", "TXT", '"v=DKIM1; p=AAA" "B  B"', 300)
    assert set(parse_published(render_published([text, MX, MX]))) == {text, MX}
    assert parse_published("; nothing\nva.toto.fr. IN MX\n\n") == ()
