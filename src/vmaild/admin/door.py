"""The one door: every change of a domain, an account or an alias passes here, from wherever it is asked for.

permission -> lock -> read -> draft -> compare routes -> write -> audit

A dry run takes the same way without lock and writing. The real thing drafts anew once it holds the lock, so
that two administrators at the same moment both succeed, one after the other.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from copy import copy
from dataclasses import dataclass, replace

from vmaild.address import Address, AddressError
from vmaild.admin.actor import unix_actor, user_name
from vmaild.admin.execute import carry_out
from vmaild.admin.plan import FileEdit, Plan, Step
from vmaild.admin.refusal import Code, Misused, Refused, system_refusal
from vmaild.admin.reroute import rerouted
from vmaild.admin.tables import installed_tables, table_steps
from vmaild.admin.view import View
from vmaild.core.directory import Domain, LookupFailed
from vmaild.core.findings import Finding
from vmaild.core.permissions import Action, Actor, allowed, owns
from vmaild.core.site import Site
from vmaild.formats.parsed import FormatError
from vmaild.store.atomic import make_folders
from vmaild.store.directory import DirectoryStore
from vmaild.store.layout import Layout, layout
from vmaild.store.locks import LockTimeout, exclusive
from vmaild.store.maildir import MaildirStore
from vmaild.store.messages import MessageStore, StoreError
from vmaild.store.site import SiteUnusable, load_site
from vmaild.store.state import DONE, AuditLog, AuditRecord, StateUnusable

LOCK_WAIT = 10.0
"""Seconds that a change waits for another of the same domain; not for all together, however many come."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What a verb wants done; the door turns it into a Plan."""

    summary: str
    steps: Sequence[Step] = ()
    warnings: Sequence[str] = ()
    inspect: Callable[[View], Iterator[str]] | None = None
    """Further warnings, from what would be on disk afterwards; may raise Refused."""


@dataclass(frozen=True, slots=True)
class Change:
    """What is asked for."""

    verb: str
    domain: str
    """Canonical; may be a domain alias. Empty: what is changed is not of one domain, but of the machine."""
    subject: str
    action: Action
    draft: Callable[[View], Draft]
    """Raises Refused, FormatError, AddressError."""
    owner: Address | None = None
    """The account whose owner may do it without any other right."""
    names: bool = False
    """Whether names, domain aliases or service addresses may change, which other domains must not have too."""
    only_reads: bool = False
    """Whether nothing of the domain itself changes, so that others may change it meanwhile."""


