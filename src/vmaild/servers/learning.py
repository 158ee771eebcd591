"""Service addresses that reverse DNS tells, for sites that want it: looked up once, when settings are loaded."""

from __future__ import annotations

import ipaddress
import logging

from vmaild.core.site import Site
from vmaild.store.layout import Layout
from vmaild.store.learnt import Learnt, read_learnt, write_learnt

log = logging.getLogger("vmaild.servers")


def learn(layout: Layout, site: Site) -> Learnt:
    """The names of this machine's addresses, for FileDirectory; nothing where the site does not want it.

    Takes a few seconds at most. What cannot be looked up now stays as it was learnt last. Raises nothing.
    """
    if not site.pop3.learn_addresses:
        return {}
    before = read_learnt(layout)
    try:
        wanted = _addresses(site)
        found = _pointers(wanted)
    except (OSError, ValueError) as error:
        log.error("no addresses are learnt from reverse DNS, those known stay: %s", error)
        return before
    silent = [address for address in wanted if address not in found]
    if silent:
        log.warning("reverse DNS does not answer for %s: what was learnt last stays", ", ".join(silent))
    learnt = {each: found.get(each, before.get(each, ())) for each in wanted}
    learnt = {address: names for address, names in learnt.items() if names}
    try:
        write_learnt(layout, learnt)
    except OSError as error:
        log.warning("what reverse DNS says is not kept: %s", error)
    return learnt


def _pointers(addresses: list[str]) -> dict[str, tuple[str, ...]]:
    from vmaild.diagnose.reverse import pointers  # noqa: PLC0415  only where it is wanted

    return pointers(addresses)


def _addresses(site: Site) -> list[str]:
    """Those that may be a domain's: not the main domain's, not those that several share. Raises OSError."""
    from vmaild.store.addresses import read_host  # noqa: PLC0415  only where it is wanted

    host = read_host()
    others = {*site.pop3.shared_addresses, *(host.main if site.pop3.native else ())}
    found = {each.address for each in host.addresses} - others
    return sorted(address for address in found if _is_global(address))


def _is_global(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    return not (parsed.is_loopback or parsed.is_link_local)
