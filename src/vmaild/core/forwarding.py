"""What the site lets the owner of an account forward to."""

from __future__ import annotations

from collections.abc import Sequence

from vmaild.address import Address
from vmaild.core.site import ForwardingSettings


def forwarding_problem(targets: Sequence[Address], settings: ForwardingSettings) -> tuple[str, str] | None:
    """Why an account may not forward to these addresses, and what to do about it; None: it may."""
    if not settings.allowed:
        return "forwarding is switched off on this site", "ask a site administrator"
    if len(targets) > settings.max_targets:
        return f"{len(targets)} addresses are given", f"forward to {settings.max_targets} at most"
    for address in targets:
        if settings.domains and not any(_is_in(address.domain, listed) for listed in settings.domains):
            return (
                f"mail may not be forwarded to {address}",
                f"forward to an address in {', '.join(settings.domains)}",
            )
    return None


def _is_in(domain: str, listed: str) -> bool:
    return domain.endswith(listed) if listed.startswith(".") else domain == listed
