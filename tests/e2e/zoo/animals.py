"""The zoo: a healthy domain, and one for each way to break it. Each is `LABEL.test` with an address of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.e2e.zoo.world import Zone

NETWORK, MACHINE, FOREIGN = "198.51.100", "198.51.100.1", "203.0.113.9"
"""Documentation addresses stand for public ones (RFC 5737); the second is the machine's main one."""
SIX = "2001:db8::"
KEY = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAzoo"
HEALTHY = """\
@ NS ns.zoo.test.
@ MX 10 mailhost
mailhost A {address}
@ TXT "v=spf1 mx -all"
_dmarc TXT "v=DMARC1; p=none"
k._domainkey TXT "v=DKIM1; k=rsa; p={key}"
"""


@dataclass(frozen=True)
class Animal:
    """A set-up, and what must be said of it."""

    label: str
    code: str = ""
    """Empty: nothing must be said."""
    remedy: str = ""
    """A pattern that the remedy must match; `ADDRESS` stands for the service address."""
    zone: Sequence[tuple[str, str]] = ()
    """Patterns in the healthy zone, and what stands there instead."""
    more: str = ""
    """Further lines of the zone."""
    pointers: str = "{n} PTR mailhost.{name}."
    settings: Mapping[str, str] = field(default_factory=dict)
    """Of the definition, as TOML; `ADDRESS` likewise. An empty one is left away."""
    second: str = ""
    """Further lines of the zone on the second name server; empty: it does not have the zone."""
    second_serial: int = 1
    fixed: bool = False
    """Whether `--fix` may mend it."""
    also: frozenset[str] = frozenset()
    """Codes that follow from it."""


def _zone(*pairs: tuple[str, str]) -> Sequence[tuple[str, str]]:
    return pairs


_NO_MX = ("@ MX 10 mailhost\n", "")
_SPF, _DMARC, _DKIM = '"v=spf1 mx -all"', '"v=DMARC1; p=none"', r'"v=DKIM1.*"'
_LIST = "let it be: .* MX 10 mailhost"

