"""Rules: the way back. What PTR records of service addresses may name, and what they do to outgoing mail."""

from __future__ import annotations

from collections.abc import Iterator

from vmaild.core.dns_plan import reverse_name
from vmaild.core.evidence import Case, is_private, shown
from vmaild.core.findings import Diagnosis, FixKind

_MASQUERADE = (
    "Sendmail and others collect the names of this machine's addresses at start and take them for their own: mail "
    "from the domain would leave as mail of the main domain"
)


def pointer_diagnoses(case: Case) -> Iterator[Diagnosis]:
    """What is wrong with the PTR of each service address that others see."""
    if case.dns is None:
        return
    told = case.dns.addresses(case.subject.mail_host)
    for address in case.subject.addresses:
        # A private address that DNS does not tell is behind a router: its PTR is nobody's business.
        if not is_private(address) or address in told:
            yield from _pointer(case, address)


def _pointer(case: Case, address: str) -> Iterator[Diagnosis]:
    assert case.dns is not None
    answer = case.dns.pointers.get(address)
    if answer is None:
        return
    record = case.record(reverse_name(address), "PTR")
    where = "" if is_private(address) else " (where your provider holds that zone, ask for it there)"
    remedy = f"let it be: {record}{where}"
    if answer.nothing:
        why = "receivers refuse mail from an address without a name, or take it for junk"
        yield case.error("ptr.none", f"{address} has no PTR record", why, remedy, FixKind.DNS)
        return
    bare = [name for name in answer.values if name in case.neighbours.bare or name == case.subject.name]
    for name in bare:
        what = f"the PTR of {address} names {name}, which is a bare domain"
        yield case.error("ptr.bare_domain", what, _MASQUERADE, remedy, FixKind.DNS)
    if len(answer.values) > 1:
        what = f"{address} has several PTR records: {shown(answer.values)}"
        why = "which one a receiver looks at is chance, so that its checks fail now and then"
        yield case.warning("ptr.several", what, why, remedy, FixKind.DNS)
    if not bare:
        yield from _leads_back(case, address, answer.values, remedy)


def _leads_back(case: Case, address: str, names: tuple[str, ...], remedy: str) -> Iterator[Diagnosis]:
    """Whether what the PTR names has that address (forward-confirmed), and is the mail host."""
    assert case.dns is not None
    astray = [name for name in names if address not in case.dns.addresses(name) and not case.dns.unsettled(name)]
    for name in astray:
        found = shown(case.dns.addresses(name))
        what = f"the PTR of {address} names {name}, which has " + (
            f"the address {found}" if found else "no address"
        )
        why = "receivers ask whether the name leads back, and refuse mail where it does not"
        yield case.error("ptr.mismatch", what, why, remedy, FixKind.DNS)
    if names and not astray and case.subject.mail_host not in names:
        wanted = case.record(reverse_name(address), "PTR")
        if wanted is not None and wanted.rdata.removesuffix(".") in names:
            return  # the mail host is itself a bare domain, and may not be named
        what = f"the PTR of {address} names {shown(names)}, not the mail host {case.subject.mail_host}"
        why = "it leads back, so mail goes out; but people and logs see another name than the domain's"
        yield case.warning("ptr.other_name", what, why, remedy, FixKind.DNS)
