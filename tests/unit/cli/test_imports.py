"""`vmail user import`."""

from __future__ import annotations

from pathlib import Path

from tests.unit.cli.conftest import Vmail

from vmaild.store.layout import Layout


def test_a_list_is_looked_at_then_added(vmail: Vmail, layout: Layout, tmp_path: Path) -> None:
    file = tmp_path / "staff.csv"
    file.write_text("login,full_name,password\nann,Ann Martin,purple walrus\nbob,Bob,\njoe,,\n")
    command = ("user", "import", str(file), "--domain", "va.toto.fr")
    before = Path(layout.passwd("va.toto.fr")).read_bytes()
    looked = vmail(*command, "--dry-run")
    assert looked.status == 1
    assert "2 accounts can be added; 1 cannot be." in looked.stdout
    assert "purple" not in looked.stdout
    refused = vmail(*command)
    assert (refused.status, "Nothing was changed" in refused.stdout) == (1, True)
    assert Path(layout.passwd("va.toto.fr")).read_bytes() == before
    done = vmail(*command, "--skip", "--json")
    assert (done.status, done.document["added"], done.document["carried_out"]) == (0, 2, True)
    assert [bool(row["problem"]) for row in done.document["rows"]] == [False, True, False]
    assert "ann:" in Path(layout.passwd("va.toto.fr")).read_text()
    assert vmail("user", "import", "-", stdin="address\neve@va.toto.fr\n").stdout.endswith(
        "Done: 1 accounts added.\n"
    )


def test_no_file_and_no_list(vmail: Vmail, tmp_path: Path) -> None:
    missing = vmail("user", "import", str(tmp_path / "nothing"))
    assert (missing.status, "No such file" in missing.stderr) == (1, True)
    assert vmail("user", "import", "-", stdin="name\nx\n").status == 2