ANIMALS = (
    Animal("healthy"),
    Animal("six", settings={"addresses": '["ADDRESS", "SIX"]'}, more="mailhost AAAA {six}\n"),
    Animal("aliased", settings={"aliases": '["aliased-too.test"]'}),
    # MX
    Animal("mx-none", "mx.none", _LIST, _zone(_NO_MX), fixed=True),
    Animal("mx-null", "mx.null", _LIST, _zone(("MX 10 mailhost", "MX 0 ."))),
    Animal("mx-cname", "mx.cname", _LIST, _zone(("10 mailhost", "10 nick")), "nick CNAME mailhost\n"),
    Animal("mx-address", "mx.address", _LIST, _zone(("10 mailhost", "10 {address}."))),
    Animal(
        "mx-elsewhere",
        "mx.elsewhere",
        _LIST,
        _zone(("10 mailhost", "10 far")),
        f"far A {FOREIGN}\n",
    ),
    Animal("mx-no-address", "mx.no_address", _LIST, more="@ MX 20 nowhere\n"),
    Animal("mx-front", "mx.front", _LIST, more=f"@ MX 5 filter\nfilter A {FOREIGN}\n"),
    Animal(
        "mx-alias",
        "mx.none",
        "mx-alias-too.test. .* MX 10 mailhost",
        settings={"aliases": '["mx-alias-too.test"]'},
    ),
    # the mail host
    Animal(
        "host-none",
        "host.no_address",
        "mailhost.host-none.test. 3600 IN A ADDRESS",
        _zone(("mailhost A {address}\n", "")),
        fixed=True,
        also=frozenset({"ptr.mismatch"}),
    ),
    Animal(
        "host-elsewhere",
        "host.elsewhere",
        "A ADDRESS",
        _zone(("A {address}", f"A {FOREIGN}")),
        also=frozenset({"mx.elsewhere", "ptr.mismatch"}),
    ),
    Animal(
        "host-other",
        "host.other_domain",
        "A ADDRESS",
        _zone(("A {address}", f"A {NETWORK}.10")),
        also=frozenset({"ptr.mismatch"}),
    ),
    Animal(
        "host-main",
        "host.other_address",
        "A ADDRESS",
        _zone(("A {address}", f"A {MACHINE}")),
        also=frozenset({"ptr.mismatch"}),
    ),
    Animal(
        "host-half",
        "host.missing",
        f"mailhost.host-half.test. 3600 IN A {NETWORK}.200",
        settings={"addresses": f'["ADDRESS", "{NETWORK}.200"]'},
        fixed=True,
        pointers="{n} PTR mailhost.{name}.\n200 PTR more.{name}.",
        more=f"more A {NETWORK}.200\n",
        also=frozenset({"ptr.other_name"}),
    ),
    Animal(
        "six-missing",
        "ipv6.missing",
        "AAAA 2001:db8::",
        settings={"addresses": '["ADDRESS", "SIX"]'},
        fixed=True,
        also=frozenset({"ptr.mismatch"}),
    ),
    Animal("six-astray", "ipv6.elsewhere", "A ADDRESS", more="mailhost AAAA 2001:db8:ffff::1\n"),
    # the way back
    Animal("ptr-none", "ptr.none", "PTR mailhost.ptr-none.test", pointers="", fixed=True),
    Animal(
        "ptr-astray", "ptr.mismatch", "PTR mailhost", pointers="{n} PTR www.{name}.", more=f"www A {FOREIGN}\n"
    ),
    Animal("ptr-bare", "ptr.bare_domain", "PTR mailhost", pointers="{n} PTR {name}.", more="@ A {address}\n"),
    Animal(
        "ptr-several",
        "ptr.several",
        "PTR mailhost",
        pointers="{n} PTR mailhost.{name}.\n{n} PTR www.{name}.",
        more="www A {address}\n",
    ),
    Animal("ptr-other", "ptr.other_name", "PTR mailhost", pointers="{n} PTR x.{name}.", more="x A {address}\n"),
    # who may send
    Animal("spf-none", "spf.none", "v=spf1 mx -all", _zone((f"@ TXT {_SPF}\n", "")), fixed=True),
    Animal("spf-several", "spf.several", "keep one", more='@ TXT "v=spf1 a -all"\n'),
    Animal("spf-syntax", "spf.syntax", "v=spf1 mx -all", _zone((_SPF, '"v=spf1 mx ipv4:192.0.2.1 -all"'))),
    Animal(
        "spf-lookups",
        "spf.lookups",
        "networks",
        _zone((_SPF, '"v=spf1 ' + " ".join(f"include:s{n}.test" for n in range(11)) + ' -all"')),
    ),
    Animal("spf-all", "spf.all", "-all", _zone((_SPF, '"v=spf1 mx +all"'))),
    Animal("spf-refuses", "spf.refuses", "v=spf1 mx -all", _zone((_SPF, '"v=spf1 ip4:203.0.113.0/24 -all"'))),
    Animal("dmarc-none", "dmarc.none", "v=DMARC1; p=none", _zone((f"_dmarc TXT {_DMARC}\n", "")), fixed=True),
    Animal("dmarc-several", "dmarc.several", "keep one", more='_dmarc TXT "v=DMARC1; p=reject"\n'),
    Animal("dmarc-syntax", "dmarc.syntax", "v=DMARC1; p=none", _zone(("p=none", "policy=none"))),
    Animal(
        "dmarc-strict",
        "dmarc.contradicts",
        "p=none",
        _zone((f"@ TXT {_SPF}\n", ""), ("p=none", "p=reject"), (f"k._domainkey TXT {_DKIM}\n", "")),
        also=frozenset({"spf.none", "dkim.missing"}),
    ),
    Animal("dkim-none", "dkim.none", "dkim_selector", settings={"dkim_selector": "", "dkim_key": ""}),
    Animal("dkim-missing", "dkim.missing", "p=MII", _zone((f"k._domainkey TXT {_DKIM}\n", "")), fixed=True),
    Animal("dkim-revoked", "dkim.revoked", "p=MII", _zone((_DKIM, '"v=DKIM1; p="'))),
    Animal("dkim-differs", "dkim.differs", "p=MII", _zone((_DKIM, '"v=DKIM1; p=AAAA"'))),
    # name servers
    Animal("ns-lame", "ns.lame", "add the zone", more="@ NS ns2.zoo.test.\n"),
    Animal("ns-silent", "ns.silent", "start it", more="@ NS ns3.zoo.test.\n"),
    Animal("ns-lost", "ns.no_address", "A record", more="@ NS nothere.zoo.test.\n"),
    Animal(
        "ns-disagree",
        "ns.disagree",
        "transfer",
        more="@ NS ns2.zoo.test.\n",
        second="@ MX 20 mailhost\n",
    ),
    Animal(
        "ns-serials",
        "ns.serials",
        "transfer",
        more="@ NS ns2.zoo.test.\n",
        second="; the same\n",
        second_serial=7,
    ),
    # addresses and POP3
    Animal("address-down", "address.down", "vmail address apply address-down.test"),
    Animal("pop3-silent", "pop3.silent", "vmail serve"),
    Animal("pop3-other", "pop3.other_domain", "vmail domain"),
    Animal("pop3-native", "pop3.native", "pop3.native"),
    Animal("pop3-mail", "pop3.not_pop3", "ss -ltnp"),
    Animal("pop3-clear", "pop3.no_stls", "certificate", settings={"certificate": ""}),
    Animal("tls-expired", "tls.expired", "renew"),
    Animal("tls-early", "tls.not_yet", "clock"),
    Animal("tls-self", "tls.self_signed", "certbot"),
    Animal("tls-unknown", "tls.untrusted", "chain"),
    Animal("tls-other", "tls.other_name", "get one for mailhost.tls-other.test"),
    Animal("tls-soon", "tls.expires", "renew"),
)
UNSERVED = ("pop3-silent", "pop3-other", "pop3-native", "pop3-mail", "address-down")
"""Where our server does not listen."""
NUMBERS = {animal.label: number for number, animal in enumerate(ANIMALS, 10)}


