"""Rules: who may send mail of the domain. SPF (RFC 7208), DKIM (RFC 6376), DMARC (RFC 7489)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from vmaild.core.evidence import Case, NameEvidence, Reply, is_private, shown
from vmaild.core.findings import Diagnosis, FixKind

MAX_LOOKUPS = 10
"""Terms of an SPF record that ask DNS (RFC 7208 section 4.6.4)."""

_LOOKING = ("include", "a", "mx", "ptr", "exists", "redirect")
_MECHANISMS = ("all", "include", "a", "mx", "ptr", "ip4", "ip6", "exists")


def policy_diagnoses(case: Case) -> Iterator[Diagnosis]:
    """What is wrong with these records, at the domain and at its domain aliases."""
    if case.dns is None or case.subject.definition is None:
        return  # whether a name that is no virtual domain sends mail is not known
    for seen in case.dns.names:
        yield from _spf(case, seen)
        yield from _dkim(case, seen)
        yield from _dmarc(case, seen)


# -- SPF


def spf_records(texts: tuple[str, ...]) -> list[str]:
    """Those of the TXT records that are SPF (RFC 7208 section 4.5)."""
    return [text for text in texts if text.lower() == "v=spf1" or text.lower().startswith("v=spf1 ")]


def _spf(case: Case, seen: NameEvidence) -> Iterator[Diagnosis]:
    records = spf_records(seen.texts.values)
    if seen.texts.reply is Reply.UNKNOWN:
        return
    planned = case.record(seen.name, "TXT", '"v=spf1')
    remedy = f"let it be: {planned}" if planned else f'give {seen.name} a TXT record such as "v=spf1 mx -all"'
    if not records:
        why = "receivers cannot tell mail of the domain from forged mail, and large ones refuse it"
        yield case.warning("spf.none", f"{seen.name} has no SPF record", why, remedy, FixKind.DNS)
    elif len(records) > 1:
        what = f"{seen.name} has {len(records)} SPF records"
        why = "with more than one none counts, and some receivers refuse the mail (RFC 7208 section 4.5)"
        yield case.error("spf.several", what, why, f"keep one, with all that is in them: {records[0]}")
    else:
        yield from _spf_record(case, seen.name, records[0], remedy)


def _spf_record(case: Case, name: str, record: str, remedy: str) -> Iterator[Diagnosis]:
    terms = record.lower().split()[1:]
    wrong = [term for term in terms if not _is_term(term)]
    lookups = sum(_mechanism(term)[1] in _LOOKING for term in terms)
    if wrong:
        what = f"the SPF record of {name} has what no receiver understands: {shown(wrong)}"
        yield case.error("spf.syntax", what, "one wrong term makes the record void", remedy)
    elif lookups > MAX_LOOKUPS:
        what = f"the SPF record of {name} makes receivers look up {lookups} names at least"
        why = f"with more than {MAX_LOOKUPS} it is void (RFC 7208 section 4.6.4)"
        yield case.error("spf.lookups", what, why, "name networks (ip4:, ip6:) instead of names")
    elif any(term in ("all", "+all") for term in terms):
        what = f"the SPF record of {name} ends with +all"
        yield case.warning("spf.all", what, "anybody may send mail in the domain's name", "let it end with -all")
    else:
        addresses = [each for each in case.subject.addresses if not is_private(each)]
        allowed = [_permits(case, name, terms, address) for address in addresses]
        if allowed and all(each is False for each in allowed):
            what = f"the SPF record of {name}, {record}, does not allow {shown(addresses)}"
            why = "mail that leaves from the domain's own address is refused as forged"
            yield case.error("spf.refuses", what, why, remedy)


def _mechanism(term: str) -> tuple[str, str, str]:
    """Qualifier, name and argument of a term; of a modifier the qualifier is `=`."""
    if "=" in term.partition(":")[0]:
        name, _, argument = term.partition("=")
        return "=", name, argument
    qualifier = term[0] if term[0] in "+-~?" else "+"
    rest = term[1:] if term[0] in "+-~?" else term
    ends = min((at for at in (rest.find(":"), rest.find("/")) if at >= 0), default=len(rest))
    return qualifier, rest[:ends], rest[ends:].removeprefix(":")


def _is_term(term: str) -> bool:
    qualifier, name, argument = _mechanism(term)
    if qualifier == "=":
        return bool(name)
    if name in ("ip4", "ip6"):
        return _network(argument) is not None
    return name in _MECHANISMS and (name not in ("include", "exists") or bool(argument))


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _permits(case: Case, name: str, terms: list[str], address: str) -> bool | None:
    """Whether an SPF record lets an address send; None: that depends on what was not asked for."""
    assert case.dns is not None
    found = ipaddress.ip_address(address)
    for term in terms:
        qualifier, kind, argument = _mechanism(term)
        match kind:
            case "all":
                return qualifier != "-"
            case "ip4" | "ip6":
                network = _network(argument)
                hit = network is not None and found.version == network.version and found in network
            case "a" if not argument and name in case.dns.hosts:
                hit = address in case.dns.addresses(name)
            case "mx" if not argument:
                exchangers = next(each for each in case.dns.names if each.name == name).mail_exchangers()
                addresses = {each for _, host in exchangers for each in case.dns.addresses(host)}
                hit = address in addresses
                if not addresses.intersection(case.subject.addresses):
                    return None  # an MX that is not known or does not lead here is told by itself
            case _ if qualifier == "=" and kind != "redirect":
                continue
            case _:
                return None
        if hit:
            return qualifier in "+?~"
    return True  # neutral (RFC 7208 section 4.7)


# -- DKIM and DMARC


def _tags(text: str) -> dict[str, str]:
    """`v=DMARC1; p=none` as a mapping."""
    pairs = [part.partition("=") for part in text.split(";") if part.strip()]
    return {name.strip().lower(): "".join(value.split()) for name, _, value in pairs}


def _dkim(case: Case, seen: NameEvidence) -> Iterator[Diagnosis]:
    definition, name = case.subject.definition, case.subject.name
    assert definition is not None
    if seen.dkim is None:
        if seen.name == name:
            what = f"no DKIM key is configured for {name}"
            why = "its mail carries no signature, and large receivers want one"
            remedy = f"let the MTA sign, and set dkim_selector and dkim_key in {definition.source.path or name}"
            yield case.warning("dkim.none", what, why, remedy)
        return
    if seen.dkim.reply is Reply.UNKNOWN:
        return
    owner = seen.dkim.name
    planned = case.record(owner, "TXT")
    remedy = f"let it be: {planned}" if planned else f"publish the public key at {owner}"
    keys = [_tags(text).get("p") for text in seen.dkim.values]
    why = "signatures of the domain's mail fail at every receiver"
    if not seen.dkim.values:
        yield case.error("dkim.missing", f"{owner} has no key", why, remedy, FixKind.DNS)
    elif not any(keys):
        yield case.error("dkim.revoked", f"the key at {owner} is empty, which means revoked", why, remedy)
    elif case.subject.dkim_key and case.subject.dkim_key not in keys:
        what = f"the key at {owner} is not that of {definition.dkim_key}"
        yield case.error("dkim.differs", what, why, remedy)


def _dmarc(case: Case, seen: NameEvidence) -> Iterator[Diagnosis]:
    if any(answer.reply is Reply.UNKNOWN for answer in seen.dmarc):
        return
    owner = f"_dmarc.{seen.name}"
    planned = case.record(owner, "TXT")
    remedy = f"let it be: {planned}" if planned else f'give {owner} a TXT record such as "v=DMARC1; p=none"'
    found = [(answer.name, text) for answer in seen.dmarc for text in answer.values if _is_dmarc(text)]
    if not found:
        why = "receivers have no rule for mail that fails SPF and DKIM, and large ones want one"
        yield case.warning("dmarc.none", f"{owner} has no DMARC record", why, remedy, FixKind.DNS)
        return
    where = found[0][0]
    texts = [text for name, text in found if name == where]
    if len(texts) > 1:
        what = f"{where} has {len(texts)} DMARC records"
        yield case.error("dmarc.several", what, "with more than one none counts", f"keep one: {texts[0]}")
        return
    tags = _tags(texts[0])
    policy = tags.get("sp" if where != owner and "sp" in tags else "p", "").lower()
    if policy not in ("none", "quarantine", "reject"):
        what = f"the DMARC record at {where} has no policy that is known: {texts[0]}"
        yield case.error("dmarc.syntax", what, "receivers pass it over", remedy)
    elif policy != "none":
        yield from _strict(case, seen, where, policy)


def _strict(case: Case, seen: NameEvidence, where: str, policy: str) -> Iterator[Diagnosis]:
    """A policy that counts needs something that passes."""
    unsigned = seen.dkim is None or seen.dkim.nothing
    if unsigned and seen.texts.reply is not Reply.UNKNOWN and not spf_records(seen.texts.values):
        what = f"the DMARC record at {where} says {policy}, and {seen.name} has neither SPF nor DKIM"
        why = "receivers shall refuse what passes neither: that is all mail of the domain"
        remedy = f"add SPF and DKIM, or say p=none: '{where}. TXT \"v=DMARC1; p=none\"'"
        yield case.error("dmarc.contradicts", what, why, remedy)


def _is_dmarc(text: str) -> bool:
    return text.replace(" ", "").lower().startswith("v=dmarc1")