class Door:
    """Who stands at the door, and what is behind it."""

    def __init__(
        self,
        layout: Layout,
        site: Site,
        actor: Actor,
        *,
        findings: tuple[Finding, ...] = (),
        lock_wait: float = LOCK_WAIT,
        store: DirectoryStore | None = None,
    ) -> None:
        """`store`: the domains, where the process lives long enough to keep them; None: they are read anew."""
        self.layout = layout
        self.site = site
        self.actor = actor
        self.findings = findings
        """What is wrong with vmail.toml."""
        self.guard: Callable[[], None] = lambda: None
        """Looks once more before a change is planned, under its lock: raises Refused where it must not be made."""
        self.messages: MessageStore = MaildirStore(layout.spool)
        self._lock_wait = lock_wait
        self._store = store
        self._held: Callable[[Plan], bool] = _never

    def holding(self, held: Callable[[Plan], bool]) -> Door:
        """The same door, but a plan of which `held` is true is returned as after a dry run, for people to look at.

        What is looked at is what would have been done, with the lock in hand: nobody can come in between.
        """
        door = copy(self)
        door._held = held
        return door

    def view(self) -> View:
        """What is on disk now."""
        return View(self.layout, self.site, self.actor, self._store)

    def see(self, name: str) -> tuple[View, Domain]:
        """A domain (or domain alias) that the actor may see. Raises Refused."""
        view = self.view()
        self._permit(view, Action.SEE, name)
        return view, view.domain(name)

    def see_own(self, address: Address) -> tuple[View, Domain]:
        """The domain of an account, for who may see the domain or owns the account. Raises Refused."""
        view = self.view()
        if not self._owns(view, Action.OWN_MAIL, address):
            self._permit(view, Action.SEE, address.domain)
        return view, view.domain(address.domain)

    def change(self, change: Change, *, dry_run: bool = False) -> Plan:
        """Plan a change and, unless it is a dry run, carry it out. Raises Refused."""
        with refusals():
            view = self.view()
            self._permit_change(view, change)
            if dry_run:
                return self._plan(view, change)
            found = view.find(change.domain) if change.action not in _OF_THE_SITE else None
            name = found.name if found else change.domain
            with self._locked(_locks(change, name), name):
                # What was read before the lock may be out of date by now.
                view = self.view()
                self._permit_change(view, change)
                plan = self._plan(view, change)
                if found and view.domain(change.domain).name != name:
                    raise Refused(f"{change.domain} was given to another domain just now", "run it again")
                return self._carried_out(plan, change) if plan.changes and not self._held(plan) else plan

    def _permit_change(self, view: View, change: Change) -> None:
        if change.owner is None or not self._owns(view, change.action, change.owner):
            self._permit(view, change.action, change.domain)

    def _owns(self, view: View, action: Action, address: Address) -> bool:
        """Whether it is the actor's own account, by the domain's name or a domain alias, and still there."""
        try:
            domain = view.find(address.domain)
        except Refused:
            return False  # it cannot be said now
        found = domain is not None and address.key in domain.accounts
        return bool(domain and found and owns(self.actor, action, Address(address.local_part, domain.name)))

    def _permit(self, view: View, action: Action, name: str) -> None:
        if self.actor.site_admin:
            return
        if action is Action.MACHINE:
            name = "this machine"
        try:
            domain = view.find(name) if action is not Action.MACHINE else None
        except Refused:
            domain = None  # a co-administrator learns nothing of domains that are not theirs, not even this
        if not allowed(self.actor, action, domain.definition if domain else None):
            seen = domain is not None and allowed(self.actor, Action.SEE, domain.definition)
            raise Refused(
                f"{self.actor.principal} may not {action.value} {name}",
                "ask a site administrator",
                Code.NOT_PERMITTED if seen or action is Action.MACHINE else Code.NOT_FOUND,
            )

    def _plan(self, view: View, change: Change) -> Plan:
        self.guard()
        draft = change.draft(view)
        after = view.with_edits(tuple(step for step in draft.steps if isinstance(step, FileEdit)))
        found = view.find(change.domain) if change.action not in _OF_THE_SITE else None
        name = found.name if found else change.domain
        inspected = tuple(draft.inspect(after)) if draft.inspect else ()
        return Plan(
            change.verb,
            name,
            change.subject,
            draft.summary,
            tuple(draft.steps),
            rerouted(view, after, name) if name else (),
            (*draft.warnings, *inspected),
        )

    def _carried_out(self, plan: Plan, change: Change) -> Plan:
        audit = AuditLog(self.layout)
        try:
            number = audit.begin(AuditRecord(str(self.actor), plan.verb, plan.domain, plan.subject, plan.summary))
        except StateUnusable as error:
            raise Refused(
                f"cannot write the audit log: {error}", "see to that file, or move it aside; nothing was changed"
            ) from error
        try:
            with refusals():
                steps = tuple(carry_out(step, self.messages) for step in plan.steps)
        except BaseException as error:
            self._complete(audit, number, f"failed: {error}")
            raise
        warnings = [*plan.warnings, *self._complete(audit, number, DONE)]
        if plan.domain:
            warnings += self._refreshed_tables(change.names)
        return replace(plan, steps=steps, warnings=tuple(warnings), carried_out=True)

    def _refreshed_tables(self, names: bool) -> Iterator[str]:
        """Bring the files that an MTA reads up to date; what goes wrong is a warning, as the change is made."""
        try:
            with self._locked(["tables"], "the tables of the MTA"):
                for step in table_steps(self.view(), installed_tables(self.layout), names=names):
                    carry_out(step, self.messages)
        except (Refused, OSError) as error:
            yield f"what the MTA reads is not up to date: {error}; then run 'vmail mta tables'"

    @staticmethod
    def _complete(audit: AuditLog, number: int, outcome: str) -> tuple[str, ...]:
        try:
            audit.complete(number, outcome)
        except StateUnusable as error:
            return (f"the audit log does not say how it ended: {error}",)
        return ()

    @contextmanager
    def _locked(self, names: Sequence[str], domain: str) -> Iterator[None]:
        make_folders(self.layout.run, 0o755)
        with ExitStack() as locks:
            for name in names:
                try:
                    locks.enter_context(exclusive(self.layout.lock(name), self._lock_wait))
                except LockTimeout as timeout:
                    what = "the list of domains" if name == SITE_LOCK else domain
                    raise Refused(
                        f"{what} is being changed by {_holder(timeout.pid)}",
                        "run it again when that has ended",
                        Code.BUSY,
                    ) from timeout
            yield


def _never(_plan: Plan) -> bool:
    return False


def _locks(change: Change, name: str) -> list[str]:
    if change.only_reads:
        return [f"backup.{name}"]
    site = [SITE_LOCK] if change.names or not name else []
    return [*site, f"domain.{name}"] if name else site


SITE_LOCK = "site"
_OF_THE_SITE = (Action.DEFINITION, Action.MACHINE)
"""What is named as it is, be there a domain of that name or not."""


def open_door(root: str | None = None) -> Door:
    """The door of the layout under `root` (None: VMAIL_ROOT, else the system's own), for who runs this process.

    Raises Refused where there is nothing behind it, or vmail.toml is damaged.
    """
    where = layout(root)
    with refusals():
        try:
            os.listdir(where.definitions)  # to find out now whether it is there and may be read
        except FileNotFoundError as error:
            raise Refused(f"{where.definitions} does not exist", "lay everything out with 'vmail init'") from error
        site, findings = load_site(where)
        return Door(where, site, unix_actor(where, site), findings=findings)


@contextmanager
def refusals() -> Iterator[None]:
    """Turn what other rooms raise into what an administrator can act upon."""
    try:
        yield
    except FormatError as error:
        raise Misused(error.problem, error.remedy) from error
    except AddressError as error:
        raise Misused(str(error), "write it like bob@va.example.org") from error
    except SiteUnusable as error:
        finding = error.finding
        raise Refused(f"{finding.place}: {finding.problem}", finding.remedy) from error
    except StoreError as error:
        cause = error.__cause__
        if isinstance(cause, OSError):
            raise system_refusal(cause, str(error).partition(": [Errno")[0]) from error
        raise Refused(str(error), "see to that, then run it again") from error
    except LookupFailed as error:
        raise Refused(str(error), "run it as root, or as a user who has access") from error
    except OSError as error:
        raise system_refusal(error) from error


def _holder(pid: int | None) -> str:
    """Who holds a lock, for people."""
    if pid is None:
        return "another process"
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            command = file.read().strip()
        return f"process {pid} ({command} of {user_name(os.stat(f'/proc/{pid}').st_uid)})"
    except OSError:
        return f"process {pid}"