def name_of(animal: Animal) -> str:
    """Its domain."""
    return f"{animal.label}.test"


def address_of(label: str) -> str:
    """Its service address."""
    return f"{NETWORK}.{NUMBERS[label]}"


def _filled(animal: Animal, text: str) -> str:
    values = {
        "address": address_of(animal.label),
        "six": f"{SIX}{NUMBERS[animal.label]}",
        "n": str(NUMBERS[animal.label]),
        "name": name_of(animal),
        "key": KEY,
    }
    for key, value in values.items():
        text = text.replace(f"{{{key}}}", value)
    return text


def zones_of(animal: Animal) -> list[Zone]:
    """The zones of a domain and of its domain aliases on the first name server."""
    text = HEALTHY
    for old, new in animal.zone:
        pattern = old if old == _DKIM or _DKIM in old else re.escape(old)
        text, count = re.subn(pattern, new.replace("\\", r"\\"), text)
        assert count, f"{animal.label}: {old}"
    found = [Zone(name_of(animal), _filled(animal, text + animal.more))]
    if "aliases" in animal.settings:
        other = HEALTHY.replace("mailhost A {address}\n", "").replace("10 mailhost", "10 mailhost.{name}.")
        if animal.code:
            other = re.sub("@ MX.*\n", "", other)
        found.append(Zone(f"{animal.label}-too.test", _filled(animal, other)))
    return found


def second_zone(animal: Animal) -> Zone | None:
    """Its zone on the second name server."""
    if not animal.second:
        return None
    return Zone(name_of(animal), zones_of(animal)[0].text + animal.second, animal.second_serial)


def definition_of(animal: Animal, certificate: str) -> str:
    """Its definition."""
    settings = {
        "addresses": '["ADDRESS"]',
        "dkim_selector": '"k"',
        "dkim_key": '"/etc/vmail/dkim.pem"',
        "certificate": f'"{certificate}"',
    } | dict(animal.settings)
    text = "".join(f"{key} = {value}\n" for key, value in settings.items() if value)
    return text.replace("ADDRESS", address_of(animal.label)).replace("SIX", f"{SIX}{NUMBERS[animal.label]}")


def reverse_zones() -> list[Zone]:
    """The way back from all addresses."""
    lines = "".join(f"{_filled(animal, animal.pointers)}\n" for animal in ANIMALS)
    six = "".join(
        f"{nibbles(NUMBERS[animal.label])} PTR mailhost.{name_of(animal)}.\n"
        for animal in ANIMALS
        if "SIX" in animal.settings.get("addresses", "")
    )
    return [
        Zone("100.51.198.in-addr.arpa", f"@ NS ns.zoo.test.\n1 PTR main.zoo.test.\n{lines}"),
        Zone("8.b.d.0.1.0.0.2.ip6.arpa", f"@ NS ns.zoo.test.\n{six}"),
    ]


def nibbles(number: int) -> str:
    """An address of 2001:db8::/32 by its last group, below its reverse zone."""
    return ".".join(reversed(f"{int(str(number), 16):024x}"))
