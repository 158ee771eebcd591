"""Carries out what is no mailbox: sends on by the relay, runs programs, appends to files, answers by itself."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from vmaild.address import Address, AddressError, fold, parse_address
from vmaild.core import routing, srs
from vmaild.core.site import DeliverySettings, RelayKind, Site, VacationSettings
from vmaild.delivery import autoreply, command, files
from vmaild.delivery.mbox import Entry
from vmaild.delivery.message import Attempt, Message
from vmaild.delivery.resend import Way, resend
from vmaild.outcome import Condition, Deferred, Delivered, Outcome
from vmaild.store.content import Content
from vmaild.store.layout import Layout
from vmaild.store.messages import Once
from vmaild.store.secret import srs_secret
from vmaild.store.unanswered import Unanswered

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
    notes: Unanswered | None = field(default=None, compare=False)
    """Of what was done, and not answered yet; None: what comes again is done again."""

    def answered(self, attempt: Attempt) -> None:
        """The sender has got its answer. Never fails."""
        if self.notes:
            self.notes.answered(attempt.taken)

    def abandoned(self, attempt: Attempt) -> None:
        """The sender is gone without the answer, and will bring the message again. Never fails."""
        if self.notes:
            self.notes.abandoned(attempt.taken)

    def carry_out(
        self, message: Message, recipient: Address, targets: Sequence[Target], delimiter: str = ""
    ) -> dict[Target, Outcome]:
        """Carry out targets of one recipient; what became of each. Never raises.

        `delimiter` parts a name of the recipient's domain from its sub-address; empty: nothing does.
        """
        done: dict[Target, Outcome] = {}
        by_sender: dict[str, dict[Address, _Taking]] = {}
        for target in targets:
            taking = _Taking(self.notes, message.attempt, f"{message.key()} {recipient} {target}")
            match target:
                case routing.ToFile(path):
                    done[target] = self._append(message, recipient, path, taking)
                case _ if taking.was_done():
                    done[target] = Delivered()
                case routing.Resend():
                    group = by_sender.setdefault(self._sender(message.sender, target, recipient), {})
                    group[target.address] = taking
                case routing.ToCommand() if message.attempt.left():
                    done[target] = self._run(message, recipient, target, delimiter, taking)
                case routing.ToCommand():
                    done[target] = Deferred(Condition.OUT_OF_TIME)
        sent: dict[Address, Outcome] = {}
        for sender, takings in by_sender.items():
            header = _header(message, recipient)
            outcomes = self._send(message.attempt, sender, takings, header, message.content)
            sent |= dict(zip(takings, outcomes, strict=True))
        for target in targets:
            if isinstance(target, routing.Resend) and target not in done:
                done[target] = sent[target.address]
        return done

    def answer(self, owner: autoreply.Owner, message: Message) -> None:
        """Answer with the owner's vacation text, where that is right. Never raises."""

        def send(recipient: Address, reply: bytes) -> Outcome:
            with Content(self.layout.incoming) as content:
                content.append(reply)
                content.finish()
                unnoted = _Taking(None, message.attempt, "")  # it has a memory of its own: store.vacation
                return self._send(message.attempt, "", {recipient: unnoted}, b"", content)[0]

        if self.vacation.allowed:
            autoreply.answer(owner, message, self.vacation.days, send)

    def _send(
        self, attempt: Attempt, sender: str, recipients: dict[Address, _Taking], header: bytes, content: Content
    ) -> list[Outcome]:
        relay = self.settings.relay
        if relay.kind is RelayKind.NONE:
            return [Deferred(Condition.BAD_CONFIGURATION)] * len(recipients)
        way = Way(
            relay, self.hostname, self.layout.incoming, attempt, lambda recipient: recipients[recipient].done()
        )
        return resend(way, sender, list(recipients), header, content)

    def _append(self, message: Message, recipient: Address, path: str, taking: _Taking) -> Outcome:
        if not message.attempt.left():
            return Deferred(Condition.OUT_OF_TIME)
        header = _return_path(message) + _header(message, recipient)
        entry = Entry(message.sender, header, message.content, self.notes, taking.once)
        return files.append(self._file(path), entry, self.layout.incoming)

    def _file(self, path: str) -> str:
        return path if path == os.devnull else self.layout.path(path)

    def _run(
        self, message: Message, recipient: Address, target: routing.ToCommand, delimiter: str, taking: _Taking
    ) -> Outcome:
        base, _, extension = recipient.local_part.partition(delimiter or "\0")
        what = command.Run(
            target.command,
            message.sender,
            recipient,
            target.domain,
            target.user,
            extension if fold(base) == fold(target.user) else "",
        )
        header = _return_path(message) + _header(message, recipient)
        seconds = message.attempt.left(self.settings.command_time)
        return command.run(what, header, message.content, self.layout.incoming, seconds, taking.done)

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


def outside(layout: Layout, site: Site, hostname: str, notes: Unanswered | None = None) -> Outside:
    """What lies beyond the mailboxes of a site; `hostname` is how this machine greets its relay."""
    secret = srs_secret(layout) if site.delivery.srs else None
    return Outside(layout, site.delivery, hostname, secret, site.vacation, notes)


@dataclass(slots=True)
class _Taking:
    """One target that takes a message, once."""

    notes: Unanswered | None
    attempt: Attempt
    key: str
    once: Once = field(init=False)

    def __post_init__(self) -> None:
        self.once = Once(self.key)
        self.attempt.taken.append(self.once)

    def was_done(self) -> bool:
        """Whether it took it, and nobody came to say so."""
        return self.notes is not None and self.notes.is_there(self.once)

    def done(self) -> None:
        """It has taken it. To be called before anything else is done: whoever is killed before repeats it."""
        if self.notes is not None:
            self.notes.note(self.once)


def _return_path(message: Message) -> bytes:
    return f"Return-Path: <{message.sender}>\n".encode("utf-8", "surrogateescape")


def _header(message: Message, recipient: Address) -> bytes:
    """What stands above the content of every copy that goes outside; Delivered-To also ends a loop."""
    return f"Delivered-To: {recipient}\n".encode("utf-8", "surrogateescape") + message.trace
