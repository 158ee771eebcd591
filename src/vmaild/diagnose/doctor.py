"""The whole check: what is behind the door is gathered, probed and judged."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from vmaild.admin.door import Door
from vmaild.admin.mta import sockets
from vmaild.admin.subjects import subjects_of
from vmaild.core.evidence import Machine, Subject
from vmaild.core.findings import Diagnosis
from vmaild.core.rules_machine import machine_diagnoses
from vmaild.core.rules_mta import mta_diagnoses
from vmaild.core.site import RelayKind
from vmaild.core.upkeep import Upkeep
from vmaild.core.verdicts import diagnoses, resolver_diagnoses
from vmaild.diagnose.checkup import Extent, examine
from vmaild.diagnose.mta import questions
from vmaild.diagnose.probes_machine import machine_evidence
from vmaild.diagnose.probes_upkeep import Premises, upkeep_evidence

LOCAL_MTA = ("127.0.0.1", 25)
"""Where the MTA is, unless the relay names another."""


def examined(
    door: Door, names: Sequence[str], extent: Extent, on_done: Callable[[], object] = lambda: None
) -> dict[str, list[Diagnosis]]:
    """What is wrong with these domains, by name; with the machine, under "", for site administrators.

    In a demo DNS and the MTA are not asked: its names are examples. Raises Refused, and ValueError for a resolver
    that cannot be.
    """
    subjects, neighbours = subjects_of(door, names)
    machine = machine_evidence()
    if door.site.demo:
        extent = replace(extent, dns=False)
    with ThreadPoolExecutor(1) as beside:
        # The MTA takes its time for each recipient, which DNS need not wait for.
        upkeep = beside.submit(_upkeep, _premises(door, subjects), machine)
        cases = examine(subjects, neighbours, machine, extent, on_done=on_done)
    found = {case.subject.name: list(diagnoses(case)) for case in cases}
    owners = {name: subject.name for subject in subjects for name in subject.names}
    seen = upkeep.result()
    general = [*resolver_diagnoses(cases), *machine_diagnoses(seen), *mta_diagnoses(seen, owners)]
    for diagnosis in general:
        name = owners.get(diagnosis.domain, "")
        if name or door.actor.site_admin:
            found.setdefault(name, []).append(replace(diagnosis, domain=name))
    return found


def _upkeep(premises: Premises | None, machine: Machine) -> Upkeep:
    return upkeep_evidence(premises, machine) if premises else Upkeep()


def _premises(door: Door, subjects: Sequence[Subject]) -> Premises | None:
    """What to look after; None: it is not the actor's business."""
    if not door.actor.site_admin:
        return None
    view, where, site = door.view(), door.layout, door.site
    names = [subject.name for subject in subjects if subject.definition]
    asks = site.delivery.relay.kind is not RelayKind.NONE and not site.demo
    folders = [where.spool, *(f"{where.spool}/{name}" for name in names)]
    return Premises(
        folders=(where.spool, where.state, where.configuration),
        owned=tuple(path for path in folders if os.path.isdir(path)),
        user=site.user,
        files=tuple(_files(door, names)),
        sockets=tuple(sockets(door)),
        mta=_mta(door) if asks else None,
        questions=tuple(questions(view.visible, names)) if asks else (),
        addresses=tuple(address for subject in subjects for address in subject.addresses),
    )


def _files(door: Door, names: Sequence[str]) -> Iterator[str]:
    """Files whose times tell whether the clock is right: those that change most often, and this program's own."""
    where = door.layout
    yield from (__file__, where.site, where.definitions, where.state, where.spool)
    for name in names:
        yield from (where.definition(name), where.passwd(name), where.shadow(name), where.aliases(name))


def _mta(door: Door) -> tuple[str, int]:
    relay = door.site.delivery.relay
    return (relay.host, relay.port) if relay.kind in {RelayKind.SMTP, RelayKind.STARTTLS} else LOCAL_MTA
