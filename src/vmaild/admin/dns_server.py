"""A name server that takes dynamic updates (RFC 2136), asked and changed with signed messages (TSIG, RFC 8945)."""

from __future__ import annotations

import base64
import socket
from collections.abc import Collection
from contextlib import suppress

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdataset
import dns.rdatatype
import dns.tsig
import dns.tsigkeyring
import dns.update

from vmaild.admin.refusal import Refused
from vmaild.formats.named import NamedKey
from vmaild.generate.update import Found, Place, ZoneChange, rdataset_of

TIMEOUT = 5.0
"""Seconds for one question."""
_CHANGED = (dns.rcode.YXDOMAIN, dns.rcode.NXDOMAIN, dns.rcode.YXRRSET, dns.rcode.NXRRSET)
_NOT_ALLOWED = "allow it in its zone there: update-policy {{ grant {key} zonesub ANY; }};"


class NameServer:
    """A connection to the primary of zones; closed by `close`. Every call raises Refused."""

    def __init__(self, where: str, key: NamedKey) -> None:
        self.where = where
        self._named = key
        try:
            self._key = dns.tsig.Key(key.name, base64.b64decode(key.secret, validate=True), key.algorithm)
        except (ValueError, dns.exception.DNSException):
            raise Refused(
                f"the secret of the key {key.name} is no base64", "make a new one: tsig-keygen"
            ) from None
        host, _, port = where.rpartition(":")
        try:
            self._socket = socket.create_connection((host.strip("[]"), int(port)), TIMEOUT)
        except OSError as error:
            raise Refused(
                f"the name server at {where} does not answer: {error.strerror or error}",
                "see whether it runs, and update_server in [dns] of vmail.toml",
            ) from error
        self._socket.setblocking(False)

    def again(self) -> NameServer:
        """Another connection to the same."""
        return NameServer(self.where, self._named)

    def close(self) -> None:
        """Hang up."""
        with suppress(OSError):
            self._socket.close()

    def zone_of(self, name: str) -> str:
        """The zone that holds a name and is served here; empty: none does."""
        answer = self._ask(name, "SOA")
        if answer.flags & dns.flags.AA:
            for rrset in (*answer.answer, *answer.authority):
                if rrset.rdtype == dns.rdatatype.SOA:
                    return rrset.name.to_text(omit_final_dot=True).lower()
        return ""

    def found(self, zone: str, places: Collection[Place]) -> dict[Place, dns.rdataset.Rdataset | None]:
        """What stands at places of a zone; what a wildcard makes up does not stand there."""
        found: dict[Place, dns.rdataset.Rdataset | None] = {}
        for name, kind in places:
            owner = dns.name.from_text(f"{name}.")
            answer = self._ask(name, kind)
            rrset = answer.get_rrset(dns.message.ANSWER, owner, dns.rdataclass.IN, dns.rdatatype.from_text(kind))
            if rrset is not None and not self._stands(zone, name, kind):
                rrset = None
            found[name, kind] = None if rrset is None else rrset.to_rdataset()
        return found

    def change(self, zone: str, change: ZoneChange, found: Found) -> None:
        """Carry out a change, all of it or nothing; refused where somebody else was faster."""
        message = self._update(zone)
        for name, kind in change.guarded:
            rdataset = found[name, kind]
            if rdataset is None:
                message.absent(f"{name}.", kind)
            else:
                message.present(f"{name}.", *rdataset)  # as data: a TTL must not stand there
        for record in change.remove:
            message.delete(f"{record.name}.", rdataset_of(record))
        for record in change.add:
            message.add(f"{record.name}.", rdataset_of(record))
        self._judge(zone, self._send(message).rcode())
        now = self.found(zone, {(record.name, record.type) for record in change.add})
        for record in change.add:
            there = now[record.name, record.type]
            if there is None or rdataset_of(record)[0] not in there:
                # RFC 2136 section 3.4.2.2: what may not stand beside a CNAME is left away without a word.
                raise Refused(
                    f"{self.where} took the update but has not: {record}", "see what stands at that name"
                )

    def _update(self, zone: str) -> dns.update.UpdateMessage:
        return dns.update.UpdateMessage(f"{zone}.", keyring=self._key)

    def _stands(self, zone: str, name: str, kind: str) -> bool:
        """An update without a change asks for what is really there (RFC 2136 section 2.4.1)."""
        message = self._update(zone)
        message.present(f"{name}.", kind)
        rcode = self._send(message).rcode()
        if rcode in _CHANGED:
            return False
        self._judge(zone, rcode)
        return True

    def _judge(self, zone: str, rcode: dns.rcode.Rcode) -> None:
        if rcode in _CHANGED:
            raise Refused(
                f"somebody else changed the zone {zone} at this moment; nothing of it was changed here",
                "run it again: it looks anew",
            )
        if rcode != dns.rcode.NOERROR:
            raise Refused(
                f"{self.where} does not let the key {self._named.name} update {zone}: {dns.rcode.to_text(rcode)}",
                _NOT_ALLOWED.format(key=self._named.name),
            )

    def _ask(self, name: str, kind: str) -> dns.message.Message:
        question = dns.message.make_query(f"{name}.", kind)
        question.flags &= ~dns.flags.RD
        question.use_tsig(self._key)
        return self._send(question)

    def _send(self, message: dns.message.Message) -> dns.message.Message:
        try:
            answer = dns.query.tcp(message, self.where, TIMEOUT, sock=self._socket)
        except (dns.tsig.PeerBadKey, dns.tsig.PeerBadSignature, dns.tsig.BadSignature) as error:
            raise Refused(
                f"{self.where} does not know the key {self._named.name}, or has another secret for it",
                "give both sides the same file: include it in named.conf",
            ) from error
        except (dns.tsig.PeerBadTime, dns.tsig.BadTime) as error:
            raise Refused(f"the clocks here and at {self.where} differ", "set both, by NTP") from error
        except (dns.exception.DNSException, OSError, EOFError, NotImplementedError) as error:
            why = str(error) or type(error).__name__
            raise Refused(
                f"the name server at {self.where} does not answer as it should: {why}",
                "see its log, and update_server in [dns] of vmail.toml",
            ) from error
        if not answer.had_tsig and answer.rcode() == dns.rcode.NOERROR:
            raise Refused(f"{self.where} gave an answer without a signature", "see who answers there")
        return answer
