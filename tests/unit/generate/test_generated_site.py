"""The vmail.toml that explains itself says of every key what the code does without it."""

from __future__ import annotations

import re
import tomllib
from dataclasses import fields, is_dataclass

import pytest

from vmaild.core.site import Site
from vmaild.formats.site import parse_site
from vmaild.generate.site import render_site


def with_defaults_in_force(text: str) -> str:
    """The file with the comment signs before settings taken away."""
    return re.sub(r"^# (?=\w+ = )", "", text, flags=re.MULTILINE)


def test_as_it_is_every_default_is_in_force() -> None:
    assert parse_site(render_site({}), "vmail.toml") == (Site(), ())


def test_the_defaults_that_it_shows_are_those_of_the_code() -> None:
    assert parse_site(with_defaults_in_force(render_site({})), "vmail.toml") == (Site(), ())


def test_every_key_is_shown_and_explained() -> None:
    shown = tomllib.loads(with_defaults_in_force(render_site({})))
    tables = {field.name for field in fields(Site) if is_dataclass(getattr(Site(), field.name))}
    assert set(shown) == {"site", *tables}
    assert set(shown.pop("site")) == {field.name for field in fields(Site)} - tables
    for table, values in shown.items():
        assert set(values) == {field.name for field in fields(getattr(Site(), table))}
    for block in re.split(r"\n\n|\n(?=\[)", render_site({})):
        assert re.match(r"(\[\w+\]\n)?# \w", block), block


def test_settings_are_in_force() -> None:
    text = render_site(
        {"site.admins": ["unix:root", "bob@va.toto.fr"], "pop3.workers": 7, "smtp.allow_remote": True}
    )
    site, findings = parse_site(text, "vmail.toml")
    assert findings == ()
    assert site is not None
    assert (site.admins, site.pop3.workers, site.smtp.allow_remote) == (("unix:root", "bob@va.toto.fr"), 7, True)


def test_a_key_that_does_not_exist_is_refused() -> None:
    with pytest.raises(KeyError, match="port"):
        render_site({"pop3.port": 110})


def test_lines_fit_a_terminal() -> None:
    assert max(map(len, render_site({}).splitlines())) <= 115
