"""Carries out what is no mailbox: sends on by the relay, runs programs, appends to files, answers by itself."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

from vmaild.address import Address, AddressError, fold, parse_address
from vmaild.core import routing, srs
from vmaild.core.site import DeliverySettings, RelayKind, Site, VacationSettings
from vmaild.delivery import autoreply, command, files
from vmaild.delivery.message import Attempt, Message
from vmaild.delivery.resend import Way, resend
from vmaild.outcome import Condition, Deferred, Outcome
from vmaild.store.content import Content
from vmaild.store.layout import Layout
from vmaild.store.secret import srs_secret

Target = routing.Resend | routing.ToCommand | routing.ToFile
"""What may take its time, and counts for the answer."""


@dataclass(frozen=True, slots=True)
class Outside:
    """The world beyond the mailboxes, as the site's settings open it."""

    layout: Layout
    settings: DeliverySettings
    hostname: str
    secret: bytes | None = None
    """Of sender rewriting; None: senders are not rewritten."""
    vacation: VacationSettings = VacationSettings()  # noqa: RUF009  immutable

    def carry_out(
        self, message: Message, recipient: Address, targets: Sequence[Target], delimiter: str = ""
    ) -> dict[Target, Outcome]:
        """Carry out targets of one recipient; what became of each. Never raises.

        `delimiter` parts a name of the recipient's domain from its sub-address; empty: nothing does.
        """
        done: dict[Target, Outcome] = {}
        by_sender: dict[str, list[routing.Resend]] = {}
        for target in targets:
            match target:
                case routing.Resend():
                    by_sender.setdefault(self._sender(message.sender, target, recipient), []).append(target)
                case _ if not message.attempt.left():
                    done[target] = Deferred(Condition.OUT_OF_TIME)
                case routing.ToCommand():
                    done[target] = self._run(message, recipient, target, delimiter)
                case routing.ToFile(path):
                    header = _header(message, recipient)
                    header = f"Return-Path: <{message.sender}>\n".encode("utf-8", "surrogateescape") + header
                    done[target] = files.append(
                        self._file(path), message.sender, header, message.content, self.layout.incoming
                    )
        for sender, group in by_sender.items():
            addresses = [target.address for target in group]
            outcomes = self._send(message.attempt, sender, addresses, _header(message, recipient), message.content)
            done |= dict(zip(group, outcomes, strict=True))
        return done

    def answer(self, owner: autoreply.Owner, message: Message) -> None:
        """Answer with the owner's vacation text, where that is right. Never raises."""

        def send(recipient: Address, reply: bytes) -> Outcome:
            with Content(self.layout.incoming) as content:
                content.append(reply)
                content.finish()
                return self._send(message.attempt, "", [recipient], b"", content)[0]

        if self.vacation.allowed:
            autoreply.answer(owner, message, self.vacation.days, send)

    def _send(
        self, attempt: Attempt, sender: str, recipients: Sequence[Address], header: bytes, content: Content
    ) -> list[Outcome]:
        relay = self.settings.relay
        if relay.kind is RelayKind.NONE:
            return [Deferred(Condition.BAD_CONFIGURATION)] * len(recipients)
        way = Way(relay, self.hostname, self.layout.incoming, attempt)
        return resend(way, sender, recipients, header, content)

    def _file(self, path: str) -> str:
        return path if path == os.devnull else self.layout.path(path)

    def _run(self, message: Message, recipient: Address, target: routing.ToCommand, delimiter: str) -> Outcome:
        base, _, extension = recipient.local_part.partition(delimiter or "\0")
        what = command.Run(
            target.command,
            message.sender,
            recipient,
            target.domain,
            target.user,
            extension if fold(base) == fold(target.user) else "",
        )
        header = f"Return-Path: <{message.sender}>\n".encode("utf-8", "surrogateescape")
        header += _header(message, recipient)
        seconds = message.attempt.left(self.settings.command_time)
        return command.run(what, header, message.content, self.layout.incoming, seconds)

    def _sender(self, sender: str, target: routing.Resend, recipient: Address) -> str:
        """The envelope's sender to send on with: the list's owner, the rewritten one, or the one that came."""
        if not sender:
            return ""  # a bounce stays one, so that nothing ever goes round
        if target.owner is not None:
            return str(target.owner)
        if self.secret is None:
            return sender
        try:
            return str(
                srs.rewritten(parse_address(sender), recipient.domain, self.secret, int(time.time()) // 86400)
            )
        except AddressError:
            return sender


def outside(layout: Layout, site: Site, hostname: str) -> Outside:
    """What lies beyond the mailboxes of a site; `hostname` is how this machine greets its relay."""
    secret = srs_secret(layout) if site.delivery.srs else None
    return Outside(layout, site.delivery, hostname, secret, site.vacation)


def _header(message: Message, recipient: Address) -> bytes:
    """What stands above the content of every copy that goes outside; Delivered-To also ends a loop."""
    return f"Delivered-To: {recipient}\n".encode("utf-8", "surrogateescape") + message.trace
