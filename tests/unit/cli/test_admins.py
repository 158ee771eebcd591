"""`vmail admin second-factor`: what a site administrator does for who has lost everything."""

from __future__ import annotations

import json
from pathlib import Path

from tests.unit.cli.conftest import Vmail

from vmaild.store.layout import Layout


def test_a_lost_second_factor_is_taken_back(vmail: Vmail, layout: Layout) -> None:
    whose = "bob@va.toto.fr"
    assert vmail("admin", "second-factor", whose).stdout == f"{whose} has no second factor.\n"
    folder = Path(layout.second_factors)
    folder.mkdir(parents=True)
    file = folder / whose
    file.write_text('{"secret": "GEZDGNBVGY3TQOJQ", "used": 0, "recovery": ["x", "y"]}')
    assert "and 2 recovery codes" in vmail("admin", "second-factor", whose).stdout
    assert json.loads(vmail("admin", "second-factor", whose, "--json").stdout)["recovery_codes"] == 2
    assert vmail("admin", "second-factor", whose, "--reset", "--dry-run").stdout.startswith("Would switch off")
    assert file.exists()
    file.write_text("damaged")
    refused = vmail("admin", "second-factor", whose)
    assert (refused.status, "is damaged: remove it" in refused.stderr) == (1, True)
    done = vmail("admin", "second-factor", whose, "--reset", "--json")
    assert (done.status, json.loads(done.stdout)["switched_off"]) == (0, True)
    assert not file.exists()
    assert vmail("admin", "second-factor", "nobody", "--reset").status == 2
