"""The audit log as people ask for it: a site administrator sees all of it, a co-administrator that of a domain."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

from vmaild.admin.door import Door
from vmaild.admin.refusal import Code, Refused
from vmaild.store.state import AuditLog, AuditRecord, StateUnusable

PAGE = 50
_MOST = 2**62
"""More than a database can hold, and as much as it can count to."""


def changes(door: Door, domain: str | None, page: int = 1, size: int = PAGE) -> list[dict[str, str]]:
    """One page of the changes of a domain, or of all; the newest first, pages counted from 1. Raises Refused."""
    if domain is not None:
        domain = door.see(domain)[1].name
    elif not door.actor.site_admin:
        raise Refused(
            "only a site administrator sees the changes of all domains", "name a domain", Code.NOT_PERMITTED
        )
    with state_refusals():
        skip = min((max(page, 1) - 1) * size, _MOST)
        found = AuditLog(door.layout).records(size, domain=domain, skip=skip)
    return [asdict(record) for record in reversed(found)]


@contextmanager
def noted(door: Door, verb: str, domain: str, subject: str, summary: str) -> Iterator[None]:
    """Have the audit log say what is done within, where it is no change of the door. Raises Refused."""
    audit = AuditLog(door.layout)
    with state_refusals():
        number = audit.begin(AuditRecord(str(door.actor), verb, domain, subject, summary))
        yield
        audit.complete(number)


@contextmanager
def state_refusals() -> Iterator[None]:
    """Turn what cannot be read or written of the state within into a refusal. Raises Refused."""
    try:
        yield
    except StateUnusable as error:
        raise Refused(str(error), "see to that file, then run it again") from error
