"""`vmail check --fix` mends what it may, and the check after it is clean."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.zoo.animals import (
    ANIMALS,
    KEY,
    MACHINE,
    NUMBERS,
    SIX,
    address_of,
    definition_of,
    name_of,
    reverse_zones,
    zones_of,
)
from tests.e2e.zoo.world import NS1, SERVERS, World, Zone
from tests.served import COMMANDS, run

pytestmark = pytest.mark.skipif(shutil.which("named") is None, reason="BIND is not installed")

SICK = [animal for animal in ANIMALS if animal.fixed]
DOWN = next(animal for animal in ANIMALS if animal.label == "address-down")
SITE = """\
[pop3]
listen = ["*:110"]
[delivery]
relay = ""
[dns]
reload = true
[addresses]
interface = "lo"
"""


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The animals that may be mended, with their name server's files below our root, where vmaild may write."""
    folder = tmp_path_factory.mktemp("m")
    addresses = [f"{address_of(animal.label)}/32" for animal in SICK]
    addresses += [f"{SIX}{NUMBERS[animal.label]}/128" for animal in SICK]
    found = World(folder, [f"{MACHINE}/32", "198.51.100.200/32", *addresses])
    try:
        root = folder / "r"
        run(COMMANDS / "vmail", "--root", root, "init", check=True)
        (root / "etc/vmail/vmail.toml").write_text(SITE)
        (root / "etc/vmail/dkim.pem").write_text(f"-----BEGIN PUBLIC KEY-----\n{KEY}\n-----END PUBLIC KEY-----\n")
        for animal in (*SICK, DOWN):
            (root / f"etc/vmail/domains/{name_of(animal)}.toml").write_text(definition_of(animal, ""))
        zones = [zone for animal in (*SICK, DOWN) for zone in zones_of(animal)]
        zones += [*reverse_zones(), Zone("zoo.test", f"@ NS ns\n{SERVERS}")]
        found.name_server(NS1, zones, writable=root / "etc/bind")
        lines = [f'zone "{zone.name}" {{ type primary; file "/etc/bind/db.{zone.name}"; }};\n' for zone in zones]
        (root / "etc/bind/named.conf").write_text("".join(lines))
        found.resolver({zone.name: ["ns.zoo.test"] for zone in zones}, ttl=0)
        found.serve(root)
        yield found
    finally:
        found.stop()


def test_what_may_be_mended_is_mended(world: World) -> None:
    root = world.folder / "r"
    spool, shadow = root / "var/spool/vmail", root / "etc/vmail/shadow.mx-none.test"
    shadow.write_text("")
    shadow.chmod(0o644)
    (root / "etc/vmail/domains").chmod(0o777)
    shutil.move(spool, world.folder / "elsewhere")

    before = snapshot(root / "etc/bind")
    shown = world.check(root, "--all", "--fix", "--dry-run")
    assert snapshot(root / "etc/bind") == before
    codes = {finding["code"] for finding in shown["findings"]}
    assert {"file", "address.down", *(animal.code for animal in SICK)} <= codes
    kinds = {each["fix"] for each in shown["mended"] if not each["problem"]}
    assert kinds == {"dns", "addresses", "mode", "folder"}, shown["mended"]

    after = world.check(root, "--all", "--fix")
    assert all(not each["problem"] for each in after["mended"]), after["mended"]
    # These two animals have no certificate here, and a hand-kept PTR of another name.
    assert {finding["code"] for finding in after["findings"]} <= {"pop3.no_stls", "ptr.other_name"}, after[
        "findings"
    ]
    assert spool.is_dir()
    assert oct(shadow.stat().st_mode & 0o777) == "0o640"
    assert world.dig("mx-none.test", "MX") == ["10 mailhost.mx-none.test."]
    for path in (root / "etc/bind").glob("db.*[a-z]"):
        if not path.name.endswith(".before-vmaild"):
            command = ["named-checkzone", "-q", path.name.removeprefix("db."), str(path)]
            assert subprocess.run(command, check=False).returncode == 0, path
    again = world.check(root, "--all", "--fix")
    assert not any(each["plan"]["changed"] for each in again["mended"])


def snapshot(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in os.listdir(folder) if name.startswith("db.")}
