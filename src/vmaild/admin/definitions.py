"""Edits of a domain's definition, checked by reading the result back."""

from __future__ import annotations

from collections.abc import Mapping

from vmaild.admin.plan import FileEdit
from vmaild.admin.refusal import Refused
from vmaild.admin.view import View
from vmaild.core.directory import Domain
from vmaild.core.findings import Severity
from vmaild.formats.domain import parse_definition, with_settings


def edited_definition(view: View, domain: str, settings: Mapping[str, object | None]) -> list[FileEdit]:
    """The edit that sets keys of a definition (None: removes them); none where they are set so already.

    Raises Refused where the file is damaged, or would be.
    """
    path = view.definition_path(domain)
    text = view.text(path) or ""
    for finding in parse_definition(text, domain, path)[1]:
        if finding.severity is Severity.ERROR:
            raise Refused(f"{path}:{finding.line}: {finding.problem}", f"{finding.remedy}, by hand first")
    try:
        edited = with_settings(text, settings)
    except ValueError as error:
        raise Refused(f"{path}: cannot be edited: {error}", "edit it by hand") from error
    for finding in parse_definition(edited, domain, path)[1]:
        if finding.severity is Severity.ERROR:
            raise Refused(finding.problem, finding.remedy)
    return view.edit(path, edited)


def domain_itself(view: View, name: str) -> Domain:
    """The domain of that very name: what changes a definition must not be said to a domain alias.

    Raises Refused.
    """
    domain = view.domain(name)
    if domain.name != name:
        raise Refused(f"{name} is a domain alias of {domain.name}", f"name the domain itself: {domain.name}")
    return domain
