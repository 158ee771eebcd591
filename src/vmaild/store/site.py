"""Site settings from vmail.toml: read once by whoever starts, and again when told to.

Without the file everything has its default. A file that is no TOML is never half-believed: a listener or a
limit that goes missing unseen is worse than a command that does not start.
"""

from __future__ import annotations

from vmaild.core.findings import Finding, Severity
from vmaild.core.site import Site
from vmaild.formats.site import parse_site
from vmaild.store.files import Files, ReadFailed
from vmaild.store.layout import Layout


class SiteUnusable(Exception):
    """vmail.toml cannot be read or is damaged as a whole; str() names file, line and remedy."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(str(finding))
        self.finding = finding


def load_site(layout: Layout) -> tuple[Site, tuple[Finding, ...]]:
    """The site's settings, and what is wrong with single ones, each of which then has its default.

    Raises SiteUnusable.
    """
    path = layout.site
    try:
        found = Files().read(path)
    except ReadFailed as failure:
        problem = str(failure).removeprefix(f"{path}: ")
        finding = Finding(path, 0, problem, "let the mail user and the administrators read it", Severity.ERROR)
        raise SiteUnusable(finding) from failure
    site, findings = parse_site("" if found is None else found[0], path)
    if site is None:
        raise SiteUnusable(findings[0])
    return site, findings
