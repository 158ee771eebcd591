from __future__ import annotations

from vmaild.formats.named import NamedKey, NamedZone, parse_keys, parse_named

CONF = """
// zone "no.example" { type master; file "x"; };
options { directory "/var/cache/bind"; }; # and /* not a comment
include "/etc/bind/local.conf";
view "inside" { match-clients { 10.0.0.0/8; };
  include "views/inside.conf"; };
zone "." { type hint; file "/usr/share/dns/root.hints"; };
/* zone "gone.example" { type master; }; */
"""
FILES = {
    "/etc/bind/named.conf": CONF,
    "/etc/bind/local.conf": 'zone "Toto.FR." IN { type master; allow-update { none; }; file "db.toto"; };',
    "/var/cache/bind/views/inside.conf": (
        'zone "toto.fr" { type primary; file "/in/db"; }; include "missing";'
        'zone "16.172.in-addr.arpa" { type slave; file "rev"; };'
    ),
}


def test_includes_and_views_are_followed() -> None:
    found = parse_named("/etc/bind/named.conf", FILES.get)
    assert found.zones == (
        NamedZone("toto.fr", "primary", "/var/cache/bind/db.toto"),
        NamedZone("toto.fr", "primary", "/in/db", "inside"),
        NamedZone("16.172.in-addr.arpa", "secondary", "/var/cache/bind/rev", "inside"),
        NamedZone("", "hint", "/usr/share/dns/root.hints"),
    )
    assert found.unread == ("/var/cache/bind/missing",)
    assert found.domains() == ("toto.fr",)
    assert [zone.view for zone in found.zones_for("a.toto.fr")] == ["", "inside"]
    assert found.zones_for("toto.frx") == ()


def test_named_boot() -> None:
    files = {
        "/etc/named.boot": "; old\ndirectory /var/named\nprimary va.toto.fr db.va ; ours\ninclude more\n",
        "/var/named/more": "secondary vb.toto.fr 192.0.2.1 db.vb\ncache . root.cache\nprimary localhost db.l\n",
    }
    found = parse_named("/etc/named.boot", files.get)
    assert found.domains() == ("va.toto.fr", "vb.toto.fr")
    assert found.zones[0] == NamedZone("va.toto.fr", "primary", "/var/named/db.va")


def test_damage_and_circles_end() -> None:
    assert parse_named("/x", lambda _: None).unread == ("/x",)
    looped = parse_named("/x", {"/x": 'include "/x"; zone "a.example" { type master; '}.get)
    assert "/x" in looped.unread
    assert "a.example" in looped.domains()


def test_keys_as_tsig_keygen_writes_them_and_nothing_of_them_is_shown() -> None:
    text = """# for updates
    key "VMaild." { algorithm HMAC-SHA256; secret "c2VjcmV0"; };
    key plain { secret "eA=="; algorithm hmac-sha512; };
    key "damaged" { algorithm hmac-sha256; };
    server 192.0.2.1 { keys { plain; }; };
    """
    found = parse_keys(text)
    assert found == (NamedKey("vmaild", "hmac-sha256", "c2VjcmV0"), NamedKey("plain", "hmac-sha512", "eA=="))
    assert "c2VjcmV0" not in repr(found)
