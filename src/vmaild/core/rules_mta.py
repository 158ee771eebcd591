"""Rules: whether the MTA knows our domains, refuses who is unknown, and leaves senders as they are."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator

from vmaild.core.findings import Diagnosis, Severity
from vmaild.core.mta import Asked, MtaEvidence, Purpose
from vmaild.core.upkeep import PostfixSettings, Upkeep

_INSTALL = "plug it in: vmail mta install postfix (or sendmail, exim), then reload the MTA"
_RUNNING = "see whether vmail serve runs, whether mta_group in vmail.toml is the MTA's group, and the MTA's log"
WIDE = 8
"""Bits of a network's length below which it is no network of one's own."""


def mta_diagnoses(seen: Upkeep, names: Iterable[str]) -> Iterator[Diagnosis]:
    """What is wrong with the MTA; `names`: of the domains and domain aliases that were checked."""
    if seen.mta is not None:
        yield from _answers(seen.mta)
    yield from _relays(seen.relayed, seen.postfix)
    if seen.postfix is not None:
        for name in names:
            yield from _rewrites(name, seen.postfix)


def _answers(mta: MtaEvidence) -> Iterator[Diagnosis]:
    if mta.problem:
        what = f"no MTA answers at {mta.server}: {mta.problem}"
        remedy = "start the MTA, or name another as delivery.relay in vmail.toml"
        yield Diagnosis("mta.silent", Severity.ERROR, "", what, "no mail comes in, and none goes out", remedy)
    trusts = any(asked.purpose is Purpose.RELAY and asked.code // 100 == 2 for asked in mta.asked)
    for asked in mta.asked:
        if asked.right is False:
            yield _answer(asked, trusts=trusts)


def _answer(asked: Asked, *, trusts: bool) -> Diagnosis:
    """`trusts`: the MTA relays for this machine."""
    domain = asked.recipient.rpartition("@")[2]
    # Postfix's "Relay access denied", which is 454 by default, is no word about a recipient.
    denied = asked.enhanced in ("4.7.1", "5.7.1")
    waits = asked.code // 100 == 4 and not denied

    def found(code: str, what: str, why: str, remedy: str, severity: Severity = Severity.ERROR) -> Diagnosis:
        return Diagnosis(code, severity, domain, what, why, remedy)

    match asked.purpose:
        case Purpose.KNOWN if waits:
            what = f"the MTA makes mail for {asked.recipient} wait: {asked.reply}"
            return found("mta.waits", what, "mail comes late, or goes back after days", _RUNNING)
        case Purpose.UNKNOWN if denied:
            what = f"the MTA does not know {domain}: {asked.reply}"
            return found("mta.unknown_domain", what, "mail for the domain goes back to its senders", _INSTALL)
        case Purpose.KNOWN:
            what = f"the MTA refuses mail for {asked.recipient}, who is here: {asked.reply}"
            return found("mta.unknown_domain", what, "mail for the domain goes back to its senders", _INSTALL)
        case Purpose.UNKNOWN if waits:
            what = f"the MTA cannot tell that {asked.recipient} does not exist: {asked.reply}"
            return found("mta.waits", what, "mail to a mistyped address hangs for days", _RUNNING)
        case Purpose.UNKNOWN:
            more = ", as it would for any domain that it knows nothing of" if trusts else ""
            what = f"the MTA takes mail for {asked.recipient}, who does not exist{more}"
            why = "it must bounce it later, mostly to forged senders, which brings the machine on block lists"
            return found("mta.accepts_unknown", what, why, _INSTALL, Severity.WARNING)
    what = f"the MTA does not take mail for its own {asked.recipient}: {asked.reply}"
    remedy = "see what changed in its own configuration; vmaild does not touch the main domain"
    return Diagnosis("mta.main", Severity.ERROR, "", what, "mail of the main domain goes back", remedy)


def _relays(relayed: tuple[str, Asked] | None, postfix: PostfixSettings | None) -> Iterator[Diagnosis]:
    """Whether it relays for anybody, seen from an address that is not the loopback interface."""
    networks = [each for text in (postfix.networks if postfix else ()) if (each := _network(text)) is not None]
    wide = [str(each) for each in networks if each.prefixlen < WIDE]
    why = "it sends anybody's mail to anywhere: spammers find that within hours"
    if wide:
        what = f"Postfix relays for {', '.join(wide)}, which is nearly everybody"
        remedy = "postconf -e 'mynetworks_style = host' and postconf -X mynetworks; then postfix reload"
        yield Diagnosis("mta.relays", Severity.ERROR, "", what, why, remedy)
        return
    if relayed is None or relayed[1].code // 100 != 2:
        return
    source, asked = relayed
    trusted = any(ipaddress.ip_address(source) in network for network in networks)
    what = f"the MTA relays for {source}, an address of this machine: {asked.reply}"
    if postfix is not None and not trusted:
        command = "postconf -e 'smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination'"
        yield Diagnosis("mta.relays", Severity.ERROR, "", what, why, f"{command}; then postfix reload")
    else:
        why = "that is right if it trusts this machine; whether it relays for others cannot be seen from here"
        remedy = "ask it from elsewhere: vmail mta check --server HOST:25"
        yield Diagnosis("mta.relay_unknown", Severity.UNKNOWN, "", what, why, remedy)


def _rewrites(name: str, postfix: PostfixSettings) -> Iterator[Diagnosis]:
    """Whether mail from a domain leaves under another name (postconf(5))."""
    for pattern in postfix.masqueraded:
        bare = pattern.removeprefix("!").lower()
        if name == bare or name.endswith(f".{bare}"):
            if not pattern.startswith("!") and name != bare:
                what = f"Postfix rewrites senders in {name} to {bare} (masquerade_domains)"
                remedy = (
                    f"postconf -e 'masquerade_domains = !{name} {' '.join(postfix.masqueraded)}'; postfix reload"
                )
                why = "replies go to the main domain, where nobody knows the user"
                yield Diagnosis("mta.rewrites", Severity.ERROR, name, what, why, remedy)
            break
    if name in postfix.destinations:
        what = f"Postfix takes {name} for a name of the main domain (mydestination)"
        why = "its mail goes to the users of the machine, not to the accounts of the domain"
        yield Diagnosis("mta.main_domain", Severity.ERROR, name, what, why, f"take {name} out of mydestination")


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text.replace("[", "").replace("]", ""), strict=False)
    except ValueError:
        return None  # a table, or an exception
