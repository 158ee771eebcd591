"""Service addresses on this machine: how they stand, and what puts them up, now and after a reboot.

Only addresses that vmaild has put up itself are ever taken down: those in its record.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from vmaild.admin.boot_file import boot_edits, boot_file
from vmaild.admin.door import Change, Door, Draft, refusals
from vmaild.admin.plan import AddressEffect, Plan
from vmaild.admin.refusal import Refused
from vmaild.admin.view import View
from vmaild.core.addresses import (
    Host,
    Placed,
    PoolUse,
    Standing,
    State,
    Work,
    conflicts,
    families,
    next_free,
    pool_uses,
    standings,
    work,
)
from vmaild.core.permissions import Action
from vmaild.generate.addresses import is_ours

AUTO = "auto"
"""In the place of an address: the next free one of the pool."""


class Lasting(StrEnum):
    """Whether an address is up again after a reboot."""

    YES = "yes"
    BY_OTHERS = "others"
    """As far as those see to it who have put it up."""
    NO = "no"


@dataclass(frozen=True, slots=True)
class Addresses:
    """How the service addresses stand that somebody may see."""

    interface: str
    """Where they are put up; empty: vmaild puts none up."""
    standings: tuple[Standing, ...]
    file: str
    """What puts them up after a reboot; empty: nothing does."""
    stored: frozenset[str]
    """Those that it names."""
    learnt: Mapping[str, str]
    """By address, the name in reverse DNS that gives it to its domain; no definition says so."""
    pool: tuple[PoolUse, ...] = ()
    """What is left of the pool, where all addresses of the site were asked for."""

    @property
    def right(self) -> bool:
        """Whether nothing is left to be done."""
        return all(each.state is State.UP for each in self.standings)

    def lasts(self, standing: Standing) -> Lasting:
        """Whether one of them is up again after a reboot."""
        if standing.address in self.stored:
            return Lasting.YES
        return Lasting.BY_OTHERS if standing.state is State.UP and not standing.ours else Lasting.NO


@dataclass(frozen=True, slots=True)
class Applied:
    """What was done, or would be."""

    plan: Plan
    refused: tuple[str, ...]
    """Why some domains do not get what they want."""


# -- questions


def show_addresses(door: Door, name: str = "") -> Addresses:
    """The service addresses of a domain, or of all that the actor may see (empty). Raises Refused."""
    with refusals():
        if name:
            view, domain = door.see(name)
            visible = [domain.name]
        else:
            view = door.view()
            visible = [each for each in view.names() if _is_visible(view, each)]
        host = _host()
        placed = _placed(view)
        wanted, _ = _wanted(view)
        everything = bool(not name and door.actor.site_admin)
        learnt = _learnt(view, wanted)
        standing = standings(wanted, host, placed, _of_main(view, host, placed))
        by_pointer = {address: [domain] for address, (domain, _) in learnt.items()}
        shown = tuple(
            each
            for each in [*standing, *standings(by_pointer, host, (), ())]
            if (everything and not each.domains) or not set(visible).isdisjoint(each.domains)
        )
        file = boot_file(view, host)
        text = view.text(file.path) or "" if file else ""
        stored = {each.address for each in placed if str(each) in text} if is_ours(text) else set()
        names = {address: name for address, (_, name) in learnt.items()}
        where = file.path if file else ""
        settings = view.site.addresses
        pool = pool_uses(settings.pool, _taken(view, host, wanted)) if everything else ()
        return Addresses(settings.interface, shown, where, frozenset(stored), names, pool)


def allocated(view: View, name: str) -> list[str]:
    """The next free address of the pool for a domain, one of each IP version it has. Raises Refused."""
    pool = view.site.addresses.pool
    if not pool:
        raise Refused(
            "there is no pool to take an address from", 'set pool = ["192.0.2.0/28"] in [addresses] of vmail.toml'
        )
    host = _host()
    wanted, _ = _wanted(view)
    found = next_free(pool, _taken(view, host, wanted))
    if len(found) < len(families(pool)):
        raise Refused(f"no address of the pool is free for {name}", "add a network to pool in [addresses]")
    return list(found)


def check_not_main(view: View, address: str) -> None:
    """That an address is not the main domain's; what only the network tells, where vmaild sets that up.

    Raises Refused.
    """
    placed, host = ((), Host({})) if not view.site.addresses.interface else (_placed(view), _host())
    if address in _of_main(view, host, placed):
        raise Refused(
            f"{address} is this machine's own, where the main domain is served", "give the domain another one"
        )


# -- changes


def apply_addresses(door: Door, name: str = "", *, dry_run: bool = False) -> Applied:
    """Put up the service addresses of a domain, or of all (empty), and write the file for the next start.

    With all of them, those that no domain wants any more are taken down. Raises Refused.
    """
    refused: list[str] = []

    def draft(view: View) -> Draft:
        settings = view.site.addresses
        host, placed = _host(), _placed(view)
        if settings.interface and settings.interface not in host.interfaces:
            raise Refused(
                f"this machine has no interface {settings.interface}",
                f"set interface in [addresses] of vmail.toml to one of {', '.join(sorted(host.interfaces))}",
            )
        domain = view.domain(name).name if name else ""
        wanted, unread = _wanted(view)
        found = standings(wanted, host, placed, _of_main(view, host, placed))
        todo = work(found, settings, domain, remove=not unread)
        if todo.up and not settings.interface:
            raise Refused(
                f"{todo.up[0].address} is not up, and vmaild is to put none up",
                'set interface = "eth0", or what yours is called, in [addresses] of vmail.toml',
            )
        refused[:] = conflicts(todo.refused)
        edits, warnings = boot_edits(view, host, todo.kept)
        warnings += [f"the definition of {each} cannot be read, so nothing is taken down" for each in unread]
        what = f"the service addresses of {domain}" if domain else "all service addresses"
        return Draft(f"put up {what}", [*_effects(view, todo), *edits], warnings)

    change = Change("address apply", "", name or "all", Action.MACHINE, draft)
    return Applied(door.change(change, dry_run=dry_run), tuple(refused))


# -- parts


def _host() -> Host:
    from vmaild.store.addresses import read_host  # noqa: PLC0415  it takes its time to load

    return read_host()


def _placed(view: View) -> tuple[Placed, ...]:
    from vmaild.store.addresses import read_placed  # noqa: PLC0415  likewise

    path = view.layout.placed_addresses
    try:
        return read_placed(path)
    except ValueError as error:
        raise Refused(
            f"{path} is damaged: {error}", "move it aside; what it named is then left as it is"
        ) from error


def _wanted(view: View) -> tuple[dict[str, list[str]], list[str]]:
    """Domains by the address that they want, and domains of which it cannot be said what they want."""
    definitions = {each.name: each for each in view.definitions()}
    unread = []
    for name in view.names():
        if name not in definitions:
            try:
                definitions[name] = view.domain(name).definition  # as it was last understood
            except Refused:
                unread.append(name)
    wanted: dict[str, list[str]] = {}
    for name, definition in sorted(definitions.items()):
        for address in definition.addresses:
            wanted.setdefault(address, []).append(name)
    return wanted, unread


def _learnt(view: View, wanted: Collection[str]) -> dict[str, tuple[str, str]]:
    """By address that no definition names: its domain by reverse DNS, and the name that says so."""
    found = {}
    for address, names in view.learnt.items():
        domain = view.domain_at(address) if address not in wanted else None
        if domain:
            found[address] = domain, ", ".join(names)
    return found


def _is_visible(view: View, name: str) -> bool:
    return view.actor.site_admin or view.visible.find(name) is not None


def _taken(view: View, host: Host, wanted: Collection[str]) -> set[str]:
    """Addresses that no domain may be given."""
    there = {each.address for each in host.addresses} | {each.address for each in _placed(view)}
    return {*wanted, *_reserved(view), *host.gateways, *host.main, *there}


def _reserved(view: View) -> set[str]:
    """Addresses that vmail.toml has a use for."""
    site = view.site
    listens = (site.pop3.listen, site.pop3.tls_listen, site.lmtp.listen, site.smtp.listen, site.web.listen)
    return {
        *site.pop3.shared_addresses,
        *(each.host for listen in listens for each in listen if each.host != "*"),
    } - {""}


def _of_main(view: View, host: Host, placed: tuple[Placed, ...]) -> set[str]:
    """Addresses that no domain may have: those that the main domain is served at."""
    pop3 = view.site.pop3
    own = host.main - {each.address for each in placed} if pop3.native else set()
    return {*own, *pop3.shared_addresses}


def _effects(view: View, todo: Work) -> Iterator[AddressEffect]:
    detect, record = view.site.addresses.duplicate_detection, view.layout.placed_addresses
    for placed in todo.down:
        yield AddressEffect(placed, False, record)
    for placed in todo.up:
        yield AddressEffect(placed, True, record, detect)
