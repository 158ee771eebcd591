"""Whatever is broken in one domain: the fault is told, and the other domains work as if nothing were."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from tests.layouts import laid_out

from vmaild.address import parse_address
from vmaild.core import routing
from vmaild.core.site import Site
from vmaild.delivery.agent import Agent
from vmaild.delivery.outside import outside
from vmaild.outcome import Condition, Deferred, Delivered, Rejected
from vmaild.store.content import Content
from vmaild.store.directory import FileDirectory
from vmaild.store.layout import Layout
from vmaild.store.maildir import MaildirStore

BROKEN, WHOLE = "va.toto.fr", "vb.toto.fr"
FOLDERS = sorted(path for path in Path(__file__).parent.iterdir() if path.is_dir() and path.name != "__pycache__")


@pytest.fixture(params=FOLDERS, ids=lambda folder: folder.name)
def here(request: pytest.FixtureRequest, tmp_path: Path) -> Layout:
    where = laid_out(tmp_path)
    shutil.copytree(request.param, where.configuration, dirs_exist_ok=True)
    if not os.path.exists(where.definition(BROKEN)):
        Path(where.definition(BROKEN)).touch()
    Path(where.definition(WHOLE)).write_text('addresses = ["127.0.0.3"]\naliases = ["vb.example"]\n')
    Path(where.passwd(WHOLE)).write_text("bob:x:1:1:::\n")
    Path(where.shadow(WHOLE)).write_text("bob:$6$salt$hash:1::::::\n")
    Path(where.aliases(WHOLE)).write_text("boss: bob\n")
    return where


def test_the_other_domain_delivers_and_logs_in(here: Layout) -> None:
    directory = FileDirectory(here)
    agent = Agent(directory, MaildirStore(here.spool), outside(here, Site(), "here.test"))
    assert set(directory.names()) == {BROKEN, WHOLE}
    assert directory.domain_at("127.0.0.3") == WHOLE
    outcome, order = agent.accept(parse_address("boss@vb.example"))
    assert outcome == Delivered(Condition.ACCEPTED)
    assert order is not None
    with Content(here.incoming) as content:
        content.append(b"Subject: hello\n")
        content.finish()
        assert agent.deliver("", b"", [order], content) == [Delivered()]
    assert agent.accept(parse_address(f"nobody@{WHOLE}")) == (Rejected(Condition.NO_SUCH_USER), None)
    entry = directory.password_of(WHOLE, "bob")
    assert entry is not None
    assert entry.password == "$6$salt$hash"
    assert directory.findings(WHOLE) == ()


def test_the_broken_domain_says_what_is_wrong_and_loses_no_mail(here: Layout) -> None:
    directory = FileDirectory(here)
    expected = set(Path(here.configuration, "expected.txt").read_text(encoding="utf-8").splitlines())
    of_the_domain = {line for line in expected if BROKEN in line.partition(":")[0]}
    told = {str(finding).removeprefix(f"{here.configuration}/") for finding in directory.findings(BROKEN)}
    assert of_the_domain <= told
    # Without a definition to go by nobody is known to be unknown: mail waits.
    if "domains/va.toto.fr.toml" in {line.partition(":")[0] for line in expected}:
        decided = routing.route(directory, parse_address(f"nobody@{BROKEN}"))
        if isinstance(decided, routing.Undecided):
            assert isinstance(routing.answer(decided), Deferred)
        else:
            assert directory.find(BROKEN) is not None, "the definition is good but for warnings"
