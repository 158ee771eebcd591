"""Rules: is this domain served? Its service addresses, the POP3 greeting there, TLS and its certificate."""

from __future__ import annotations

from collections.abc import Iterator

from vmaild.core.addresses import is_loopback
from vmaild.core.evidence import Case, Place, Pop3Evidence, TlsEvidence, Trust, shown
from vmaild.core.findings import Diagnosis, FixKind

DAYS_LEFT = 14
"""Days before its end that a certificate is told of: whoever renews by itself does it earlier."""


def server_diagnoses(case: Case) -> Iterator[Diagnosis]:
    """What is wrong with the way the domain is served on this machine."""
    for address in case.subject.addresses:
        owner = case.neighbours.owners.get(address, case.subject.name)
        if owner != case.subject.name:
            what = f"{address} is a service address of {owner}, too"
            remedy = f"give one of the two another: vmail domain set {case.subject.name} --address IP"
            yield case.error("address.twice", what, "neither of the two domains is served there", remedy)
        elif case.machine.addresses and case.machine.place(address) is not Place.HERE:
            what = f"the service address {address} is not up on this machine"
            remedy = f"put it up: vmail address apply {case.subject.name}"
            why = "nobody can reach the domain"
            yield case.error("address.down", what, why, remedy, FixKind.ADDRESSES)
    for seen in case.pop3:
        if case.machine.place(seen.address) is Place.HERE and seen.address in case.subject.addresses:
            yield from _pop3(case, seen)


def _where(seen: Pop3Evidence) -> str:
    host = f"[{seen.address}]" if ":" in seen.address else seen.address
    return f"{host}:{seen.port}"


def _pop3(case: Case, seen: Pop3Evidence) -> Iterator[Diagnosis]:
    name, where = case.subject.name, _where(seen)
    if seen.problem:
        remedy = "start the servers (vmail serve), and see pop3.listen in vmail.toml"
        if seen.implicit:
            remedy = "start the servers (vmail serve), and see pop3.tls_listen and pop3.certificate in vmail.toml"
        what = f"no POP3 server answers at {where}: {seen.problem}"
        yield case.error("pop3.silent", what, "users cannot fetch their mail", remedy)
        return
    if seen.greeting:
        yield from _greeting(case, seen, where)
    ours = seen.greeting.startswith(f"+OK Virtual {name} ")
    clear = not seen.implicit and "STLS" not in (seen.capabilities or ())
    if ours and clear and not is_loopback(seen.address):
        what = f"the POP3 server at {where} offers no STLS"
        why = "passwords and mail cross the network in clear text"
        yield case.warning("pop3.no_stls", what, why, _certificate_remedy(case))
    if seen.tls is not None:
        yield from _tls(case, seen.tls, where)


def _greeting(case: Case, seen: Pop3Evidence, where: str) -> Iterator[Diagnosis]:
    name, greeting = case.subject.name, seen.greeting
    what = f"at {where} the greeting is: {greeting}"
    if greeting.lower().startswith(f"+ok virtual {name} "):
        return
    if greeting.lower().startswith("+ok virtual "):
        why = "another domain is served there, and logins of this one fail"
        remedy = f"see which domain has the address: vmail domain list; then vmail domain set {name} --address IP"
        yield case.error("pop3.other_domain", what, why, remedy)
    elif greeting.startswith("+OK"):
        why = "another POP3 daemon answers, which knows nothing of the domain's accounts"
        remedy = (
            "let vmail serve (or vpop3d in inetd.conf) have the port, with the daemon as pop3.native in vmail.toml"
        )
        yield case.error("pop3.native", what, why, remedy)
    else:
        why = "what answers there refuses, or is no POP3 server"
        remedy = f"see who has the port: ss -ltnp 'sport = :{seen.port}'"
        yield case.error("pop3.not_pop3", what, why, remedy)


def _certificate_remedy(case: Case) -> str:
    path = case.subject.definition.source.path if case.subject.definition else ""
    return (
        f"set certificate in {path or 'the definition'} to a PEM file for {case.subject.mail_host}, key and chain"
    )


def _tls(case: Case, tls: TlsEvidence, where: str) -> Iterator[Diagnosis]:
    host = case.subject.mail_host
    if tls.problem:
        what = f"TLS at {where} fails: {tls.problem}"
        yield case.error("tls.fails", what, "clients that want TLS do not get in", _certificate_remedy(case))
        return
    why = f"mail programs that connect to {host} warn, or refuse"
    for fault in tls.faults:
        code, what, remedy = _distrust(fault, tls.names, where, host)
        yield case.error(code, what, why, remedy)
    if tls.days_left is not None and 0 <= tls.days_left < DAYS_LEFT and not tls.faults:
        days = tls.days_left
        what = f"the certificate at {where} expires " + (
            f"in {days} days" if days > 1 else "tomorrow" if days else "today"
        )
        yield case.warning("tls.expires", what, why, "renew it, and see why that did not happen by itself")


def _distrust(fault: Trust, names: tuple[str, ...], where: str, host: str) -> tuple[str, str, str]:
    """Code, words and remedy for what a client has against a certificate."""
    match fault:
        case Trust.EXPIRED:
            remedy = "renew it; a renewed file is in force at once"
            return "tls.expired", f"the certificate at {where} has expired", remedy
        case Trust.NOT_YET:
            remedy = "see whether the clock of this machine is right (timedatectl), or wait"
            return "tls.not_yet", f"the certificate at {where} is not valid yet", remedy
        case Trust.SELF_SIGNED:
            remedy = "get one of an authority that clients know (certbot, acme.sh)"
            return "tls.self_signed", f"the certificate at {where} is self-signed", remedy
        case Trust.OTHER_NAME:
            its = f" (it is for {shown(names)})" if names else ""
            remedy = f"get one for {host}, and set it as certificate of the domain"
            return "tls.other_name", f"the certificate at {where} is for another name{its}", remedy
    what = f"the certificate at {where} is of an authority that this machine does not know"
    return "tls.untrusted", what, "put the whole chain into the file, or get one of a known authority"
