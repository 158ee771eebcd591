"""A BIND of the test's own, on loopback."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


def dig(port: int, *question: str) -> list[str]:
    """What the server says, a line for each record."""
    command = ["dig", f"-p{port}", "@127.0.0.1", "+short", "+tries=1", "+timeout=2", *question]
    said = subprocess.run(command, text=True, capture_output=True, check=False).stdout.splitlines()
    return [line for line in said if not line.startswith(";")]


@contextmanager
def running_named(
    folder: Path, port: int, zones: Mapping[str, str], *, options: str = "", of_zone: str = ""
) -> Iterator[None]:
    """Serve zones, each with its text; `options` and `of_zone` go into the configuration as they are."""
    text = f'options {{ directory "{folder}"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};\n'
    text += f'pid-file "{folder}/pid"; session-keyfile "{folder}/session"; recursion no; dnssec-validation no;\n'
    text += "allow-transfer { 127.0.0.1; }; };\ncontrols { };\n" + options
    for zone, records in zones.items():
        (folder / f"db.{zone}").write_text(records)
        text += f'zone "{zone}" {{ type primary; file "db.{zone}"; {of_zone} }};\n'
    (folder / "named.conf").write_text(text)
    with (folder / "named.log").open("wb") as log:
        command = ["named", "-g", "-n", "1", "-c", str(folder / "named.conf")]
        named = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        end = time.monotonic() + 30
        while not all(dig(port, zone, "SOA") for zone in zones):
            assert time.monotonic() < end, (folder / "named.log").read_text()
            time.sleep(0.05)
        yield
    finally:
        named.terminate()
        named.wait(20)
