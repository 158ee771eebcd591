"""`vmail check` in a zoo of broken set-ups, each built for real: each is named, with the right remedy."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.zoo.animals import (
    ANIMALS,
    KEY,
    MACHINE,
    NUMBERS,
    SIX,
    UNSERVED,
    Animal,
    address_of,
    definition_of,
    name_of,
    reverse_zones,
    second_zone,
    zones_of,
)
from tests.e2e.zoo.world import NS1, NS2, SERVERS, Authority, World, Zone
from tests.served import COMMANDS, moments, run

pytestmark = pytest.mark.skipif(shutil.which("named") is None, reason="BIND is not installed")

SITE = '[site]\nadmins = ["unix:root"]\n[pop3]\nlisten = [{listen}]\nnative = []\n[delivery]\nrelay = ""\n'


@dataclass(frozen=True)
class Zoo:
    world: World
    root: Path
    environment: dict[str, str]
    found: Any
    """The document of one check of all domains."""

    def about(self, name: str) -> list[dict[str, Any]]:
        return [finding for finding in self.found["findings"] if finding["domain"] == name]


def certificates(authority: Authority, stranger: Authority) -> dict[str, str]:
    """PEM files by label; "" is that of everybody else."""
    now = datetime.now(UTC)

    def moment(days: int) -> str:
        return (now + timedelta(days=days)).strftime("%Y%m%d%H%M%SZ")

    everybody = [f"mailhost.{name_of(animal)}" for animal in ANIMALS]
    found = {"": authority.certificate("everybody", everybody)}
    for label, start, end in (("expired", -90, -3), ("early", 5, 90), ("soon", -80, 5)):
        name = f"tls-{label}"
        found[name] = authority.certificate(name, [f"mailhost.{name}.test"], start=moment(start), end=moment(end))
    found["tls-self"] = authority.certificate("tls-self", ["mailhost.tls-self.test"], signed=False)
    found["tls-other"] = authority.certificate("tls-other", ["www.example.test"])
    found["tls-unknown"] = stranger.certificate("tls-unknown", ["mailhost.tls-unknown.test"])
    return {label: str(path) for label, path in found.items()}


def lay_out(root: Path, listen: list[str], site: str = SITE) -> Path:
    """A root with a site and no domain."""
    run(COMMANDS / "vmail", "--root", root, "init", check=True)
    (root / "etc/vmail/vmail.toml").write_text(site.format(listen=", ".join(f'"{each}:110"' for each in listen)))
    return root / "etc/vmail"


def inhabit(etc: Path, authority: Authority, stranger: Authority) -> None:
    """The definition of every animal."""
    (etc / "dkim.pem").write_text(f"-----BEGIN PUBLIC KEY-----\n{KEY}\n-----END PUBLIC KEY-----\n")
    files = certificates(authority, stranger)
    for label, path in files.items():
        shutil.copy(path, etc / f"cert-{label}.pem")
    for animal in ANIMALS:
        path = f"/etc/vmail/cert-{animal.label if animal.label in files else ''}.pem"
        (etc / "domains" / f"{name_of(animal)}.toml").write_text(definition_of(animal, path))


def impostors(world: World, folder: Path) -> None:
    """Another set of servers, where ours should be."""
    etc = lay_out(folder, [address_of("pop3-other"), address_of("pop3-native")])
    site = etc / "vmail.toml"
    site.write_text(
        site.read_text()
        + f'[smtp]\nlisten = ["{address_of("pop3-mail")}:110"]\nallow_remote = true\n'
        + '[lmtp]\nlisten = ["unix:/run/vmail/lmtp.sock"]\n'
    )
    (etc / "domains/impostor.test.toml").write_text(f'addresses = ["{address_of("pop3-other")}"]\n')
    world.serve(folder)


def name_servers(world: World) -> None:
    zones = [zone for animal in ANIMALS for zone in zones_of(animal)]
    main = Zone("zoo.test", f"@ NS ns\n{SERVERS}main A {MACHINE}\n")
    world.name_server(NS1, [*zones, *reverse_zones(), main])
    world.name_server(NS2, [zone for zone in map(second_zone, ANIMALS) if zone])
    everything = [zone.name for zone in (*zones, *reverse_zones(), main)]
    world.resolver({name: ["ns.zoo.test"] for name in everything})


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zoo]:
    folder = tmp_path_factory.mktemp("z")
    four = [address_of(animal.label) for animal in ANIMALS if animal.label != "address-down"]
    six = [f"{SIX}{number}/128" for number in (1, *NUMBERS.values())]
    world = World(folder, [f"{MACHINE}/24", "198.51.100.200/32", *(f"{each}/32" for each in four), *six])
    try:
        authority, stranger = Authority(folder / "ca"), Authority(folder / "stranger")
        listen = [f"[{SIX}{number}]" for number in NUMBERS.values()] + ["198.51.100.200"]
        listen += [address_of(animal.label) for animal in ANIMALS if animal.label not in UNSERVED]
        etc = lay_out(folder / "r", listen)
        inhabit(etc, authority, stranger)
        name_servers(world)
        world.serve(folder / "r")
        impostors(world, folder / "o")
        # The check believes that the server listens everywhere, as an administrator does.
        (etc / "vmail.toml").write_text(SITE.format(listen='"*:110"'))
        environment = {"SSL_CERT_FILE": str(authority.path)}
        for _ in range(3):
            found = world.check(folder / "r", "--all", env=environment)
            if not any(each["code"] == "dns.unknown" for each in found["findings"]):
                break  # else a busy machine was too slow for the time limits of so many questions
        yield Zoo(world, folder / "r", environment, found)
    finally:
        world.stop()


@pytest.mark.parametrize("animal", ANIMALS, ids=lambda animal: animal.label)
def test_each_is_named_with_its_remedy(zoo: Zoo, animal: Animal) -> None:
    about = zoo.about(name_of(animal))
    assert {each["code"] for each in about} == ({animal.code} | animal.also if animal.code else set()), about
    for finding in (each for each in about if each["code"] == animal.code):
        pattern = animal.remedy.replace("ADDRESS", re.escape(address_of(animal.label)))
        assert re.search(pattern, finding["remedy"]), finding
        assert finding["problem"]
        assert finding["why"]


def test_nothing_is_said_of_the_machine(zoo: Zoo) -> None:
    assert zoo.about("") == []


def test_the_classic_programs_say_the_same(zoo: Zoo, tmp_path: Path) -> None:
    environment = [f"{name}={value}" for name, value in zoo.environment.items()] + [f"VMAIL_ROOT={zoo.root}"]
    one = zoo.world.run("env", *environment, COMMANDS / "checkvdomain", "healthy.test")
    assert one.stdout == "healthy.test: nothing is wrong\n"
    page = tmp_path / "report.html"
    named = zoo.world.folder / f"named-{NS1}.conf"
    command: list[str | Path] = ["env", *environment, COMMANDS / "testalldomain", named, "--html", page]
    every = zoo.world.run(*command, check=False)
    assert every.returncode == 1
    rows = [line.split() for line in every.stdout.partition("\n\n")[0].split("\n")]
    verdicts = {row[1]: row[0] for row in rows[1:] if len(row) > 1}
    assert verdicts["healthy.test"] == "right"
    assert verdicts["zoo.test"] == "unknown", "a zone without mail"
    assert verdicts["ptr-bare.test"] == "wrong"
    assert "2.0.192.in-addr.arpa" not in verdicts
    text = page.read_text()
    assert "the PTR of" in text
    assert text.count("<section") == sum(verdict != "right" for verdict in verdicts.values())
    for program in ("checkvdomain", "testalldomain"):
        explained = run(COMMANDS / program)
        assert (explained.returncode, explained.stdout.startswith(f"usage: {program}")) == (2, True)


def test_behind_a_router_nothing_is_claimed(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("nat")
    world = World(folder, ["192.168.7.2/32"])
    try:
        etc = lay_out(folder / "r", ["*"])
        (etc / "domains/home.test.toml").write_text('addresses = ["192.168.7.2"]\n')
        home = '@ NS ns.zoo.test.\n@ MX 10 mailhost\nmailhost A 203.0.113.9\n@ TXT "v=spf1 mx -all"\n'
        home += '_dmarc TXT "v=DMARC1; p=none"\n'
        world.name_server(NS1, [Zone("home.test", home)])
        world.resolver({"home.test": ["ns.zoo.test"]})
        world.serve(folder / "r")
        found = world.check(folder / "r", "home.test")["findings"]
        assert {each["code"]: each["severity"] for each in found} == {
            "nat": "unknown",
            "pop3.no_stls": "warning",
            "dkim.none": "warning",
        }
    finally:
        world.stop()


def test_a_change_that_the_resolver_has_not_seen_yet(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("cache")
    world = World(folder, [f"{MACHINE}/32"])
    try:
        etc = lay_out(folder / "r", ["*"])
        (etc / "domains/new.test.toml").write_text(f'addresses = ["{MACHINE}"]\n')
        before = f"@ NS ns.zoo.test.\nmailhost A {MACHINE}\n"
        world.name_server(NS1, [Zone("new.test", before)])
        world.resolver({"new.test": ["ns.zoo.test"]})
        assert world.dig("new.test", "MX") == []
        (folder / f"named-{NS1}" / "db.new.test").write_text(
            Zone("new.test", f"{before}@ MX 10 mailhost\n", 2).whole
        )
        world.rndc(NS1, "reload", "new.test")
        for _ in moments("the zone was not read again"):
            if world.dig(f"@{NS1}", "new.test", "MX"):
                break
        found = {each["code"]: each for each in world.check(folder / "r", "new.test")["findings"]}
        assert "rndc flush" in found["dns.negative_cached"]["remedy"]
        assert "mx.none" not in found
        world.rndc("127.0.0.1", "flush")
        assert "dns.negative_cached" not in {
            each["code"] for each in world.check(folder / "r", "new.test")["findings"]
        }
    finally:
        world.stop()
