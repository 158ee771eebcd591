from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from vmaild.address import Address
from vmaild.admin.door import Door
from vmaild.admin.explain import explain
from vmaild.admin.refusal import Refused
from vmaild.core.routing import Resend, ToMailbox
from vmaild.outcome import Condition
from vmaild.store.layout import Layout


def test_each_mailbox_has_its_quota_in_force(door: Door, layout: Layout) -> None:
    Path(layout.definition("va.toto.fr")).write_text('quota = "10M"\n')
    Path(layout.passwd("va.toto.fr")).write_text("bob:x:1:1:,,,,quota=1M:/h:/s\nalice:x:1:1::/h:/s\n")
    explained = explain(door, Address("team", "va.toto.fr"))
    assert explained.answer.condition is Condition.ACCEPTED
    assert [(each.target, each.quota) for each in explained.destinations] == [
        (ToMailbox("va.toto.fr", "bob"), 1 << 20),
        (ToMailbox("va.toto.fr", "alice"), 10 << 20),
    ]
    sources = [str(step.source) for step in explained.steps if step.source]
    assert f"{layout.aliases('va.toto.fr')}:2" in sources


def test_unknown_names_and_domains_are_refused(door: Door) -> None:
    assert explain(door, Address("nobody", "va.toto.fr")).answer.condition is Condition.NO_SUCH_USER
    assert explain(door, Address("bob", "example.org")).answer.condition is Condition.NOT_LOCAL


def test_what_cannot_be_looked_up_waits_and_the_administrator_is_told_why(door: Door, layout: Layout) -> None:
    Path(layout.definition("va.toto.fr")).write_text("fallback = bob\n")
    explained = explain(door, Address("bob", "va.toto.fr"))
    assert explained.answer.condition is Condition.LOOKUP_FAILED
    assert "va.toto.fr.toml" in explained.problem
    assert "toml" not in explained.answer.text


def test_a_co_administrator_sees_the_inside_of_that_domain_only(
    door_of: Callable[[str], Door], layout: Layout
) -> None:
    Path(layout.aliases("va.toto.fr")).write_text("out: friends@vb.toto.fr\nnone: nobody@vb.toto.fr\n")
    alice = door_of("unix:alice")
    explained = explain(alice, Address("out", "va.toto.fr"))
    assert explained.destinations[0].target == Resend(Address("friends", "vb.toto.fr"))
    assert explained.answer.condition is Condition.ACCEPTED
    assert not any("vb.toto.fr" in str(step.source) for step in explained.steps)
    # Every sender can find that out; what stands in the other domain's files stays hidden.
    assert explain(alice, Address("none", "va.toto.fr")).answer.condition is Condition.NO_SUCH_USER
    with pytest.raises(Refused, match=r"unix:alice may not see vb.toto.fr"):
        explain(alice, Address("bob", "vb.toto.fr"))
