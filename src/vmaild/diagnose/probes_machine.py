"""Look at this machine: which addresses it has."""

from __future__ import annotations

from vmaild.core.evidence import Machine


def machine_evidence() -> Machine:
    """What is the same for every domain. Raises nothing: what cannot be known is left empty."""
    return Machine(_addresses())


def _addresses() -> frozenset[str]:
    from pyroute2 import IPRoute  # noqa: PLC0415  a quarter of the start of every command

    found = set()
    try:
        with IPRoute() as kernel:
            for message in kernel.get_addr():
                # Of a point-to-point link IFA_ADDRESS is the other end.
                address = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
                if address:
                    found.add(str(address))
    except OSError:
        return frozenset()  # as in a sandbox without netlink
    return frozenset(found)
